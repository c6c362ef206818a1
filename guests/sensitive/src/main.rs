//! pc64 guest of sensitive instructions: they do not trap at CPL 3, so a
//! hypervisor without rewriting would show the real processor. Bare and under
//! Umbriel this guest prints the same.
//!
//! What depends on how the guest was entered or on the processor's model is
//! left out: TR, CR0.MP, and CPUID's bits for what is not virtualised.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod flags;
#[cfg(target_os = "none")]
mod processor;
#[cfg(target_os = "none")]
mod segments;
#[cfg(target_os = "none")]
mod transfers;

#[cfg(target_os = "none")]
mod guest {
    use guest_runtime::{BootInfo, Digest, entry, instruction, println};

    entry!(main);

    /// Prints `values` under `name`, and adds them to the digest.
    pub fn show(digest: &mut Digest, name: &str, values: &[u64]) {
        for value in values {
            digest.word(*value);
        }
        println!("{name}: {values:x?}");
    }

    fn main(_: &BootInfo) -> u8 {
        // Interrupts of real devices stay away while IF is set.
        instruction::out_byte(0x21, 0xff);
        instruction::out_byte(0xa1, 0xff);
        let mut digest = Digest::new();
        crate::flags::show(&mut digest);
        crate::segments::show(&mut digest);
        crate::processor::show(&mut digest);
        crate::transfers::show(&mut digest);
        println!("digest: {:016x}", digest.value());
        0
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("sensitive is a guest; `cargo umbriel test sensitive` boots it");
}
