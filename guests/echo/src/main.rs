//! pc64 guest that reads lines from its UART, by interrupts, and says them
//! again; `end` ends it. Before that it looks at the UART's interrupts in
//! loopback mode. Bare and under Umbriel it prints the same.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod loopback;
#[cfg(target_os = "none")]
mod receiver;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, entry, println};

    use crate::{loopback, receiver};

    entry!(main);

    fn main(_: &BootInfo) -> u8 {
        if !loopback::check() {
            println!("FAILURE");
            return 1;
        }
        receiver::init();
        println!("type lines; 'end' is the last one");
        loop {
            let mut line = [0; 80];
            let text = receiver::line(&mut line);
            println!("{} bytes: {text}", text.len());
            if text == "end" {
                println!("SUCCESS");
                return 0;
            }
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("echo is a guest; `cargo umbriel test boot/echo` boots it");
}
