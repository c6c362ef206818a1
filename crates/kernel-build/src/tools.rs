//! The programs the kernel build needs, and which of them are missing.
//!
//! The generators need a Python 3 that has `tempita`, `six` and `ply`. Debian's
//! packages serve Debian's interpreter; a `python3` found first on PATH may be
//! another one without them, so candidates are probed by importing.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::error::Error;

/// A program or Python module that the kernel build needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Name, as typed in a shell or in an `import`.
    pub name: &'static str,
    /// What the build uses it for.
    pub why: &'static str,
    /// The Debian package that brings it.
    pub debian_package: &'static str,
}

/// Programs, each probed by `<name> --version`.
const PROGRAMS: [Tool; 4] = [
    Tool { name: "gcc", why: "compiles the kernel", debian_package: "gcc" },
    Tool { name: "ld", why: "links the kernel", debian_package: "binutils" },
    Tool {
        name: "objcopy",
        why: "makes the 32-bit ELF that QEMU's -kernel takes",
        debian_package: "binutils",
    },
    Tool { name: "python3", why: "runs the kernel's header generators", debian_package: "python3" },
];

/// Python modules that the kernel's generators import.
const MODULES: [Tool; 3] = [
    Tool {
        name: "tempita",
        why: "templates of the kernel's header generators",
        debian_package: "python3-tempita",
    },
    Tool {
        name: "six",
        why: "imported by the kernel's bitfield generator",
        debian_package: "python3-six",
    },
    Tool {
        name: "ply",
        why: "parser of the kernel's bitfield generator",
        debian_package: "python3-ply",
    },
];

/// Interpreters to try: Debian's own first, as its packages carry the modules.
const PYTHONS: [&str; 2] = ["/usr/bin/python3", "python3"];

/// Lists what is missing on this machine; empty if the kernel can be built.
pub fn missing_tools() -> Vec<Tool> {
    let mut missing: Vec<Tool> =
        PROGRAMS.into_iter().filter(|tool| !answers(tool.name, &["--version"])).collect();
    if python().is_err() {
        let best = PYTHONS
            .into_iter()
            .find(|python| answers(python, &["--version"]))
            .unwrap_or(PYTHONS[0]);
        missing.extend(MODULES.into_iter().filter(|module| !imports(best, &[module.name])));
    }
    missing
}

/// Finds a Python interpreter that has all modules.
///
/// # Errors
/// [`Error::MissingTool`] naming the interpreter or the first missing module.
pub(crate) fn python() -> Result<OsString, Error> {
    let names = MODULES.map(|module| module.name);
    if let Some(python) = PYTHONS.into_iter().find(|python| imports(python, &names)) {
        return Ok(python.into());
    }
    let missing =
        |tool: Tool| Error::MissingTool { name: tool.name, debian_package: tool.debian_package };
    let Some(best) = PYTHONS.into_iter().find(|python| answers(python, &["--version"])) else {
        return Err(missing(PROGRAMS[3]));
    };
    let module = MODULES.into_iter().find(|module| !imports(best, &[module.name]));
    Err(missing(module.unwrap_or(MODULES[0])))
}

/// Fails with the first compiler tool that is missing.
///
/// # Errors
/// [`Error::MissingTool`].
pub(crate) fn require_programs() -> Result<(), Error> {
    match PROGRAMS[..3].iter().find(|tool| !answers(tool.name, &["--version"])) {
        Some(tool) => {
            Err(Error::MissingTool { name: tool.name, debian_package: tool.debian_package })
        }
        None => Ok(()),
    }
}

fn imports(python: &str, modules: &[&str]) -> bool {
    answers(python, &["-c", &format!("import {}", modules.join(", "))])
}

/// Whether the program starts and succeeds with these arguments.
fn answers(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_programs_do_not_answer() {
        assert!(!answers("no-such-program-here", &["--version"]));
        assert!(!imports("/usr/bin/python3", &["no_such_module_here"]));
    }
}
