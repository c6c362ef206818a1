//! What a probe found.

/// Room for what was seen.
pub type Text = heapless::String<192>;

/// The outcome of one probe.
pub enum Verdict {
    /// The kernel behaves as the edit makes it.
    Present,
    /// It does not; this was seen instead.
    Missing(Text),
    /// This machine cannot tell, because of this.
    Unknown(Text),
}

/// Stops a probe: the edit is missing, and this was seen.
pub type Seen = Result<(), Text>;

impl From<Seen> for Verdict {
    fn from(seen: Seen) -> Verdict {
        match seen {
            Ok(()) => Verdict::Present,
            Err(text) => Verdict::Missing(text),
        }
    }
}

/// Formats a [`Text`], cut at its capacity.
#[macro_export]
macro_rules! text {
    ($($argument:tt)*) => {{
        use ::core::fmt::Write as _;
        let mut text = $crate::bare::verdict::Text::new();
        // What does not fit is cut.
        let _ = ::core::write!(text, $($argument)*);
        text
    }};
}

/// Returns from a probe with what was seen, unless the condition holds.
#[macro_export]
macro_rules! require {
    ($condition:expr, $($argument:tt)*) => {
        if !$condition {
            return Err($crate::text!($($argument)*));
        }
    };
}
