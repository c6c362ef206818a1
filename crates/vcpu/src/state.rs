//! The part of the CPU that hardware does not hold for a deprivileged guest.

use x86::{Cr0, Cr4, Efer, Gva, Rflags};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Registers;
use crate::cpuid::Topology;
use crate::exit::PendingExit;
use crate::machine::Privilege;
use crate::segment::{Segment, SegmentName, TableRegister};

/// The virtual CPU's system state: what moves between address spaces.
///
/// It lies in a page that the supervisor owns and hands to a restarted
/// server, so **no field is trusted**: any bit pattern is a valid value, and
/// every use masks or checks what it takes. The accessors do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VcpuState {
    /// [`VcpuState::VERSION`] of the layout.
    pub version: u32,
    /// Current privilege level; the low two bits count.
    pub cpl: u32,
    /// The flags that are not real: IF and IOPL. Other bits are ignored.
    pub rflags: u64,
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8, the task priority.
    pub cr8: u64,
    /// IA32_EFER.
    pub efer: u64,
    /// Code segment.
    pub cs: Segment,
    /// Stack segment.
    pub ss: Segment,
    /// DS.
    pub ds: Segment,
    /// ES.
    pub es: Segment,
    /// FS; its base is `Registers::fs_base`.
    pub fs: Segment,
    /// GS; its base is `Registers::gs_base`.
    pub gs: Segment,
    /// Task register.
    pub tr: Segment,
    /// LDT register.
    pub ldtr: Segment,
    /// GDT register.
    pub gdtr: TableRegister,
    /// IDT register.
    pub idtr: TableRegister,
    /// IA32_KERNEL_GS_BASE: what SWAPGS exchanges with the GS base.
    pub kernel_gs_base: u64,
    /// IA32_STAR.
    pub star: u64,
    /// IA32_LSTAR.
    pub lstar: u64,
    /// IA32_CSTAR.
    pub cstar: u64,
    /// IA32_FMASK.
    pub fmask: u64,
    /// IA32_PAT. Its memory types have no effect.
    pub pat: u64,
    /// DR0 to DR7; 4 and 5 are unused.
    pub dr: [u64; 8],
    /// [`VcpuState::SHADOW_STI`], [`VcpuState::SHADOW_MOV_SS`], [`VcpuState::RESUME`].
    pub interruptibility: u32,
    /// [`VcpuState::RUNNING`] or [`VcpuState::HALTED`].
    pub activity: u32,
    /// The RIP that `interruptibility` holds for.
    pub shadow_rip: u64,
    /// The exit that awaits its completion.
    pub pending: PendingExit,
    /// What CPUID says of the machine.
    pub topology: Topology,
}

const _: () = assert!(size_of::<VcpuState>() <= 4096 && size_of::<VcpuState>().is_multiple_of(8));

impl VcpuState {
    /// Version of this layout.
    pub const VERSION: u32 = 2;
    /// Interrupts wait for the instruction after STI.
    pub const SHADOW_STI: u32 = 1 << 0;
    /// Interrupts and debug traps wait for the instruction after MOV SS or POP SS.
    pub const SHADOW_MOV_SS: u32 = 1 << 1;
    /// RFLAGS.RF is set. It lasts for one instruction, too.
    pub const RESUME: u32 = 1 << 2;
    /// The vCPU executes instructions.
    pub const RUNNING: u32 = 0;
    /// The vCPU executed HLT and waits for an interrupt.
    pub const HALTED: u32 = 1;
    /// IA32_PAT after reset (SDM vol. 3A, table 11-12).
    pub const PAT_AT_RESET: u64 = 0x0007_0406_0007_0406;

    /// A CPU in 64-bit mode at CPL 0, interrupts off, with the page tables at
    /// `cr3` and flat segments: CS is selector `code`, SS, DS and ES are
    /// `data`. No IDT, an empty GDT, a present TSS at 0, SYSCALL disabled.
    /// The platform sets what it wants otherwise.
    pub fn long_mode(cr3: u64, code: u16, data: u16) -> Self {
        let flat = Segment::flat_data(data, 0);
        Self {
            version: Self::VERSION,
            cr0: (Cr0::PE | Cr0::ET | Cr0::NE | Cr0::WP | Cr0::PG).bits(),
            cr3,
            cr4: (Cr4::PAE | Cr4::OSFXSR | Cr4::OSXMMEXCPT).bits(),
            efer: (Efer::LME | Efer::LMA).bits(),
            cs: Segment::flat_code(code, 0),
            ss: flat,
            ds: flat,
            es: flat,
            fs: flat,
            gs: flat,
            tr: Segment {
                base: 0,
                limit: 0xffff,
                selector: 0,
                attributes: Segment::PRESENT | Segment::TSS_BUSY,
            },
            pat: Self::PAT_AT_RESET,
            dr: [0, 0, 0, 0, 0, 0, 0xffff_0ff0, 0x400],
            ..Self::new_zeroed()
        }
    }

