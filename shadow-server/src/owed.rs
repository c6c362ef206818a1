//! Long requests of the shadow MMU, which are done in parts.
//!
//! A request that has used up its budget ends with [`MapError::AGAIN`]. What a
//! vCPU's step asked for is *owed* to the shadow before the vCPU runs on; the
//! server does a part at a time and looks for messages in between, so that
//! other vCPUs, the vmm and the supervisor are answered meanwhile.

use shadow_core::{Access, MapError, PagingContext};
use x86::{Gpa, Gva};

use crate::paging::Paging;

/// Work of which a part is left.
#[derive(Clone, Copy)]
pub enum Work {
    /// A page fault of a vCPU.
    Fault {
        /// The vCPU.
        index: usize,
        /// The address.
        gva: Gva,
        /// The access.
        access: Access,
    },
    /// A vCPU is to run on once nothing is owed.
    Resume {
        /// The vCPU.
        index: usize,
    },
    /// A write of the vmm, which waits for its answer.
    Write {
        /// First byte.
        gpa: Gpa,
        /// Bytes.
        length: u64,
    },
}

/// A flush that a vCPU asked for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Flush {
    /// Nothing is owed.
    #[default]
    Nothing,
    /// MOV CR3.
    Load,
    /// CR0.PG, CR4 or EFER changed, which includes the other.
    Mode,
}

/// What is owed to the shadow before a vCPU runs on.
#[derive(Default)]
pub struct Owed {
    flush: Flush,
    /// First byte and length of what was written to guest memory.
    written: Option<(Gpa, u64)>,
}

impl Owed {
    /// Takes what came of a flush: whether it failed for good.
    pub fn flushed<T>(&mut self, flush: Flush, result: Result<T, MapError>) -> bool {
        match result {
            Ok(_) if self.flush == Flush::Load || flush == Flush::Mode => {
                self.flush = Flush::Nothing;
                false
            }
            Ok(_) => false,
            Err(error) if error.is_again() => {
                if self.flush != Flush::Mode {
                    self.flush = flush;
                }
                false
            }
            Err(_) => true,
        }
    }

    /// Takes what came of a write: whether it failed for good. Two writes owe
    /// what lies between them too, which costs only time.
    pub fn wrote<T>(&mut self, gpa: Gpa, length: u64, result: Result<T, MapError>) -> bool {
        match result {
            Ok(_) => false,
            Err(error) if error.is_again() => {
                let end = gpa.get() + length;
                let (first, end) = self.written.map_or((gpa, end), |(other, length)| {
                    (gpa.min(other), end.max(other.get() + length))
                });
                self.written = Some((first, end - first.get()));
                false
            }
            Err(_) => true,
        }
    }

    /// Whether nothing is owed.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.flush == Flush::Nothing && self.written.is_none()
    }

    /// Does a part of what is owed.
    ///
    /// # Errors
    /// [`MapError::AGAIN`] if more is left; others if the kernel refuses.
    pub fn settle(&mut self, cpu: &PagingContext, paging: &mut Paging) -> Result<(), MapError> {
        let Paging { mmu, caps, memory, .. } = paging;
        match self.flush {
            Flush::Nothing => {}
            Flush::Load => drop(mmu.load_cr3(cpu, memory, caps)?),
            Flush::Mode => drop(mmu.paging_mode_changed(cpu, memory, caps)?),
        }
        self.flush = Flush::Nothing;
        if let Some((gpa, length)) = self.written {
            mmu.guest_written(gpa, length, memory, caps)?;
            self.written = None;
        }
        Ok(())
    }
}
