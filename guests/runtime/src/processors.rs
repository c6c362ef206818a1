//! Which processors there are, and how all but the first are started, from
//! ACPI's MADT (ACPI 6.4, §5.2.12).

/// Most processors that are looked for.
pub const PROCESSORS_MAX: usize = 8;

const HEADER: u64 = 36;
/// Bytes that a table may have here.
const LONGEST: u64 = 0x1_0000;
const PROCESSOR: u8 = 0;
const WAKEUP: u8 = 0x10;

/// What the MADT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors {
    ids: [u32; PROCESSORS_MAX],
    count: usize,
    mailbox: u64,
}

impl Processors {
    /// Follows ACPI's root pointer at `root`; `byte` reads memory. `None` if
    /// something is missing or a sum is wrong.
    pub fn from_acpi(root: u64, byte: impl Fn(u64) -> u8) -> Option<Self> {
        let memory = Memory(byte);
        if root == 0 || memory.sum(root, 20) != 0 {
            return None;
        }
        let (rsdt, length) = memory.table(memory.long(root + 16), *b"RSDT")?;
        let entries = (length - HEADER) / 4;
        let (madt, length) = (0..entries).find_map(|entry| {
            let address = memory.long(rsdt + HEADER + 4 * entry);
            memory.table(address, *b"APIC")
        })?;
        let mut found = Self { ids: [0; PROCESSORS_MAX], count: 0, mailbox: 0 };
        let mut at = madt + HEADER + 8;
        while at < madt + length {
            found.structure(at, &memory);
            at += u64::from((memory.0)(at + 1)).max(2);
        }
        Some(found)
    }

    fn structure(&mut self, at: u64, memory: &Memory<impl Fn(u64) -> u8>) {
        match (memory.0)(at) {
            PROCESSOR if memory.long(at + 4) & 1 != 0 => {
                if let Some(id) = self.ids.get_mut(self.count) {
                    *id = (memory.0)(at + 3).into();
                    self.count += 1;
                }
            }
            WAKEUP => {
                let [low, high] = [8, 12].map(|offset| u64::from(memory.long(at + offset)));
                self.mailbox = low | high << 32;
            }
            _ => {}
        }
    }

    /// APIC IDs of those that are enabled.
    pub fn ids(&self) -> &[u32] {
        &self.ids[..self.count]
    }

    /// Address of the mailbox; 0 if there is none.
    pub const fn mailbox(&self) -> u64 {
        self.mailbox
    }
}

/// Little-endian reads and sums on top of single bytes.
struct Memory<F>(F);

impl<F: Fn(u64) -> u8> Memory<F> {
    fn long(&self, address: u64) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|at| (self.0)(address + at as u64)))
    }

    fn sum(&self, address: u64, length: u64) -> u8 {
        (address..address + length).fold(0, |sum, at| sum.wrapping_add((self.0)(at)))
    }

    /// Address and length of the table at `address`, if it is the one and its
    /// sum is zero.
    fn table(&self, address: u32, signature: [u8; 4]) -> Option<(u64, u64)> {
        let address = u64::from(address);
        let length = u64::from(self.long(address + 4));
        let good = self.long(address) == u32::from_le_bytes(signature)
            && (HEADER..LONGEST).contains(&length)
            && self.sum(address, length) == 0;
        good.then_some((address, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root pointer at 0x100, RSDT at 0x200, MADT at 0x300 with `structures`.
    fn memory(structures: &[u8]) -> Vec<u8> {
        let mut memory = vec![0; 0x1000];
        let mut put = |at: usize, bytes: &[u8], sum_at: usize| {
            memory[at..at + bytes.len()].copy_from_slice(bytes);
            let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            memory[at + sum_at] = 0_u8.wrapping_sub(sum);
        };
        let table = |signature: &[u8; 4], content: &[u8]| {
            let length = (36 + content.len()) as u32;
            [signature, &length.to_le_bytes()[..], &[0; 28], content].concat()
        };
        let root = [&b"RSD PTR "[..], &[0; 8], &0x200_u32.to_le_bytes()].concat();
        put(0x100, &root, 8);
        put(0x200, &table(b"RSDT", &0x300_u32.to_le_bytes()), 9);
        put(0x300, &table(b"APIC", &[&[0; 8], structures].concat()), 9);
        memory
    }

    #[test]
    fn processors_and_mailbox_are_found() {
        let memory = memory(&[
            0, 8, 0, 0, 1, 0, 0, 0, // enabled
            0, 8, 1, 5, 0, 0, 0, 0, // not enabled
            9, 4, 7, 7, // something else
            0, 8, 2, 7, 1, 0, 0, 0, // enabled
            16, 16, 0, 0, 0, 0, 0, 0, 0x00, 0xf0, 0xff, 1, 2, 0, 0, 0,
        ]);
        let found = Processors::from_acpi(0x100, |at| memory[at as usize]).unwrap();
        assert_eq!((found.ids(), found.mailbox()), (&[0, 7][..], 0x2_01ff_f000));
    }

    #[test]
    fn wrong_sums_and_more_processors_than_fit() {
        let mut memory = memory(&[[0, 8, 0, 3, 1, 0, 0, 0]; 20].concat());
        let found = Processors::from_acpi(0x100, |at| memory[at as usize]).unwrap();
        assert_eq!(found.ids(), [3; PROCESSORS_MAX]);
        memory[0x330] ^= 1;
        let found = Processors::from_acpi(0x100, |at| memory[at as usize]);
        assert_eq!(found, None);
    }
}
