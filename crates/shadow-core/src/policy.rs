//! Choices that were measured against each other; the defaults won.

/// How writable mappings of a frame are taken away before it becomes a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// By one Revoke of the original, which cannot miss a mapping.
    Revoke,
    /// By a Remap without W of each recorded writable mapping; by Revoke if
    /// there are more than eight.
    Recorded,
}

/// A mistake that tests plant, to show that the evidence would catch it. Only
/// the feature `defects`, which tests alone select, makes any difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// R1: instances are used whatever they were built from.
    OriginIgnored,
    /// R2: detached tables are reused as they are.
    DetachedReused,
    /// R3: nothing records that another value than the snapshot's was used.
    DivergenceForgotten,
    /// R3: a resync visits one instance only.
    OneInstanceSynced,
    /// R4: a resync derives leaves into instances that the walk did not give.
    PathUnchecked,
    /// R5: INVLPG concerns the current view only.
    OneViewInvalidated,
    /// R5: INVLPG drops one page of a splintered superpage.
    SuperpageSplit,
    /// R5: a delivered page fault drops nothing.
    FaultKeepsLeaf,
    /// R5: a CR3 load leaves the vCPU's own tables out of sync.
    OwnTablesKept,
    /// R5: a CR3 load does not look at other vCPUs' tables.
    OthersIgnored,
    /// R6: stale instances count as good when their space is loaded.
    StaleTrusted,
    /// R7: the walk goes on after an eviction.
    WalkKept,
    /// Promotion leaves writable mappings.
    WriteAccessKept,
    /// Promotion goes on with the walk made before it.
    PromotionTrusted,
    /// An evicted fixup keeps its writable mapping.
    FixupLost,
    /// Reads map tables writable.
    TableReadWritable,
    /// A write of a server to a table is not noticed.
    ServerWriteMissed,
    /// R8: tables are given up whatever the instruction needs.
    UnshadowedAgain,
    /// Log-dirty: frames keep their writable mappings when the log is cleared.
    LoggedWritable,
}

/// Choices made at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How a frame loses its writable mappings.
    pub promotion: Promotion,
    /// Whether rights of a mapping change by Remap, in place; else by Unmap and Map.
    pub remap: bool,
    /// Whether a changed entry whose A bit is set is mapped again at once when
    /// its table is resynced or INVLPG drops it.
    pub derive: bool,
    /// Entries around a hidden fault that are mapped with it if their A bit is
    /// set: the size of the aligned block, a power of two up to 64; 1 for none.
    pub neighbours: u16,
    /// As [`Self::neighbours`], where faults follow each other page by page: what
    /// is mapped doubles with each, up to this many entries, a power of two up to 64.
    pub longest_run: u16,
    /// Capability operations of one request at most, where requests may be
    /// asked to be repeated; at least one.
    pub budget: u32,
    /// Whether tables that go out of sync again and again are given up (R8).
    pub unshadow: bool,
    /// The planted mistake.
    pub defect: Option<Defect>,
}

impl Policy {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        promotion: Promotion::Revoke,
        remap: true,
        derive: true,
        neighbours: 8,
        longest_run: 64,
        budget: 128,
        unshadow: true,
        defect: None,
    };
}

impl Policy {
    /// Whether `defect` is planted; never outside tests.
    #[inline]
    pub(crate) fn has(&self, defect: Defect) -> bool {
        cfg!(feature = "defects") && self.defect == Some(defect)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
