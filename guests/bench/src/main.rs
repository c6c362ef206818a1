//! pc64 guest that counts instructions: one row for each kind of page-table
//! work and trap, with the definitions of `bench/peers.toml`.
//!
//! Run under `-icount shift=0` the time-stamp counter ticks once an
//! instruction, so a row is the instructions of the whole machine. Everything
//! measured is written in assembly: what the guest itself executes is the same
//! whatever the compiler, and bare runs give exactly that.
//!
//! ```text
//! row NAME iterations N instructions TOTAL     one line a row
//! FAIL NAME: what was not as it must be        data and faults are checked
//! bench done
//! ```
//!
//! Address space: everything below 2 GiB, 4 KiB pages only, CR0.WP set, no
//! interrupts. `rows=a,b` on the command line picks rows; without it all run.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod descriptors;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod rows;
#[cfg(target_os = "none")]
mod traps;
#[cfg(target_os = "none")]
mod tsc;
#[cfg(target_os = "none")]
mod window;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, Selection, entry, println};

    use crate::memory::Memory;
    use crate::rows::{self, Bench};

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        let selection = Selection::from_command_line(boot.command_line());
        crate::descriptors::init();
        let mut bench = Bench::new(Memory::take(boot));
        let mut passed = true;
        for name in selection.unknown(|name| rows::ALL.iter().any(|row| row.name == name)) {
            println!("FAIL {name}: there is no such row");
            passed = false;
        }
        for row in rows::ALL {
            if !selection.wants(row.name) {
                continue;
            }
            match (row.measure)(&mut bench) {
                Ok(figure) => println!(
                    "row {} iterations {} instructions {}",
                    row.name, figure.iterations, figure.instructions
                ),
                Err(wrong) => {
                    println!("FAIL {}: {wrong}", row.name);
                    passed = false;
                }
            }
        }
        println!("bench done");
        u8::from(!passed)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("bench is a guest; `cargo umbriel bench` boots it");
}
