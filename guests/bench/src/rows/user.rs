//! User mode: down and up again, and faults from there.
#![allow(unsafe_code)] // assembly

use core::arch::{asm, global_asm};

use guest_runtime::bits;
use guest_runtime::instruction::{read_msr, write_msr};

use crate::memory::{Frames, PAGE};
use crate::rows::{Bench, Figure, Measured, WRITTEN, check};
use crate::traps;
use crate::tsc;
use crate::window::Window;

const CALLS: u64 = 2000;
const PAGES: u64 = 1024;

const EFER: u32 = 0xc000_0080;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const FMASK: u32 = 0xc000_0084;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// EFER.SCE.
const SYSCALL_ENABLE: u64 = 1;
/// Kernel selectors 8 and 0x10, user selectors 0x1b and 0x23.
const SELECTORS: u64 = 0x0013_0008 << 32;
/// RFLAGS.IF.
const INTERRUPT_FLAG: u64 = 1 << 9;
/// User code, and what follows it: so much is copied.
type Code = [u64; 8];

global_asm!(
    r#"
    .section .rodata, "a"
    .align 8
bench_user_store:
    mov [rdi], rsi
    int 0x80

    .align 8
bench_user_touch:
2:  mov [rdi], rdi
    add rdi, 4096
    cmp rdi, rdx
    jne 2b
    int 0x80

    .align 8
bench_user_calls:
2:  syscall
    dec esi
    jnz 2b
    int 0x80
    .align 8
    .skip 64

    .section .text, "ax"
    .align 16
# As kernels begin and end: to a stack of its own by GS, some work, and back.
bench_syscall:
    swapgs
    mov gs:[8], rsp
    mov rsp, gs:[0]
    inc qword ptr gs:[16]
    mov rsp, gs:[8]
    swapgs
    sysretq

    .section .bss, "aw", @nobits
    .align 16
    .skip 256
bench_syscall_area: .skip 24    # stack, the program's stack, calls
"#
);

// SAFETY: labels of the assembly above, those of code at a multiple of 8 and with at
// least 64 bytes behind them: any words are a `Code`, and nobody writes to the section.
// Of the handler and its area only addresses are taken, so that their types do not
// matter.
unsafe extern "C" {
    safe static bench_user_store: Code;
    safe static bench_user_touch: Code;
    safe static bench_user_calls: Code;
    static bench_syscall: u8;
    static bench_syscall_area: u8;
}

/// Thirty-two instructions: `iretq` to user mode, one store there, `int 0x80`
/// back.
pub fn syscall(bench: &mut Bench) -> Measured {
    let data = bench.window(1, WRITTEN | bits::USER);
    let code = user_code(bench, &bench_user_store);
    let word = bench.data.page(0).address();
    let (instructions, wrong) = tsc::instructions_of(|| {
        let wrong: u64;
        // SAFETY: user code stores one word in a data frame; entering saves
        // what the ABI says, on this stack.
        unsafe {
            asm!(
                "2: mov rdi, {at}",
                "mov rsi, {n}",
                "mov rcx, {code}",
                "call bench_enter_user",
                "mov rax, [{word}]",
                "xor rax, {n}",
                "or {wrong}, rax",
                "dec {n}",
                "jnz 2b",
                at = in(reg) data.address(),
                code = in(reg) code.address(),
                word = in(reg) word,
                n = inout(reg) CALLS => _,
                wrong = inout(reg) 0_u64 => wrong,
                out("rax") _, out("rcx") _, out("rdi") _, out("rsi") _,
            );
        }
        wrong
    });
    bench.close(data);
    bench.close(code);
    check(wrong == 0, "a store of user code did not arrive")?;
    Ok(Figure { iterations: CALLS, instructions })
}

/// Ten instructions: `syscall`, to the kernel's stack and back between two `swapgs`,
/// `sysretq`.
pub fn fast_syscall(bench: &mut Bench) -> Measured {
    let code = user_code(bench, &bench_user_calls);
    let area = &raw const bench_syscall_area as u64;
    // SAFETY: the handler leads back to user code and uses its own area, of which
    // the first word is its stack, the bytes before it.
    let calls = unsafe {
        (area as *mut u64).write(area);
        let calls = (area as *mut u64).add(2);
        calls.write(0);
        for (register, value) in [
            (EFER, read_msr(EFER) | SYSCALL_ENABLE),
            (STAR, SELECTORS),
            (LSTAR, &raw const bench_syscall as u64),
            (FMASK, INTERRUPT_FLAG),
            (KERNEL_GS_BASE, area),
        ] {
            write_msr(register, value);
        }
        calls
    };
    let (instructions, ()) = tsc::instructions_of(|| {
        // SAFETY: user code changes RCX, R11 and RSI only; as in `syscall`.
        unsafe {
            asm!("call bench_enter_user",
                inout("rcx") code.address() => _, inout("rsi") CALLS => _, in("rdi") 0, in("rdx") 0,
                out("rax") _, out("r11") _);
        }
    });
    bench.close(code);
    // SAFETY: the area's third word, which the handler counts in.
    let counted = unsafe { calls.read_volatile() };
    check(counted == CALLS, "not every system call arrived")?;
    Ok(Figure { iterations: CALLS, instructions })
}

/// Forty-six instructions: user code touches a page that is not present, and
/// the kernel's handler maps it.
pub fn fault(bench: &mut Bench) -> Measured {
    const USER_WRITE: u64 = 6;
    let data = bench.window(PAGES, bits::USER);
    let code = user_code(bench, &bench_user_touch);
    bench.fill_data(0);
    traps::repair_faults_of(data, USER_WRITE, 0);
    let end = data.address() + PAGES * PAGE;
    let (instructions, ()) = tsc::instructions_of(|| {
        // SAFETY: user code writes to data frames only; as in `syscall`.
        unsafe {
            asm!("call bench_enter_user",
                inout("rcx") code.address() => _, inout("rdi") data.address() => _,
                in("rdx") end, out("rax") _, out("rsi") _);
        }
    });
    let faults = traps::faults_repaired();
    let (start, written) = (data.address(), data.all_have(WRITTEN, WRITTEN));
    bench.close(data);
    bench.close(code);
    check(faults == PAGES, "not one page fault a page")?;
    let arrived = bench.data_is(PAGES, |index| start + index * PAGE);
    check(written && arrived, "a write of user code did not arrive")?;
    Ok(Figure { iterations: PAGES, instructions })
}

/// A window of one page that user code may run, with a copy of `code`.
fn user_code(bench: &mut Bench, code: &Code) -> Window {
    let page = bench.memory.page();
    for (index, word) in (0..).zip(code) {
        page.write(index, *word);
    }
    let windows = bench.memory.windows;
    let window = Window::new(&mut bench.memory, windows, bench.slot, 1);
    bench.slot += 1;
    let frames = Frames { start: page.address(), count: 1 };
    window.point_to(frames, bits::PRESENT | bits::USER | bits::ACCESSED);
    window
}
