//! The level-1 instance of the latest fill, so that a fault beside it need
//! not walk the records again.
//!
//! Invariant S11: it is a linked path with those origins; whatever unlinks or
//! re-tags a table forgets it.

use x86::{Gva, Level};

use crate::mappings::SpaceId;
use crate::origin::Origin;

/// Where it is, and what its path was built from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastPath {
    pub(crate) space: SpaceId,
    /// Address bits above the level-1 table, or all ones for none.
    pub(crate) prefix: u64,
    pub(crate) origins: [Origin; 3],
    pub(crate) table: u16,
}

impl LastPath {
    pub(crate) const NONE: Self =
        Self { space: SpaceId(0), prefix: u64::MAX, origins: [Origin::NONE; 3], table: 0 };

    pub(crate) const fn prefix_of(gva: Gva) -> u64 {
        gva.get() >> Level::L2.shift()
    }
}

#[cfg(feature = "states")]
impl LastPath {
    pub(crate) fn fingerprint(&self, state: &mut impl core::hash::Hasher) {
        state.write_u64(self.prefix);
        state.write_u16(self.space.0);
        state.write_u16(self.table);
        core::hash::Hash::hash(&self.origins.map(Origin::bits), state);
    }
}
