//! Operations, and their eight bytes.

use crate::VirtualPage;

/// Bytes of an operation.
pub const BYTES: usize = 8;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Maps the copy in a slot.
    Map,
    /// Writes the entry of the copy in a slot again.
    Remap,
    /// Unmaps the copy in a slot.
    Unmap,
    /// Links a table.
    MapTable,
    /// Unlinks a table.
    UnmapTable,
    /// Copies a frame's capability into a slot.
    Copy,
    /// Deletes the copy in a slot.
    Delete,
    /// Deletes all copies of a frame's capability.
    Revoke,
    /// Nothing; all pages of the space are probed.
    Sweep,
}

impl Kind {
    /// All of them, by number.
    pub const ALL: [Self; 9] = [
        Self::Map,
        Self::Remap,
        Self::Unmap,
        Self::MapTable,
        Self::UnmapTable,
        Self::Copy,
        Self::Delete,
        Self::Revoke,
        Self::Sweep,
    ];
}

/// An operation. Afterwards the page is probed in the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What is done.
    pub kind: Kind,
    /// The slot, the table's number in its level, or the frame of a Revoke.
    pub object: u8,
    /// The table's level, from 1, or the frame of a Copy.
    pub detail: u8,
    /// The space.
    pub space: u8,
    /// The page.
    pub page: VirtualPage,
    /// Whether with write access.
    pub writable: bool,
}

impl Operation {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; BYTES] {
        [
            self.kind as u8,
            self.object,
            self.detail,
            self.space,
            self.page.0,
            self.writable.into(),
            0,
            0,
        ]
    }

    /// The operation of these bytes; `None` if its kind is unknown.
    pub fn from_bytes(bytes: [u8; BYTES]) -> Option<Self> {
        let [kind, object, detail, space, page, writable, _, _] = bytes;
        Some(Self {
            kind: *Kind::ALL.get(usize::from(kind))?,
            object,
            detail,
            space,
            page: VirtualPage(page),
            writable: writable != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_back() {
        for kind in Kind::ALL {
            let operation = Operation {
                kind,
                object: 3,
                detail: 2,
                space: 1,
                page: VirtualPage(9),
                writable: true,
            };
            assert_eq!(Operation::from_bytes(operation.to_bytes()), Some(operation));
        }
        assert_eq!(Operation::from_bytes([9, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn tables_begin_at_multiples_of_what_they_cover() {
        let page = VirtualPage(15);
        for level in 1..=3 {
            let start = page.table_address(level);
            assert_eq!(start % (1 << (12 + 9 * level)), 0);
            assert!(page.address() - start < 1 << (12 + 9 * level));
        }
    }
}
