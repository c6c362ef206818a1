//! Entry point, console and panic handler of a root task.
//!
//! The kernel starts the root task with RDI = boot information and no stack. [`root_task!`] defines
//! a stack in .bss with an unmapped guard page below it, the entry point and the panic handler.
//! Text goes through the [`console`]: a function that the root task registers (on a release kernel
//! a serial port behind an I/O port capability, [`SerialPort`]), or, as long as there is none, the
//! kernel's own console if it has one.

#![no_std]

pub mod console;
mod panic;
mod serial;
pub mod stack;

pub use panic::panic;
pub use serial::SerialPort;

/// Defines stack, entry point and panic handler of the root task.
///
/// ```ignore
/// sel4_root_task::root_task! { main = main, stack = 64 * 1024 }
///
/// fn main(bootinfo: &sel4::BootInfoPtr) -> ! {
///     /* … */
/// }
/// ```
///
/// `stack` is in bytes, a multiple of 4096. The binary is linked with `sel4`'s `link/process.ld`,
/// whose symbol `__image_start` tells which frame the guard page is.
#[macro_export]
macro_rules! root_task {
    (main = $main:path, stack = $stack:expr $(,)?) => {
        static __ROOT_TASK_STACK: $crate::stack::Stack<{ $stack }> =
            $crate::stack::Stack::new();

        ::core::arch::global_asm!(
            ".section .text.start, \"ax\"",
            ".global _start",
            "_start:",
            "lea rsp, [rip + {stack} + {size}]",
            "xor ebp, ebp",
            "call {entry}",
            "ud2",
            stack = sym __ROOT_TASK_STACK,
            size = const $crate::stack::Stack::<{ $stack }>::SIZE,
            entry = sym __root_task_entry,
        );

        extern "C" fn __root_task_entry(bootinfo: *const u8) -> ! {
            let main: fn(&::sel4::BootInfoPtr) -> ! = $main;
            #[allow(unsafe_code, reason = "the kernel's promises to the root task")]
            // SAFETY: `_start` is reached once, with the boot information in RDI; the IPC
            // buffer named there stays mapped, and the root task has one thread. The stack's
            // guard page is used by nobody.
            let bootinfo = unsafe {
                let bootinfo = ::sel4::BootInfoPtr::from_address(bootinfo);
                ::sel4::set_ipc_buffer(bootinfo.ipc_buffer() as *mut _);
                $crate::stack::unmap_guard(&__ROOT_TASK_STACK, &bootinfo);
                bootinfo
            };
            main(&bootinfo)
        }

        #[panic_handler]
        fn __root_task_panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panic(info)
        }
    };
}
