//! From devices to vCPUs: the PIC pair and, with several vCPUs, a local APIC
//! for each.
//!
//! What a controller would answer to an acknowledgement is *offered* to its vCPU,
//! which takes it when its interrupt flag allows. The news that it did arrives
//! with the next exit, before that is served; since the guest sees the
//! controllers through exits only, it finds them as if they had been
//! acknowledged at that instant.

use heapless::Vec;
use protocol::exit::Taken;
use protocol::offers::Offers;
use system::address_map::MAX_VCPUS;

use crate::apic::{Apic, Command, Mode, Refused};
use crate::pic::{self, Pair};

/// An interrupt that a vCPU is offered, by the controller that it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Pic(pic::Request),
    Apic(u8),
}

impl Request {
    const fn vector(self) -> u8 {
        match self {
            Self::Pic(request) => request.vector,
            Self::Apic(vector) => vector,
        }
    }
}

/// What a vCPU is offered, and what it was offered before.
#[derive(Clone, Copy, Debug, Default)]
struct Offered {
    now: Option<Request>,
    before: Option<Request>,
}

/// All interrupt controllers.
pub struct Interrupts {
    /// The PICs, whose output is the first vCPU's.
    pub pic: Pair,
    /// The vCPUs' APICs; none if there is one vCPU.
    apics: Vec<Apic, MAX_VCPUS>,
    offered: [Offered; MAX_VCPUS],
}

impl Interrupts {
    /// As firmware leaves the controllers of `vcpus` vCPUs.
    pub fn new(vcpus: usize) -> Self {
        let count = if vcpus > 1 { vcpus.min(MAX_VCPUS) } else { 0 };
        Self {
            pic: Pair::new(),
            apics: (0..count as u32).map(Apic::new).collect(),
            offered: [Offered::default(); _],
        }
    }

    /// Whether there are several vCPUs, each with an APIC.
    pub fn has_apics(&self) -> bool {
        !self.apics.is_empty()
    }

    /// vCPUs that may be offered something.
    fn vcpus(&self) -> usize {
        self.apics.len().max(1)
    }

    /// Lets timers of APICs that have run out interrupt.
    #[inline(never)] // off the path of one vCPU
    pub fn poll(&mut self, now: u64) {
        for apic in &mut self.apics {
            apic.poll(now);
        }
    }

    /// When the next timer of an APIC interrupts.
    #[inline(never)]
    pub fn next_interrupt(&self) -> Option<u64> {
        self.apics.iter().filter_map(Apic::next_interrupt).min()
    }

    /// RDMSR of a register of the APIC of vCPU number `vcpu`.
    ///
    /// # Errors
    /// [`Refused`], also if there are no APICs.
    #[inline(never)] // off the path of ports
    pub fn read_msr(&self, vcpu: usize, msr: u32, now: u64) -> Result<u64, Refused> {
        self.apics.get(vcpu).ok_or(Refused)?.read(msr, now)
    }

    /// WRMSR of such a register.
    ///
    /// # Errors
    /// As for [`Self::read_msr`].
    #[inline(never)]
    pub fn write_msr(
        &mut self,
        vcpu: usize,
        msr: u32,
        value: u64,
        now: u64,
    ) -> Result<(), Refused> {
        let apic = self.apics.get_mut(vcpu).ok_or(Refused)?;
        if let Some(command) = apic.write(msr, value, now)? {
            self.carry_out(command, vcpu as u32);
        }
        // A time in the past is now.
        self.poll(now);
        Ok(())
    }

    /// A command of the APIC `from`. IDs of APICs are the numbers of their vCPUs.
    fn carry_out(&mut self, command: Command, from: u32) {
        let named = (0..)
            .zip(&mut self.apics)
            .filter(|(id, _)| command.is_for(*id, from))
            .map(|(_, apic)| apic);
        match command.mode {
            Mode::Fixed => named.for_each(|apic| apic.receive(command.vector)),
            Mode::LowestPriority => {
                if let Some(apic) = named.min_by_key(|apic| apic.priority()) {
                    apic.receive(command.vector);
                }
            }
            Mode::Other => {}
        }
    }

    /// What an acknowledgement by vCPU number `vcpu` would give now.
    fn pending(&self, vcpu: usize) -> Option<Request> {
        let apic = self.apics.get(vcpu);
        if let Some(vector) = apic.and_then(Apic::pending) {
            return Some(Request::Apic(vector));
        }
        if vcpu == 0 && apic.is_none_or(Apic::lets_pic_through) {
            return self.pic.pending().map(Request::Pic);
        }
        None
    }

    /// Some vCPUs took what they were offered, or what they were offered before
    /// that.
    pub fn taken(&mut self, taken: Taken) {
        for vcpu in 0..self.vcpus() {
            let Some(offered) = self.offered.get_mut(vcpu) else {
                return;
            };
            if taken.late & 1 << vcpu != 0 {
                offered.now = offered.before;
            }
            if taken.vcpus & 1 << vcpu == 0 {
                continue;
            }
            match (offered.now.take(), self.apics.get_mut(vcpu)) {
                (Some(Request::Pic(request)), _) => self.pic.acknowledge(request.irq),
                (Some(Request::Apic(vector)), Some(apic)) => apic.acknowledge(vector),
                _ => {}
            }
        }
    }

    /// As [`Self::offers`], with one vCPU and the PICs alone.
    fn offer_alone(&mut self) -> Offers {
        let pending = self.pic.pending().map(Request::Pic);
        let [offered, ..] = &mut self.offered;
        if offered.now == pending {
            return Offers::NONE;
        }
        offered.before = offered.now;
        offered.now = pending;
        Offers::one(0, pending.map(Request::vector))
    }

