//! What the CPU needs of the memory-management unit and its caches.

use x86::{Gva, PageFault};

use crate::decode::Memory;
use crate::{DecodeError, Instruction, MAX_LENGTH, Original, Registers, VcpuState, decode};

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessKind {
    /// Loads data.
    Read,
    /// Stores data.
    Write,
    /// Fetches code.
    Fetch,
}

/// On whose behalf an access is made (SDM vol. 3A, §4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// By an instruction at CPL 0, 1 or 2.
    Supervisor,
    /// By an instruction at CPL 3.
    User,
    /// By the CPU itself, at any CPL: descriptor tables and the TSS. Its
    /// faults never carry the U bit.
    ImplicitSupervisor,
}

impl Privilege {
    /// The privilege of the explicit accesses of an instruction at `cpl`.
    pub const fn of_cpl(cpl: u8) -> Self {
        if cpl == 3 { Self::User } else { Self::Supervisor }
    }

    /// Whether paging takes the access for a user-mode access.
    pub const fn is_user(self) -> bool {
        matches!(self, Self::User)
    }
}

/// An access to guest-virtual memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// What it does.
    pub kind: AccessKind,
    /// On whose behalf.
    pub privilege: Privilege,
}

impl Access {
    /// A load of data.
    pub const fn read(privilege: Privilege) -> Self {
        Self { kind: AccessKind::Read, privilege }
    }

    /// A store of data.
    pub const fn write(privilege: Privilege) -> Self {
        Self { kind: AccessKind::Write, privilege }
    }

    /// A fetch of code.
    pub const fn fetch(privilege: Privilege) -> Self {
        Self { kind: AccessKind::Fetch, privilege }
    }
}

/// How many of the registers an instruction needs, in the order of
/// [`Registers::to_words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterSet {
    /// RIP, RSP and RFLAGS: always there.
    First,
    /// Those and RAX, RBX, RCX, RDX.
    Low,
    /// All up to this general register, by its x86 number.
    Through(u8),
    /// All, FS and GS bases included.
    All,
}

impl RegisterSet {
    /// How many words, from the first.
    pub const fn words(self) -> usize {
        match self {
            Self::First => 3,
            Self::Low => 7,
            Self::Through(register) => match register & 15 {
                0 => 4,
                3 => 5,
                1 => 6,
                2 => 7,
                4 => 3,
                6 => 8,
                7 => 9,
                5 => 10,
                extended => extended as usize + 3,
            },
            Self::All => 20,
        }
    }

    /// The registers that an operand's address needs.
    pub(crate) fn of_address(memory: &Memory) -> Self {
        if memory.segment.is_some() {
            return Self::All;
        }
        let index = memory.index.map(|(index, _)| index);
        [memory.base, index]
            .into_iter()
            .flatten()
            .map(Self::Through)
            .max_by_key(|set| set.words())
            .unwrap_or(Self::First)
    }
}

/// Guest-virtual memory and the translation caches, as the CPU uses them.
///
/// Addresses are linear (segment bases are already added) and canonical, and
/// the range never wraps past 2^64. An access translates through the guest's
/// page tables with the right that `access` names, setting A and D as
/// hardware does, whatever is or is not shadowed. The implementation keeps
/// its own copy of the paging context (CR3, CR0.WP, CR4) and is told of every
/// change; `access.privilege` decides user or supervisor, never the state's CPL.
///
/// Ranges are at most 64 bytes long and so touch at most two pages.
pub trait Machine {
    /// Fetches the registers of `set` that the caller left out. RIP, RSP and
    /// RFLAGS are always given; whatever else an instruction reads or writes
    /// is asked for here first. Does nothing where all are given anyway.
    fn load_registers(&mut self, registers: &mut Registers, set: RegisterSet) {
        let _ = (registers, set);
    }

    /// As [`Self::load_registers`], for an instruction that changes none but RIP,
    /// RSP and RFLAGS.
    fn read_registers(&mut self, registers: &mut Registers, set: RegisterSet) {
        self.load_registers(registers, set);
    }

    /// Copies guest memory at `gva` into `bytes`.
    ///
    /// # Errors
    /// The fault that the access raises in the guest; `bytes` is undefined then.
    fn read(&mut self, gva: Gva, bytes: &mut [u8], access: Access) -> Result<(), PageFault>;

    /// Copies `bytes` into guest memory at `gva`. Every page of the range is
    /// probed before the first byte changes.
    ///
    /// # Errors
    /// The fault that the access raises in the guest; nothing is written then.
    fn write(&mut self, gva: Gva, bytes: &[u8], access: Access) -> Result<(), PageFault>;

    /// Fetches code at `gva` into `bytes`; the range lies in one page.
    ///
    /// # Errors
    /// The fault that the fetch raises in the guest.
    fn fetch(&mut self, gva: Gva, bytes: &mut [u8], access: Access) -> Result<(), PageFault>;

    /// Decodes `bytes`, which were fetched at `rip`. Machines that remember what
    /// they decoded answer from there ([`crate::Fetched`]).
    ///
    /// # Errors
    /// As [`decode`].
    fn decode(&mut self, rip: Gva, bytes: &[u8; MAX_LENGTH]) -> Result<Instruction, DecodeError> {
        let _ = rip;
        decode(bytes)
    }

    /// Checks that `access` to `length` bytes at `gva` would succeed now,
    /// without transferring anything.
    ///
    /// # Errors
    /// The fault that the access raises in the guest.
    fn probe(&mut self, gva: Gva, length: usize, access: Access) -> Result<(), PageFault>;

    /// The eight bytes of code at `gva`, which may be any address, to see
    /// whether the next instruction will trap. `None` where that is not worth
    /// its cost, where the bytes lie in two pages, and where the fetch would
    /// fault: the thread finds out itself.
    fn peek(&mut self, gva: Gva, access: Access) -> Option<[u8; 8]> {
        let _ = (gva, access);
        None
    }

    /// The instruction at `gva`, which [`Self::peek`] showed, will not trap: a
    /// hint not to look there again.
    fn nothing_ahead(&mut self, gva: Gva) {
        let _ = gva;
    }

    /// An instruction was executed ahead of its trap.
    fn looked_ahead(&mut self) {}

    /// What stood at `gva` before image rewriting, if something did.
    fn original(&mut self, gva: Gva) -> Option<Original> {
        let _ = gva;
        None
    }

    /// Whether an external interrupt waits for the guest to accept it: then
    /// nothing is executed ahead once it does.
    fn interrupt_pending(&self) -> bool {
        false
    }

    /// CR3 was written (perhaps with its old value): non-global translations
    /// are stale. `state.cr3` holds the new value.
    fn cr3_loaded(&mut self, state: &VcpuState);

    /// A page fault at `gva` is about to be delivered, whoever noticed it:
    /// translations of its page are stale (SDM vol. 3A, §4.10.4.1).
    fn page_fault_delivered(&mut self, gva: Gva);

    /// INVLPG of a canonical address: translations of its page, in every
    /// view of the current CR3, are stale.
    fn invalidate(&mut self, gva: Gva);

    /// CR0.WP, or CR4.PSE, PAE or PGE, changed: rights and cached
    /// translations must be taken anew from `state`.
    fn paging_mode_changed(&mut self, state: &VcpuState);
}
