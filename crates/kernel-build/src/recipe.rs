//! The compiler and generator calls that make a kernel out of a prepared tree.
//!
//! The tree's own Makefile does not survive current tools (it calls `python`
//! and stops on warnings of newer compilers), so this is its recipe for x86-64
//! on the PC, step by step:
//!
//! ```text
//! *.xml ──────────────── *_header_gen.py ──► invocation and syscall numbers ┐
//! *.bf ── cpp ── *.pbf ── bitfield_gen.py ─► *_gen.h ───────────────────────┤
//! kernel/config ────────────────────────────► autoconf.h ───────────────────┤
//! src/**/*.c ── one file, kernel_all.c ──────────────────────────── gcc ────┴► kernel.o ┐
//! *.S ───────────────────────────────────────────────────────────── gcc ─────► *.o ─────┤
//! linker.lds ── cpp ────────────────────────────────────────────────────────► ld ───────┴► kernel.elf ─► kernel32.elf
//! ```
//!
//! Commands run inside the result directory with relative paths, so that a
//! kernel does not depend on where it was built.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Call;
use crate::config::Config;
use crate::error::Error;

/// Generated headers with the numbers of labels and system calls, below `gen/`.
pub(crate) const NUMBER_HEADERS: [&str; 4] = [
    "api/invocation.h",
    "arch/api/invocation.h",
    "arch/api/sel4_invocation.h",
    "arch/api/syscall.h",
];

/// Interface file, option and resulting header of each label generator call.
const LABELS: [(&str, Option<&str>, &str); 3] = [
    ("libsel4/include/interfaces/sel4.xml", None, NUMBER_HEADERS[0]),
    ("libsel4/arch_include/x86/interfaces/sel4arch.xml", Some("--arch"), NUMBER_HEADERS[1]),
    (
        "libsel4/sel4_arch_include/x86_64/interfaces/sel4arch.xml",
        Some("--sel4_arch"),
        NUMBER_HEADERS[2],
    ),
];

/// Bitfield descriptions of the tree, and the stem of what is made of each.
const BITFIELDS: [(&str, &str); 3] = [
    ("include/64/mode/api/shared_types.bf", "64/mode/api/shared_types"),
    ("include/arch/x86/arch/object/structures.bf", "arch/object/structures"),
    (
        "include/plat/pc99/plat/64/plat_mode/machine/hardware.bf",
        "plat/64/plat_mode/machine/hardware",
    ),
];

/// Directories of C files, searched without descending.
const C_DIRS: [&str; 22] = [
    "src",
    "src/api",
    "src/arch/x86",
    "src/arch/x86/64",
    "src/arch/x86/64/kernel",
    "src/arch/x86/64/machine",
    "src/arch/x86/64/model",
    "src/arch/x86/64/object",
    "src/arch/x86/api",
    "src/arch/x86/benchmark",
    "src/arch/x86/kernel",
    "src/arch/x86/machine",
    "src/arch/x86/model",
    "src/arch/x86/object",
    "src/benchmark",
    "src/fastpath",
    "src/kernel",
    "src/machine",
    "src/model",
    "src/object",
    "src/plat/pc99/machine",
    "src/smp",
];

/// C files that only the debug profile compiles (its `extra_sources`).
const OPTIONAL_C: [&str; 1] = ["src/arch/x86/machine/capdl.c"];

/// The schedule of domains; the default is a single one.
const DOMAIN_SCHEDULE: &str = "src/config/default_domain.c";

/// Assembler files.
const ASSEMBLER: [&str; 4] = [
    "src/arch/x86/64/head.S",
    "src/arch/x86/64/machine_asm.S",
    "src/arch/x86/64/traps.S",
    "src/arch/x86/multiboot.S",
];

/// The linker script, before the preprocessor.
const LINKER_SCRIPT: &str = "src/plat/pc99/linker.lds";

/// Include directories: those of generated headers first, since the tree has an
/// `autoconf.h` of its own (of a verification build) that must not be found.
const INCLUDES: [&str; 9] = [
    "gen",
    "gen/64",
    "gen/plat/64",
    "src/include",
    "src/include/64",
    "src/include/arch/x86",
    "src/include/arch/x86/arch/64",
    "src/include/plat/pc99",
    "src/include/plat/pc99/plat/64",
];

/// A prepared tree (`src/` below `dir`) and what to build of it.
pub(crate) struct Recipe<'a> {
    /// The result directory.
    pub(crate) dir: &'a Path,
    /// The configuration.
    pub(crate) config: &'a Config,
    /// A Python interpreter with the generators' modules.
    pub(crate) python: &'a OsStr,
}

