//! pc64 guest that runs random page-table programs.
//!
//! A few pages are tables of every level, roots and data at once; operations
//! link them anew, map them to themselves, change rights, clear A and D, switch
//! spaces, toggle CR0.WP, and read, write and execute through whatever comes
//! out, in kernel and user mode. The program is architecturally well defined:
//! it invalidates exactly where a processor may still use what the tables no
//! longer say. So it predicts every access from the tables in memory and checks
//! it, and bare metal and Umbriel must print the same.
//!
//! ```text
//! operations N digest D       a digest of all values, faults, error codes,
//!                             CR2, and A and D bits seen so far
//! WRONG at operation N: …     an access that did not do what the tables say
//! torture done
//! ```
//!
//! The command line takes `seed=`, `operations=`, `every=` (between digests)
//! and `trace=` (prints each operation from that number on).
#![cfg_attr(target_os = "none", no_std, no_main)]
#![allow(
    clippy::result_large_err,
    reason = "what was seen travels by value: there is no allocator"
)]

#[cfg(any(target_os = "none", test))]
mod address;
#[cfg(any(target_os = "none", test))]
mod caches;
#[cfg(any(target_os = "none", test))]
mod options;
#[cfg(any(target_os = "none", test))]
mod walk;

#[cfg(target_os = "none")]
mod attempt;
#[cfg(target_os = "none")]
mod check;
#[cfg(target_os = "none")]
mod descriptors;
#[cfg(target_os = "none")]
mod pool;
#[cfg(target_os = "none")]
mod program;
#[cfg(target_os = "none")]
mod wrong;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, entry, println};

    use crate::options::Options;
    use crate::program::Program;
    use crate::wrong::Wrong;
    use crate::{attempt, descriptors};

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        let options = match Options::from_command_line(boot.command_line()) {
            Ok(options) => options,
            Err(word) => {
                println!("torture: '{word}' on the command line says nothing known");
                return 2;
            }
        };
        descriptors::init();
        attempt::init();
        let mut program = Program::new(options.seed);
        let result = run(&mut program, options);
        println!("{:?}", program.counts);
        match result {
            Ok(()) => {
                println!("torture done");
                0
            }
            Err((operation, wrong)) => {
                println!("WRONG at operation {operation}: {wrong}");
                1
            }
        }
    }

    fn run(program: &mut Program, options: Options) -> Result<(), (u64, Wrong)> {
        for operation in 1..=options.operations {
            if operation >= options.trace {
                program.trace();
                println!("{operation}:");
            }
            program.step().map_err(|wrong| (operation, wrong))?;
            if operation.is_multiple_of(options.every) || operation == options.operations {
                program.digest_pool();
                println!("operations {operation} digest {:016x}", program.digest.value());
            }
        }
        Ok(())
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("torture is a guest; `cargo umbriel run` boots it");
}
