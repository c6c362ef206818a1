//! A validated system.

use std::fmt;
use std::path::PathBuf;

use crate::compiled::{Platform, ProgramKind};
use crate::cspace::Pools;
use crate::name::Name;

use super::diagnostics::{Diagnostic, Diagnostics};
use super::problem::Problem;
use super::source::{At, Sources};

/// A system that passed validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// What messages call it.
    pub name: String,
    /// The machine.
    pub machine: Machine,
    /// Guests in manifest order: fragments first.
    pub guests: Vec<Guest>,
    /// Injections in manifest order.
    pub injections: Vec<Injection>,
    pub(super) sources: Sources,
    pub(super) top: At,
}

/// The machine that QEMU emulates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// RAM in bytes, whole MiB.
    pub memory_bytes: u64,
    /// Name of a file in `qemu/machines`.
    pub profile: String,
    /// QEMU's processor model; `None` for QEMU's own choice.
    pub cpu: Option<String>,
    pub(super) memory_at: Option<At>,
}

/// What a guest runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestSource {
    /// An image file, as seen from where the tool runs.
    Image(PathBuf),
    /// A package of the repository, relative to its top, for platform `pc64`.
    Build(PathBuf),
    /// A test of Solo5's.
    Solo5Test(String),
}

impl GuestSource {
    /// The manifest key.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            Self::Build(_) => "build",
            Self::Solo5Test(_) => "solo5-test",
        }
    }
}

impl fmt::Display for GuestSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(path) | Self::Build(path) => path.display().fmt(f),
            Self::Solo5Test(name) => f.write_str(name),
        }
    }
}

/// A guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Its platform; `None` if the image decides.
    pub platform: Option<Platform>,
    /// What it runs.
    pub source: GuestSource,
    /// RAM in bytes; `None` for the default, or what the image needs.
    pub memory_bytes: Option<u64>,
    /// Arguments.
    pub args: Vec<String>,
    /// Virtual processors.
    pub vcpus: u32,
    /// seL4 priority.
    pub priority: u32,
    /// Whether its image is rewritten; `None` if its platform decides.
    pub rewrite: Option<bool>,
    /// What its server owns.
    pub shadow: Shadow,
    pub(super) source_at: At,
    pub(super) spaces_at: Option<At>,
}

/// What a shadow-paging server owns, as a manifest says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Page tables.
    pub tables: u32,
    /// Address spaces.
    pub spaces: u32,
    /// Frame-cap copies beyond one per frame.
    pub extra_copies: u32,
    /// Records of page faults that are kept.
    pub trace: u32,
    /// Records that are checked after each message.
    pub audit: u32,
    /// Capability operations of one request at most.
    pub budget: u32,
}

impl Default for Shadow {
    fn default() -> Self {
        Self { tables: 512, spaces: 16, extra_copies: 1024, trace: 0, audit: 0, budget: 128 }
    }
}

/// Tables of each level that one instruction may need: it lies in up to two
/// pages, and may read two and write two more.
const PAGES_OF_AN_INSTRUCTION: u32 = 6;

impl Shadow {
    /// Address spaces: each vCPU is in one, and its guest wants the two other
    /// views of one at hand.
    pub fn spaces(&self, vcpus: u32) -> u32 {
        self.spaces.max(vcpus + 2)
    }

    /// The pools for a guest of `memory_bytes` and `vcpus`.
    ///
    /// `tables` are page tables, of which a guest's working set decides the
    /// number. Upper levels follow: every space has two page-directory-pointer
    /// tables (kernels like to have a low and a high part) and two page
    /// directories, and one more directory comes with every 16 page tables. No
    /// level falls below what one instruction of each vCPU may need at once.
    pub fn pools(&self, memory_bytes: u64, vcpus: u32) -> Pools {
        let floor = PAGES_OF_AN_INSTRUCTION * vcpus;
        let spaces = self.spaces(vcpus);
        Pools {
            frames: u32::try_from(memory_bytes / 4096).unwrap_or(u32::MAX),
            spaces,
            pdpts: (2 * spaces).max(floor),
            pds: (2 * spaces + self.tables / 16).max(floor),
            pts: self.tables.max(3 * floor),
            extra_copies: self.extra_copies,
        }
    }
}

impl Guest {
    /// The pools of its server if it has `memory_bytes` of RAM.
    pub fn pools(&self, memory_bytes: u64) -> Pools {
        self.shadow.pools(memory_bytes, self.vcpus)
    }

    /// Whether its image is rewritten, on `platform`.
    ///
    /// A pc64 kernel is promised what bare hardware does, which takes
    /// rewriting; a Solo5 image is promised to run unmodified, and its
    /// bindings use nothing that needs it.
    pub fn rewrites(&self, platform: Platform) -> bool {
        self.rewrite.unwrap_or(platform == Platform::Pc64)
    }

    /// Its name in compiled form.
    pub fn compiled_name(&self) -> Name {
        Name::new(&self.name).expect("validated names are shorter and simpler than compiled ones")
    }
}

/// A process that dies on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    /// Index of the guest.
    pub guest: usize,
    /// Which of its processes.
    pub process: ProgramKind,
    /// After how many faults of the guest.
    pub after_faults: u64,
}

impl System {
    /// `problem` with guest number `guest`, at the key that says what it runs.
    pub fn refuse_guest(&self, guest: usize, problem: Problem) -> Diagnostics {
        let guest = &self.guests[guest];
        let key = format!("guest.{}.{}", guest.name, guest.source.key());
        self.refuse(problem, key, guest.source_at)
    }

    /// `problem` with the machine's memory, at its key if that was written.
    pub(crate) fn refuse_memory(&self, problem: Problem) -> Diagnostics {
        self.refuse(
            problem,
            "machine.memory".to_owned(),
            self.machine.memory_at.unwrap_or(self.top),
        )
    }

    fn refuse(&self, problem: Problem, key: String, at: At) -> Diagnostics {
        Diagnostics::new(
            self.sources.clone(),
            vec![Diagnostic { problem, key, at: Some(at), other: None }],
        )
    }
}
