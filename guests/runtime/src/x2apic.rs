//! The local APIC in x2APIC mode (SDM vol. 3A, §10.12).
#![allow(unsafe_code)] // WRMSR

use crate::instruction::{read_msr, write_msr};

/// IA32_TSC_DEADLINE.
pub const TSC_DEADLINE: u32 = 0x6e0;
/// First MSR of the APIC.
pub const FIRST: u32 = 0x800;
const ID: u32 = 0x802;
const END: u32 = 0x80b;
const SPURIOUS: u32 = 0x80f;
const COMMAND: u32 = 0x830;
const LOCAL_TIMER: u32 = 0x832;
const INITIAL_COUNT: u32 = 0x838;
const CURRENT_COUNT: u32 = 0x839;
const DIVIDE: u32 = 0x83e;
const SELF: u32 = 0x83f;

/// Enables it; spurious interrupts have vector 47.
pub fn enable() {
    write(SPURIOUS, 0x100 | 47);
}

/// Its ID.
pub fn id() -> u32 {
    read_msr(ID) as u32
}

/// Ends the interrupt in service.
pub fn end() {
    write(END, 0);
}

/// Whom a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The APIC with this ID.
    Id(u32),
    /// Those of the first cluster with these bits.
    Logical(u16),
    /// The sender, by shorthand.
    Itself,
    /// All, by shorthand.
    All,
    /// All but the sender, by shorthand.
    Others,
}

/// Sends the interrupt `vector`.
pub fn send(vector: u8, to: To) {
    let to = match to {
        To::Id(id) => u64::from(id) << 32,
        To::Logical(bits) => u64::from(bits) << 32 | 1 << 11,
        To::Itself => 1 << 18,
        To::All => 2 << 18,
        To::Others => 3 << 18,
    };
    write(COMMAND, to | u64::from(vector));
}

/// Sends the interrupt `vector` to the sender, by the register for that.
pub fn send_to_self(vector: u8) {
    write(SELF, vector.into());
}

/// How the timer runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Once.
    Once = 0,
    /// Again and again.
    Periodic = 1,
    /// When the time-stamp counter has a value.
    Deadline = 2,
}

/// Sets mode and vector of the timer, which counts ticks.
pub fn set_timer(mode: Mode, vector: u8) {
    write(DIVIDE, 0b1011);
    write(LOCAL_TIMER, (mode as u64) << 17 | u64::from(vector));
}

/// Starts the timer with `count` ticks; 0 stops it.
pub fn start_timer(count: u32) {
    write(INITIAL_COUNT, count.into());
}

/// The timer's count.
pub fn count() -> u32 {
    read_msr(CURRENT_COUNT) as u32
}

/// Lets the timer run out at `tick`; 0 stops it.
pub fn set_deadline(tick: u64) {
    write(TSC_DEADLINE, tick);
}

fn write(register: u32, value: u64) {
    // SAFETY: registers of the APIC decide on interrupts alone.
    unsafe { write_msr(register, value) }
}
