//! Why an image was refused, for people.

use std::fmt;

/// A refused image: whose, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The image's name, as given in [`crate::Image::name`].
    pub image: String,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  fix: {}", self.image, self.problem, self.problem.advice())
    }
}

impl std::error::Error for Refusal {}

/// One way in which an image, or the options given with it, cannot be placed.
/// `segment` fields are indexes into the program headers (`readelf -l`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields carry the names of the ELF fields or of the sentence they fill in
pub enum Problem {
    /// The file is larger than any archive could take.
    ImageTooLarge { size: u64, limit: u64 },
    /// The file ends inside the ELF header.
    HeaderTruncated { size: u64 },
    /// The file does not begin with `\x7fELF`.
    NotElf { magic: [u8; 4] },
    /// A 32-bit (or unknown) ELF class.
    NotElf64 { class: u8 },
    /// Big endian (or unknown) data encoding.
    NotLittleEndian { data: u8 },
    /// `e_version` is not 1.
    ElfVersion { version: u32 },
    /// Not for x86-64.
    WrongMachine { machine: u16 },
    /// Relocatable, shared or position-independent.
    NotExecutable { object_type: u16 },
    /// Header sizes other than ELF64's.
    HeaderSizes { header: u16, program_header: u16 },
    /// The program headers reach past the end of the file.
    ProgramHeadersTruncated { offset: u64, count: u16, size: u64 },
    /// A segment's content reaches past the end of the file.
    SegmentTruncated { segment: usize, offset: u64, file_size: u64, size: u64 },
    /// `p_memsz` is less than `p_filesz`.
    SegmentShrinks { segment: usize, file_size: u64, memory_size: u64 },
    /// A segment's addresses pass 2^64.
    SegmentWraps { segment: usize, address: u64, memory_size: u64 },
    /// There is no loadable segment with content.
    NothingToLoad,
    /// `p_align` is not a power of two.
    SegmentAlignment { segment: usize, align: u64 },
    /// Start or end of a segment is not at a page boundary after `p_align` rounding.
    SegmentNotPageAligned { segment: usize, start: u64, end: u64 },
    /// Loadable segments are not in ascending order.
    SegmentsUnordered { segment: usize, address: u64, previous: u64 },
    /// Two segments claim the same memory.
    SegmentsOverlap { first: usize, second: usize, address: u64 },
    /// A segment lies below the lowest address that the platform leaves to images.
    SegmentTooLow { segment: usize, address: u64, minimum: u64 },
    /// A segment is linked in the upper canonical half, or in neither.
    UpperHalf { segment: usize, address: u64 },
    /// A segment asks for both writing and executing.
    WritableAndExecutable { segment: usize, start: u64, end: u64 },
    /// A segment ends behind the guest's memory.
    SegmentOutsideMemory { segment: usize, start: u64, end: u64, memory: u64 },
    /// The entry point is in no segment.
    EntryOutside { entry: u64 },
    /// Something the loader itself places does not fit into the guest's memory.
    OutsideMemory { start: u64, end: u64, memory: u64 },
    /// The memory size is none that the platform can have.
    MemorySize { memory: u64, minimum: u64, maximum: u64 },
    /// The arguments are longer than the platform passes on.
    ArgumentsTooLong { length: u64, maximum: u64 },
    /// An argument has a NUL byte, which would end the command line.
    ArgumentNul { argument: usize },
    /// A Solo5 note's sizes do not fit.
    NoteSize { segment: usize, note: &'static str, size: u32, minimum: u32, maximum: u32 },
    /// There is no `ABI1` note.
    NoAbiNote,
    /// The image is for another Solo5 target.
    WrongTarget { target: u32 },
    /// The image is for another version of the hvt interface.
    WrongAbiVersion { version: u32 },
    /// There is no `MFT1` note.
    NoManifest,
    /// The manifest's version is unknown.
    ManifestVersion { version: u32 },
    /// The manifest's number of entries is out of range.
    ManifestEntries { entries: u32, maximum: u32 },
    /// The manifest's size does not match its number of entries.
    ManifestSize { size: u64, expected: u64 },
    /// The manifest's first entry is not the reserved one.
    ManifestFirstEntry { kind: u32 },
    /// A manifest entry's name is not terminated.
    ManifestName { entry: usize },
    /// A manifest entry claims to be attached already.
    ManifestAttached { entry: usize },
    /// A manifest entry is of an unknown kind.
    ManifestKind { entry: usize, kind: u32 },
    /// The image declares devices that the system does not attach.
    DevicesNotAttached { devices: Vec<String> },
    /// The system attaches a device that the image does not declare.
    DeviceNotDeclared { device: String },
    /// Devices were given to a platform that has none of that sort.
    DevicesUnsupported,
    /// Sections or symbols cannot be read, which rewriting needs.
    SectionTable { error: String },
    /// Two sections of code claim the same address.
    CodeOverlaps { address: u64 },
    /// Instructions that do not trap, or bytes that look like some, where code
    /// and data cannot be told apart; each place in words.
    CodeOrData { places: Vec<String> },
    /// More instructions than a server's region for them takes.
    TooManyRewrites { count: usize, limit: usize },
    /// Rewriting broke one of its own rules; a defect of this program.
    RewriteBroken { address: u64, rule: &'static str },
}

/// Places that a message lists.
const LISTED: usize = 4;

/// The name of a Solo5 target number (`include/elf_abi.h`).
fn target_name(target: u32) -> &'static str {
    match target {
        1 => "hvt",
        2 => "spt",
        3 => "virtio",
        4 => "muen",
        5 => "genode",
        6 => "xen",
        _ => "unknown",
    }
}

fn object_type_name(object_type: u16) -> &'static str {
    match object_type {
        1 => "a relocatable object",
        3 => "position-independent or a shared library",
        4 => "a core file",
        _ => "of an unknown type",
    }
}

