//! Untyped memory: where every object comes from.
//!
//! The kernel carves objects from an untyped front to back, aligned to their
//! size. This module keeps the same watermark, so that it knows what fits
//! before it asks. Small untypeds are used up first: big ones stay whole for
//! big CNodes, and the first use of an untyped costs the kernel the time to
//! zero all of it.

use heapless::Vec;
use sel4::{AbsoluteCPtr, BootInfoPtr, ObjectBlueprint, cap};

use crate::error::BuildError;

/// Most untypeds that the kernel hands over (its build configuration).
const MAX_UNTYPEDS: usize = 230;
/// Most objects that one retype makes (CONFIG_RETYPE_FAN_OUT_LIMIT).
const FAN_OUT: u64 = 256;

struct Run {
    untyped: cap::Untyped,
    size: u64,
    used: u64,
}

impl Run {
    /// How many objects of `size` bytes still fit, and where the first starts.
    fn fits(&self, size: u64) -> (u64, u64) {
        let start = self.used.next_multiple_of(size);
        (self.size.saturating_sub(start) / size, start)
    }
}

/// All RAM that the kernel left.
pub struct Memory {
    runs: Vec<Run, MAX_UNTYPEDS>,
}

impl Memory {
    /// Takes all untypeds that are RAM.
    pub fn new(boot_info: &BootInfoPtr) -> Self {
        let mut runs = Vec::new();
        for (slot, untyped) in boot_info.untyped().zip(boot_info.untyped_list()) {
            if untyped.is_device() {
                continue;
            }
            let run = Run {
                untyped: cap::Untyped::from_bits(slot as u64),
                size: 1 << untyped.size_bits(),
                used: 0,
            };
            // The list is no longer than the kernel's own limit.
            let _ = runs.push(run);
        }
        runs.sort_unstable_by_key(|run| run.size);
        Self { runs }
    }

    /// Makes `count` objects in the slots from `first` on of the CNode `into`.
    ///
    /// # Errors
    /// [`BuildError::OutOfMemory`] when no untyped has room left; objects made
    /// until then stay.
    pub fn make(
        &mut self,
        blueprint: &ObjectBlueprint,
        into: &AbsoluteCPtr,
        first: u64,
        count: u64,
    ) -> Result<(), BuildError> {
        let size = 1u64 << blueprint.physical_size_bits();
        let mut done = 0;
        for run in &mut self.runs {
            while done < count {
                let (fits, start) = run.fits(size);
                let batch = fits.min(count - done).min(FAN_OUT);
                if batch == 0 {
                    break;
                }
                run.untyped
                    .untyped_retype(blueprint, into, (first + done) as usize, batch as usize)
                    .map_err(|error| BuildError::Kernel("untyped_retype", error))?;
                run.used = start + batch * size;
                done += batch;
            }
        }
        if done < count { Err(BuildError::OutOfMemory) } else { Ok(()) }
    }
}
