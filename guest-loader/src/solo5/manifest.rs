//! The `MFT1` note: the devices that an image declares.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::abi;
use crate::elf::Elf;
use crate::{Device, DeviceKind, Problem};

/// "MFT1", little endian.
const MANIFEST_NOTE: u32 = 0x3154_464d;
/// The manifest is 8-aligned behind the 20-byte note header.
const PADDING: usize = 4;
const HEADER_SIZE: usize = 8;
const MAXIMUM_ENTRIES: u32 = 64;
const MINIMUM_NOTE: u32 = (PADDING + HEADER_SIZE) as u32;
const MAXIMUM_NOTE: u32 = MINIMUM_NOTE + MAXIMUM_ENTRIES * size_of::<Entry>() as u32;
const NAME_SIZE: usize = 68;

const BLOCK: u32 = 1;
const NET: u32 = 2;
const RESERVED_FIRST: u32 = 1 << 30;

/// `struct mft_entry` (`include/mft_abi.h`).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Entry {
    name: [u8; NAME_SIZE],
    kind: U32,
    /// Capacity and block size, or hardware address and MTU.
    properties: [u8; 16],
    /// The tender's own; nothing of it is passed on.
    private: U64,
    attached: u8,
    padding: [u8; 7],
}

const _: () = assert!(size_of::<Entry>() == 104);

impl Entry {
    fn name(&self) -> String {
        let end = self.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
        String::from_utf8_lossy(&self.name[..end]).into_owned()
    }

    fn attach(&mut self, kind: &DeviceKind) {
        self.properties = [0; 16];
        match kind {
            DeviceKind::Block { capacity, block_size } => {
                self.properties[..8].copy_from_slice(&capacity.to_le_bytes());
                self.properties[8..10].copy_from_slice(U16::new(*block_size).as_bytes());
            }
            DeviceKind::Net { mac, mtu } => {
                self.properties[..6].copy_from_slice(mac);
                self.properties[6..8].copy_from_slice(U16::new(*mtu).as_bytes());
            }
        }
        self.attached = 1;
    }
}

/// A checked manifest. Entry numbers are the guest's device handles.
#[derive(Clone)]
pub struct Manifest {
    entries: Vec<Entry>,
}

impl Manifest {
    /// Reads and checks the manifest of an image, with every device unattached.
    ///
    /// # Errors
    /// [`Problem::NoManifest`], [`Problem::NoteSize`] or one of the `Manifest*` problems.
    pub fn read(elf: &Elf<'_>) -> Result<Self, Problem> {
        let note = abi::find(elf, MANIFEST_NOTE).ok_or(Problem::NoManifest)?;
        let wrong_size = Problem::NoteSize {
            segment: note.segment,
            note: "MFT1",
            size: note.descriptor_size,
            minimum: MINIMUM_NOTE,
            maximum: MAXIMUM_NOTE,
        };
        if !(MINIMUM_NOTE..=MAXIMUM_NOTE).contains(&note.descriptor_size) {
            return Err(wrong_size);
        }
        let bytes = note.descriptor.and_then(|bytes| bytes.get(PADDING..)).ok_or(wrong_size)?;
        Self::parse(bytes)
    }

    /// Checks the manifest in `bytes` (without the note's padding).
    ///
    /// # Errors
    /// One of the `Manifest*` problems.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let size = bytes.len() as u64;
        let Ok(([version, count], rest)) = <[U32; 2]>::read_from_prefix(bytes) else {
            return Err(Problem::ManifestSize { size, expected: HEADER_SIZE as u64 });
        };
        if version.get() != 1 {
            return Err(Problem::ManifestVersion { version: version.get() });
        }
        let count = count.get();
        if !(1..=MAXIMUM_ENTRIES).contains(&count) {
            return Err(Problem::ManifestEntries { entries: count, maximum: MAXIMUM_ENTRIES });
        }
        let expected = HEADER_SIZE as u64 + u64::from(count) * size_of::<Entry>() as u64;
        let entries = match <[Entry]>::ref_from_bytes(rest) {
            Ok(entries) if size == expected => entries.to_vec(),
            _ => return Err(Problem::ManifestSize { size, expected }),
        };
        check_entries(&entries)?;
        Ok(Self { entries })
    }

    /// Attaches `devices`, each by its name and type.
    ///
    /// # Errors
    /// [`Problem::DeviceNotDeclared`] for a device that the image does not
    /// declare; [`Problem::DevicesNotAttached`] if a declared one is missing.
    pub fn attach(&mut self, devices: &[Device]) -> Result<(), Problem> {
        for device in devices {
            let kind = match device.kind {
                DeviceKind::Block { .. } => BLOCK,
                DeviceKind::Net { .. } => NET,
            };
            let declared =
                |entry: &&mut Entry| entry.kind.get() == kind && entry.name() == device.name;
            match self.entries.iter_mut().find(declared) {
                Some(entry) => entry.attach(&device.kind),
                None => {
                    return Err(Problem::DeviceNotDeclared { device: device.name.clone() });
                }
            }
        }
        let missing = |entry: &&Entry| entry.kind.get() != RESERVED_FIRST && entry.attached == 0;
        let missing: Vec<_> = self.entries.iter().filter(missing).map(describe).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Problem::DevicesNotAttached { devices: missing })
        }
    }

    /// The manifest as the guest reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_SIZE + size_of_val(&self.entries[..]));
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        bytes.extend_from_slice(self.entries.as_bytes());
        bytes
    }

    /// Number of entries, the reserved first one included.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }
}

fn check_entries(entries: &[Entry]) -> Result<(), Problem> {
    let first = entries.first().map_or(0, |entry| entry.kind.get());
    if first != RESERVED_FIRST || entries.first().is_some_and(|entry| entry.name[0] != 0) {
        return Err(Problem::ManifestFirstEntry { kind: first });
    }
    for (index, entry) in entries.iter().enumerate() {
        if entry.name[NAME_SIZE - 1] != 0 {
            return Err(Problem::ManifestName { entry: index });
        }
        if entry.attached != 0 {
            return Err(Problem::ManifestAttached { entry: index });
        }
        if !matches!(entry.kind.get(), BLOCK | NET | RESERVED_FIRST) {
            return Err(Problem::ManifestKind { entry: index, kind: entry.kind.get() });
        }
    }
    Ok(())
}

fn describe(entry: &Entry) -> String {
    let kind = if entry.kind.get() == BLOCK { "BLOCK_BASIC" } else { "NET_BASIC" };
    format!("'{}' ({kind})", entry.name())
}
