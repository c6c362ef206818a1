//! pc64 guest whose user code does to the CPU whatever user code can do. Its
//! kernel takes every trap, and checks that none came with rights that user
//! code must not have, and that no register of the system has changed.
//!
//! ```text
//! entries: N traps               every INT and every other way into the kernel, behind
//!                                MOV SS and POP SS, with every flag; timer interrupts too
//! selectors: N traps             loads and far transfers, at both levels
//! edges: N traps                 RIP and RSP where canonical addresses end
//! calls: N traps                 SYSCALL with every RDX from -64 to 64 and edge values
//! bytes: N strings, M traps      random code with random registers
//! hostile done
//! ```
//!
//! The command line takes `seed=`, `bytes=` (strings of random code) and
//! `selectors=` (how many from one to the next). With `watch=NUMBER` the guest does none
//! of this: it keeps patterns made of that number in registers that a thread
//! shares with others on the same processor, and says whether they stay
//! ([`watch`]). That takes an image that is not rewritten.
//!
//! Left out is the byte `cf`, IRETD without REX.W: the translator of QEMU 7.2 does not
//! survive it with VM set (docs/caveats.md). IRETQ has REX.W.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(target_os = "none", test))]
mod options;

#[cfg(target_os = "none")]
mod bytes;
#[cfg(target_os = "none")]
mod calls;
#[cfg(target_os = "none")]
mod edges;
#[cfg(target_os = "none")]
mod entries;
#[cfg(target_os = "none")]
mod ground;
#[cfg(target_os = "none")]
mod selectors;
#[cfg(target_os = "none")]
mod system;
#[cfg(target_os = "none")]
mod tables;
#[cfg(target_os = "none")]
mod trial;
#[cfg(target_os = "none")]
mod watch;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, Memory, entry, pic, pit, println};

    use crate::ground::Ground;
    use crate::options::Options;
    use crate::system::System;
    use crate::trial::Trials;
    use crate::{bytes, calls, edges, entries, selectors, tables, watch};

    /// Ticks of the timer in a millisecond.
    const MILLISECOND: u16 = 1193;

    /// Some trials, under the name that their count is printed with.
    type Part = (&'static str, fn(&mut Trials<'_>, &Options));

    const PARTS: [Part; 5] = [
        ("entries", entries::run),
        ("selectors", selectors::run),
        ("edges", edges::run),
        ("calls", calls::run),
        ("bytes", bytes::run),
    ];

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        let options = match Options::from_command_line(boot.command_line()) {
            Ok(options) => options,
            Err(word) => {
                println!("hostile: '{word}' on the command line says nothing known");
                return 2;
            }
        };
        pic::init();
        let mut memory = Memory::take(boot);
        if let Some(number) = options.watch {
            return watch::run(number, &mut memory);
        }
        let ground = Ground::map(&mut memory);
        tables::init();
        System::set();
        // Whatever loops is interrupted.
        pit::start(0, pit::Mode::Rate, MILLISECOND);
        pic::unmask(0);
        let system = System::read();
        for (name, part) in PARTS {
            let mut trials = Trials::new(&ground);
            part(&mut trials, &options);
            assert_eq!(System::read(), system, "{name} changed the system");
            println!("{name}: {} traps", trials.traps());
        }
        println!("hostile done");
        0
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("hostile is a guest; `cargo umbriel test hostile` boots it");
}
