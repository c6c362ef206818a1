//! The archive behind the root task's own image.

#![allow(unsafe_code, reason = "the archive is known by its address only")]

use sel4::BootInfoPtr;
use system::compiled::{Archive, ArchiveError};

unsafe extern "C" {
    /// First byte of the image (linker script).
    static __image_start: u8;
    /// First page behind .bss (linker script); the composer puts the archive there.
    static _end: u8;
}

/// Reads the archive that was composed behind this image.
///
/// # Errors
/// [`ArchiveError`] if there is none or it is damaged.
pub fn archive(boot_info: &BootInfoPtr) -> Result<Archive<'static>, ArchiveError> {
    let (image, start) = (&raw const __image_start as usize, &raw const _end as usize);
    // The kernel mapped one frame for each page of the image, the archive included.
    let pages = boot_info.user_image_frames().len();
    let end = image + pages * crate::scratch::FRAME_BYTES;
    let length = end.checked_sub(start).ok_or(ArchiveError::Truncated)?;
    // SAFETY: the pages from `start` to `end` are part of the image that the
    // kernel mapped for good; nobody writes them, and bytes have no invalid
    // values. Pages are more than 8-aligned.
    Archive::read(unsafe { core::slice::from_raw_parts(&raw const _end, length) })
}
