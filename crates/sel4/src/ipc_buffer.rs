//! The page fragment through which a thread and the kernel exchange what does not fit in registers.
//!
//! The pointer to it is kept in memory: 5.0.0 points GS at the buffer, but guests own GS, and later
//! kernels do not do so. Access is through cells, since the kernel writes the buffer during system
//! calls. One thread per process: [`set_ipc_buffer`] is unsafe for that reason.

#![allow(unsafe_code, reason = "the buffer is memory that the kernel and we share")]

use core::cell::Cell;

use crate::{AbsoluteCPtr, CPtr, NUM_MESSAGE_REGISTERS, Word};

/// The layout of the buffer. Corresponds to `seL4_IPCBuffer`; equal in all releases.
#[derive(Debug)]
#[repr(C, align(1024))]
pub struct RawIpcBuffer {
    tag: Cell<Word>,
    msg: [Cell<Word>; NUM_MESSAGE_REGISTERS],
    user_data: Cell<Word>,
    caps_or_badges: [Cell<Word>; 3],
    receive_cnode: Cell<Word>,
    receive_index: Cell<Word>,
    receive_depth: Cell<Word>,
}

const _: () = {
    assert!(size_of::<RawIpcBuffer>() == 1024);
    assert!(core::mem::offset_of!(RawIpcBuffer, msg) == 8);
    assert!(core::mem::offset_of!(RawIpcBuffer, user_data) == 968);
    assert!(core::mem::offset_of!(RawIpcBuffer, caps_or_badges) == 976);
    assert!(core::mem::offset_of!(RawIpcBuffer, receive_cnode) == 1000);
    assert!(core::mem::offset_of!(RawIpcBuffer, receive_depth) == 1016);
};

impl RawIpcBuffer {
    /// A buffer of zeros.
    pub const fn new() -> Self {
        Self {
            tag: Cell::new(0),
            msg: [const { Cell::new(0) }; NUM_MESSAGE_REGISTERS],
            user_data: Cell::new(0),
            caps_or_badges: [const { Cell::new(0) }; 3],
            receive_cnode: Cell::new(0),
            receive_index: Cell::new(0),
            receive_depth: Cell::new(0),
        }
    }
}

impl Default for RawIpcBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// The calling thread's IPC buffer.
#[derive(Debug, Clone, Copy)]
pub struct IpcBuffer(&'static RawIpcBuffer);

impl IpcBuffer {
    /// The message registers. The first four are machine registers during system calls and stand
    /// here only for methods that take no message of their own (`call`, `recv`, …).
    #[inline]
    pub fn msg_regs(self) -> &'static [Cell<Word>; NUM_MESSAGE_REGISTERS] {
        &self.0.msg
    }

    /// Capabilities to send along; after a receive, the badges of unwrapped ones.
    #[inline]
    pub fn caps_or_badges(self) -> &'static [Cell<Word>; 3] {
        &self.0.caps_or_badges
    }

    /// Chooses the empty slot that takes a received capability.
    pub fn set_recv_slot(self, slot: &AbsoluteCPtr) {
        self.0.receive_cnode.set(slot.root().bits());
        self.0.receive_index.set(slot.path().bits());
        self.0.receive_depth.set(slot.path().depth() as Word);
    }

    /// Refuses received capabilities.
    pub fn clear_recv_slot(self) {
        self.0.receive_cnode.set(CPtr::NULL.bits());
        self.0.receive_index.set(0);
        self.0.receive_depth.set(0);
    }

    /// Copies message registers `first..` into `words`, as many as exist and fit.
    #[inline]
    pub fn copy_msg_regs(self, first: usize, words: &mut [Word]) {
        let registers = self.0.msg.get(first..).unwrap_or_default();
        for (word, register) in words.iter_mut().zip(registers) {
            *word = register.get();
        }
    }
}

/// Tells this crate where the calling thread's IPC buffer is. The entry macros do this.
///
/// # Safety
///
/// `buffer` is the mapped, 1024-byte aligned buffer that the kernel uses for the calling thread, it
/// stays mapped for the life of the process, and no other thread of the process uses this crate.
pub unsafe fn set_ipc_buffer(buffer: *mut RawIpcBuffer) {
    current::set(buffer);
}

/// The calling thread's IPC buffer.
#[inline(always)]
pub fn ipc_buffer() -> IpcBuffer {
    IpcBuffer(current::get())
}

/// Runs a function with the IPC buffer; upstream's name for [`ipc_buffer`].
#[inline]
pub fn with_ipc_buffer<T>(f: impl FnOnce(IpcBuffer) -> T) -> T {
    f(ipc_buffer())
}

/// The same as [`with_ipc_buffer`]: cells need no exclusive access.
#[inline]
pub fn with_ipc_buffer_mut<T>(f: impl FnOnce(IpcBuffer) -> T) -> T {
    f(ipc_buffer())
}

#[cfg(not(test))]
mod current {
    use core::sync::atomic::{AtomicPtr, Ordering};

    use super::RawIpcBuffer;

    struct Unset(RawIpcBuffer);

    // SAFETY: processes have one thread, as `set_ipc_buffer` demands.
    unsafe impl Sync for Unset {}

    /// Stands in until the buffer is known, so that no access needs a check.
    static UNSET: Unset = Unset(RawIpcBuffer::new());

    static CURRENT: AtomicPtr<RawIpcBuffer> = AtomicPtr::new((&raw const UNSET.0).cast_mut());

    #[inline(always)]
    pub(super) fn get() -> &'static RawIpcBuffer {
        // SAFETY: the pointer is that of UNSET or one that satisfied `set_ipc_buffer`. Both are
        // valid for ever, and only one thread makes references to the cells.
        unsafe { &*CURRENT.load(Ordering::Relaxed) }
    }

    pub(super) fn set(buffer: *mut RawIpcBuffer) {
        CURRENT.store(buffer, Ordering::Relaxed);
    }
}

/// Tests run on many threads: each has its own buffer.
#[cfg(test)]
mod current {
    use super::RawIpcBuffer;

    std::thread_local! {
        static CURRENT: std::cell::Cell<&'static RawIpcBuffer> =
            std::cell::Cell::new(Box::leak(Box::default()));
    }

    pub(super) fn get() -> &'static RawIpcBuffer {
        CURRENT.get()
    }

    pub(super) fn set(buffer: *mut RawIpcBuffer) {
        // SAFETY: as demanded by `set_ipc_buffer`.
        CURRENT.set(unsafe { &*buffer });
    }
}
