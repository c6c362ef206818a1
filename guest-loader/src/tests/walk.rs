//! A page-table walk over placed memory, written apart from the builders.

use crate::PlacedGuest;

/// What an address translates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    pub gpa: u64,
    pub writable: bool,
}

/// Reads a word of a placed guest's memory.
pub fn word(guest: &PlacedGuest, gpa: u64) -> u64 {
    let load = guest.loads.iter().find(|load| (load.gpa.get()..load.end().get()).contains(&gpa));
    load.map_or(0, |load| {
        let at = (gpa - load.gpa.get()) as usize;
        u64::from_le_bytes(load.bytes[at..at + 8].try_into().unwrap())
    })
}

/// Walks the tables at the guest's first CR3.
pub fn translate(guest: &PlacedGuest, address: u64) -> Option<Translation> {
    let (mut table, mut writable) = (guest.start.cr3, true);
    for shift in [39, 30, 21, 12] {
        let entry = word(guest, table + (address >> shift & 511) * 8);
        if entry & 1 == 0 {
            return None;
        }
        writable &= entry & 2 != 0;
        let base = entry & 0x000f_ffff_ffff_f000;
        let span = 1_u64 << shift;
        if shift == 12 || entry & 0x80 != 0 {
            assert_eq!(base % span, 0, "misaligned page at {address:#x}");
            return Some(Translation { gpa: base + address % span, writable });
        }
        table = base;
    }
    unreachable!("level 1 always ends the walk")
}

/// What the guest reads at `address` as a C string.
pub fn string(guest: &PlacedGuest, address: u64) -> String {
    let byte = |at: u64| (word(guest, at & !7) >> (at % 8 * 8)) as u8;
    let bytes: Vec<u8> = (address..).map(byte).take_while(|&byte| byte != 0).collect();
    String::from_utf8(bytes).unwrap()
}
