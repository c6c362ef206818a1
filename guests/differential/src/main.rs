//! pc64 guest that runs random instruction sequences at both privilege levels.
//!
//! Each sequence mixes what a kernel may do (control, debug and model-specific
//! registers, descriptor tables, interrupts, far transfers, system calls, ports)
//! with ordinary instructions and faults. Whatever traps is taken into a digest
//! with all registers, and the sequence goes on behind it; at its end, so are the
//! registers of the system, the GDT, the data page, and A and D bits.
//! Bare metal and Umbriel must print the same.
//!
//! ```text
//! sequences N digest D          of those since the digest before
//! differential done
//! ```
//!
//! The command line takes `seed=`, `sequences=`, `every=` (between digests)
//! and `trace=` (prints from that sequence on: code, each trap, what it left). To
//! find a sequence that differs, compare the digests of both runs with
//! `every=1`; then print it with `trace=`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(test, allow(dead_code))] // host tests see the pure half

#[cfg(any(target_os = "none", test))]
mod generate;
#[cfg(any(target_os = "none", test))]
mod layout;
#[cfg(any(target_os = "none", test))]
mod options;
#[cfg(any(target_os = "none", test))]
mod random;

#[cfg(target_os = "none")]
mod descriptors;
#[cfg(target_os = "none")]
mod enter;
#[cfg(target_os = "none")]
mod pages;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod system;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, Digest, Memory, entry, pic, println};

    use crate::options::Options;
    use crate::pages::Pages;
    use crate::random::Random;
    use crate::{descriptors, run};

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        let options = match Options::from_command_line(boot.command_line()) {
            Ok(options) => options,
            Err(word) => {
                println!("differential: '{word}' on the command line says nothing known");
                return 2;
            }
        };
        // Sequences turn interrupts on; none must come.
        pic::init();
        let mut memory = Memory::take(boot);
        let pages = Pages::map(&mut memory);
        descriptors::init();
        let mut random = Random::new(options.seed);
        let mut digest = Digest::new();
        for sequence in 1..=options.sequences {
            let trace = sequence >= options.trace;
            run::run(&mut random, &pages, &mut digest, trace);
            if sequence.is_multiple_of(options.every) || sequence == options.sequences {
                println!("sequences {sequence} digest {:016x}", digest.value());
                digest = Digest::new();
            }
        }
        println!("differential done");
        0
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("differential is a guest; `cargo umbriel run` boots it");
}
