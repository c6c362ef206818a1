//! The `syscall` instruction.
//!
//! Convention of a kernel built with `CONFIG_SYSCALL`: RDX number (negative), RDI capability in and
//! badge out, RSI message information in and out, message registers 0–3 in R10, R8, R9, R15. RCX and
//! R11 die by the instruction, RSP comes back as 0 and is kept in R14 meanwhile (upstream's choice;
//! libsel4's RBX is reserved by LLVM). Everything else is preserved, SSE state included.

use crate::Word;

/// The registers that a system call reads and writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    /// Capability pointer in, badge out.
    pub(crate) rdi: Word,
    /// Message information in and out.
    pub(crate) rsi: Word,
    /// Message registers 0–3, in and out.
    pub(crate) mrs: [Word; 4],
}

#[cfg(target_os = "none")]
pub(crate) use bare::system_call;
#[cfg(not(target_os = "none"))]
pub(crate) use host::system_call;

#[cfg(target_os = "none")]
mod bare {
    #![allow(unsafe_code, reason = "entering the kernel takes an instruction")]

    use core::arch::asm;

    use super::Registers;

    /// Makes a system call.
    #[inline(always)]
    pub(crate) fn system_call(number: i64, registers: Registers) -> Registers {
        let Registers { rdi, rsi, mrs: [mr0, mr1, mr2, mr3] } = registers;
        let (mut rdi, mut rsi) = (rdi, rsi);
        let (mut mr0, mut mr1, mut mr2, mut mr3) = (mr0, mr1, mr2, mr3);
        // SAFETY: every register that the kernel changes is an operand. The kernel reads and writes
        // the IPC buffer, which this crate touches through cells only, and the block is not marked
        // `nomem`, so no access moves across it. Nothing runs on this thread's stack while RSP is
        // lost: user level on seL4 has no signals. What an invocation does to memory that Rust
        // knows of (unmapping it, say) is the caller's matter, as in upstream's bindings: it needs
        // capabilities, and a process that destroys itself faults, which its supervisor sees.
        unsafe {
            asm!(
                "mov r14, rsp",
                "syscall",
                "mov rsp, r14",
                in("rdx") number,
                inout("rdi") rdi,
                inout("rsi") rsi,
                inout("r10") mr0,
                inout("r8") mr1,
                inout("r9") mr2,
                inout("r15") mr3,
                out("r14") _,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        Registers { rdi, rsi, mrs: [mr0, mr1, mr2, mr3] }
    }
}

/// A host has no seL4: system calls go to a function that a test installs.
#[cfg(not(target_os = "none"))]
pub(crate) mod host {
    use super::Registers;

    #[cfg(test)]
    pub(crate) type Kernel = Box<dyn FnMut(i64, Registers) -> Registers>;

    #[cfg(test)]
    std::thread_local! {
        static KERNEL: std::cell::RefCell<Option<Kernel>> = const { std::cell::RefCell::new(None) };
    }

    /// Sets what answers the system calls of this test.
    #[cfg(test)]
    pub(crate) fn set_kernel(kernel: impl FnMut(i64, Registers) -> Registers + 'static) {
        KERNEL.with(|slot| *slot.borrow_mut() = Some(Box::new(kernel)));
    }

    #[cfg(test)]
    pub(crate) fn system_call(number: i64, registers: Registers) -> Registers {
        KERNEL.with(|slot| {
            let mut slot = slot.borrow_mut();
            let kernel = slot.as_mut().expect("the test installs a kernel");
            kernel(number, registers)
        })
    }

    #[cfg(not(test))]
    pub(crate) fn system_call(_number: i64, _registers: Registers) -> Registers {
        unimplemented!("seL4 system calls exist on x86_64-unknown-none only")
    }
}
