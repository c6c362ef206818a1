//! What the kernel tells the root task: a page of numbers and, behind it, extra chunks.
//!
//! Read by byte offset from a slice, since 5.0.0 packs the structure, and so that both layouts are
//! tested on the host. What lies outside the slice reads as 0.

use core::ops::Range;

use crate::dialect::{BootInfoLayout, BootInfoOffsets};
use crate::{ABI, Word};

const PAGE: usize = 4096;
const CHUNK_HEADER: usize = 16;

/// Offsets that agree in all layouts.
mod offset {
    pub(super) const EXTRA_LEN: usize = 0;
    pub(super) const IPC_BUFFER: usize = 32;
    pub(super) const EMPTY: usize = 40;
    pub(super) const USER_IMAGE_FRAMES: usize = 72;
    pub(super) const USER_IMAGE_PAGING: usize = 88;
    pub(super) const EXTRA_PAGES: usize = 120;
}

/// The boot information. Corresponds to `seL4_BootInfo`.
#[derive(Debug, Clone, Copy)]
pub struct BootInfo<'a> {
    bytes: &'a [u8],
    offsets: BootInfoOffsets,
}

/// The boot information as the root task receives it.
pub type BootInfoPtr = BootInfo<'static>;

/// One untyped object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UntypedDesc {
    paddr: usize,
    size_bits: usize,
    is_device: bool,
}

impl UntypedDesc {
    /// Physical address.
    pub const fn paddr(&self) -> usize {
        self.paddr
    }

    /// Bytes, as a power of two.
    pub const fn size_bits(&self) -> usize {
        self.size_bits
    }

    /// Whether it is memory of a device (or unknown to the kernel): never zeroed, good for frames
    /// only.
    pub const fn is_device(&self) -> bool {
        self.is_device
    }
}

/// One chunk of extra boot information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootInfoExtra<'a> {
    /// Kind: 1 VBE, 2 multiboot memory map, 3 ACPI RSDP, 4 frame buffer, 5 TSC frequency, 6 FDT.
    pub id: Word,
    /// Content without its header.
    pub content: &'a [u8],
}

impl<'a> BootInfo<'a> {
    /// Reads boot information in a layout. `bytes` begins with the page; extra chunks follow.
    pub const fn new(bytes: &'a [u8], layout: BootInfoLayout) -> Self {
        Self { bytes, offsets: layout.offsets() }
    }

    fn bytes_at(&self, offset: usize, length: usize) -> &'a [u8] {
        self.bytes.get(offset..).and_then(|rest| rest.get(..length)).unwrap_or_default()
    }

    fn word(&self, offset: usize) -> Word {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(self.bytes_at(offset, 8)) {
            *to = *from;
        }
        Word::from_le_bytes(word)
    }

    fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(offset).copied().unwrap_or(0)
    }

    fn region(&self, offset: usize) -> Range<usize> {
        self.word(offset) as usize..self.word(offset + 8) as usize
    }

    /// Address of the initial thread's IPC buffer.
    pub fn ipc_buffer(&self) -> usize {
        self.word(offset::IPC_BUFFER) as usize
    }

    /// Empty slots of the initial CNode.
    pub fn empty(&self) -> Range<usize> {
        self.region(offset::EMPTY)
    }

    /// Frames of the root task's image, one per page in the order of addresses.
    pub fn user_image_frames(&self) -> Range<usize> {
        self.region(offset::USER_IMAGE_FRAMES)
    }

    /// Paging objects of the root task's image.
    pub fn user_image_paging(&self) -> Range<usize> {
        self.region(offset::USER_IMAGE_PAGING)
    }

    /// Frames of the extra chunks.
    pub fn extra_pages(&self) -> Range<usize> {
        self.region(offset::EXTRA_PAGES)
    }

    /// Slots of the initial CNode, as a power of two.
    pub fn init_cnode_size_bits(&self) -> usize {
        self.byte(self.offsets.cnode_size_bits).into()
    }

    /// Slots of the untyped objects, in the order of [`untyped_list`](Self::untyped_list).
    pub fn untyped(&self) -> Range<usize> {
        self.region(self.offsets.untyped)
    }

    /// The untyped objects: as many as there are slots, and at most what the list can hold.
    pub fn untyped_list(&self) -> impl ExactSizeIterator<Item = UntypedDesc> + Clone + use<'a> {
        let this = *self;
        let count = self.untyped().len().min(ABI.max_untypeds);
        (0..count).map(move |index| this.descriptor(index))
    }

    fn descriptor(&self, index: usize) -> UntypedDesc {
        let start = self.offsets.untyped_list + index * self.offsets.descriptor_size;
        UntypedDesc {
            paddr: self.word(start) as usize,
            size_bits: self.byte(start + self.offsets.size_bits).into(),
            is_device: self.byte(start + self.offsets.is_device) != 0,
        }
    }

    /// Frequency of the time stamp counter in MHz, if the kernel measured it.
    pub fn tsc_frequency_mhz(&self) -> Option<u32> {
        const TSC_CHUNK: Word = 5;
        match self.offsets.arch_info {
            Some(offset) => u32::try_from(self.word(offset)).ok(),
            None => {
                let chunk = self.extra().find(|chunk| chunk.id == TSC_CHUNK)?;
                chunk.content.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
            }
        }
        .filter(|frequency| *frequency != 0)
    }

    /// The extra chunks, padding (id 0) included. Ends at the first malformed one.
    pub fn extra(&self) -> impl Iterator<Item = BootInfoExtra<'a>> + use<'a> {
        let this = *self;
        let end = PAGE.saturating_add(self.word(offset::EXTRA_LEN) as usize);
        let mut at = PAGE;
        core::iter::from_fn(move || {
            let length = this.word(at + 8) as usize;
            let next = at.checked_add(length).filter(|next| *next <= end)?;
            let content = this.bytes.get(at.checked_add(CHUNK_HEADER)?..next)?;
            let id = this.word(at);
            at = next;
            Some(BootInfoExtra { id, content })
        })
    }
}

