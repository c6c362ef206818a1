//! pc64 guest that causes exits as fast as it can: INVLPG, and a write through
//! the page just invalidated. It tells which share of the processor it had
//! beside its neighbour: rounds a tick then, over rounds a tick when the
//! neighbour, `spin`, has ended. Its servers' work is part of its share.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::instruction::{invalidate_page, ticks as now};
    use guest_runtime::{BootInfo, Memory, View, entry, println};

    /// Ticks from its start to the begin and the end of what counts beside the
    /// neighbour, and of what counts alone.
    const SHARED: [u64; 2] = [50_000_000, 350_000_000];
    const ALONE: [u64; 2] = [480_000_000, 580_000_000];
    const ADDRESS: u64 = 0x4000_0000_0000;

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        let mut memory = Memory::take(boot);
        let page = memory.page();
        memory.map(ADDRESS, page, true);
        let start = now();
        let shared = measure(start, SHARED);
        let alone = measure(start, ALONE);
        println!("shared: {} rounds in {} ticks", shared.rounds, shared.ticks);
        println!("alone: {} rounds in {} ticks", alone.rounds, alone.ticks);
        let share = shared.rounds * alone.ticks * 1000 / (alone.rounds * shared.ticks);
        println!("share per mille: {share}");
        0
    }

    struct Measured {
        rounds: u64,
        ticks: u64,
    }

    /// Storms until the second time, and counts from the first.
    fn measure(start: u64, [from, to]: [u64; 2]) -> Measured {
        storm_until(start + from);
        let begin = now();
        let rounds = storm_until(start + to);
        Measured { rounds, ticks: now() - begin }
    }

    fn storm_until(deadline: u64) -> u64 {
        let view = View::at(ADDRESS);
        let mut rounds = 0;
        while now() < deadline {
            invalidate_page(ADDRESS);
            view.write(1, rounds);
            rounds += 1;
        }
        rounds
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("storm is a guest; `cargo umbriel test boot/fairness` boots it");
}
