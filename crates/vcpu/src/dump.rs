//! A register dump for people.

use core::fmt;

use crate::segment::{Segment, TableRegister};
use crate::{Registers, VcpuState};

/// Displays state and registers in a dozen lines, without a final newline.
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a> {
    /// System state.
    pub state: &'a VcpuState,
    /// Thread registers.
    pub registers: &'a Registers,
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state: s, registers: r } = self;
        let flags = s.guest_rflags(r);
        writeln!(f, "rip={:016x} rsp={:016x} rflags={flags:08x} cpl={}", r.rip, r.rsp, s.cpl())?;
        writeln!(f, "rax={:016x} rbx={:016x} rcx={:016x} rdx={:016x}", r.rax, r.rbx, r.rcx, r.rdx)?;
        writeln!(f, "rsi={:016x} rdi={:016x} rbp={:016x} r8 ={:016x}", r.rsi, r.rdi, r.rbp, r.r8)?;
        writeln!(f, "r9 ={:016x} r10={:016x} r11={:016x} r12={:016x}", r.r9, r.r10, r.r11, r.r12)?;
        writeln!(f, "r13={:016x} r14={:016x} r15={:016x}", r.r13, r.r14, r.r15)?;
        writeln!(f, "fs ={:016x} gs ={:016x} kgs={:016x}", r.fs_base, r.gs_base, s.kernel_gs_base)?;
        writeln!(
            f,
            "cr0={:08x} cr2={:016x} cr3={:x} cr4={:x} efer={:x}",
            s.cr0, s.cr2, s.cr3, s.cr4, s.efer
        )?;
        segment(f, "cs", &s.cs, ' ')?;
        segment(f, "ss", &s.ss, '\n')?;
        segment(f, "tr", &s.tr, ' ')?;
        segment(f, "ldtr", &s.ldtr, '\n')?;
        table(f, "gdtr", &s.gdtr)?;
        f.write_str(" ")?;
        table(f, "idtr", &s.idtr)
    }
}

fn segment(f: &mut fmt::Formatter<'_>, name: &str, segment: &Segment, end: char) -> fmt::Result {
    let Segment { base, limit, selector, attributes } = segment;
    write!(f, "{name}={selector:04x}[{base:x}+{limit:x} {attributes:03x}]{end}")
}

fn table(f: &mut fmt::Formatter<'_>, name: &str, table: &TableRegister) -> fmt::Result {
    write!(f, "{name}={:x}+{:x}", table.base, table.limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_guests_view() {
        let mut state = VcpuState::long_mode(0x2000, 8, 16);
        state.gdtr = TableRegister::new(0x1000, 0x17);
        state.cr2 = 0xdead_b000;
        let registers = Registers { rip: 0x10_0020, rflags: 0x246, ..Default::default() };
        let text = Dump { state: &state, registers: &registers }.to_string();
        for part in [
            "rip=0000000000100020 rsp=0000000000000000 rflags=00000046 cpl=0",
            "cr0=80010031 cr2=00000000deadb000 cr3=2000 cr4=620 efer=500",
            "cs=0008[0+ffffffff a9b] ss=0010[0+ffffffff c93]\n",
            "gdtr=1000+17 idtr=0+0",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(text.lines().count(), 10);
    }
}
