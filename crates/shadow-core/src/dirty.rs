//! Log-dirty: which frames were written since somebody last asked.
//!
//! A frame is *clean* while its log is cleared and nobody may have written it
//! since; while a log is kept, no clean frame is mapped writable. It is dirty
//! again when a write fault maps it writable, when a walk sets A or D in it, or
//! when a server writes it. All frames are dirty at the start, so that starting
//! costs no capability operation, as with KVM's `INITIALLY_SET`.

use x86::Gfn;

use crate::frames::{FrameKind, HostMap};
use crate::mappings::{Mappings, Result};
use crate::mmu::ShadowMmu;
use crate::policy::Defect;
use crate::request::{Ops, Request};

impl<const PAGES: usize, const FIXUPS: usize> ShadowMmu<'_, PAGES, FIXUPS> {
    /// Starts a log; every frame counts as written.
    pub fn start_log_dirty(&mut self) {
        self.frames.start_log();
    }

    /// Ends the log: writes are not noticed any more.
    pub fn stop_log_dirty(&mut self) {
        self.frames.stop_log();
    }

    /// Reads and clears the log from frame `first` on: bit `i` of `dirty` stands
    /// for frame `first + i`. Gives the frame to go on with, which is beyond RAM
    /// when all is read; bits from there on are zero. One call looks at no more
    /// frames than `dirty` has bits and makes no more capability
    /// operations than the budget.
    /// Without a log every frame is dirty.
    ///
    /// # Errors
    /// [`MapError`] if the kernel refuses, or as [`MapError::AGAIN`]: nothing was
    /// read, repeat the call.
    pub fn read_dirty(
        &mut self,
        first: Gfn,
        dirty: &mut [u64],
        caps: &mut impl Mappings,
    ) -> Result<Gfn> {
        dirty.fill(0);
        let caps = &mut Request::new(&(), caps, self.policy.budget);
        let mut next = first;
        for place in 0..dirty.len() * 64 {
            if self.frames.kind(next) == FrameKind::NotRam {
                break;
            }
            match self.clear_dirty(next.get() as u32, caps) {
                Ok(was_dirty) => dirty[place / 64] |= u64::from(was_dirty) << (place % 64),
                // What was cleared so far must reach the caller.
                Err(_) if place > 0 => break,
                Err(error) => return Err(error),
            }
            next = Gfn::new(next.get() + 1);
        }
        Ok(next)
    }

    /// Makes a frame clean; `true` if it was dirty.
    fn clear_dirty(&mut self, frame: u32, ops: &mut impl Ops) -> Result<bool> {
        if self.frames.is_clean(frame) {
            return Ok(false);
        }
        if self.frames.is_logged() {
            if !self.policy.has(Defect::LoggedWritable) {
                self.take_all_writes(frame, ops)?;
            }
            self.counters.log_dirty += 1;
            self.frames.set_clean(frame);
        }
        Ok(true)
    }
}