fn mib(bytes: u64) -> String {
    if bytes.is_multiple_of(crate::MIB) {
        format!("{} MiB", bytes / crate::MIB)
    } else {
        format!("{bytes:#x} bytes")
    }
}

impl fmt::Display for Problem {
    #[allow(clippy::too_many_lines)] // one arm per variant
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Problem as P;
        match self {
            P::ImageTooLarge { size, limit } => {
                write!(
                    f,
                    "the image has {size} bytes; at most {} fit into a boot archive",
                    mib(*limit)
                )
            }
            P::HeaderTruncated { size } => {
                write!(f, "the file is truncated: it has {size} bytes, an ELF header alone has 64")
            }
            P::NotElf { magic } => write!(
                f,
                "not an ELF file: it begins with {:02x} {:02x} {:02x} {:02x}, not 7f 45 4c 46",
                magic[0], magic[1], magic[2], magic[3]
            ),
            P::NotElf64 { class: 1 } => {
                write!(f, "a 32-bit ELF file (byte 4 is 1); guests are 64-bit")
            }
            P::NotElf64 { class } => {
                write!(f, "unknown ELF class {class} (byte 4); 64-bit files have 2")
            }
            P::NotLittleEndian { data } => {
                write!(f, "ELF data encoding {data} (byte 5) is not little endian (1)")
            }
            P::ElfVersion { version } => write!(f, "unknown ELF version {version} (offset 20)"),
            P::WrongMachine { machine } => {
                write!(f, "built for ELF machine {machine} (offset 18), not for x86-64 (62)")
            }
            P::NotExecutable { object_type } => write!(
                f,
                "the file is {} (ELF type {object_type} at offset 16), not an executable at fixed addresses (2)",
                object_type_name(*object_type)
            ),
            P::HeaderSizes { header, program_header } => write!(
                f,
                "the ELF header says it has {header} bytes (offset 52) and program headers {program_header} \
                 (offset 54); ELF64 has 64 and 56"
            ),
            P::ProgramHeadersTruncated { offset, count, size } => write!(
                f,
                "the file is truncated: {count} program headers at offset {offset:#x} do not fit into {size} bytes"
            ),
            P::SegmentTruncated { segment, offset, file_size, size } => write!(
                f,
                "the file is truncated: segment {segment} has {file_size:#x} bytes at offset {offset:#x}, \
                 the file ends at {size:#x}"
            ),
            P::SegmentShrinks { segment, file_size, memory_size } => write!(
                f,
                "segment {segment} has {file_size:#x} bytes in the file and only {memory_size:#x} in memory"
            ),
            P::SegmentWraps { segment, address, memory_size } => {
                write!(
                    f,
                    "segment {segment} at {address:#x} with {memory_size:#x} bytes passes the end of all addresses"
                )
            }
            P::NothingToLoad => write!(f, "the file has no loadable segment"),
            P::SegmentAlignment { segment, align } => {
                write!(f, "segment {segment} has alignment {align:#x}, which is not a power of two")
            }
            P::SegmentNotPageAligned { segment, start, end } => write!(
                f,
                "segment {segment} at {start:#x}-{end:#x} does not begin and end at page boundaries (4096)"
            ),
            P::SegmentsUnordered { segment, address, previous } => write!(
                f,
                "segment {segment} at {address:#x} follows one at {previous:#x}; loadable segments must ascend"
            ),
            P::SegmentsOverlap { first, second, address } => {
                write!(f, "segments {first} and {second} overlap at {address:#x}")
            }
            P::SegmentTooLow { segment, address, minimum } => write!(
                f,
                "segment {segment} at {address:#x} lies below {minimum:#x}, where the platform's own tables are"
            ),
            P::UpperHalf { segment, address } => write!(
                f,
                "segment {segment} is linked at {address:#x}, outside the lower canonical half (below 0x800000000000)"
            ),
            P::WritableAndExecutable { segment, start, end } => {
                write!(
                    f,
                    "segment {segment} at {start:#x}-{end:#x} is both writable and executable"
                )
            }
            P::SegmentOutsideMemory { segment, start, end, memory } => write!(
                f,
                "the guest is larger than its memory: segment {segment} at {start:#x} ends at {end:#x}, \
                 memory ends at {memory:#x} ({})",
                mib(*memory)
            ),
            P::EntryOutside { entry } => {
                write!(f, "the entry point {entry:#x} lies in no loadable segment")
            }
            P::OutsideMemory { start, end, memory } => {
                write!(
                    f,
                    "{start:#x}-{end:#x} does not fit into the guest's memory of {}",
                    mib(*memory)
                )
            }
            P::MemorySize { memory, minimum, maximum } => write!(
                f,
                "guest memory of {} is not possible: this image takes {} to {}, in steps of 2 MiB",
                mib(*memory),
                mib(*minimum),
                mib(*maximum)
            ),
            P::ArgumentsTooLong { length, maximum } => {
                write!(
                    f,
                    "the arguments have {length} bytes when joined; the guest takes {maximum}"
                )
            }
            P::ArgumentNul { argument } => {
                write!(
                    f,
                    "argument {argument} contains a NUL byte, which would end the command line"
                )
            }
            P::NoteSize { segment, note, size, minimum, maximum } => write!(
                f,
                "Solo5 {note} note does not fall within valid size: {size} bytes in segment {segment}, \
                 {minimum} to {maximum} are valid"
            ),
            P::NoAbiNote => write!(f, "No Solo5 ABI information found in executable (note ABI1)"),
            P::WrongTarget { target } => write!(
                f,
                "Executable is not for the solo5-hvt target, but for target {target} ({})",
                target_name(*target)
            ),
            P::WrongAbiVersion { version } => {
                write!(f, "Executable requests unsupported ABI version {version}; hvt has 1 and 2")
            }
            P::NoManifest => write!(f, "No Solo5 manifest found in executable (note MFT1)"),
            P::ManifestVersion { version } => {
                write!(f, "Solo5 manifest is invalid: version {version}, only 1 is known")
            }
            P::ManifestEntries { entries, maximum } => {
                write!(
                    f,
                    "Solo5 manifest is invalid: {entries} entries, 1 to {maximum} are possible"
                )
            }
            P::ManifestSize { size, expected } => write!(
                f,
                "Solo5 manifest is invalid: it has {size} bytes, its number of entries takes {expected}"
            ),
            P::ManifestFirstEntry { kind } => write!(
                f,
                "Solo5 manifest is invalid: entry 0 is of type {kind:#x} or has a name, not the nameless reserved one"
            ),
            P::ManifestName { entry } => {
                write!(f, "Solo5 manifest is invalid: the name of entry {entry} has no end")
            }
            P::ManifestAttached { entry } => {
                write!(f, "Solo5 manifest is invalid: entry {entry} claims to be attached already")
            }
            P::ManifestKind { entry, kind } => {
                write!(f, "Solo5 manifest is invalid: entry {entry} is of unknown type {kind:#x}")
            }
            P::DevicesNotAttached { devices } => {
                write!(f, "All declared devices must be attached; missing: {}", devices.join(", "))
            }
            P::DeviceNotDeclared { device } => {
                write!(
                    f,
                    "Resource not declared in manifest: '{device}', or declared with another type"
                )
            }
            P::DevicesUnsupported => write!(f, "this platform takes no devices of the Solo5 kind"),
            P::SectionTable { error } => {
                write!(f, "sections and symbols cannot be read, which rewriting needs: {error}")
            }
            P::CodeOverlaps { address } => {
                write!(f, "two sections of code overlap at {address:#x}")
            }
            P::CodeOrData { places } => write_places(f, places),
            P::TooManyRewrites { count, limit } => write!(
                f,
                "{count} instructions would have to be rewritten or known; a server keeps {limit}"
            ),
            P::RewriteBroken { address, rule } => write!(
                f,
                "rewriting failed its own check at {address:#x} ({rule}); this is a defect of the tool"
            ),
        }
    }
}

