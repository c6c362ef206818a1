//! Builds the root task with a sequence, boots it, and collects its answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kernel_build::{BuildRequest, KernelImage, Profile};
use kernel_model::LAST_LINE;
use qemu::{Boot, Event, Machine, Port, Running, Timing};

const TARGET: &str = "x86_64-unknown-none";

/// Time without a byte from the machine after which it is taken for dead. Long,
/// because a busy host looks the same from here.
const SILENCE: Duration = Duration::from_secs(60);

/// Boots the kernel with all edits and the root task with `sequence`; the
/// answers, one an operation. `name` tells sequences apart.
///
/// # Panics
/// If something cannot be built or started, or the root task does not finish.
pub fn run(name: &str, sequence: &[u8]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("the repository");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel-model");
    let kernel = kernel(&root, &out);
    fs::create_dir_all(&out).expect("an output directory");
    let file = out.join(format!("{name}.sequence"));
    fs::write(&file, sequence).expect("the sequence's file");
    let root_task = root_task(&root, &out, &kernel, &file);
    let machine = Machine {
        profile: qemu::Profile::named("pc").expect("the machine's profile"),
        cpu: None,
        memory_bytes: 256 << 20,
        timing: Timing::InstructionCount,
        boot: Boot::Kernel {
            kernel: kernel.elf32.clone(),
            module: Some(root_task),
            arguments: String::new(),
        },
        extra: Vec::new(),
    };
    let text = listen(&machine);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines.pop();
    assert_eq!(last.as_deref(), Some(LAST_LINE), "it ends with {text:?}");
    lines
}

/// The kernel that systems run on, apart from theirs: bindings take the newest
/// kernel they find.
fn kernel(root: &Path, out: &Path) -> KernelImage {
    kernel_build::build(&BuildRequest {
        repo_root: root,
        out_dir: &out.join("kernels"),
        profile: Profile::Release,
        omit_edits: &[],
        progress: &|step| eprintln!("{step}"),
    })
    .expect("a kernel")
}

/// It has a target directory of its own, as every kernel has its own bindings.
fn root_task(root: &Path, out: &Path, kernel: &KernelImage, sequence: &Path) -> PathBuf {
    let target_dir = out.join("cargo");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .args(["--package", "kernel-model", "--bin", "kernel-model"])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("UMBRIEL_SEL4_ABI", &kernel.abi_dir)
        .env("KERNEL_MODEL_SEQUENCE", sequence)
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "cannot build the root task:\n{said}");
    target_dir.join(TARGET).join("release/kernel-model")
}

fn listen(machine: &Machine) -> String {
    let mut running = Running::start(machine).expect("QEMU");
    let mut bytes = Vec::new();
    loop {
        match running.next_event(SILENCE) {
            Some(Event::Output(Port::Com1, more)) => bytes.extend(more),
            Some(Event::Output(Port::Com2, _)) => {}
            Some(Event::Ended(_)) | None => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
