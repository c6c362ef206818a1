//! Descriptor tables of 64-bit mode: segments, the task-state segment, gates, and
//! what the registers of the tables hold (SDM vol. 3A, chapters 3, 6 and 8).
//!
//! The selectors and descriptors of the kernel are those of the boot GDT, so that a
//! guest can load a table of its own and go on. User data stands before user code,
//! as SYSRET wants it.

/// Selectors of a GDT that holds the segments below, in their order, and then the
/// two entries of the TSS.
pub mod selector {
    /// 64-bit code, DPL 0.
    pub const KERNEL_CODE: u16 = 0x08;
    /// Data, DPL 0.
    pub const KERNEL_DATA: u16 = 0x10;
    /// Data, DPL 3.
    pub const USER_DATA: u16 = 0x18 | 3;
    /// 64-bit code, DPL 3.
    pub const USER_CODE: u16 = 0x20 | 3;
    /// The TSS.
    pub const TASK: u16 = 0x28;
}

/// Descriptors of segments without bounds, all accessed.
pub mod segment {
    /// 64-bit code, DPL 0.
    pub const KERNEL_CODE: u64 = 0x00af_9b00_0000_ffff;
    /// Data, DPL 0.
    pub const KERNEL_DATA: u64 = 0x00cf_9300_0000_ffff;
    /// Data, DPL 3.
    pub const USER_DATA: u64 = 0x00cf_f300_0000_ffff;
    /// 64-bit code, DPL 3.
    pub const USER_CODE: u64 = 0x00af_fb00_0000_ffff;
    /// Conforming 64-bit code, DPL 0.
    pub const CONFORMING: u64 = 0x00af_9f00_0000_ffff;
}

/// A GDT with what [`selector`] names, and nothing else, for the task state at `task`.
pub const fn gdt(task: u64) -> [u64; 7] {
    use segment::{KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA};
    let [low, high] = TaskState::descriptor(task);
    [0, KERNEL_CODE, KERNEL_DATA, USER_DATA, USER_CODE, low, high]
}

/// The task-state segment (SDM vol. 3A, figure 8-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TaskState([u32; Self::WORDS]);

impl TaskState {
    const WORDS: usize = 26;
    /// Index of RSP0 and IST1, each of which has two words.
    const RSP0: usize = 1;
    const IST1: usize = 9;
    /// Its upper half says where the I/O map begins.
    const IO_MAP: usize = 25;

    /// No stacks. The I/O map begins where the segment does, whose own words then say
    /// which ports user code has.
    pub const EMPTY: Self = Self([0; Self::WORDS]);

    /// Traps from user mode take the stack that ends at `end`.
    pub const fn with_stack(self, end: u64) -> Self {
        self.with(Self::RSP0, end)
    }

    /// Gates [on a stack of their own](Gate::on_own_stack) take the one that ends at `end`.
    pub const fn with_own_stack(self, end: u64) -> Self {
        self.with(Self::IST1, end)
    }

    /// The I/O map begins behind the segment: user code has no port.
    pub const fn without_ports(mut self) -> Self {
        self.0[Self::IO_MAP] = (size_of::<Self>() as u32) << 16;
        self
    }

    const fn with(mut self, index: usize, address: u64) -> Self {
        self.0[index] = address as u32;
        self.0[index + 1] = (address >> 32) as u32;
        self
    }

    /// The two entries of the GDT that say that a task state is at `address` and available.
    pub const fn descriptor(address: u64) -> [u64; 2] {
        const LIMIT: u64 = size_of::<TaskState>() as u64 - 1;
        const AVAILABLE_TASK: u64 = 0x89 << 40;
        let base = (address & 0x00ff_ffff) << 16 | (address >> 24 & 0xff) << 56;
        [LIMIT | base | AVAILABLE_TASK, address >> 32]
    }
}

/// A gate of the IDT (SDM vol. 3A, §6.14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Gate([u64; 2]);

impl Gate {
    /// No gate.
    pub const ABSENT: Self = Self([0; 2]);

