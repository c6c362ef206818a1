//! A thread's registers.

#![allow(unsafe_code, reason = "the structure is viewed as the array of words that travels")]

use crate::{ABI, Word};

/// The registers of a thread, in the order of `seL4_UserContext`.
///
/// The kernel sanitises what is written: a non-canonical RIP becomes 0, IF is set, IOPL is 0. Which
/// other flags survive depends on the kernel (Umbriel's keeps TF, NT, AC and ID). Stock 5.0.0 has
/// no GS base, see [`UserContext::WORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "each field is the register it names")]
pub struct UserContext {
    pub rip: Word,
    pub rsp: Word,
    pub rflags: Word,
    pub rax: Word,
    pub rbx: Word,
    pub rcx: Word,
    pub rdx: Word,
    pub rsi: Word,
    pub rdi: Word,
    pub rbp: Word,
    pub r8: Word,
    pub r9: Word,
    pub r10: Word,
    pub r11: Word,
    pub r12: Word,
    pub r13: Word,
    pub r14: Word,
    pub r15: Word,
    pub fs_base: Word,
    pub gs_base: Word,
}

const CAPACITY: usize = 20;
const _: () = assert!(size_of::<UserContext>() == CAPACITY * size_of::<Word>());
const _: () = assert!(ABI.context_words <= CAPACITY);

impl UserContext {
    /// Words in this kernel's context: 20, or 19 where GS base is not part of it. Reading more is
    /// a `RangeError`.
    pub const WORDS: usize = ABI.context_words;

    /// The registers as words.
    #[inline]
    pub fn words(&self) -> &[Word; CAPACITY] {
        // SAFETY: the structure is `repr(C)` and consists of 20 words (asserted above), so it has
        // the size, alignment and validity of the array.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// The registers as words to change.
    #[inline]
    pub fn words_mut(&mut self) -> &mut [Word; CAPACITY] {
        // SAFETY: as in `words`; every bit pattern is a valid word, and the borrow is exclusive.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_kernel_order() {
        let mut context = UserContext { rip: 1, rflags: 3, rbp: 10, r15: 18, ..Default::default() };
        context.words_mut()[19] = 20;
        assert_eq!(context.gs_base, 20);
        let words = context.words();
        assert_eq!((words[0], words[2], words[9], words[17], words[18]), (1, 3, 10, 18, 0));
    }
}
