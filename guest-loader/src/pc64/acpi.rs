//! ACPI tables (ACPI 6.5, chapter 5; what starts other processors is from 6.4): what a PC has, and how to switch it off.
//!
//! As QEMU's firmware does it: the root pointer below 1 MiB, the tables at the
//! top of RAM in what the memory map reserves.
//!
//! ```text
//! RSDP ─► RSDT ─┬─► FADT ─► DSDT (nothing but _S5)
//!               └─► MADT (the processors, and the mailbox that starts all but the first)
//! ```

use x86::Gpa;

use super::boot_params::usable_end;
use super::secondary::mailbox;
use crate::{GuestPages, Problem};

/// Where the root pointer lies; `boot_params` tells it.
pub const ROOT_POINTER: u64 = 0xf_5000;
/// Bytes of the header that all tables but the root pointer have.
const HEADER: usize = 36;
/// Each table begins at a multiple of this.
const ALIGNMENT: usize = 16;

/// The platform's ports (`vmm/src/power.rs`).
const PM1A_EVENTS: u32 = 0x600;
const PM1A_CONTROL: u32 = 0x604;
const PM_TIMER: u32 = 0x608;
const RESET_PORT: u64 = 0xcf9;
const RESET_VALUE: u8 = 6;

/// FADT flags: WBINVD works, C1 works, power and sleep button are not fixed
/// hardware, the reset register works.
const FADT_FLAGS: u32 = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 10;
/// FADT boot architecture: ISA devices, no VGA.
const LEGACY_DEVICES: u16 = 1 << 0 | 1 << 2;
/// The interrupt that ACPI events would raise.
const SCI: u16 = 9;
const LOCAL_APIC: u32 = 0xfee0_0000;
/// MADT: there are 8259 interrupt controllers too.
const HAS_8259: u32 = 1;

/// `Name (_S5, Package () {0, 0, 0, 0})`: sleep type 0 is soft off.
const SOFT_OFF: [u8; 12] = *b"\x08_S5_\x12\x06\x04\0\0\0\0";

/// MADT structures: a processor by its local APIC, and the mailbox.
const PROCESSOR: u8 = 0;
const WAKEUP: u8 = 0x10;

/// Writes the tables of a machine with `vcpus` processors.
///
/// # Errors
/// If they do not fit, which the least memory excludes.
pub fn write(pages: &mut GuestPages, vcpus: u32) -> Result<(), Problem> {
    let base = usable_end(pages.size());
    let mut area = Area { base, bytes: Vec::new() };
    let dsdt = area.add(b"DSDT", 1, &SOFT_OFF);
    let fadt = area.add(b"FACP", 3, &fadt(dsdt));
    // Revision 5 is the first with a mailbox.
    let revision = if vcpus == 1 { 1 } else { 5 };
    let mailbox = mailbox(pages.size());
    let madt = area.add(b"APIC", revision, &madt(vcpus, mailbox));
    let rsdt = area.add(b"RSDT", 1, &[fadt.to_le_bytes(), madt.to_le_bytes()].concat());
    pages.write(Gpa::new(base), &area.bytes)?;
    pages.write(Gpa::new(ROOT_POINTER), &root_pointer(rsdt))
}

/// Tables under construction, at guest-physical `base`.
struct Area {
    base: u64,
    bytes: Vec<u8>,
}

impl Area {
    /// Adds a table; gives its address, which is below 4 GiB as all RAM is.
    fn add(&mut self, signature: &[u8; 4], revision: u8, content: &[u8]) -> u32 {
        let padding = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(padding, 0);
        let address = self.base + self.bytes.len() as u64;
        self.bytes.extend(table(signature, revision, content));
        address as u32
    }
}

/// A table with header and checksum.
fn table(signature: &[u8; 4], revision: u8, content: &[u8]) -> Vec<u8> {
    let length = (HEADER + content.len()) as u32;
    let mut table = [
        &signature[..],
        &length.to_le_bytes(),
        &[revision, 0],
        b"UMBRELUMBRIEL ",
        &1_u32.to_le_bytes(),
        b"UMBR",
        &1_u32.to_le_bytes(),
        content,
    ]
    .concat();
    table[9] = checksum(&table);
    table
}

/// RSDP of ACPI 1.0.
fn root_pointer(rsdt: u32) -> Vec<u8> {
    let mut pointer = [&b"RSD PTR "[..], &[0], b"UMBREL", &[0], &rsdt.to_le_bytes()].concat();
    pointer[8] = checksum(&pointer);
    pointer
}

