//! Start and end of a process: entry point, startup page, panic report.
//!
//! A process is started with RDI = address of its startup page, RSI = address of its IPC buffer and
//! RSP = end of its stack. [`process!`](crate::process) defines the entry point, which tells the
//! bindings where the IPC buffer is and calls the process's main function, and the panic handler,
//! which reports to the supervisor and then executes `ud2`, so that the fault handler sees where.
//! RBP is 0 at the start: the chain of frame pointers ends there.

mod panic;
mod startup;

pub use panic::{REPORT_BYTES, Supervisor, exit_by_fault, panic, report_bytes, set_supervisor};
pub use startup::StartupPage;

/// Defines the entry point and panic handler of a process (not of the root task).
///
/// ```ignore
/// sel4::process!(main);
///
/// fn main(startup: sel4::runtime::StartupPage) -> ! {
///     sel4::runtime::set_supervisor(/* … */);
///     loop { /* serve */ }
/// }
/// ```
///
/// The binary's build script links with `link/process.ld`; its path is in the environment variable
/// `DEP_SEL4_LINKER_SCRIPT` of build scripts of packages that depend on `sel4`.
#[macro_export]
macro_rules! process {
    ($main:path) => {
        ::core::arch::global_asm!(
            ".section .text.start, \"ax\"",
            ".global _start",
            "_start:",
            "xor ebp, ebp",
            "and rsp, -16",
            "call {entry}",
            "ud2",
            entry = sym __sel4_process_entry,
        );

        extern "C" fn __sel4_process_entry(
            startup: *const u8,
            ipc_buffer: *mut $crate::RawIpcBuffer,
        ) -> ! {
            let main: fn($crate::runtime::StartupPage) -> ! = $main;
            #[allow(unsafe_code, reason = "the builder's promises to a new process")]
            // SAFETY: `_start` is reached once, with the arguments that the builder put into
            // RDI and RSI; it maps both pages for the life of the process, which has one
            // thread.
            let startup = unsafe {
                $crate::set_ipc_buffer(ipc_buffer);
                $crate::runtime::StartupPage::new(startup)
            };
            main(startup)
        }

        #[panic_handler]
        fn __sel4_process_panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::runtime::panic(info)
        }
    };
}
