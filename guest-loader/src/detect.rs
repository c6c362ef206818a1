//! Which platform an image is for, and placing it there.

use system::compiled::Platform;

use crate::elf::Elf;
use crate::rewrite::{KernelSupport, rewrite};
use crate::{Image, Options, PlacedGuest, Problem, Refusal, pc64, solo5};

/// The platform that an image is for: `solo5-hvt` if it carries a note named
/// "Solo5" (whatever target it names), otherwise `pc64`.
///
/// # Errors
/// A [`Refusal`] if the file is not an ELF64 executable for x86-64.
pub fn detect(image: &Image<'_>) -> Result<Platform, Refusal> {
    let elf = Elf::parse(image.bytes).map_err(|problem| refuse(image, problem))?;
    Ok(if solo5::has_notes(&elf) { Platform::Solo5Hvt } else { Platform::Pc64 })
}

/// The memory of a guest that names no size: [`crate::DEFAULT_MEMORY`], or
/// what the image needs to start.
///
/// # Errors
/// A [`Refusal`] if the file is not an ELF64 executable for x86-64.
pub fn default_memory(image: &Image<'_>, platform: Platform) -> Result<u64, Refusal> {
    let elf = Elf::parse(image.bytes).map_err(|problem| refuse(image, problem))?;
    Ok(match platform {
        Platform::Solo5Hvt => solo5::default_memory(&elf),
        Platform::Pc64 => pc64::default_memory(&elf),
    })
}

/// Places `image` on `platform`.
///
/// # Errors
/// A [`Refusal`] with the first rule that the image or the options break.
pub fn place(
    image: &Image<'_>,
    platform: Platform,
    options: &Options,
) -> Result<PlacedGuest, Refusal> {
    place_bytes(image.bytes, platform, options).map_err(|problem| refuse(image, problem))
}

fn place_bytes(
    bytes: &[u8],
    platform: Platform,
    options: &Options,
) -> Result<PlacedGuest, Problem> {
    let place = match platform {
        Platform::Solo5Hvt => solo5::place,
        Platform::Pc64 => pc64::place,
    };
    if !options.rewrite {
        return place(bytes, options);
    }
    let rewritten = rewrite(bytes, platform, KernelSupport::ExactSyscall)?;
    let mut placed = place(&rewritten.bytes, options)?;
    placed.notes.push(format!(
        "{} instructions rewritten, {} known by address.",
        rewritten.changed,
        rewritten.table.len()
    ));
    placed.rewrites = rewritten.table;
    Ok(placed)
}

pub(crate) fn refuse(image: &Image<'_>, problem: Problem) -> Refusal {
    Refusal { image: image.name.to_owned(), problem }
}

/// Joins arguments by single spaces, as one command line of at most `maximum`
/// bytes, the closing NUL not counted.
pub(crate) fn join_arguments(arguments: &[String], maximum: u64) -> Result<String, Problem> {
    if let Some(argument) = arguments.iter().position(|argument| argument.contains('\0')) {
        return Err(Problem::ArgumentNul { argument });
    }
    let line = arguments.join(" ");
    let length = line.len() as u64;
    if length > maximum { Err(Problem::ArgumentsTooLong { length, maximum }) } else { Ok(line) }
}
