//! Exits on their way to the vmm, and completions on their way back.

use core::sync::atomic::{AtomicU8, Ordering};

use protocol::exit::{self, EXIT, RegisterDump};
use sel4::{MessageInfo, cap};
use vcpu::{Registers, TripleFault, VcpuState};
use x86::{Gpa, GuestMemory, Vector};
use zerocopy::IntoBytes;

use crate::window::Window;

/// A reply that carries an exit.
pub fn message(words: exit::Words) -> (MessageInfo, exit::Words) {
    (MessageInfo::new(EXIT, 0, 0, words.len()), words)
}

/// Answers the parked request behind `reply`.
pub fn answer(reply: cap::Endpoint, words: exit::Words) {
    let (info, words) = message(words);
    reply.send_with_mrs(info, words);
}

/// The exit of the CPU, as the vmm sees it.
pub const fn of_cpu(exit: vcpu::Exit) -> exit::Exit {
    match exit {
        vcpu::Exit::PortOut { port, size, value } => {
            exit::Exit::PortOut { port, size, value, argument: None }
        }
        vcpu::Exit::PortIn { port, size } => exit::Exit::PortIn { port, size },
        vcpu::Exit::ReadMsr { index } => exit::Exit::ReadMsr { index },
        vcpu::Exit::WriteMsr { index, value } => exit::Exit::WriteMsr { index, value },
        vcpu::Exit::Halt { interrupts_enabled } => {
            exit::Exit::Halt { interruptible: interrupts_enabled }
        }
    }
}

/// Adds to a 32-bit `out` the two words that its value points to, which saves
/// hypercall platforms a request.
pub fn with_argument(exit: exit::Exit, memory: &Window) -> exit::Exit {
    let exit::Exit::PortOut { port, size: 4, value, .. } = exit else {
        return exit;
    };
    let word = |offset| memory.load_u64(Gpa::new(u64::from(value) + offset)).ok();
    let argument = word(0).zip(word(8)).map(|(first, second)| [first, second]);
    exit::Exit::PortOut { port, size: 4, value, argument }
}

/// The completion, as the CPU takes it.
pub const fn completion(completion: exit::Completion) -> vcpu::Completion {
    match completion {
        exit::Completion::Done => vcpu::Completion::Done,
        exit::Completion::Value(value) => vcpu::Completion::Value(value),
        exit::Completion::GeneralProtection => {
            vcpu::Completion::Exception { vector: Vector::GeneralProtection, error_code: 0 }
        }
        exit::Completion::InvalidOpcode => {
            vcpu::Completion::Exception { vector: Vector::InvalidOpcode, error_code: 0 }
        }
    }
}

/// Writes the registers of a vCPU that shut down to the start of `area`.
pub fn dump(fault: &TripleFault, state: &VcpuState, registers: &Registers, area: &[AtomicU8]) {
    let dump = RegisterDump {
        registers: registers.to_words(),
        control: [state.cr0, state.cr2, state.cr3, state.cr4, state.efer],
        vector: u64::from(fault.first),
        error_code: u64::from(fault.error_code),
    };
    for (to, from) in area.iter().zip(dump.as_bytes()) {
        to.store(*from, Ordering::Relaxed);
    }
}