    /// What the vCPUs must be told, as far as it is something else than before.
    #[inline]
    pub fn offers(&mut self) -> Offers {
        match self.has_apics() {
            true => self.offer_all(),
            false => self.offer_alone(),
        }
    }

    #[inline(never)] // off the path of one vCPU
    fn offer_all(&mut self) -> Offers {
        let mut offers = Offers::NONE;
        for vcpu in 0..self.vcpus() {
            let pending = self.pending(vcpu);
            if let Some(offered) = self.offered.get_mut(vcpu)
                && offered.now != pending
            {
                offered.before = offered.now;
                offered.now = pending;
                offers.set(vcpu, pending.map(Request::vector));
            }
        }
        offers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVR: u32 = 0x80f;
    const EOI: u32 = 0x80b;
    const ICR: u32 = 0x830;
    const TPR: u32 = 0x808;
    const LVT_TIMER: u32 = 0x832;

    /// Four vCPUs with their APICs enabled.
    fn four() -> Interrupts {
        let mut four = Interrupts::new(4);
        for vcpu in 0..4 {
            four.write_msr(vcpu, SVR, 0x1ff, 0).unwrap();
        }
        assert!(four.offers().is_none());
        four
    }

    fn took(vcpus: u8) -> Taken {
        Taken { vcpus, late: 0 }
    }

    #[test]
    fn a_broadcast_is_offered_to_all_others_at_once() {
        let mut four = four();
        four.write_msr(2, ICR, 3 << 18 | 0x41, 0).unwrap();
        let offers = four.offers();
        assert_eq!(offers.changed(), 0b1011);
        assert_eq!(offers.vector(3), Some(0x41));
        assert!(four.offers().is_none(), "they are told");
        four.taken(took(0b0001));
        assert!(four.offers().is_none(), "it is in service");
        four.write_msr(2, ICR, 3 << 18 | 0x52, 0).unwrap();
        assert_eq!(four.offers().changed(), 0b1011);
        four.taken(took(0b0001));
        four.write_msr(0, EOI, 0, 0).unwrap();
        assert!(four.offers().is_none(), "the first is still in service");
    }

    /// The offer of 0x41 was taken when that of 0x52 came.
    #[test]
    fn what_was_taken_before_a_late_offer_is_acknowledged() {
        let mut four = four();
        four.write_msr(0, ICR, 1 << 32 | 0x41, 0).unwrap();
        assert_eq!(four.offers().vector(1), Some(0x41));
        four.write_msr(0, ICR, 1 << 32 | 0x52, 0).unwrap();
        assert_eq!(four.offers().vector(1), Some(0x52));
        four.taken(Taken { vcpus: 2, late: 2 });
        assert_eq!(four.read_msr(1, 0x812, 0), Ok(1 << 1));
        assert_eq!(four.offers(), Offers::one(1, Some(0x52)), "it nests");
    }

    #[test]
    fn a_raised_priority_withdraws() {
        let mut four = four();
        four.write_msr(0, ICR, 1 << 32 | 0x41, 0).unwrap();
        assert!(!four.offers().is_none());
        four.write_msr(1, TPR, 0x40, 0).unwrap();
        assert_eq!(four.offers(), Offers::one(1, None));
    }

    #[test]
    fn the_lowest_priority_gets_what_is_for_that() {
        let mut four = four();
        for vcpu in [0, 1, 3] {
            four.write_msr(vcpu, TPR, 0x20, 0).unwrap();
        }
        let lowest = 1 << 8 | 1 << 11 | 0b1111 << 32;
        four.write_msr(0, ICR, lowest | 0x41, 0).unwrap();
        assert_eq!(four.offers(), Offers::one(2, Some(0x41)));
    }

    /// INIT, start-up, NMI and SMI, and destinations that do not exist.
    #[test]
    fn what_does_not_reach_vcpus_changes_nothing() {
        let mut four = four();
        for command in [0x4500, 0x4608, 0x400, 0x200, 9 << 32 | 0x41, 3 << 18 | 0x600] {
            four.write_msr(0, ICR, command, 0).unwrap();
        }
        assert!(four.offers().is_none());
    }

    #[test]
    fn the_pic_reaches_the_first_vcpu_behind_its_apic() {
        let mut four = four();
        for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0)] {
            four.pic.write(port, value);
        }
        four.pic.pulse(0);
        assert_eq!(four.offers(), Offers::one(0, Some(0x20)));
        four.write_msr(0, ICR, 1 << 18 | 0x41, 0).unwrap();
        assert_eq!(four.offers(), Offers::one(0, Some(0x41)));
        four.taken(took(1));
        assert_eq!(four.offers(), Offers::one(0, Some(0x20)), "it has no priority");
        four.taken(took(1));
        four.write_msr(0, EOI, 0, 0).unwrap();
        four.pic.pulse(1);
        assert!(four.offers().is_none(), "the PIC waits for its own end");
    }

    #[test]
    fn one_vcpu_has_no_apic() {
        let mut one = Interrupts::new(1);
        assert_eq!(one.read_msr(0, 0x802, 0), Err(Refused));
        assert_eq!(one.write_msr(0, ICR, 0x41, 0), Err(Refused));
    }

    #[test]
    fn a_time_that_has_passed_interrupts_at_once() {
        let mut four = four();
        four.write_msr(3, LVT_TIMER, 0x4_0060, 100).unwrap();
        four.write_msr(3, 0x6e0, 50, 100).unwrap();
        assert_eq!(four.offers(), Offers::one(3, Some(0x60)));
        four.write_msr(3, 0x6e0, 500, 100).unwrap();
        assert_eq!(four.next_interrupt(), Some(500));
        four.poll(500);
        assert_eq!(four.next_interrupt(), None);
    }
}
