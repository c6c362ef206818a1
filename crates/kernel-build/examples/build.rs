//! Builds the release and the debug kernel and prints where they are.
//!
//! `cargo run -p kernel-build --example build [OUT_DIR [OMITTED_EDIT…]]`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kernel_build::{BuildRequest, EditId, Profile};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let repo_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let mut args = std::env::args().skip(1);
    let out_dir = args.next().map_or_else(|| repo_root.join("target/kernel"), PathBuf::from);
    let omit_edits = args.map(|name| name.parse()).collect::<Result<Vec<EditId>, String>>()?;
    for profile in [Profile::Release, Profile::Debug] {
        let image = kernel_build::build(&BuildRequest {
            repo_root: &repo_root,
            out_dir: &out_dir,
            profile,
            omit_edits: &omit_edits,
            progress: &|step| eprintln!("{profile}: {step}"),
        })?;
        println!("{profile} {} elf32={}", image.hash, image.elf32.display());
        println!("{profile} {} abi={}", image.hash, image.abi_dir.display());
    }
    Ok(())
}
