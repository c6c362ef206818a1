//! The commands that build bindings, manifest tool and tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{BuildError, TESTS, VERSION};

/// `hvt_SRCS` of `bindings/GNUmakefile` for x86-64, in link order: the module
/// with `_start` and `.interp` comes first.
const BINDINGS: [&str; 23] = [
    "hvt/start.c",
    "cpu_x86_64.c",
    "cpu_vectors_x86_64.S",
    "abort.c",
    "crt.c",
    "printf.c",
    "intr.c",
    "lib.c",
    "mem.c",
    "exit.c",
    "log.c",
    "cmdline.c",
    "tls.c",
    "mft.c",
    "hvt/platform.c",
    "hvt/platform_intr.c",
    "hvt/time.c",
    "hvt/platform_lifecycle.c",
    "hvt/yield.c",
    "hvt/tscclock.c",
    "hvt/console.c",
    "hvt/net.c",
    "hvt/block.c",
];

/// `toolchain/cc.in` and `configure.sh`: for everything that runs in a guest.
const GUEST_FLAGS: [&str; 8] = [
    "-std=c11",
    "-O2",
    "-g",
    "-nostdinc",
    "-ffreestanding",
    "-fno-pie",
    "-fstack-protector-strong",
    "-mstack-protector-guard=global",
];

/// For bindings only: they run in trap handlers and before the FPU is set up.
const BINDINGS_FLAGS: [&str; 8] = [
    "-mno-sse",
    "-mno-mmx",
    "-mno-aes",
    "-mno-avx",
    "-mno-red-zone",
    "-D__SOLO5_BINDINGS__",
    "-DSSP_GUARD_SYMBOL=__stack_chk_guard",
    "-DSSP_FAIL_SYMBOL=__stack_chk_fail",
];

/// Symbols that applications may use; the rest of the bindings becomes local.
const PUBLIC_SYMBOLS: [&str; 4] = ["solo5_*", "_start*", "__stack_chk_guard", "__stack_chk_fail"];

/// Lines of a failed command's error output that are worth showing.
const LAST_WORDS: usize = 30;

/// The image's file name.
pub fn file_name(test: &str) -> String {
    format!("test_{test}.hvt")
}

/// Builds every test of the tree `solo5` into `out`.
///
/// # Errors
/// [`BuildError::Io`] or [`BuildError::ToolFailed`].
pub fn run(solo5: &Path, out: &Path, progress: &dyn Fn(&str)) -> Result<(), BuildError> {
    let build = Build::prepared(solo5, out, progress)?;
    for test in TESTS {
        progress(&format!("Solo5: building test {test}"));
        let directory = solo5.join("tests").join(format!("test_{test}"));
        build.program(
            &file_name(test),
            &directory.join("manifest.json"),
            &directory.join(format!("test_{test}.c")),
        )?;
    }
    build.finish()
}

/// Builds the image `file` of one C file into `out`, as the tests are built.
///
/// # Errors
/// [`BuildError::Io`] or [`BuildError::ToolFailed`].
pub fn run_program(
    solo5: &Path,
    out: &Path,
    (file, manifest, source): (&str, &Path, &Path),
    progress: &dyn Fn(&str),
) -> Result<(), BuildError> {
    let build = Build::prepared(solo5, out, progress)?;
    progress(&format!("Solo5: building {file}"));
    build.program(file, manifest, source)?;
    build.finish()
}

struct Build<'a> {
    solo5: &'a Path,
    out: &'a Path,
    /// Intermediate files.
    objects: PathBuf,
    /// The compiler's own headers, which `-nostdinc` takes away.
    compiler_headers: PathBuf,
}

impl<'a> Build<'a> {
    /// With bindings and manifest tool built.
    fn prepared(
        solo5: &'a Path,
        out: &'a Path,
        progress: &dyn Fn(&str),
    ) -> Result<Self, BuildError> {
        let build = Self::new(solo5, out)?;
        progress("Solo5: compiling bindings");
        build.bindings()?;
        progress("Solo5: compiling manifest tool");
        build.manifest_tool()?;
        Ok(build)
    }

    fn finish(self) -> Result<(), BuildError> {
        fs::remove_dir_all(&self.objects).map_err(BuildError::io("remove", &self.objects))
    }

    fn new(solo5: &'a Path, out: &'a Path) -> Result<Self, BuildError> {
        let objects = out.join("objects");
        fs::create_dir_all(&objects).map_err(BuildError::io("create", &objects))?;
        let version = objects.join("version.h");
        let text = format!("#define SOLO5_VERSION \"{VERSION}\"\n");
        fs::write(&version, text).map_err(BuildError::io("write", &version))?;
        let headers =
            output("finding headers", Command::new("gcc").arg("-print-file-name=include"))?;
        let compiler_headers = PathBuf::from(String::from_utf8_lossy(&headers).trim());
        Ok(Self { solo5, out, objects, compiler_headers })
    }

