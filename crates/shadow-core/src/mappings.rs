//! The capability operations that the shadow MMU asks for.

use core::fmt;

use x86::{Gfn, Gva, Level};

/// A shadow address space: the root paging object of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpaceId(pub(crate) u16);

impl SpaceId {
    /// The space of that root object.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Number of the root object in its pool, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A shadow paging object below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableId {
    /// 3 for a PDPT, 2 for a page directory, 1 for a page table.
    pub level: Level,
    /// Number of the object in its level's pool, from 0.
    pub index: usize,
}

/// A slot for a copy of a frame's capability.
///
/// With `n` frames, slot `i < n` is the spare copy of frame `i`; slots from
/// `n` on are the pool of extra copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CopyId(pub(crate) u32);

impl CopyId {
    /// The slot of that number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Number of the slot, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A capability operation failed; it has had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapError {
    /// Which operation, for the message.
    pub operation: &'static str,
    /// The kernel's error number.
    pub status: u32,
}

impl MapError {
    /// No refusal of the kernel: the request has done as much as one request
    /// may. Repeat it, after having served others; it goes on where it stood.
    pub const AGAIN: Self = Self { operation: "again", status: u32::MAX };

    /// Whether this is [`Self::AGAIN`].
    pub fn is_again(&self) -> bool {
        *self == Self::AGAIN
    }
}

/// Of a capability operation, or of work that needs some.
pub type Result<T = ()> = core::result::Result<T, MapError>;

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with kernel error {}", self.operation, self.status)
    }
}

/// Capability operations, by object number. The server carries them out on the
/// kernel; tests carry them out on a model of it.
///
/// Contract: an operation that returns an error has had no effect. A copy maps
/// at one place at a time. Unmapping a table empties it and leaves the copies
/// that it mapped in the state "mapped" (stale) until they are unmapped, moved
/// or remapped in place. Unmapping or moving a stale copy empties the entry at
/// its old place if that entry, by then, maps the same frame. Each operation flushes what translations it changes before
/// the guest runs again.
///
/// # Errors
/// Every method returns [`MapError`] when the kernel refuses; the shadow MMU
/// only asks for what its records say is possible, so a refusal means that
/// somebody else used the objects, or a defect.
pub trait Mappings {
    /// First address where the kernel maps nothing for users; a multiple of 4 KiB.
    const TOP: u64 = 0x7fff_ffff_f000;

    /// Maps an unmapped copy at page `gva` of `space`, whose tables are in
    /// place and whose entry is empty; a stale one moves there.
    fn map_frame(&mut self, copy: CopyId, space: SpaceId, gva: Gva, writable: bool) -> Result;

    /// Writes the entry of a copy that is mapped (or stale) in `space` again,
    /// `gva` being that page, with these rights. The tables at its place are
    /// linked, and the entry there is empty or its own.
    fn remap_frame(&mut self, copy: CopyId, space: SpaceId, gva: Gva, writable: bool) -> Result;

    /// Unmaps a mapped or stale copy.
    fn unmap_frame(&mut self, copy: CopyId) -> Result;

    /// Links an unmapped, empty table at `gva` (a multiple of what it covers).
    fn map_table(&mut self, table: TableId, space: SpaceId, gva: Gva) -> Result;

    /// Unlinks a table if it is still linked where it was mapped, and empties it.
    fn unmap_table(&mut self, table: TableId) -> Result;

    /// Makes, in the empty slot `copy`, a copy of the original cap of `gfn`.
    fn copy_frame(&mut self, copy: CopyId, gfn: Gfn) -> Result;

    /// Deletes the copy, which unmaps it, and leaves its slot empty.
    fn delete_copy(&mut self, copy: CopyId) -> Result;

    /// Deletes (and so unmaps) every copy of the cap of `gfn`, the spare included.
    fn revoke(&mut self, gfn: Gfn) -> Result;
}
