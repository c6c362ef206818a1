//! ACPI's tables: how to switch the machine off.

use guest_runtime::BootInfo;

/// Bytes that a table may have here.
const LONGEST: u64 = 0x1_0000;
const HEADER: u64 = 36;

/// What the tables say.
pub struct Power {
    /// Port of the PM1a control register.
    pub control: u16,
    /// Port of the power-management timer.
    pub timer: u16,
    /// The sleep type of soft off.
    pub soft_off: u8,
    /// Processors that are enabled.
    pub processors: usize,
}

/// Reads them; `None` if something is missing or a sum is wrong.
pub fn power(boot: &BootInfo) -> Option<Power> {
    let root = boot.root_pointer();
    let signed = *b"RSD PTR " == core::array::from_fn(|offset| byte(root + offset as u64));
    if root == 0 || !signed || sum(root, 20) != 0 {
        return None;
    }
    let rsdt = table(long(root + 16), *b"RSDT")?;
    let entries = (rsdt.length - HEADER) / 4;
    let find = |signature| {
        (0..entries).find_map(|entry| table(long(rsdt.address + HEADER + 4 * entry), signature))
    };
    let fadt = find(*b"FACP")?;
    let madt = find(*b"APIC")?;
    let dsdt = table(long(fadt.address + 40), *b"DSDT")?;
    Some(Power {
        control: long(fadt.address + 64) as u16,
        timer: long(fadt.address + 76) as u16,
        soft_off: soft_off(&dsdt)?,
        processors: processors(&madt),
    })
}

struct Table {
    address: u64,
    length: u64,
}

/// The table at `address`, if it is the one and its sum is zero.
fn table(address: u32, signature: [u8; 4]) -> Option<Table> {
    let address = u64::from(address);
    let length = u64::from(long(address + 4));
    let good = long(address) == u32::from_le_bytes(signature)
        && (HEADER..LONGEST).contains(&length)
        && sum(address, length) == 0;
    good.then_some(Table { address, length })
}

/// The first element of the package _S5: zero, one, or a byte behind 0x0a.
fn soft_off(dsdt: &Table) -> Option<u8> {
    let name = u32::from_le_bytes(*b"_S5_");
    let end = dsdt.address + dsdt.length - 9;
    let at = (dsdt.address + HEADER..=end).find(|at| long(*at) == name)?;
    // Behind the name: package, its length, its elements.
    match byte(at + 7) {
        value @ (0 | 1) => Some(value),
        0x0a => Some(byte(at + 8)),
        _ => None,
    }
}

fn processors(madt: &Table) -> usize {
    let mut at = madt.address + 44;
    let mut count = 0;
    while at < madt.address + madt.length {
        count += usize::from(byte(at) == 0 && long(at + 4) & 1 != 0);
        at += u64::from(byte(at + 1)).max(2);
    }
    count
}

fn sum(address: u64, length: u64) -> u8 {
    (address..address + length).fold(0, |sum, at| sum.wrapping_add(byte(at)))
}

fn long(address: u64) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|offset| byte(address + offset as u64)))
}

fn byte(address: u64) -> u8 {
    // SAFETY: physical memory is mapped one to one, and no Rust object lies
    // where the firmware keeps its tables.
    unsafe { (address as *const u8).read_volatile() }
}
