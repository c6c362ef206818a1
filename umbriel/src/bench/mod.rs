//! The cost ledger: what the bench guests count, beside bare hardware, other
//! hypervisors, our bars and what was recorded before.
//!
//! ```text
//! manifests/bench*.toml ─ boot, icount ──► lines ─┐
//! guests/bench         ── bare, icount ──► lines ─┼─► table, JSON, verdict
//! bench/peers.toml, bars.toml, ledger.json ───────┘
//! ```

pub mod counts;
pub mod ledger;
pub mod lines;
pub mod peers;
pub mod run;
pub mod table;

use lines::Count;

/// A row as it came out now.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Under Umbriel, the image as it is.
    pub umbriel: Count,
    /// Under Umbriel, the image rewritten.
    pub rewritten: Option<Count>,
    /// On the bare machine; not for rows that need a hypervisor.
    pub bare: Option<Count>,
    /// Events an operation, where they were counted.
    pub events: counts::Events,
}