    fn new_zeroed() -> Self {
        <Self as zerocopy::FromZeros>::new_zeroed()
    }

    /// Current privilege level, 0 to 3.
    pub const fn cpl(&self) -> u8 {
        (self.cpl & 3) as u8
    }

    /// The privilege of the current instruction's own accesses.
    pub const fn privilege(&self) -> Privilege {
        Privilege::of_cpl(self.cpl())
    }

    /// CR0; bits that the type does not name are dropped.
    pub const fn cr0(&self) -> Cr0 {
        Cr0::from_bits_truncate(self.cr0)
    }

    /// CR4; bits that the type does not name are dropped.
    pub const fn cr4(&self) -> Cr4 {
        Cr4::from_bits_truncate(self.cr4)
    }

    /// EFER; bits that the type does not name are dropped.
    pub const fn efer(&self) -> Efer {
        Efer::from_bits_truncate(self.efer)
    }

    /// The virtual I/O privilege level, 0 to 3.
    pub const fn iopl(&self) -> u8 {
        (self.rflags >> 12 & 3) as u8
    }

    /// Whether the guest has interrupts enabled (virtual IF).
    pub const fn interrupts_enabled(&self) -> bool {
        self.rflags & Rflags::IF.bits() != 0
    }

    /// Whether `registers.rip` is still the instruction that an STI or MOV SS
    /// shields from interrupts. The guest may have run on without a trap, so
    /// the shadow is tied to its RIP.
    pub const fn in_interrupt_shadow(&self, registers: &Registers) -> bool {
        const SHADOWS: u32 = VcpuState::SHADOW_STI | VcpuState::SHADOW_MOV_SS;
        self.interruptibility & SHADOWS != 0 && self.shadow_rip == registers.rip
    }

    /// Whether RF is set: an IRET set it, and RIP is where that went.
    pub(crate) const fn resumes(&self, registers: &Registers) -> bool {
        self.interruptibility & Self::RESUME != 0 && self.shadow_rip == registers.rip
    }

    /// Whether an external interrupt may be delivered now.
    pub const fn interrupt_window_open(&self, registers: &Registers) -> bool {
        self.interrupts_enabled() && !self.in_interrupt_shadow(registers) && !self.pending.is_some()
    }

    /// Opens the one-instruction shadow at `rip`.
    pub(crate) fn set_shadow(&mut self, kind: u32, rip: u64) {
        self.interruptibility = kind;
        self.shadow_rip = rip;
    }

    /// The segment register `name`.
    pub const fn segment(&self, name: SegmentName) -> &Segment {
        match name {
            SegmentName::Es => &self.es,
            SegmentName::Cs => &self.cs,
            SegmentName::Ss => &self.ss,
            SegmentName::Ds => &self.ds,
            SegmentName::Fs => &self.fs,
            SegmentName::Gs => &self.gs,
        }
    }

    pub(crate) fn segment_mut(&mut self, name: SegmentName) -> &mut Segment {
        match name {
            SegmentName::Es => &mut self.es,
            SegmentName::Cs => &mut self.cs,
            SegmentName::Ss => &mut self.ss,
            SegmentName::Ds => &mut self.ds,
            SegmentName::Fs => &mut self.fs,
            SegmentName::Gs => &mut self.gs,
        }
    }

    /// The value that CR2 shows after a page fault at `gva`.
    pub(crate) fn set_fault_address(&mut self, gva: Gva) {
        self.cr2 = gva.get();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_state() {
        let bytes = [0xff; size_of::<VcpuState>()];
        let state = VcpuState::read_from_bytes(&bytes).unwrap();
        assert_eq!(state.cpl(), 3);
        assert_eq!(state.iopl(), 3);
        assert!(state.privilege().is_user());
    }

    #[test]
    fn the_shadow_ends_when_rip_moves() {
        let mut state = VcpuState::long_mode(0x2000, 8, 16);
        state.rflags = Rflags::IF.bits();
        state.set_shadow(VcpuState::SHADOW_STI, 0x1000);
        let mut registers = Registers { rip: 0x1000, ..Default::default() };
        assert!(!state.interrupt_window_open(&registers));
        registers.rip = 0x1003;
        assert!(state.interrupt_window_open(&registers));
    }
}
