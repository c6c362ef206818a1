//! The shadow MMU: guest walks, shadow tables and frame caps, as pure logic.
//!
//! Job: decide, on every page fault of a deprivileged guest, what the guest's
//! own page tables say and which capability operations make the shadow agree.
//! The crate knows no kernel: capability operations go through [`Mappings`],
//! guest memory through [`x86::GuestMemory`], and every record lies in memory
//! that was lent at start ([`Storage`]).
//!
//! A page fault reads `walk → decide → compose → apply`:
//!
//! ```text
//!  fault ──> walk.rs     guest tables, exact faults, A and D
//!              │ GuestWalk
//!            fault.rs    decide: RAM? read-only? whose fault?
//!              │         compose: the leaf's rights in this view
//!            instances.rs  the path of shadow tables, checked against the walk (R1)
//!            leaf.rs       one copy of the frame's cap, mapped
//! ```
//!
//! A shadow leaf is a translation that a guest TLB could hold. Frames that
//! something was built from are tracked (tracking.rs) and mapped read-only
//! until the guest writes them (promote.rs); then they are out of sync
//! (out_of_sync.rs) until a CR3 load brings them back in step (resync.rs).
//! `docs/shadow-mmu.md` has the events, the invariants S1–S17 that
//! [`ShadowMmu::audit`] checks, and the worst cases.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod audit;
mod audit_table;
mod context;
mod copies;
mod counters;
mod derive;
mod dirty;
mod fault;
mod frames;
mod instances;
mod invalidate;
mod last_path;
mod leaf;
mod lookup;
mod mappings;
mod mmu;
mod origin;
mod out_of_sync;
mod policy;
mod prefault;
mod promote;
mod request;
mod resync;
mod run;
mod spaces;
mod storage;
mod tables;
mod tracking;
mod walk;

pub use audit::{AuditCursor, Invariant, Violation};
pub use context::{Access, PagingContext, VcpuId, View};
pub use copies::MAX_COPIES_PER_FRAME;
pub use counters::Counters;
pub use fault::{FaultOutcome, Translation};
pub use frames::{FrameKind, HostMap, Tracking};
pub use mappings::{CopyId, MapError, Mappings, SpaceId, TableId};
pub use mmu::{LiveLeaf, ShadowMmu};
pub use origin::{Origin, Rights};
pub use out_of_sync::{OOS_FIXUPS, OOS_PAGES};
pub use policy::{Defect, Policy, Promotion};
pub use storage::{Pools, PoolsError, Storage};
pub use walk::{GuestWalk, WALK_ATTEMPTS, WalkFailure, walk};
