//! Who accesses memory, and how: the paging state of a vCPU and the access.

use x86::{Gfn, PageFaultCode};

/// vCPUs that one shadow MMU serves at most.
pub const MAX_VCPUS: usize = 8;

/// A vCPU of the guest, below [`VcpuId::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VcpuId(u8);

impl VcpuId {
    /// How many vCPUs a guest may have.
    pub const COUNT: usize = MAX_VCPUS;
    /// The first (boot) vCPU.
    pub const BOOT: Self = Self(0);

    /// The vCPU of number `number`, or `None` from [`VcpuId::COUNT`] on.
    pub const fn new(number: usize) -> Option<Self> {
        if number < MAX_VCPUS { Some(Self(number as u8)) } else { None }
    }

    /// Its number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What kind of access an instruction makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A data read.
    Read,
    /// A data write, or the write of a read-modify-write.
    Write,
    /// An instruction fetch; judged as a read, since guests have no NX.
    Execute,
}

impl Access {
    /// Whether the access needs a writable translation.
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Write)
    }
}

/// Which rights a space gives: leaves of one guest root differ by view, since
/// the kernel's page tables know no supervisor pages below CPL 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// CPL 0–2 with CR0.WP = 1: all pages, writes where W allows.
    Kernel,
    /// CPL 0–2 with CR0.WP = 0: all pages, writes everywhere.
    KernelWp0,
    /// CPL 3: pages with U on every level, writes where W allows.
    User,
}

/// The part of a vCPU's state that decides how linear addresses translate.
///
/// Long mode with 4-level paging, EFER.NXE = 0, and no SMEP, SMAP or
/// protection keys: the only mode that guests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagingContext {
    /// The vCPU.
    pub vcpu: VcpuId,
    /// Frame of the guest's PML4: CR3 bits 51:12.
    pub root: Gfn,
    /// CR0.WP.
    pub write_protect: bool,
    /// Whether the access is a user-mode one: CPL 3, and not an implicit
    /// supervisor access (descriptor tables, TSS, stack of an exception
    /// taken to CPL 0).
    pub user: bool,
}

impl PagingContext {
    /// The view whose space the vCPU runs in.
    pub const fn view(&self) -> View {
        match (self.user, self.write_protect) {
            (true, _) => View::User,
            (false, true) => View::Kernel,
            (false, false) => View::KernelWp0,
        }
    }

    /// The same state for an implicit supervisor access.
    pub const fn supervisor(self) -> Self {
        Self { user: false, ..self }
    }

    /// The W/R and U/S bits of a page fault that `access` takes.
    pub(crate) const fn code(&self, access: Access) -> PageFaultCode {
        let mut bits = 0;
        if access.is_write() {
            bits |= PageFaultCode::WRITE.bits();
        }
        if self.user {
            bits |= PageFaultCode::USER.bits();
        }
        PageFaultCode::from_bits_retain(bits)
    }
}
