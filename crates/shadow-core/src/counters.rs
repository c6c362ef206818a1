//! Event counters.
//!
//! They lie in lent memory as an array of words, so that somebody else can read
//! them while the shadow MMU works, or after its end.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Event counters, by Xen's names (`shadow_…`) where the event is the same.
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
        )]
        #[repr(C)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Their names, in the order of the words.
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// Names and values, in the order of the fields.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Faults handled.
    fault,
    /// Faults that ended with the access possible.
    fault_fixed,
    /// Faults that are the guest's own.
    fault_bail_real_fault,
    /// Faults on addresses outside RAM.
    fault_mmio,
    /// Writes to read-only memory.
    fault_read_only,
    /// Writes with CR0.WP = 0 to pages without W.
    fault_wp0,
    /// Walks given up because entries kept changing.
    inconsistent_gwalk,
    /// Frames that became tables with instances.
    promote,
    /// Tables that went out of sync.
    unsync,
    /// Out-of-sync pages resynced because their slot was needed.
    unsync_evict,
    /// Out-of-sync pages resynced in full.
    resync,
    /// Out-of-sync pages synced for one root, which stayed out of sync.
    resync_only,
    /// Writable mappings of out-of-sync pages recorded.
    oos_fixup_add,
    /// Writable mappings made read-only because their fixup was needed.
    oos_fixup_evict,
    /// Resyncs that found a writable mapping without a fixup, and revoked.
    writeable_bf_1,
    /// Entries used with another value than the snapshot's.
    diverged,
    /// Instances made stale because their table was written and none was loaded.
    stale,
    /// Tables given up because they went out of sync again and again.
    unshadow,
    /// Frames found dirty in a log that was read and cleared.
    log_dirty,
    /// Leaves mapped again by a resync or INVLPG.
    derive,
    /// Leaves mapped beside the one that faulted.
    prefault,
    /// Writes of servers to synced tables.
    server_write,
    /// Shadow tables linked.
    alloc,
    /// Shadow tables taken from a place in use, since none was free.
    prealloc_2,
    /// Spaces taken from another guest root or view.
    space_recycled,
    /// Spaces emptied.
    space_emptied,
    /// INVLPG requests.
    invlpg,
    /// Leaves or subtrees dropped because a page fault was delivered.
    pf_zap,
    /// Subtrees unlinked.
    drop_subtree,
    /// Tables without live leaves that were given a new origin in place.
    retag,
    /// Faults on entries recorded as sufficient, healed by Unmap and Map.
    heal,
    /// Copies re-used because they still claimed the very address.
    stale_alias,
    /// Stale copies unmapped to map them elsewhere.
    stale_reuse,
    /// Extra copies made.
    copy,
    /// Extra copies taken from another frame.
    copy_recycled,
    /// Live mappings dropped because the frame had no other copy.
    copy_evict,
    /// Revocations of all copies of a frame.
    revoke,
}
