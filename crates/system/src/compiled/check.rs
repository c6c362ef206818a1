//! What the fields of an archive may hold.
//!
//! The root task builds from these fields without asking again, so every rule
//! that its arithmetic relies on stands here. Bounds of tables and bytes are
//! checked before, in [`super::archive`].

use crate::address_map::{IMAGE, IMAGE_END, MAX_TRACE, MAX_VCPUS, METADATA_LIMIT, WINDOW_LIMIT};

use super::{
    Archive, ArchiveError, GUEST_PRIORITIES, GpaRange, Guest, Injection, Load, MAX_GUESTS,
    MAX_READ_ONLY, MAX_REWRITES, Patch, PatchKind, Platform, Program, ProgramKind, Rewrite,
    Segment,
};

const PAGE: u64 = 4096;
/// Most pages of a process's stack: 4 MiB.
const MAX_STACK_PAGES: u32 = 1024;

type Result = core::result::Result<(), ArchiveError>;

fn rule(holds: bool, rule: &'static str) -> Result {
    if holds { Ok(()) } else { Err(ArchiveError::Content(rule)) }
}

pub(super) fn contents(archive: &Archive<'_>) -> Result {
    rule(archive.programs.len() == ProgramKind::ALL.len(), "one program of each kind")?;
    for of in archive.programs {
        program(of, archive.segments_of(of))?;
    }
    rule(archive.guests.len() <= MAX_GUESTS, "no more guests than process numbers")?;
    for of in archive.guests {
        guest(of)?;
        archive.loads_of(of).iter().try_for_each(|load| check_load(of, load))?;
        archive.read_only_of(of).iter().try_for_each(|range| check_range(of, range))?;
        archive.patches_of(of).iter().try_for_each(|patch| check_patch(of, patch))?;
        check_rewrites(archive.rewrites_of(of))?;
    }
    archive.injections.iter().try_for_each(|injection| check_injection(archive, injection))
}

fn program(program: &Program, segments: &[Segment]) -> Result {
    rule((1..=MAX_STACK_PAGES).contains(&program.stack_pages), "a stack has 1 to 1024 pages")?;
    let mut below = IMAGE;
    for segment in segments {
        rule(segment.address.is_multiple_of(PAGE), "segments start on pages")?;
        rule(segment.memory_bytes.is_multiple_of(PAGE), "segments are whole pages")?;
        rule(segment.address >= below, "segments ascend inside the image region")?;
        let end = segment.address.checked_add(segment.memory_bytes).filter(|end| *end <= IMAGE_END);
        below = end.ok_or(ArchiveError::Content("segments end inside the image region"))?;
        rule(
            u64::from(segment.file_bytes) <= segment.memory_bytes,
            "a segment's bytes fit its memory",
        )?;
        rule(u64::from(segment.offset).is_multiple_of(PAGE), "bytes start on pages")?;
    }
    Ok(())
}

fn guest(guest: &Guest) -> Result {
    rule(!guest.name.as_str().is_empty(), "guests have names")?;
    rule(Platform::from_number(guest.platform).is_some(), "guests have known platforms")?;
    rule((1..=MAX_VCPUS as u32).contains(&guest.vcpus), "guests have 1 to 8 vCPUs")?;
    rule(GUEST_PRIORITIES.contains(&guest.priority), "guests have guests' priorities")?;
    rule((1..=WINDOW_LIMIT).contains(&guest.memory_bytes), "guest memory fits the window")?;
    rule(guest.memory_bytes.is_multiple_of(PAGE), "guest memory is whole pages")?;
    rule(
        u64::from(guest.pools.frames) == guest.memory_bytes / PAGE,
        "there is one frame per page of guest memory",
    )?;
    rule(guest.read_only.count as usize <= MAX_READ_ONLY, "read-only ranges fit the startup page")?;
    rule(guest.trace <= MAX_TRACE, "traces fit their region")?;
    rule(guest.metadata_bytes <= METADATA_LIMIT, "metadata fits its region")
}

fn check_load(guest: &Guest, load: &Load) -> Result {
    rule(load.gpa.is_multiple_of(PAGE), "loads start on pages")?;
    rule(u64::from(load.offset).is_multiple_of(PAGE), "bytes start on pages")?;
    let end = load.gpa.checked_add(load.bytes.into());
    rule(end.is_some_and(|end| end <= guest.memory_bytes), "loads lie in guest memory")
}

fn check_range(guest: &Guest, range: &GpaRange) -> Result {
    rule(
        range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE),
        "ranges are whole pages",
    )?;
    rule(range.start <= range.end && range.end <= guest.memory_bytes, "ranges lie in guest memory")
}

fn check_patch(guest: &Guest, patch: &Patch) -> Result {
    rule(PatchKind::from_number(patch.kind).is_some(), "patches are of known kinds")?;
    rule(patch.gpa.is_multiple_of(8), "patches are 8-aligned")?;
    let end = patch.gpa.checked_add(8);
    rule(end.is_some_and(|end| end <= guest.memory_bytes), "patches lie in guest memory")
}

fn check_rewrites(table: &[Rewrite]) -> Result {
    rule(table.len() <= MAX_REWRITES, "rewritten instructions fit their region")?;
    rule(Rewrite::is_table(table), "rewritten instructions ascend and have lengths")
}

fn check_injection(archive: &Archive<'_>, injection: &Injection) -> Result {
    rule((injection.guest as usize) < archive.guests.len(), "injections name a guest")?;
    let mortal = [ProgramKind::ShadowServer as u32, ProgramKind::Vmm as u32];
    rule(mortal.contains(&injection.program), "injections name a process of a guest")
}
