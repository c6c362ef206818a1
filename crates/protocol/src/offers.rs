//! What the interrupt controllers of a guest's vCPUs would answer to an
//! acknowledgement now, as far as it has changed.

use system::address_map::MAX_VCPUS;

/// Changed offers, at most one for each vCPU. An offer stands until the vCPU
/// takes it, which the next [`EXIT`](crate::exit::EXIT) reports, or another one
/// replaces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// The vCPUs whose offers change, a bit for each, and from bit 8 on those of
    /// them that are offered nothing any more.
    vcpus: u64,
    /// A vector for each vCPU, the first in the low byte.
    vectors: u64,
}

/// Where the bits of withdrawn offers begin.
const WITHDRAWN: u32 = 8;
const _: () = assert!(MAX_VCPUS == 8, "a bit and a byte for each vCPU");

impl Offers {
    /// Nothing has changed.
    pub const NONE: Self = Self { vcpus: 0, vectors: 0 };

    /// `vector` for the vCPU `vcpu` alone.
    pub const fn one(vcpu: usize, vector: Option<u8>) -> Self {
        let mut offers = Self::NONE;
        offers.set(vcpu, vector);
        offers
    }

    /// Offers `vector` to the vCPU `vcpu`, counted modulo 8; `None` withdraws
    /// what it was offered.
    pub const fn set(&mut self, vcpu: usize, vector: Option<u8>) {
        let (bit, shift) = (1 << (vcpu & 7), 8 * (vcpu & 7));
        self.vcpus = self.vcpus & !(bit << WITHDRAWN) | bit;
        self.vectors &= !(0xff << shift);
        match vector {
            Some(vector) => self.vectors |= (vector as u64) << shift,
            None => self.vcpus |= bit << WITHDRAWN,
        }
    }

    /// Whether nothing has changed.
    pub const fn is_none(&self) -> bool {
        self.vcpus == 0
    }

    /// The vCPUs whose offers change, a bit for each.
    pub const fn changed(&self) -> u8 {
        self.vcpus as u8
    }

    /// What the vCPU `vcpu`, counted modulo 8, is offered, if that changes.
    pub const fn vector(&self, vcpu: usize) -> Option<u8> {
        if self.vcpus & !(self.vcpus >> WITHDRAWN) & 1 << (vcpu & 7) == 0 {
            None
        } else {
            Some((self.vectors >> (8 * (vcpu & 7))) as u8)
        }
    }

    /// Two words: changed vCPUs in bits 7:0 and withdrawn ones in 15:8; vectors.
    pub(crate) const fn encode(self) -> [u64; 2] {
        [self.vcpus, self.vectors]
    }

    /// The offers in these words; `None` if they are malformed. Vectors of vCPUs
    /// that are not named do not count.
    pub(crate) const fn decode([vcpus, vectors]: [u64; 2]) -> Option<Self> {
        if vcpus >> (2 * WITHDRAWN) != 0 || (vcpus >> WITHDRAWN) & !vcpus != 0 {
            return None;
        }
        Some(Self { vcpus, vectors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vcpu_has_its_own() {
        let mut offers = Offers::one(7, Some(0xff));
        offers.set(0, Some(0x20));
        offers.set(3, Some(0x30));
        offers.set(3, None);
        assert_eq!(offers.changed(), 0b1000_1001);
        let vectors = [0, 1, 2, 3, 4, 5, 6, 7].map(|vcpu| offers.vector(vcpu));
        let none = None;
        assert_eq!(vectors, [Some(0x20), none, none, none, none, none, none, Some(0xff)]);
        offers.set(3, Some(0));
        assert_eq!(offers.vector(3), Some(0));
        assert_eq!(Offers::decode(offers.encode()), Some(offers));
    }

    #[test]
    fn malformed_offers() {
        assert_eq!(Offers::decode([0x0100, 0]), None, "withdrawn, not changed");
        assert_eq!(Offers::decode([0x1_0001, 0]), None);
        assert_eq!(Offers::decode([0, 0]), Some(Offers::NONE));
        let stray = Offers::decode([1, u64::MAX]).unwrap();
        assert_eq!((stray.vector(0), stray.vector(1)), (Some(0xff), None));
    }
}
