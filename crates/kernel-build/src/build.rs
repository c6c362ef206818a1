//! The build of one kernel, from request to image.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{self, Scratch};
use crate::config::{self, Config, Profile};
use crate::edits::{self, Edit, EditId};
use crate::error::Error;
use crate::recipe::Recipe;
use crate::sources::{self, Package};
use crate::{KERNEL_PACKAGE, tools, tree};

/// Parts of the kernel's source tree that a build copies.
const TREE_PARTS: [&str; 4] = ["include", "src", "libsel4", "tools"];

/// Parts of the tree that describe the system-call interface.
const ABI_PARTS: [&str; 4] = [
    "libsel4/include",
    "libsel4/arch_include/x86",
    "libsel4/sel4_arch_include/x86_64",
    "libsel4/sel4_plat_include/pc99",
];

/// What to build, and where.
pub struct BuildRequest<'a> {
    /// The repository: `sources/` and `kernel/` are read below it.
    pub repo_root: &'a Path,
    /// Where results go, one directory for each, named by a hash.
    pub out_dir: &'a Path,
    /// Which configuration.
    pub profile: Profile,
    /// Edits to leave out, for tests of what an edit is needed for.
    pub omit_edits: &'a [EditId],
    /// Called with a short phrase as each step of a real build begins; not
    /// called when the result is there already.
    pub progress: &'a dyn Fn(&str),
}

/// A built kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// Directory of the result; `src/` below it is the tree that was compiled.
    pub dir: PathBuf,
    /// The kernel with symbols, 64-bit ELF: for debuggers and GRUB.
    pub elf: PathBuf,
    /// The same as 32-bit ELF, which `qemu -kernel` insists on.
    pub elf32: PathBuf,
    /// Names everything that went into the result.
    pub hash: String,
    /// What bindings are generated from: `autoconf.h`, the interface files and
    /// headers under `libsel4/` as in the tree, and under `generated/` the
    /// kernel's own numbers for labels and system calls.
    pub abi_dir: PathBuf,
}

impl KernelImage {
    fn at(dir: PathBuf, hash: String) -> KernelImage {
        KernelImage {
            elf: dir.join("kernel.elf"),
            elf32: dir.join("kernel32.elf"),
            abi_dir: dir.join("abi"),
            dir,
            hash,
        }
    }
}

/// Builds a kernel, or finds the one that an equal request built before.
///
/// # Errors
/// [`Error`]: data files that do not fit, a missing source package or tool, or
/// a failed command, each saying what to do.
pub fn build(request: &BuildRequest<'_>) -> Result<KernelImage, Error> {
    tools::require_programs()?;
    let package = sources::package(request.repo_root, KERNEL_PACKAGE)?;
    let edits = selected_edits(request)?;
    let config = config::config(request.repo_root, request.profile)?;
    let hash = cache::key(&package, &edits, &config)?;
    let target = request.out_dir.join(&hash);

    let _lock = cache::lock(request.out_dir)?;
    if !target.is_dir() {
        let scratch = Scratch::new(request.out_dir, &hash)?;
        produce(request, &package, &edits, &config, scratch.path())?;
        scratch.commit(&target)?;
    }
    let target = target.canonicalize().map_err(Error::io("find", &target))?;
    Ok(KernelImage::at(target, hash))
}

fn selected_edits(request: &BuildRequest<'_>) -> Result<Vec<Edit>, Error> {
    let mut selected = edits::edits(request.repo_root)?;
    if let Some(unknown) =
        request.omit_edits.iter().find(|id| selected.iter().all(|edit| edit.id != **id))
    {
        return Err(Error::UnknownEdit(*unknown));
    }
    selected.retain(|edit| !request.omit_edits.contains(&edit.id));
    Ok(selected)
}

/// Makes the whole result in `dir`.
fn produce(
    request: &BuildRequest<'_>,
    package: &Package,
    edits: &[Edit],
    config: &Config,
    dir: &Path,
) -> Result<(), Error> {
    let python = tools::python()?;
    let source = dir.join("src");
    (request.progress)("copying the kernel's sources");
    for part in TREE_PARTS {
        tree::copy_dir(&package.dir.join("seL4").join(part), &source.join(part))?;
    }
    let foreign = source.join("include/plat/pc99/autoconf.h");
    fs::remove_file(&foreign).map_err(Error::io("remove", &foreign))?;
    for edit in edits {
        (request.progress)(&format!("applying {}: {}", edit.id, edit.title));
        edits::apply(edit, &source)?;
    }
    let recipe = Recipe { dir, config, python: &python };
    (request.progress)("generating headers");
    recipe.generate_headers()?;
    (request.progress)("compiling the kernel");
    recipe.compile()?;
    (request.progress)("linking the kernel");
    recipe.link()?;
    collect_abi(dir)
}

/// Gathers what bindings need in `abi/`.
fn collect_abi(dir: &Path) -> Result<(), Error> {
    let abi = dir.join("abi");
    for part in ABI_PARTS {
        tree::copy_dir(&dir.join("src").join(part), &abi.join(part))?;
    }
    for header in crate::recipe::NUMBER_HEADERS {
        tree::copy_file(&dir.join("gen").join(header), &abi.join("generated").join(header))?;
    }
    let autoconf = abi.join("autoconf.h");
    fs::copy(dir.join("gen/autoconf.h"), &autoconf).map_err(Error::io("write", &autoconf))?;
    Ok(())
}
