//! A CD image that GRUB boots on a PC with a BIOS.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// GRUB loads the kernel by Multiboot, with the system as its first module.
const GRUB_CONFIG: &str = "set timeout=0\n\
menuentry umbriel {\n\
    multiboot /boot/kernel.elf\n\
    module /boot/umbriel.elf\n\
}\n";

/// Makes the CD image `iso` with `kernel` (64-bit ELF) and `image`.
///
/// # Errors
/// If a file cannot be written, or what `grub-mkrescue` said.
pub fn write(iso: &Path, kernel: &Path, image: &[u8]) -> Result<()> {
    let tree = iso.with_extension(format!("{}.tree", std::process::id()));
    let result = fill(&tree, kernel, image).and_then(|()| make(&tree, iso));
    // What is left of the tree is of no use to anyone.
    let _ = fs::remove_dir_all(&tree);
    result
}

fn fill(tree: &Path, kernel: &Path, image: &[u8]) -> Result<()> {
    let grub = tree.join("boot/grub");
    fs::create_dir_all(&grub).map_err(Error::io("create", &grub))?;
    let config = grub.join("grub.cfg");
    fs::write(&config, GRUB_CONFIG).map_err(Error::io("write", &config))?;
    fs::copy(kernel, tree.join("boot/kernel.elf")).map_err(Error::io("copy", kernel))?;
    let file = tree.join("boot/umbriel.elf");
    fs::write(&file, image).map_err(Error::io("write", &file))
}

fn make(tree: &Path, iso: &Path) -> Result<()> {
    let output = Command::new("grub-mkrescue")
        .arg("-o")
        .args([iso, tree])
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io("run", Path::new("grub-mkrescue")))?;
    if output.status.success() && iso.is_file() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("grub-mkrescue failed:\n{}", said.trim_end())))
}
