//! pc64 guest that runs random instruction sequences at both privilege levels.
//!
//! Each sequence mixes what a kernel may do (control, debug and model-specific
//! registers, descriptor tables, interrupts, far transfers, system calls, ports)
//! with ordinary instructions and faults. A digest takes in
//!
//! - of whatever traps: vector, error code, and the frame with RIP, CS, RFLAGS,
//!   RSP and SS, and all general registers; the sequence goes on behind it;
//! - at the sequence's end: CR0, CR2, CR4, CR8, DR0 to DR3, DR6, DR7, EFER, PAT, the
//!   MSRs of SYSCALL, FS, GS and KERNEL_GS bases, the GDT, the data page and what
//!   was written to others, and the A and D bits of all.
//!
//! Bare metal and Umbriel must print the same.
//!
//! ```text
//! sequences N digest D          of those since the digest before
//! differential done
//! ```
//!
//! The command line takes `seed=`, `first=` (number of the first sequence),
//! `sequences=` (how many), `every=` (between digests) and `trace=` (prints from
//! that sequence on: code, each trap, what it left). No sequence depends on those
//! before it, so one that differs is found with `every=1` and printed alone.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod generate;
#[cfg(any(target_os = "none", test))]
mod layout;
#[cfg(any(target_os = "none", test))]
mod options;

#[cfg(target_os = "none")]
mod descriptors;
#[cfg(target_os = "none")]
mod pages;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod system;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, Digest, Memory, Random, entry, pic, println};

    use crate::descriptors;
    use crate::options::Options;
    use crate::pages::Pages;
    use crate::run::Runner;

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
        let mut runner = Runner::new(Pages::map(&mut memory));
        descriptors::init();
        let mut digest = Digest::new();
        let last = options.first.saturating_add(options.sequences).saturating_sub(1);
        for number in options.first..=last {
            let mut random = Random::of(options.seed, number);
            runner.run(&mut random, &mut digest, number >= options.trace);
            if number.is_multiple_of(options.every) || number == last {
                println!("sequences {number} digest {:016x}", digest.value());
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
