//! pc64 guest that runs on several processors.
//!
//! | argument | |
//! |---|---|
//! | none | interrupts between processors, shared counters, timers, shootdown; prints a digest of what all saw |
//! | `cost` | what interrupts cost, to one processor and between two; prints rows of the cost ledger, with `rows=a,b` those alone |
//! | `long` | a request of one processor that takes long, and the page faults of another that are answered meanwhile; prints how many |
//! | `hostile` | anything written to mailbox and APICs, on all processors; goes on |
//! | `wild` | starts a processor at an address that does not exist; ends by triple fault |
//! | `alone` | starts nobody and halts with interrupts off; ended with a message |
//!
//! Bare QEMU has no mailbox and, under its translator, no x2APIC, so there is
//! no bare run to compare with: what is printed follows from the program.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod cost;
#[cfg(target_os = "none")]
mod counter;
#[cfg(target_os = "none")]
mod hostile;
#[cfg(target_os = "none")]
mod ipi;
#[cfg(target_os = "none")]
mod long;
#[cfg(target_os = "none")]
mod shootdown;
#[cfg(target_os = "none")]
mod team;
#[cfg(target_os = "none")]
mod timer;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::smp::{Mailbox, processors};
    use guest_runtime::{BootInfo, Digest, Memory, Selection, entry, instruction, println};

    use crate::team::Team;
    use crate::{cost, counter, hostile, ipi, long, shootdown, timer};

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        let mut memory = Memory::take(boot);
        let Some(processors) = processors(boot) else {
            println!("ACPI tells no processors");
            return 1;
        };
        println!("{} processors", processors.ids().len());
        let Some(mailbox) = Mailbox::of(&processors) else {
            println!("ACPI tells no mailbox");
            return 1;
        };
        let mode = boot.command_line().split_ascii_whitespace().next().unwrap_or("");
        match mode {
            "wild" => hostile::wild(mailbox),
            "alone" => instruction::halt(),
            "hostile" => hostile::mailbox_before(mailbox),
            _ => {}
        }
        let team = Team::start(&processors, mailbox);
        println!("{} started", team.others());
        match mode {
            "hostile" => {
                hostile::run(&team, mailbox);
                return 0;
            }
            "cost" => {
                let selection = Selection::from_command_line(boot.command_line());
                return u8::from(!cost::print(&team, &mut memory, selection));
            }
            "long" => return u8::from(!long::run(&team, &mut memory)),
            _ => {}
        }
        let mut digest = Digest::new();
        let passed = ipi::check(&team, &mut digest)
            & counter::check(&team, &mut digest)
            & timer::check(&team, &mut digest)
            & shootdown::check(&team, &mut memory, &mut digest);
        println!("digest {:#018x}", digest.value());
        println!("{}", if passed { "SUCCESS" } else { "FAILURE" });
        u8::from(!passed)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("smp is a guest; `cargo umbriel test boot/smp` boots it");
}
