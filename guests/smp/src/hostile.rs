//! What a guest may write to mailbox and APICs: anything. It harms itself at
//! most.
#![allow(unsafe_code)] // WRMSR of anything

use core::sync::atomic::{AtomicUsize, Ordering};

use guest_runtime::instruction::{
    disable_interrupts, enable_interrupts, halt, pause, ticks, write_msr,
};
use guest_runtime::smp::Mailbox;
use guest_runtime::x2apic::{FIRST, TSC_DEADLINE};
use guest_runtime::{Frame, Random, println, set_handler};

use crate::team::Team;

const WRITES: u64 = 1_000;
static FINISHED: AtomicUsize = AtomicUsize::new(0);
const APIC_BASE: u32 = 0x1b;
/// Addresses that are wrong in different ways.
const ADDRESSES: [u64; 4] = [0, 1 << 47, u64::MAX, 0xfee0_0000];

/// Commands that are for nobody, or none.
pub fn mailbox_before(mailbox: Mailbox) {
    let commands = [(1, 0), (1, 99), (1, u32::MAX), (0, 1), (2, 1), (0xffff, 1), (0x100, 1)];
    for ((command, id), address) in commands.into_iter().zip(ADDRESSES.into_iter().cycle()) {
        mailbox.post(command, id, address);
        // Longer than the mailbox is left alone, at a thousand million ticks a second.
        let end = ticks() + 17_000_000;
        while ticks() < end {
            pause();
        }
    }
}

/// Starts the second processor where nothing is.
pub fn wild(mailbox: Mailbox) -> ! {
    mailbox.post(1, 1, 1 << 47);
    enable_interrupts();
    loop {
        pause();
    }
}

/// Every processor writes anything to its APIC, interrupts off, and the first
/// one to the mailbox, which nobody looks at any more.
pub fn run(team: &Team, mailbox: Mailbox) {
    set_handler(leave_out);
    team.begin(|number| {
        write_anything(number);
        FINISHED.fetch_add(1, Ordering::Release);
        halt()
    });
    write_anything(0);
    while FINISHED.load(Ordering::Acquire) < team.others() {
        pause();
    }
    for address in ADDRESSES {
        (0..4).for_each(|id| mailbox.post(1, id, address));
    }
    println!("still there");
    println!("SUCCESS");
}

/// A write that is refused is left out; an interrupt ends.
fn leave_out(frame: &mut Frame) -> bool {
    match frame.vector {
        13 => frame.rip += 2,
        32.. => guest_runtime::x2apic::end(),
        _ => return false,
    }
    true
}

fn write_anything(number: usize) {
    disable_interrupts();
    let mut random = Random::new(number as u64);
    for _ in 0..WRITES {
        let msr = match random.below(16) {
            0 => APIC_BASE,
            1 => TSC_DEADLINE,
            2..6 => FIRST + random.below(0x100) as u32,
            _ => FIRST + random.below(0x40) as u32,
        };
        let value = match random.below(4) {
            0 => random.word(),
            1 => random.below(0x400),
            2 => 1 << random.below(64),
            _ => random.below(16) << 32 | random.below(8) << 16 | random.below(256),
        };
        // SAFETY: these registers decide on interrupts alone, which are off.
        unsafe { write_msr(msr, value) };
    }
}
