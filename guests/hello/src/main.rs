//! pc64 guest that prints what it was told and tries its page tables, bare and
//! under Umbriel. Both must print the same, to the last digit of the digest.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod faults;
#[cfg(target_os = "none")]
mod paging;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, Digest, Memory, entry, println};

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        println!("hello from a pc64 guest");
        println!("command line: '{}'", boot.command_line());
        println!("usable memory: {} KiB", boot.usable_bytes() / 1024);

        let mut digest = Digest::new();
        digest.word(boot.usable_bytes());
        let mut memory = Memory::take(boot);
        let passed = crate::paging::check(&mut memory, &mut digest);
        println!("digest: {:016x}", digest.value());
        println!("{}", if passed { "SUCCESS" } else { "FAILURE" });
        u8::from(!passed)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("hello is a guest; `cargo umbriel run` boots it");
}
