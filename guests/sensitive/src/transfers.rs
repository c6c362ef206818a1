//! Far transfers, IRETQ, and software interrupts that Umbriel uses itself.
#![allow(unsafe_code)] // inline assembly

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use guest_runtime::{Digest, Frame, set_handler};

use crate::guest::show as print;

/// Vector of the last exception, and the low bits of its error code. The rest
/// is left out: QEMU's translator says 16 n where the manual says 8 n.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// All that faults here is two bytes long.
fn skip(frame: &mut Frame) -> bool {
    SEEN.store(frame.vector << 8 | frame.error_code & 7, Ordering::Relaxed);
    frame.rip += 2;
    true
}

/// Where `lret`, `jmp`, `call` and `iretq` to the guest's own code segment arrive.
fn arrivals() -> [u64; 4] {
    let (mut returned, mut jumped, mut called, mut resumed) = (0, 0, 0, 0);
    // SAFETY: every transfer goes to the next label of this block, and takes
    // from the stack what it has put there.
    unsafe {
        asm!("push 8", "lea {t}, [rip + 2f]", "push {t}", "retfq",
            "2: mov {out:e}, 1",
            t = out(reg) _, out = inout(reg) returned);
        asm!("push 8", "lea {t}, [rip + 2f]", "push {t}", ".byte 0x48", "jmp fword ptr [rsp]",
            "2: mov {out:e}, 2", "add rsp, 16",
            t = out(reg) _, out = inout(reg) jumped);
        asm!("push 8", "lea {t}, [rip + 3f]", "push {t}", ".byte 0x48", "call fword ptr [rsp]", "jmp 4f",
            "3: mov {out:e}, 3", "retfq", "4: add rsp, 16",
            t = out(reg) _, out = inout(reg) called);
        asm!("mov {t}, rsp", "push 0x10", "push {t}", "push 2", "push 8",
            "lea {t}, [rip + 2f]", "push {t}", "iretq",
            "2: mov {out:e}, 4",
            t = out(reg) _, out = inout(reg) resumed);
    }
    [returned, jumped, called, resumed]
}

/// What `int n` raises whose gate lies behind the IDT's limit.
fn refused() -> [u64; 3] {
    set_handler(skip);
    // Written at run time, so that nobody has seen them: `int 0x9e`, `int 0xfe`; ret.
    let code = [0xcd_u8, 0x9e, 0xcd, 0xfe, 0xc3];
    // SAFETY: the bytes are a function, in memory that can be executed.
    let run = unsafe {
        core::mem::transmute::<*const u8, extern "C" fn()>(core::hint::black_box(code.as_ptr()))
    };
    run();
    let made = SEEN.swap(0, Ordering::Relaxed);
    // SAFETY: the handler goes on behind them.
    unsafe { asm!("int 0x9e") };
    let own = SEEN.swap(0, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { asm!("int 0xff") };
    [made, own, SEEN.swap(0, Ordering::Relaxed)]
}

/// Transfers, then refusals.
pub fn show(digest: &mut Digest) {
    print(digest, "far transfers", &arrivals());
    print(digest, "software interrupts", &refused());
}
