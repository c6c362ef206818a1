//! Runs cargo for what is not compiled for the host.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

use crate::build::{ABI_VARIABLE, Kernel, Request, TARGET, bare_packages};
use crate::error::{Error, Result};
use crate::repository::Repository;

/// A line of `--message-format json`, as far as the tool needs it.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    executable: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct Target {
    name: String,
}

/// Builds root task, servers and drivers for `kernel`; ELF files by package.
///
/// # Errors
/// What the compiler said.
pub fn processes(
    repository: &Repository,
    kernel: &Kernel,
    request: &Request,
) -> Result<BTreeMap<String, PathBuf>> {
    // One directory for each configuration: the bindings differ between them.
    let profile = if request.debug_kernel { "debug" } else { "release" };
    let mut command = command(repository, &format!("processes-{profile}"));
    command.env(ABI_VARIABLE, &kernel.abi_dir);
    // The fault path crosses four crates; inlining across them is worth 2 to 6 %.
    command.env("CARGO_PROFILE_RELEASE_LTO", "fat");
    let packages = bare_packages();
    for package in &packages {
        command.args(["--package", package]);
    }
    let built = executables(&run(command, request.verbose)?);
    match packages.iter().find(|package| !built.contains_key(**package)) {
        Some(package) => Err(Error::new(format!("cargo built no program {package}"))),
        None => Ok(built),
    }
}

/// Builds the guest in `directory` of the repository.
///
/// # Errors
/// What the compiler said, or that the directory holds no program.
pub fn guest(repository: &Repository, directory: &Path, request: &Request) -> Result<PathBuf> {
    let manifest = repository.root().join(directory).join("Cargo.toml");
    if !manifest.is_file() {
        let shown = repository.shown(&manifest);
        return Err(Error::new(format!("there is no guest to build: {shown} does not exist")));
    }
    let mut command = command(repository, "guests");
    command.arg("--manifest-path").arg(&manifest);
    let mut built = executables(&run(command, request.verbose)?).into_values();
    built
        .next()
        .ok_or_else(|| Error::new(format!("{} has no program to boot", directory.display())))
}

fn command(repository: &Repository, target_directory: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command
        .current_dir(repository.root())
        .args(["build", "--release", "--target", TARGET])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--target-dir")
        .arg(repository.target(target_directory))
        // A RUSTFLAGS of the user would replace the flags that bare code needs.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Backtraces follow frame pointers.
        .env("CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS", "-C force-frame-pointers=yes")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

fn run(mut command: Command, verbose: bool) -> Result<Output> {
    if verbose {
        eprintln!("umbriel: {command:?}");
        command.stderr(Stdio::inherit());
    } else {
        command.stderr(Stdio::piped());
    }
    let output = command.spawn().and_then(|child| child.wait_with_output());
    let output = output.map_err(Error::io("run", Path::new("cargo")))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("cargo failed to build what runs on seL4:\n{}", said.trim_end())))
}

fn executables(output: &Output) -> BTreeMap<String, PathBuf> {
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| Some((message.target.name, message.executable?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn executables_are_found_among_cargos_messages() {
        let stdout = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"x86\",\"kind\":[\"lib\"]},\"executable\":null}\n",
            "{\"reason\":\"build-script-executed\",\"package_id\":\"x\"}\n",
            "not json\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"vmm\"},\"executable\":\"/t/vmm\"}\n",
        );
        let output = Output {
            status: ExitStatusExt::from_raw(0),
            stdout: stdout.into(),
            stderr: Vec::new(),
        };
        assert_eq!(executables(&output), BTreeMap::from([("vmm".into(), "/t/vmm".into())]));
    }
}
