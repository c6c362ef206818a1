//! pc64 guest that prints and exits, bare and under Umbriel.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, entry, println};

    entry!(main);

    fn main(boot: &BootInfo) -> u8 {
        println!("hello from a pc64 guest");
        println!("command line: '{}'", boot.command_line());
        println!("usable memory: {} bytes", boot.usable_bytes());
        0
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("hello is a guest; `cargo umbriel run` boots it");
}