    const PRESENT: u64 = 1 << 47;

    /// An interrupt gate to `handler` in the kernel's code, which user code may not call.
    pub const fn new(handler: u64) -> Self {
        const INTERRUPT_GATE: u64 = 0xe << 40;
        let offset = handler & 0xffff | (handler >> 16 & 0xffff) << 48;
        let gate = Self([offset | INTERRUPT_GATE | Self::PRESENT, handler >> 32]);
        gate.with_selector(selector::KERNEL_CODE)
    }

    /// User code may call it with INT.
    pub const fn for_users(self) -> Self {
        self.with(3 << 45)
    }

    /// A trap gate: IF stays as it is.
    pub const fn as_trap_gate(self) -> Self {
        self.with(1 << 40)
    }

    /// It takes the stack of IST1.
    pub const fn on_own_stack(self) -> Self {
        self.with(1 << 32)
    }

    /// It leads to code of `selector`, right or wrong.
    pub const fn with_selector(mut self, selector: u16) -> Self {
        self.0[0] = self.0[0] & !(0xffff << 16) | (selector as u64) << 16;
        self
    }

    /// It is not present.
    pub const fn not_present(mut self) -> Self {
        self.0[0] &= !Self::PRESENT;
        self
    }

    const fn with(mut self, bits: u64) -> Self {
        self.0[0] |= bits;
        self
    }
}

/// What GDTR or IDTR holds, as LGDT, LIDT, SGDT and SIDT have it in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, packed)]
pub struct TableRegister {
    /// Bytes of the table, less one.
    pub limit: u16,
    /// Its address.
    pub base: u64,
}

impl TableRegister {
    /// That of `table`, all of it.
    pub fn of<T>(table: *const T) -> Self {
        Self { limit: (size_of::<T>() - 1) as u16, base: table as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDLER: u64 = 0x1122_3344_5566_7788;

    #[test]
    fn gates_hold_the_address_in_three_pieces() {
        assert_eq!(Gate::new(HANDLER).0, [0x5566_8e00_0008_7788, 0x1122_3344]);
    }

    #[test]
    fn gates_have_attributes() {
        let gate = Gate::new(HANDLER).for_users().as_trap_gate().on_own_stack();
        assert_eq!(gate.0[0], 0x5566_ef01_0008_7788);
        assert_eq!(gate.with_selector(0x10).0[0], 0x5566_ef01_0010_7788);
        assert_eq!(gate.not_present().0[0], 0x5566_6f01_0008_7788);
    }

    #[test]
    fn task_states_have_stacks_at_odd_words_and_the_map_last() {
        let state = TaskState::EMPTY.with_stack(HANDLER).with_own_stack(0x2000);
        assert_eq!(state.0[1..3], [0x5566_7788, 0x1122_3344]);
        assert_eq!((state.0[9], state.0[25]), (0x2000, 0));
        assert_eq!(state.without_ports().0[25], 104 << 16);
    }

    #[test]
    fn task_descriptors_hold_the_address_in_four_pieces() {
        assert_eq!(TaskState::descriptor(HANDLER), [0x5500_8966_7788_0067, 0x1122_3344]);
    }

    #[test]
    fn selectors_are_the_places_in_the_table() {
        let at = |selector: u16| gdt(HANDLER)[usize::from(selector) / 8];
        assert_eq!(at(selector::KERNEL_CODE), segment::KERNEL_CODE);
        assert_eq!(at(selector::KERNEL_DATA), segment::KERNEL_DATA);
        assert_eq!(at(selector::USER_CODE), segment::USER_CODE);
        assert_eq!(at(selector::USER_DATA), segment::USER_DATA);
        assert_eq!(at(selector::TASK), TaskState::descriptor(HANDLER)[0]);
    }

    #[test]
    fn table_registers_count_bytes_less_one() {
        let table = [0_u64; 3];
        let TableRegister { limit, base } = TableRegister::of(&raw const table);
        assert_eq!((limit, base, size_of::<TableRegister>()), (23, &raw const table as u64, 10));
    }
}