    fn compile(&self, source: &Path, object: &Path, more: &[&str]) -> Result<(), BuildError> {
        let mut command = Command::new("gcc");
        command.args(GUEST_FLAGS).args(more);
        command.arg("-isystem").arg(&self.compiler_headers);
        command.arg("-I").arg(self.solo5.join("include")).arg("-I").arg(&self.objects);
        // Messages and debug information name files as the Solo5 tree does.
        command.arg(format!("-ffile-prefix-map={}/=", self.solo5.display()));
        command.arg("-c").arg(source).arg("-o").arg(object);
        output(&format!("compiling {}", source.display()), &mut command).map(drop)
    }

    fn bindings_object(&self) -> PathBuf {
        self.objects.join("solo5_hvt.o")
    }

    fn bindings(&self) -> Result<(), BuildError> {
        let mut objects = Vec::new();
        for source in BINDINGS {
            let object = self.objects.join(source.replace('/', "_")).with_extension("o");
            let assembly = if source.ends_with(".S") { &["-DASM_FILE"][..] } else { &[] };
            let flags = [&BINDINGS_FLAGS[..], assembly].concat();
            self.compile(&self.solo5.join("bindings").join(source), &object, &flags)?;
            objects.push(object);
        }
        let joined = self.bindings_object();
        output(
            "joining bindings",
            Command::new("ld").arg("-r").args(&objects).arg("-o").arg(&joined),
        )?;
        let mut localise = Command::new("objcopy");
        localise.arg("-w");
        for symbol in PUBLIC_SYMBOLS {
            localise.args(["-G", symbol]);
        }
        output("hiding inner symbols", localise.arg(&joined)).map(drop)
    }

    fn manifest_tool_path(&self) -> PathBuf {
        self.objects.join("solo5-elftool")
    }

    fn manifest_tool(&self) -> Result<(), BuildError> {
        let mut command = Command::new("gcc");
        command
            .args(["-std=c11", "-O2", "-I"])
            .arg(self.solo5.join("include"))
            .arg("-I")
            .arg(&self.objects);
        command.arg(self.solo5.join("elftool/elftool.c")).arg("-o").arg(self.manifest_tool_path());
        output("compiling the manifest tool", &mut command).map(drop)
    }

    /// Builds the image `file` of one source file.
    fn program(&self, file: &str, manifest: &Path, source: &Path) -> Result<(), BuildError> {
        let name = file.trim_start_matches("test_").trim_end_matches(".hvt");
        let object = |part: &str| self.objects.join(format!("{name}_{part}"));
        let (manifest_c, manifest_o, program_o) =
            (object("manifest.c"), object("manifest.o"), object("program.o"));

        let mut generate = Command::new(self.manifest_tool_path());
        generate.arg("gen-manifest").arg(manifest).arg(&manifest_c);
        output("generating a manifest", &mut generate)?;
        self.compile(&manifest_c, &manifest_o, &[])?;
        self.compile(source, &program_o, &[])?;

        let mut link = Command::new("gcc");
        link.args(["-nostdlib", "-static", "-no-pie", "-z", "max-page-size=0x1000"]);
        // The bindings' assembly has no .note.GNU-stack section, which newer
        // linkers remark on; hvt has no notion of an executable stack.
        link.args(["-Wl,--build-id=none", "-Wl,-z,noexecstack", "-T"]);
        link.arg(self.solo5.join("bindings/solo5_hvt.lds"));
        link.arg(self.bindings_object()).arg(&program_o).arg(&manifest_o);
        link.arg("-o").arg(self.out.join(file));
        output(&format!("linking {file}"), &mut link).map(drop)
    }
}

/// Runs a command and gives its standard output.
///
/// # Errors
/// [`BuildError::ToolFailed`] if it cannot be started or fails.
pub fn output(step: &str, command: &mut Command) -> Result<Vec<u8>, BuildError> {
    let failed = |command: &Command, output: String| BuildError::ToolFailed {
        step: step.to_owned(),
        command: format!("{command:?}"),
        output,
    };
    let result = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(command, error.to_string()))?;
    if result.status.success() {
        return Ok(result.stdout);
    }
    let text = String::from_utf8_lossy(&result.stderr);
    let lines: Vec<_> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
    Err(failed(command, format!("{tail}\n({})", result.status)))
}

/// Whether the program can be started.
pub fn answers(program: &str) -> bool {
    output("probing", Command::new(program).arg("--version")).is_ok()
}

/// Whether libc's headers are there, which a compiler alone does not bring.
pub fn has_libc_headers() -> bool {
    output(
        "probing",
        Command::new("gcc").args(["-E", "-include", "stdio.h", "-x", "c", "/dev/null"]),
    )
    .is_ok()
}