#[cfg(target_os = "none")]
mod bare {
    #![allow(unsafe_code, reason = "the kernel passes the boot information by address")]

    use super::{BootInfo, BootInfoPtr, PAGE, offset};
    use crate::ABI;

    impl BootInfoPtr {
        /// Takes the boot information that the kernel passed. The entry macro does this.
        ///
        /// # Safety
        ///
        /// `address` is what the kernel passed to the root task, and the pages stay mapped.
        pub unsafe fn from_address(address: *const u8) -> Self {
            // SAFETY: the kernel maps the boot information page, and behind it `extraLen` bytes
            // rounded up to pages, into the root task. The page is word aligned and never written
            // after boot.
            let bytes = unsafe {
                let extra = address.add(offset::EXTRA_LEN).cast::<u64>().read();
                core::slice::from_raw_parts(address, PAGE + extra as usize)
            };
            BootInfo::new(bytes, ABI.boot_info)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(bytes: &mut [u8], offset: usize, word: u64) {
        bytes[offset..offset + 8].copy_from_slice(&word.to_le_bytes());
    }

    fn page(extra: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; PAGE];
        put(&mut bytes, 0, extra.len() as u64);
        put(&mut bytes, 32, 0x50_0000);
        put(&mut bytes, 40, 300);
        put(&mut bytes, 48, 65536);
        put(&mut bytes, 72, 20);
        put(&mut bytes, 80, 40);
        bytes[136] = 16;
        bytes.extend_from_slice(extra);
        bytes
    }

    #[test]
    fn packed_layout() {
        let mut bytes = page(&[]);
        put(&mut bytes, 145, 2400);
        put(&mut bytes, 153, 100);
        put(&mut bytes, 161, 102);
        put(&mut bytes, 169, 0x10_0000);
        bytes[169 + 10] = 20;
        put(&mut bytes, 181, 0xfee0_0000);
        bytes[181 + 10] = 12;
        bytes[181 + 11] = 1;
        let info = BootInfo::new(&bytes, BootInfoLayout::Packed);
        assert_eq!((info.ipc_buffer(), info.empty()), (0x50_0000, 300..65536));
        assert_eq!((info.user_image_frames(), info.init_cnode_size_bits()), (20..40, 16));
        assert_eq!((info.untyped(), info.tsc_frequency_mhz()), (100..102, Some(2400)));
        let list: Vec<_> = info.untyped_list().collect();
        assert_eq!(list[0], UntypedDesc { paddr: 0x10_0000, size_bits: 20, is_device: false });
        assert_eq!(list[1], UntypedDesc { paddr: 0xfee0_0000, size_bits: 12, is_device: true });
    }

    #[test]
    fn aligned_layout_with_chunks() {
        // Lengths that are no multiples of 8 were seen; the frequency chunk is 0x14 long.
        let mut extra = vec![0; 0x13 + 0x14];
        put(&mut extra, 0, 3);
        put(&mut extra, 8, 0x13);
        put(&mut extra, 0x13, 5);
        put(&mut extra, 0x13 + 8, 0x14);
        extra[0x13 + 16..].copy_from_slice(&3000u32.to_le_bytes());
        let mut bytes = page(&extra);
        put(&mut bytes, 152, 7);
        put(&mut bytes, 160, 8);
        put(&mut bytes, 168, 0x20_0000);
        bytes[168 + 8] = 21;
        let info = BootInfo::new(&bytes, BootInfoLayout::Aligned);
        assert_eq!(info.extra().map(|chunk| chunk.id).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(info.extra().next().unwrap().content.len(), 3);
        assert_eq!(info.tsc_frequency_mhz(), Some(3000));
        let list: Vec<_> = info.untyped_list().collect();
        assert_eq!(list, [UntypedDesc { paddr: 0x20_0000, size_bits: 21, is_device: false }]);
    }

    #[test]
    fn malformed_chunks_end_the_list() {
        for length in [0, 15, 33, u64::MAX] {
            let mut extra = vec![0; 32];
            put(&mut extra, 8, length);
            let bytes = page(&extra);
            assert_eq!(BootInfo::new(&bytes, BootInfoLayout::Aligned).extra().count(), 0);
        }
    }
}
