//! Exceptions while the CPU works, and what a second one does to the first.

use x86::{Gva, PageFault, Vector};

use crate::segment::Selector;

/// EXT bit of a selector error code: the event was not a software interrupt
/// (SDM vol. 3A, §6.13).
pub(crate) const EXT: u16 = 1 << 0;
/// IDT bit of a selector error code: the index names a gate.
pub(crate) const IDT: u16 = 1 << 1;

/// An exception raised by an instruction or by the delivery of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Any exception but a page fault, with its error code (zero if it has none).
    Exception(Vector, u16),
    /// A page fault.
    Page(PageFault),
}

impl From<PageFault> for Fault {
    fn from(fault: PageFault) -> Self {
        Self::Page(fault)
    }
}

impl Fault {
    /// #GP(0).
    pub(crate) const GENERAL_PROTECTION: Self = Self::Exception(Vector::GeneralProtection, 0);
    /// #UD.
    pub(crate) const INVALID_OPCODE: Self = Self::Exception(Vector::InvalidOpcode, 0);

    /// #GP(selector).
    pub(crate) const fn protection(selector: Selector) -> Self {
        Self::Exception(Vector::GeneralProtection, selector.error_code())
    }

    /// #NP(selector).
    pub(crate) const fn not_present(selector: Selector) -> Self {
        Self::Exception(Vector::SegmentNotPresent, selector.error_code())
    }

    /// #SS(selector).
    pub(crate) const fn stack(selector: Selector) -> Self {
        Self::Exception(Vector::StackFault, selector.error_code())
    }

    /// #TS(selector).
    pub(crate) const fn invalid_tss(selector: Selector) -> Self {
        Self::Exception(Vector::InvalidTss, selector.error_code())
    }

    /// The fault as raised by the delivery of an event: error codes that
    /// carry a selector get the EXT bit.
    pub(crate) const fn with_ext(self, ext: u16) -> Self {
        match self {
            Self::Exception(
                vector @ (Vector::InvalidTss
                | Vector::SegmentNotPresent
                | Vector::StackFault
                | Vector::GeneralProtection),
                code,
            ) => Self::Exception(vector, code | ext),
            other => other,
        }
    }

    /// The event that delivers it.
    pub(crate) const fn event(self) -> Event {
        match self {
            Self::Exception(vector, code) => Event::exception(vector, code as u32),
            Self::Page(fault) => Event {
                vector: Vector::PageFault as u8,
                error_code: Some(fault.code.bits()),
                fault_address: Some(fault.address),
                source: Source::Exception,
            },
        }
    }
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An exception; RIP is what the frame shows.
    Exception,
    /// INT n, INT3 or INTO. RIP is at the instruction, which `return_rip` follows.
    Software {
        /// What the frame shows.
        return_rip: u64,
    },
    /// INT1: as an exception, but with the RIP after the instruction.
    Int1 {
        /// What the frame shows.
        return_rip: u64,
    },
    /// An external interrupt.
    Interrupt,
}

/// An event on its way through the IDT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its gate.
    pub vector: u8,
    /// What the frame ends with.
    pub error_code: Option<u32>,
    /// What CR2 becomes.
    pub fault_address: Option<Gva>,
    /// Where it comes from.
    pub source: Source,
}

/// The classes of SDM vol. 3A, table 6-4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    PageFault,
    DoubleFault,
}

/// What a fault during delivery leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This event is delivered instead.
    Deliver(Event),
    /// The CPU shuts down.
    Shutdown,
}

impl Event {
    /// An exception that is not a page fault.
    pub(crate) const fn exception(vector: Vector, error_code: u32) -> Self {
        Self {
            vector: vector as u8,
            error_code: if vector.has_error_code() { Some(error_code) } else { None },
            fault_address: None,
            source: Source::Exception,
        }
    }

    /// A software interrupt by the instruction before `return_rip`.
    pub(crate) const fn software(vector: u8, return_rip: u64) -> Self {
        let source = Source::Software { return_rip };
        Self { vector, error_code: None, fault_address: None, source }
    }

    /// #DB by the INT1 before `return_rip` (SDM vol. 2A, "INT n": no DPL check).
    pub(crate) const fn int1(return_rip: u64) -> Self {
        let source = Source::Int1 { return_rip };
        Self { vector: 1, error_code: None, fault_address: None, source }
    }

