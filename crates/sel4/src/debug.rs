//! Calls of a debug kernel. A release kernel answers them with an UnknownSyscall fault, so they
//! exist only when the kernel's configuration has them.

#[cfg(any(sel4_debug_put_char, sel4_debug_halt, sel4_debug_name_thread))]
use crate::{abi::syscall as number, syscall};

/// Whether the kernel prints characters on request.
pub const DEBUG_PUT_CHAR: bool = cfg!(sel4_debug_put_char);

/// Prints a byte on the kernel's console.
#[cfg(sel4_debug_put_char)]
pub fn debug_put_char(byte: u8) {
    syscall::system_call(
        number::DEBUG_PUT_CHAR,
        syscall::Registers { rdi: byte.into(), ..syscall::Registers::default() },
    );
}

/// Prints a byte on the kernel's console if the kernel can; says whether it can.
pub fn try_debug_put_char(byte: u8) -> bool {
    #[cfg(sel4_debug_put_char)]
    debug_put_char(byte);
    let _ = byte;
    DEBUG_PUT_CHAR
}

/// Halts the machine.
#[cfg(sel4_debug_halt)]
pub fn debug_halt() -> ! {
    loop {
        syscall::system_call(number::DEBUG_HALT, syscall::Registers::default());
    }
}

impl crate::cap::Tcb {
    /// Gives the thread a name that a debug kernel prints with its faults, cut to 99 bytes. Does
    /// nothing on other kernels. Overwrites message registers in the IPC buffer.
    ///
    /// The capability must be valid: a debug kernel halts the machine otherwise.
    pub fn debug_name(self, name: &str) {
        #[cfg(sel4_debug_name_thread)]
        {
            let mut bytes = [0; 104];
            for (to, from) in bytes.iter_mut().zip(name.bytes().take(99)) {
                *to = from;
            }
            let (chunks, _) = bytes.as_chunks();
            for (register, chunk) in crate::ipc_buffer().msg_regs().iter().zip(chunks) {
                register.set(crate::Word::from_le_bytes(*chunk));
            }
            let registers = syscall::Registers { rdi: self.bits(), ..Default::default() };
            syscall::system_call(number::DEBUG_NAME_THREAD, registers);
        }
        let _ = name;
    }
}
