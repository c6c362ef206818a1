//! Sizes such as "32 MiB".

use std::fmt;

const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A number of bytes; prints in the largest unit that divides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in UNITS.iter().rev() {
            if self.0 != 0 && self.0.is_multiple_of(*bytes) {
                return write!(f, "{} {unit}", self.0 / bytes);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// No whole number stands in front.
    Number,
    /// A number without a unit.
    NoUnit(u64),
    /// Another word than a unit; the number and the unit that was probably meant.
    Unit(u64, String, Option<&'static str>),
    /// More than 2^64 bytes.
    TooLarge,
}

impl Size {
    /// Reads a whole number, at most one space, and KiB, MiB or GiB.
    ///
    /// # Errors
    /// See [`SizeError`].
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if digits == 0 {
            return Err(SizeError::Number);
        }
        let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        if unit.is_empty() {
            return Err(SizeError::NoUnit(number));
        }
        if unit.starts_with(['.', ',', '_']) {
            return Err(SizeError::Number);
        }
        match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, bytes)) => number.checked_mul(*bytes).map(Self).ok_or(SizeError::TooLarge),
            None => Err(SizeError::Unit(number, unit.to_owned(), meant(unit))),
        }
    }
}

/// The unit that somebody who wrote `unit` probably means.
fn meant(unit: &str) -> Option<&'static str> {
    let first = unit.trim_start().chars().next()?.to_ascii_uppercase();
    UNITS.iter().map(|(name, _)| *name).find(|name| name.starts_with(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_trip() {
        for (text, bytes) in [("4 KiB", 4096), ("32 MiB", 32 << 20), ("3 GiB", 3 << 30)] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!(Size::parse("32MiB"), Ok(Size(32 << 20)));
        assert_eq!(Size(1000).to_string(), "1000 bytes");
        assert_eq!(Size(0).to_string(), "0 bytes");
    }

    #[test]
    fn mistakes_are_told_apart() {
        assert_eq!(Size::parse(""), Err(SizeError::Number));
        assert_eq!(Size::parse("-1 MiB"), Err(SizeError::Number));
        assert_eq!(Size::parse("1.5 GiB"), Err(SizeError::Number));
        assert_eq!(Size::parse("32"), Err(SizeError::NoUnit(32)));
        let unit = |unit: &str, meant| Err(SizeError::Unit(32, unit.to_owned(), meant));
        assert_eq!(Size::parse("32 MB"), unit("MB", Some("MiB")));
        assert_eq!(Size::parse("32g"), unit("g", Some("GiB")));
        assert_eq!(Size::parse("32 pages"), unit("pages", None));
        assert_eq!(Size::parse("32  MiB"), unit(" MiB", Some("MiB")));
        assert_eq!(Size::parse("99999999999999999999 KiB"), Err(SizeError::TooLarge));
        assert_eq!(Size::parse("18446744073709551615 KiB"), Err(SizeError::TooLarge));
    }
}
