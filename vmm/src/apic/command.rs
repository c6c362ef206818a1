//! The interrupt command register: what is sent, and to whom (§10.6, §10.12.9).

use super::Refused;

/// Command: reserved bits 31:20, 17:16 and 13:12.
const RESERVED: u64 = 0xfff3_3000;
/// The destination that is everybody.
const EVERYBODY: u32 = u32::MAX;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The interrupt with the vector.
    Fixed,
    /// The same, to the one of those named whose priority is lowest.
    LowestPriority,
    /// NMI, SMI, INIT or start-up, none of which reaches a vCPU here.
    Other,
}

impl Mode {
    /// Whether the vector is one.
    pub const fn has_vector(self) -> bool {
        !matches!(self, Self::Other)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    Physical(u32),
    Logical(u32),
    Sender,
    Everybody,
    Others,
}

/// A command to other APICs, or the own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its vector.
    pub vector: u8,
    /// What it sends.
    pub mode: Mode,
    destination: Destination,
}

impl Command {
    /// The command that is written to the register as `value`.
    ///
    /// # Errors
    /// [`Refused`] for reserved bits.
    pub const fn decode(value: u64) -> Result<Self, Refused> {
        if value & RESERVED != 0 {
            return Err(Refused);
        }
        let mode = match value >> 8 & 7 {
            0 => Mode::Fixed,
            1 => Mode::LowestPriority,
            _ => Mode::Other,
        };
        let named = (value >> 32) as u32;
        let destination = match (value >> 18 & 3, value >> 11 & 1) {
            (0, 0) => Destination::Physical(named),
            (0, _) => Destination::Logical(named),
            (1, _) => Destination::Sender,
            (2, _) => Destination::Everybody,
            _ => Destination::Others,
        };
        Ok(Self { vector: value as u8, mode, destination })
    }

    /// The interrupt `vector` to the sender itself.
    pub const fn to_self(vector: u8) -> Self {
        Self { vector, mode: Mode::Fixed, destination: Destination::Sender }
    }

    /// Whether it is for the APIC `id`, if the APIC `from` sends it.
    pub const fn is_for(&self, id: u32, from: u32) -> bool {
        match self.destination {
            Destination::Physical(EVERYBODY)
            | Destination::Logical(EVERYBODY)
            | Destination::Everybody => true,
            Destination::Physical(named) => named == id,
            Destination::Logical(named) => {
                let own = logical_id(id);
                named >> 16 == own >> 16 && named & own & 0xffff != 0
            }
            Destination::Sender => id == from,
            Destination::Others => id != from,
        }
    }
}

/// Cluster in bits 31:16, a bit for the APIC within it in 15:0 (§10.12.10.2).
pub const fn logical_id(id: u32) -> u32 {
    (id >> 4) << 16 | 1 << (id & 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of eight APICs get what the third sends.
    fn receivers(value: u64) -> Vec<u32> {
        let command = Command::decode(value).unwrap();
        (0..8).filter(|id| command.is_for(*id, 2)).collect()
    }

    /// §10.6.1, table 10-1, and §10.6.2.
    #[test]
    fn destinations() {
        let all: Vec<u32> = (0..8).collect();
        let cases: [(u64, &[u32]); 11] = [
            (5 << 32 | 0x40, &[5]),
            (9 << 32 | 0x40, &[]),
            (0xffff_ffff << 32 | 0x40, &all),
            (1 << 18 | 5 << 32 | 0x40, &[2]),
            (2 << 18 | 5 << 32 | 0x40, &all),
            (3 << 18 | 0x40, &[0, 1, 3, 4, 5, 6, 7]),
            (1 << 11 | 0b1010_0001 << 32 | 0x40, &[0, 5, 7]),
            (1 << 11 | 0x1_00ff << 32 | 0x40, &[]),
            (1 << 11 | 0xffff_ffff << 32 | 0x40, &all),
            (1 << 11 | 0x40, &[]),
            (3 << 18 | 1 << 11 | 0x40, &[0, 1, 3, 4, 5, 6, 7]),
        ];
        for (value, expected) in cases {
            assert_eq!(receivers(value), expected, "{value:#x}");
        }
    }

    #[test]
    fn reserved_bits_are_refused() {
        for bit in 0..64 {
            let refused = matches!(bit, 12 | 13 | 16 | 17 | 20..=31);
            assert_eq!(Command::decode(1 << bit).is_err(), refused, "{bit}");
        }
    }

    #[test]
    fn what_does_not_reach_vcpus_is_told_apart() {
        for (mode, expected) in [
            (0, Mode::Fixed),
            (1, Mode::LowestPriority),
            (2, Mode::Other),
            (4, Mode::Other),
            (5, Mode::Other),
            (6, Mode::Other),
        ] {
            assert_eq!(Command::decode(mode << 8).unwrap().mode, expected);
        }
    }

    #[test]
    fn logical_ids_come_in_clusters_of_sixteen() {
        assert_eq!(logical_id(0), 1);
        assert_eq!(logical_id(15), 0x8000);
        assert_eq!(logical_id(0x23), 0x2_0008);
    }
}
