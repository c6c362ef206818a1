//! The virtual platform of one guest: serves the exits of its vCPUs.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("vmm runs on seL4; use cargo umbriel run");
}

#[cfg(target_os = "none")]
mod serve;
#[cfg(target_os = "none")]
mod services;
