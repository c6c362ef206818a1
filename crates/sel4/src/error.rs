//! Errors of invocations.

use core::fmt;

use crate::Word;

/// The result of an invocation.
pub type Result<T> = core::result::Result<T, Error>;

/// Why the kernel refused an invocation. Corresponds to `seL4_Error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// An argument is not acceptable in itself.
    InvalidArgument,
    /// A capability argument, or the invoked one, is of the wrong type or state.
    InvalidCapability,
    /// The invoked object does not have this operation, or not now.
    IllegalOperation,
    /// A number is out of its range.
    RangeError,
    /// An address is not aligned as it must be.
    AlignmentError,
    /// A capability pointer or an address leads nowhere.
    FailedLookup,
    /// The message or the list of capabilities is too short.
    TruncatedMessage,
    /// A destination is occupied.
    DeleteFirst,
    /// Other capabilities to the object stand in the way.
    RevokeFirst,
    /// The untyped object is too small for what is left to be made of it.
    NotEnoughMemory,
    /// A label that no known kernel returns.
    Unrecognised,
}

impl Error {
    /// The outcome for a number of `seL4_Error`; 0 is success.
    #[inline]
    pub const fn from_number(number: Word) -> Result<()> {
        if number == 0 { Ok(()) } else { Err(Self::failure(number)) }
    }

    /// The error for a number other than 0. Apart, so that success is one comparison.
    #[cold]
    const fn failure(number: Word) -> Self {
        match number {
            1 => Self::InvalidArgument,
            2 => Self::InvalidCapability,
            3 => Self::IllegalOperation,
            4 => Self::RangeError,
            5 => Self::AlignmentError,
            6 => Self::FailedLookup,
            7 => Self::TruncatedMessage,
            8 => Self::DeleteFirst,
            9 => Self::RevokeFirst,
            10 => Self::NotEnoughMemory,
            _ => Self::Unrecognised,
        }
    }

    /// The outcome of an invocation from the label it was made with and the label of the reply.
    ///
    /// 5.0.0 returns from `Page_Unmap` of a page that is not mapped without writing the message
    /// information, so the label of the request comes back: that is success.
    #[inline]
    pub(crate) const fn from_reply(request: Word, reply: Word) -> Result<()> {
        let stale = reply == request && reply > 10;
        if stale { Ok(()) } else { Self::from_number(reply) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidArgument => "invalid argument",
            Self::InvalidCapability => "invalid capability",
            Self::IllegalOperation => "illegal operation",
            Self::RangeError => "number out of range",
            Self::AlignmentError => "misaligned address",
            Self::FailedLookup => "lookup failed",
            Self::TruncatedMessage => "message too short",
            Self::DeleteFirst => "destination occupied",
            Self::RevokeFirst => "other capabilities to the object exist",
            Self::NotEnoughMemory => "not enough untyped memory",
            Self::Unrecognised => "an error that no known kernel returns",
        })
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_label_of_the_request_is_success_only_beyond_the_errors() {
        assert_eq!(Error::from_reply(39, 0), Ok(()));
        assert_eq!(Error::from_reply(39, 39), Ok(()));
        assert_eq!(Error::from_reply(39, 38), Err(Error::Unrecognised));
        // TCB_SetSpace is label 9: a reply of 9 must stay an error.
        assert_eq!(Error::from_reply(9, 9), Err(Error::RevokeFirst));
    }
}
