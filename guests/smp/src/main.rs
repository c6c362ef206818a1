//! pc64 guest that runs on several processors.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use guest_runtime::instruction::halt;
    use guest_runtime::smp::{Mailbox, processors};
    use guest_runtime::{BootInfo, Memory, entry, println};

    entry!(main);

    static RUNNING: AtomicUsize = AtomicUsize::new(0);

    fn main(boot: &BootInfo) -> u8 {
        let _memory = Memory::take(boot);
        let Some(processors) = processors(boot) else {
            println!("ACPI tells no processors");
            return 1;
        };
        println!("{} processors", processors.ids().len());
        let Some(mailbox) = Mailbox::of(&processors) else {
            println!("ACPI tells no mailbox");
            return 1;
        };
        for (number, &id) in processors.ids().iter().enumerate().skip(1) {
            mailbox.start(id, number, secondary);
        }
        while RUNNING.load(Ordering::Acquire) + 1 < processors.ids().len() {
            core::hint::spin_loop();
        }
        println!("{} started", RUNNING.load(Ordering::Acquire));
        println!("SUCCESS");
        0
    }

    fn secondary(_number: usize) -> ! {
        RUNNING.fetch_add(1, Ordering::Release);
        halt()
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("smp is a guest; `cargo umbriel test boot/smp` boots it");
}
