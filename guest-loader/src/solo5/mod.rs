//! Platform `solo5-hvt`: unikernels for Solo5's hvt target, ABI 1 and 2.
//!
//! Job: do what Solo5's tender does before the first instruction: check the
//! notes and segments, attach devices, build page tables, GDT and boot
//! information. Sources: Solo5 v0.7.2, `include/{elf,hvt,mft}_abi.h`,
//! `tenders/common/{elf,mft}.c`, `tenders/hvt/hvt_{main,boot_info,cpu_x86_64}.c`.
//!
//! Invariant: an image that upstream's tender of the same ABI version runs is
//! placed; one that it refuses is refused, with its words where it has some.

mod abi;
mod boot_info;
mod manifest;
mod segments;
mod tables;

pub use abi::{AbiVersion, has_notes, version};
pub use manifest::Manifest;

use x86::{Cr0, Cr4, Efer, Gpa, Rflags};

use crate::elf::Elf;
use crate::{DEFAULT_MEMORY, GuestPages, MEMORY_UNIT, MIB, Options, Patch, PatchKind, PlacedGuest};
use crate::{Platform, Problem, VcpuStart};

/// Lowest address of an image (`HVT_GUEST_MIN_BASE`).
pub const MINIMUM_BASE: u64 = 0x10_0000;
/// Bindings refuse to start with less between the image's end and the end of
/// memory (`bindings/mem.c`); the stack is at the top of it.
const MINIMUM_HEAP: u64 = MIB / 2;

/// Memory for an image that names none. Never less than the image needs.
pub fn default_memory(elf: &Elf<'_>) -> u64 {
    let end = elf.loads().map(|load| load.virtual_address.saturating_add(load.memory_size)).max();
    let needed = end.unwrap_or(0).saturating_add(MINIMUM_HEAP);
    needed.checked_next_multiple_of(MEMORY_UNIT).unwrap_or(u64::MAX).max(DEFAULT_MEMORY)
}

/// Places the image `bytes`.
///
/// # Errors
/// The first rule broken.
pub fn place(bytes: &[u8], options: &Options) -> Result<PlacedGuest, Problem> {
    let elf = Elf::parse(bytes)?;
    let version = abi::version(&elf)?;
    let mut manifest = Manifest::read(&elf)?;
    manifest.attach(&options.devices)?;

    let memory = options.memory_bytes.unwrap_or_else(|| default_memory(&elf));
    check_memory(memory, version)?;
    let mut pages = GuestPages::new(memory);
    let image = segments::load(&elf, &mut pages)?;
    tables::build(&mut pages, version)?;
    let tsc_hz = boot_info::write(&mut pages, version, image.end, &manifest, &options.arguments)?;

    let mut read_only = vec![(Gpa::new(boot_info::BASE), Gpa::new(MINIMUM_BASE))];
    read_only.extend(image.read_only);
    join_neighbours(&mut read_only);
    Ok(PlacedGuest {
        platform: Platform::Solo5Hvt,
        memory_bytes: memory,
        loads: pages.into_loads(),
        read_only,
        patches: vec![Patch { gpa: tsc_hz, kind: PatchKind::TscHz }],
        rewrites: Vec::new(),
        start: start_state(elf.entry, memory),
        secondary: None,
        notes: vec![
            format!("Solo5 hvt, ABI version {}.", version.number()),
            format!("Image ends at {:#x} of {memory:#x}.", image.end),
            format!("{} devices attached.", options.devices.len()),
        ],
    })
}

fn check_memory(memory: u64, version: AbiVersion) -> Result<(), Problem> {
    let (minimum, maximum) = (MEMORY_UNIT, version.maximum_memory());
    if memory.is_multiple_of(MEMORY_UNIT) && (minimum..=maximum).contains(&memory) {
        Ok(())
    } else {
        Err(Problem::MemorySize { memory, minimum, maximum })
    }
}

/// `hvt_cpu_x86_64.h`, `X86_*_INIT`; ET of CR0 is always one on hardware. IDTR
/// has limit 0: any exception before the guest's `lidt` is a triple fault.
fn start_state(entry: u64, memory: u64) -> VcpuStart {
    VcpuStart {
        rip: entry,
        rsp: memory - 8,
        rflags: Rflags::FIXED.bits(),
        rdi: boot_info::BASE,
        cr0: (Cr0::PE | Cr0::ET | Cr0::NE | Cr0::WP | Cr0::PG).bits(),
        cr3: tables::LEVEL_4,
        cr4: (Cr4::PAE | Cr4::OSFXSR | Cr4::OSXMMEXCPT).bits(),
        efer: (Efer::LME | Efer::LMA).bits(),
        gdt_base: tables::GDT,
        gdt_limit: tables::GDT_LIMIT,
        code_selector: tables::CODE_SELECTOR,
        data_selector: tables::DATA_SELECTOR,
        ..VcpuStart::default()
    }
}

fn join_neighbours(ranges: &mut Vec<(Gpa, Gpa)>) {
    ranges.dedup_by(|next, previous| {
        let touching = next.0 == previous.1;
        if touching {
            previous.1 = next.1;
        }
        touching
    });
}