impl Recipe<'_> {
    /// Writes `autoconf.h` and runs the header generators into `gen/`.
    pub(crate) fn generate_headers(&self) -> Result<(), Error> {
        self.write("gen/autoconf.h", self.config.autoconf().as_bytes())?;
        for (xml, option, header) in LABELS {
            let header = self.prepared(&format!("gen/{header}"))?;
            self.generator("invocation_header_gen.py")
                .args(option)
                .args(["--xml", &format!("src/{xml}"), "--dest", &header])
                .run()?;
        }
        let header = self.prepared(&format!("gen/{}", NUMBER_HEADERS[3]))?;
        self.generator("syscall_header_gen.py")
            .args(["--xml", "src/include/api/syscall.xml", "--kernel_header", &header])
            .run()?;
        for (description, stem) in BITFIELDS {
            let expanded = self.prepared(&format!("gen/{stem}.pbf"))?;
            let text = self.preprocessor().arg(format!("src/{description}")).run()?;
            self.write(&expanded, &text)?;
            self.generator("bitfield_gen.py")
                .args([expanded, format!("gen/{stem}_gen.h")])
                .run()?;
        }
        Ok(())
    }

    /// Compiles everything into `obj/`.
    pub(crate) fn compile(&self) -> Result<(), Error> {
        let object = self.prepared("obj/kernel.o")?;
        self.write("gen/kernel_all.c", &self.joined_sources()?)?;
        self.gcc("compiling")
            .args(&self.config.c_flags)
            .arg(format!("-ffile-prefix-map={}=.", self.dir.display()))
            .args(["-c", "gen/kernel_all.c", "-o", &object])
            .run()?;
        for file in ASSEMBLER {
            self.gcc("assembling")
                .args(["-m64", "-nostdinc", "-c"])
                .arg(format!("src/{file}"))
                .args(["-o", &object_name(file)])
                .run()?;
        }
        Ok(())
    }

    /// Links `kernel.elf` and converts it to `kernel32.elf`.
    pub(crate) fn link(&self) -> Result<(), Error> {
        let script =
            self.preprocessor().args(["-x", "c"]).arg(format!("src/{LINKER_SCRIPT}")).run()?;
        self.write("gen/linker.lds", &script)?;
        Call::new("linking", "gcc")
            .dir(self.dir)
            .args(&self.config.link_flags)
            .args(["-T", "gen/linker.lds", "-o", "kernel.elf"])
            .args(ASSEMBLER.map(object_name))
            .arg("obj/kernel.o")
            .run()?;
        Call::new("converting", "objcopy")
            .dir(self.dir)
            .args(["-O", "elf32-i386", "kernel.elf", "kernel32.elf"])
            .run()?;
        Ok(())
    }

    /// All C files of the kernel in one text; the kernel is compiled as a whole
    /// so that its small functions are inlined across files.
    fn joined_sources(&self) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        for file in self.c_files()? {
            let path = self.dir.join("src").join(&file);
            text.extend_from_slice(format!("#line 1 \"{file}\"\n").as_bytes());
            text.extend(fs::read(&path).map_err(Error::io("read", &path))?);
        }
        Ok(text)
    }

    /// C files relative to the tree, in a fixed order.
    fn c_files(&self) -> Result<Vec<String>, Error> {
        let mut files = self.config.extra_sources.clone();
        for dir in C_DIRS {
            let path = self.dir.join("src").join(dir);
            for entry in fs::read_dir(&path).map_err(Error::io("read", &path))? {
                let name = entry.map_err(Error::io("read", &path))?.file_name();
                let file = format!("{dir}/{}", name.to_string_lossy());
                if file.ends_with(".c") && !OPTIONAL_C.contains(&file.as_str()) {
                    files.push(file);
                }
            }
        }
        files.sort();
        files.push(DOMAIN_SCHEDULE.to_owned());
        Ok(files)
    }

    fn generator(&self, script: &str) -> Call {
        Call::new("generating headers", self.python)
            .dir(self.dir)
            .env("PYTHONPATH", "src/tools")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(format!("src/tools/{script}"))
    }

    fn preprocessor(&self) -> Call {
        self.gcc("preprocessing").args(["-E", "-P", "-nostdinc", "-x", "c"])
    }

    /// The compiler with all include directories and defines.
    fn gcc(&self, step: &'static str) -> Call {
        Call::new(step, "gcc")
            .dir(self.dir)
            .args(INCLUDES.map(|include| format!("-I{include}")))
            .args(self.config.defines.iter().map(|define| format!("-D{define}")))
    }

    /// Makes the directory of a file below the result directory; returns the file.
    fn prepared(&self, file: &str) -> Result<String, Error> {
        let path = self.dir.join(file);
        let parent = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        fs::create_dir_all(&parent).map_err(Error::io("create", &parent))?;
        Ok(file.to_owned())
    }

    fn write(&self, file: &str, content: &[u8]) -> Result<(), Error> {
        let path = self.dir.join(self.prepared(file)?);
        fs::write(&path, content).map_err(Error::io("write", &path))
    }
}

/// Object file of an assembler file.
fn object_name(source: &str) -> String {
    let name = source.rsplit('/').next().unwrap_or(source);
    format!("obj/{}", name.replace(".S", ".o"))
}