    /// An external interrupt.
    pub(crate) const fn interrupt(vector: u8) -> Self {
        Self { vector, error_code: None, fault_address: None, source: Source::Interrupt }
    }

    pub(crate) const fn is_software(&self) -> bool {
        matches!(self.source, Source::Software { .. })
    }

    /// The EXT bit of errors during its delivery.
    pub(crate) const fn ext(&self) -> u16 {
        if self.is_software() { 0 } else { EXT }
    }

    /// Whether the frame shows RF set: fault-class exceptions, except #DB
    /// (SDM vol. 3B, §17.3.1.1). #BP and #OF are traps, #DF and #MC aborts.
    pub(crate) const fn pushes_resume_flag(&self) -> bool {
        matches!(self.source, Source::Exception) && !matches!(self.vector, 1 | 2 | 3 | 4 | 8 | 18)
    }

    const fn class(&self) -> Class {
        if !matches!(self.source, Source::Exception) {
            return Class::Benign;
        }
        match self.vector {
            0 | 10 | 11 | 12 | 13 => Class::Contributory,
            14 => Class::PageFault,
            8 => Class::DoubleFault,
            _ => Class::Benign,
        }
    }

    /// What happens when delivering `self` raises `second` (SDM vol. 3A,
    /// table 6-5). Classes only rise along a chain, which ends it.
    pub(crate) const fn then(&self, second: Fault) -> Next {
        let second = second.event();
        match (self.class(), second.class()) {
            (Class::DoubleFault, _) => Next::Shutdown,
            (Class::Contributory, Class::Contributory)
            | (Class::PageFault, Class::Contributory | Class::PageFault) => {
                Next::Deliver(Self::exception(Vector::DoubleFault, 0))
            }
            _ => Next::Deliver(second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x86::PageFaultCode;

    const PAGE: Fault = Fault::Page(PageFault { address: Gva::new(8), code: PageFaultCode::WRITE });

    fn vector(next: Next) -> Option<u8> {
        match next {
            Next::Deliver(event) => Some(event.vector),
            Next::Shutdown => None,
        }
    }

    /// SDM vol. 3A, table 6-5, row by row.
    #[test]
    fn second_exceptions() {
        let protection = Fault::GENERAL_PROTECTION;
        let benign = Fault::INVALID_OPCODE.event();
        assert_eq!(vector(benign.then(protection)), Some(13));
        assert_eq!(vector(benign.then(PAGE)), Some(14));
        let contributory = protection.event();
        assert_eq!(vector(contributory.then(Fault::INVALID_OPCODE)), Some(6));
        assert_eq!(vector(contributory.then(Fault::not_present(Selector(8)))), Some(8));
        assert_eq!(vector(contributory.then(PAGE)), Some(14));
        let page = PAGE.event();
        assert_eq!(vector(page.then(protection)), Some(8));
        assert_eq!(vector(page.then(PAGE)), Some(8));
        let double = Event::exception(Vector::DoubleFault, 0);
        assert_eq!(vector(double.then(protection)), None);
        assert_eq!(vector(double.then(PAGE)), None);
    }

    /// SDM vol. 3A, §6.15 (interrupt 8): software and external interrupts
    /// are benign, whatever their vector.
    #[test]
    fn interrupts_are_benign() {
        assert_eq!(vector(Event::software(13, 0).then(Fault::GENERAL_PROTECTION)), Some(13));
        assert_eq!(vector(Event::interrupt(14).then(PAGE)), Some(14));
    }

    /// SDM vol. 3A, §6.13: EXT marks events from outside the program.
    #[test]
    fn ext_bit() {
        let fault = Fault::protection(Selector(0x2b)).with_ext(EXT);
        assert_eq!(fault, Fault::Exception(Vector::GeneralProtection, 0x29));
        assert_eq!(PAGE.with_ext(EXT), PAGE);
        assert_eq!(Event::software(3, 0).ext(), 0);
        assert_eq!(Event::interrupt(3).ext(), EXT);
    }

    #[test]
    fn double_fault_pushes_zero() {
        assert_eq!(Event::exception(Vector::DoubleFault, 7).error_code, Some(7));
        assert_eq!(Event::exception(Vector::InvalidOpcode, 7).error_code, None);
    }
}