fn write_places(f: &mut fmt::Formatter<'_>, places: &[String]) -> fmt::Result {
    let noun = if places.len() == 1 { "place" } else { "places" };
    write!(
        f,
        "code and data cannot be told apart at {} {noun} that may hold an instruction to rewrite: {}",
        places.len(),
        places[..places.len().min(LISTED)].join("; ")
    )?;
    match places.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => write!(f, "; and {more} more, which `cargo umbriel inspect` lists"),
    }
}

impl Problem {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        use Problem as P;
        match self {
            P::ImageTooLarge { .. } => {
                "strip debug information (`strip -g`), or move data out of the image"
            }
            P::HeaderTruncated { .. }
            | P::ProgramHeadersTruncated { .. }
            | P::SegmentTruncated { .. } => "copy or build the file again",
            P::NotElf { .. } => {
                "give the ELF file that the linker wrote (Solo5: NAME.hvt), not a script or disk image"
            }
            P::NotElf64 { .. } | P::NotLittleEndian { .. } | P::WrongMachine { .. } => {
                "build the guest for x86-64; a 32-bit `objcopy` of it will not do"
            }
            P::NotExecutable { .. } => {
                "link with -static -no-pie (Rust: -C relocation-model=static)"
            }
            P::ElfVersion { .. }
            | P::HeaderSizes { .. }
            | P::SegmentShrinks { .. }
            | P::SegmentWraps { .. }
            | P::SegmentAlignment { .. }
            | P::NothingToLoad
            | P::EntryOutside { .. } => {
                "check the linker script with `readelf -hl`; the file is damaged or unusual"
            }
            P::SegmentNotPageAligned { .. } => {
                "link with -z max-page-size=0x1000 and align segments in the linker script"
            }
            P::SegmentsUnordered { .. } | P::SegmentsOverlap { .. } => {
                "reorder the segments in the linker script"
            }
            P::SegmentTooLow { .. } => "link the guest at 1 MiB (0x100000) or above",
            P::UpperHalf { .. } => {
                "link the guest in the lower half, for example at 2 MiB (0x200000)"
            }
            P::WritableAndExecutable { .. } => "separate code and data in the linker script",
            P::SegmentOutsideMemory { .. } | P::OutsideMemory { .. } => {
                "give the guest more memory"
            }
            P::MemorySize { .. } => "choose a size in that range",
            P::ArgumentsTooLong { .. } => "shorten the arguments",
            P::ArgumentNul { .. } => "remove the NUL byte",
            P::NoteSize { .. }
            | P::NoManifest
            | P::ManifestVersion { .. }
            | P::ManifestEntries { .. }
            | P::ManifestSize { .. }
            | P::ManifestFirstEntry { .. }
            | P::ManifestName { .. }
            | P::ManifestAttached { .. }
            | P::ManifestKind { .. } => {
                "build the manifest with solo5-elftool gen-manifest and link it in"
            }
            P::NoAbiNote => "link with the Solo5 toolchain for hvt, or choose platform pc64",
            P::WrongTarget { .. } => "link the unikernel for hvt (-z solo5-abi=hvt)",
            P::WrongAbiVersion { .. } => {
                "link with a Solo5 release from 0.5 on whose hvt interface has version 1 or 2"
            }
            P::DevicesNotAttached { .. } => {
                "attach each device in the system's manifest, or use an image without them"
            }
            P::DeviceNotDeclared { .. } => "use a name and type that the image declares",
            P::DevicesUnsupported => "remove the devices, or use a solo5-hvt image",
            P::CodeOrData { .. } => {
                "keep symbols in the image (do not strip it); in assembly give code `.type NAME, @function` \
                 and `.size`, and data in code sections `.type NAME, @object` and `.size`; or set \
                 `rewrite = false` for the guest (a lone image: --no-rewrite), which then sees the real processor there"
            }
            P::TooManyRewrites { .. } => "set `rewrite = false` for the guest",
            P::SectionTable { .. } | P::CodeOverlaps { .. } => {
                "link the image again, or set `rewrite = false` for the guest"
            }
            P::RewriteBroken { .. } => "set `rewrite = false` for the guest, and report the image",
        }
    }
}
