//! Timer driver: deadlines from the PIT, wall time from the RTC.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("timer runs on seL4; use cargo umbriel run");
}

#[cfg(target_os = "none")]
mod serve;
