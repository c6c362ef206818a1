//! Mapping the upper levels of translation.
//!
//! Each object maps at one place. Errors of every `…_map`:
//!
//! * `FailedLookup`: the level above is missing, or the address space has no ASID.
//! * `DeleteFirst`: the level is already there.
//! * `InvalidArgument`: the address belongs to the kernel.
//! * `InvalidCapability`: `vspace` is no address space, or the object is mapped already.
//!
//! of every `…_unmap`:
//!
//! * `RevokeFirst`: the capability is not the only one to the object.
//!
//! Unmapping a page table with live entries is one call; the frame capabilities mapped through it
//! keep believing that they are mapped until they are unmapped themselves.

use super::invoke;
use crate::abi::label;
use crate::{CapType, Result, TranslationTable, VmAttributes, Word, cap, cap_type};

impl cap::PDPT {
    /// Maps the table for the 512 GiB around `vaddr`. Corresponds to `seL4_X86_PDPT_Map`.
    pub fn pdpt_map(self, vspace: cap::VSpace, vaddr: usize, attrs: VmAttributes) -> Result<()> {
        map(self, label::X86_PDPT_MAP, vspace, vaddr, attrs)
    }

    /// Unmaps the table. Corresponds to `seL4_X86_PDPT_Unmap`.
    pub fn pdpt_unmap(self) -> Result<()> {
        invoke(self.cptr(), label::X86_PDPT_UNMAP, [], []).map(drop)
    }
}

impl cap::PageDirectory {
    /// Maps the table for the 1 GiB around `vaddr`. Corresponds to `seL4_X86_PageDirectory_Map`.
    pub fn page_directory_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        attrs: VmAttributes,
    ) -> Result<()> {
        map(self, label::X86_PAGE_DIRECTORY_MAP, vspace, vaddr, attrs)
    }

    /// Unmaps the table. Corresponds to `seL4_X86_PageDirectory_Unmap`.
    pub fn page_directory_unmap(self) -> Result<()> {
        invoke(self.cptr(), label::X86_PAGE_DIRECTORY_UNMAP, [], []).map(drop)
    }
}

impl cap::PageTable {
    /// Maps the table for the 2 MiB around `vaddr`. Corresponds to `seL4_X86_PageTable_Map`.
    pub fn page_table_map(
        self,
        vspace: cap::VSpace,
        vaddr: usize,
        attrs: VmAttributes,
    ) -> Result<()> {
        map(self, label::X86_PAGE_TABLE_MAP, vspace, vaddr, attrs)
    }

    /// Unmaps the table and zeroes it. Corresponds to `seL4_X86_PageTable_Unmap`.
    pub fn page_table_unmap(self) -> Result<()> {
        invoke(self.cptr(), label::X86_PAGE_TABLE_UNMAP, [], []).map(drop)
    }
}

impl cap::Unspecified {
    /// Maps a table whose level is known at run time only.
    pub fn translation_table_map(
        self,
        level: TranslationTable,
        vspace: cap::VSpace,
        vaddr: usize,
        attrs: VmAttributes,
    ) -> Result<()> {
        match level {
            TranslationTable::Pdpt => self.cast::<cap_type::PDPT>().pdpt_map(vspace, vaddr, attrs),
            TranslationTable::PageDirectory => {
                self.cast::<cap_type::PageDirectory>().page_directory_map(vspace, vaddr, attrs)
            }
            TranslationTable::PageTable => {
                self.cast::<cap_type::PageTable>().page_table_map(vspace, vaddr, attrs)
            }
        }
    }

    /// Unmaps a table whose level is known at run time only.
    pub fn translation_table_unmap(self, level: TranslationTable) -> Result<()> {
        match level {
            TranslationTable::Pdpt => self.cast::<cap_type::PDPT>().pdpt_unmap(),
            TranslationTable::PageDirectory => {
                self.cast::<cap_type::PageDirectory>().page_directory_unmap()
            }
            TranslationTable::PageTable => self.cast::<cap_type::PageTable>().page_table_unmap(),
        }
    }
}

fn map<T: CapType>(
    table: crate::Cap<T>,
    label: Word,
    vspace: cap::VSpace,
    vaddr: usize,
    attrs: VmAttributes,
) -> Result<()> {
    let args = [vaddr as Word, attrs.into_word()];
    invoke(table.cptr(), label, [vspace.cptr()], args).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::recorder::one;
    use super::*;

    #[test]
    fn levels() {
        let space = cap::VSpace::from_bits(3);
        let table = cap::Unspecified::from_bits(9);
        for (level, map, unmap) in [
            (TranslationTable::Pdpt, label::X86_PDPT_MAP, label::X86_PDPT_UNMAP),
            (
                TranslationTable::PageDirectory,
                label::X86_PAGE_DIRECTORY_MAP,
                label::X86_PAGE_DIRECTORY_UNMAP,
            ),
            (TranslationTable::PageTable, label::X86_PAGE_TABLE_MAP, label::X86_PAGE_TABLE_UNMAP),
        ] {
            let attrs = VmAttributes::DEFAULT;
            let seen = one(|| table.translation_table_map(level, space, 0x20_0000, attrs));
            assert_eq!((seen.service, seen.label, seen.caps), (9, map, vec![3]));
            assert_eq!(seen.args, [0x20_0000, 0]);
            assert_eq!(one(|| table.translation_table_unmap(level)).label, unmap);
        }
    }
}
