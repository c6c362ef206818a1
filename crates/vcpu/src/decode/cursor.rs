//! Bytes of an instruction, taken one after the other.

use super::DecodeError;

/// A position in the bytes of one instruction.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: u8,
}

impl<'a> Cursor<'a> {
    /// Starts at the front of `bytes`, of which there are at most 15.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes taken so far.
    pub(super) const fn position(&self) -> u8 {
        self.position
    }

    pub(super) fn peek(&self) -> Result<u8, DecodeError> {
        self.bytes.get(usize::from(self.position)).copied().ok_or(DecodeError::Truncated)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        let byte = self.peek()?;
        self.position += 1;
        Ok(byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes([self.u8()?, self.u8()?]))
    }

    pub(super) fn i8(&mut self) -> Result<i8, DecodeError> {
        Ok(self.u8()? as i8)
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_le_bytes([self.u8()?, self.u8()?, self.u8()?, self.u8()?]))
    }
}