/// The byte that makes the sum zero where there is a zero now.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// The FADT behind its header, revision 3: offsets are the specification's.
fn fadt(dsdt: u32) -> Vec<u8> {
    let mut fadt = vec![0; 244 - HEADER];
    let mut field = |offset: usize, bytes: &[u8]| {
        fadt[offset - HEADER..][..bytes.len()].copy_from_slice(bytes);
    };
    field(40, &dsdt.to_le_bytes());
    field(46, &SCI.to_le_bytes());
    field(56, &PM1A_EVENTS.to_le_bytes());
    field(64, &PM1A_CONTROL.to_le_bytes());
    field(76, &PM_TIMER.to_le_bytes());
    // Bytes of events, control and timer.
    field(88, &[4, 2, 0, 4]);
    // C2 and C3 do not exist: latencies beyond what counts.
    field(96, &101_u16.to_le_bytes());
    field(98, &1001_u16.to_le_bytes());
    field(108, &[0x32]); // the clock's register for the century
    field(109, &LEGACY_DEVICES.to_le_bytes());
    field(112, &FADT_FLAGS.to_le_bytes());
    // I/O space, 8 bits wide, byte access.
    field(116, &[1, 8, 0, 1]);
    field(120, &RESET_PORT.to_le_bytes());
    field(128, &[RESET_VALUE]);
    field(140, &u64::from(dsdt).to_le_bytes());
    fadt
}

/// The MADT behind its header: `vcpus` processors, all enabled, whose APIC IDs
/// are their numbers, and how they are started if there are several.
fn madt(vcpus: u32, mailbox: u64) -> Vec<u8> {
    let mut madt = [LOCAL_APIC, HAS_8259].map(u32::to_le_bytes).concat();
    for number in 0..vcpus {
        madt.extend([PROCESSOR, 8, number as u8, number as u8]);
        madt.extend(1_u32.to_le_bytes());
    }
    if vcpus > 1 {
        // Version 0 of the mailbox; four bytes are reserved.
        madt.extend([WAKEUP, 16, 0, 0, 0, 0, 0, 0]);
        madt.extend(mailbox.to_le_bytes());
    }
    madt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    #[test]
    fn sums_are_zero_and_lengths_right() {
        for table in [
            table(b"DSDT", 1, &SOFT_OFF),
            table(b"FACP", 3, &fadt(0x1234_5678)),
            table(b"APIC", 1, &madt(1, 0)),
            table(b"APIC", 5, &madt(8, 0x1ff_f000)),
        ] {
            assert_eq!(sum(&table), 0);
            assert_eq!(table[4..8], (table.len() as u32).to_le_bytes());
        }
        let pointer = root_pointer(0xfe_1230);
        assert_eq!((pointer.len(), sum(&pointer)), (20, 0));
    }

    #[test]
    fn the_fadt_is_as_long_as_its_revision_says() {
        let fadt = table(b"FACP", 3, &fadt(0x10));
        assert_eq!(fadt.len(), 244);
        assert_eq!(fadt[64..68], PM1A_CONTROL.to_le_bytes());
        assert_eq!(fadt[140..148], 0x10_u64.to_le_bytes());
    }

    /// ACPI 6.4, §5.2.12.2 and §5.2.12.19.
    #[test]
    fn the_madt_names_all_processors_and_the_mailbox() {
        let one = madt(1, 0x1ff_f000);
        assert_eq!(one[8..], [0, 8, 0, 0, 1, 0, 0, 0], "no mailbox for one");
        let three = madt(3, 0x1ff_f000);
        assert_eq!(three[24..32], [0, 8, 2, 2, 1, 0, 0, 0]);
        assert_eq!(three[32..40], [0x10, 16, 0, 0, 0, 0, 0, 0]);
        assert_eq!(three[40..], 0x1ff_f000_u64.to_le_bytes());
    }

    /// A table begins where the one before it, padded, ends.
    #[test]
    fn tables_do_not_overlap() {
        let mut area = Area { base: 0x1000, bytes: Vec::new() };
        let first = area.add(b"DSDT", 1, &SOFT_OFF);
        let second = area.add(b"APIC", 1, &madt(1, 0));
        assert_eq!((first, second), (0x1000, 0x1030));
        assert_eq!(area.bytes[0x30..0x34], *b"APIC");
    }
}
