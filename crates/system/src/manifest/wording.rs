//! The words for every problem: what is wrong, why that is refused, what to do.

use super::problem::Problem;
use super::size::{Size, SizeError};
use super::validate::MACHINE_MEMORY;

/// A problem in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    /// What is wrong, to follow the key and a colon.
    pub what: String,
    /// Why that is refused.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

fn wording(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Wording {
    Wording { what: what.into(), why: why.into(), fix: fix.into() }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Problem {
    /// The problem in words.
    pub fn wording(&self) -> Wording {
        self.file_wording()
            .or_else(|| self.value_wording())
            .or_else(|| self.guest_wording())
            .unwrap_or_else(|| self.system_wording())
    }

    /// Files and keys.
    fn file_wording(&self) -> Option<Wording> {
        Some(match self {
            Self::FileUnreadable { path, error } => wording(
                format!("`{path}` cannot be read"),
                error,
                "correct the path; paths are relative to the file that names them",
            ),
            Self::FileNotUtf8 { line } => wording(
                format!("line {line} is not UTF-8 text"),
                "TOML files are UTF-8",
                "save the file as UTF-8",
            ),
            Self::InheritCycle { path } => wording(
                format!("`{path}` inherits itself"),
                "this file is being read already",
                "remove one `inherit` of the cycle",
            ),
            Self::InheritDepth { limit } => wording(
                format!("fragments inherit each other more than {limit} levels deep"),
                "so many levels are a mistake more often than a wish",
                "inherit the innermost fragments from the manifest itself",
            ),
            Self::Syntax { message } => wording(
                "this is not TOML",
                message,
                "correct the line; the format is described at https://toml.io",
            ),
            Self::SchemaMissing => wording(
                "this file does not say which schema it follows",
                "a file without a number could change its meaning",
                "write `schema = 1` at the top",
            ),
            Self::SchemaUnsupported { found } => wording(
                format!("schema {found} is not known"),
                "this version of Umbriel reads schema 1",
                "write `schema = 1` and check the keys against docs/manifest.md, or use the version of Umbriel that the file was written for",
            ),
            Self::UnknownKey { key, noun, nearest, known } => wording(
                format!("a {noun} has no key `{key}`"),
                format!("its keys are {}", quoted(known)),
                match nearest {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => "remove it".to_owned(),
                },
            ),
            Self::MissingKey { key, noun, doc } => wording(
                format!("this {noun} has no `{key}`"),
                format!("every {noun} needs one"),
                format!("add `{key} = \"…\"`: {}", sentence_part(doc)),
            ),
            _ => return None,
        })
    }

    /// Values of single keys.
    fn value_wording(&self) -> Option<Wording> {
        Some(match self {
            Self::WrongType { expected, found, example } => wording(
                format!("expected {expected}"),
                format!("this is {found}"),
                format!("write {example}"),
            ),
            Self::UnknownValue { value, nearest, known } => wording(
                format!("there is no `{value}`"),
                format!("it can be {}", quoted(known)),
                match nearest {
                    Some(nearest) => format!("did you mean \"{nearest}\"?"),
                    None => "use one of these".to_owned(),
                },
            ),
            Self::OutOfRange { value, min, max, why } => wording(
                format!("{value} is not in {min} to {max}"),
                *why,
                format!("use a number from {min} to {max}"),
            ),
            Self::SizeSyntax { text, error } => size_wording(text, error),
            Self::SizeUnit { bytes, unit, why } => {
                let below = bytes - bytes % unit;
                let above = below.saturating_add(*unit);
                let fix = match below {
                    0 => format!("write \"{}\"", Size(above)),
                    _ => format!("write \"{}\" or \"{}\"", Size(below), Size(above)),
                };
                wording(format!("{} is not a multiple of {}", Size(*bytes), Size(*unit)), *why, fix)
            }
            Self::CpuSyntax { cpu } => wording(
                format!("`{cpu}` is no QEMU processor model"),
                "models and flags are letters, digits and `_.,+=-`",
                "see `qemu-system-x86_64 -cpu help`",
            ),
            Self::NameSyntax { name, limit } => wording(
                format!("`{name}` is not a name"),
                format!(
                    "names are 1 to {limit} of `a-z`, `0-9` and `-`, a letter first: they prefix console lines and name processes"
                ),
                match plain_name(name, *limit) {
                    Some(plain) => format!("write \"{plain}\""),
                    None => "choose another name".to_owned(),
                },
            ),
            Self::NameReserved { name } => wording(
                format!("`{name}` is reserved"),
                "messages use this name for a part of Umbriel itself",
                format!("choose another name, such as \"{name}-1\""),
            ),
            Self::ArgumentNul => wording(
                "an argument holds a NUL character",
                "guests see their arguments as one text that ends with NUL",
                "remove `\\u0000` from it",
            ),
            Self::ArgumentsTooLong { bytes, limit } => wording(
                format!("the arguments take {bytes} bytes together"),
                format!("a guest's command line has room for {limit}"),
                "shorten them, or put them into a file in the image",
            ),
            _ => return None,
        })
    }

    /// Guests.
    fn guest_wording(&self) -> Option<Wording> {
        Some(match self {
            Self::GuestMemory { bytes, platform, min, max } => wording(
                format!("{} is not in {} to {}", Size(*bytes), Size(*min), Size(*max)),
                format!("these are the limits of {platform}"),
                format!("use a size from \"{}\" to \"{}\"", Size(*min), Size(*max)),
            ),
            Self::NameDuplicate { name } => wording(
                format!("two guests are called `{name}`"),
                "the name is what tells their console lines and results apart",
                "rename one of them",
            ),
            Self::ImageNone { guest } => wording(
                format!("guest `{guest}` has no image"),
                "a guest needs one of `image`, `build` and `solo5-test`",
                "add `image = \"PATH\"`",
            ),
            Self::ImageSeveral { first, second } => wording(
                format!("a guest has either `{first}` or `{second}`"),
                format!("`{first}` already says what it runs"),
                "remove one of them",
            ),
            Self::ImageUnreadable { path, error } => wording(
                format!("the image `{path}` cannot be read"),
                error,
                "correct the path; it is relative to the file that names it",
            ),
            Self::BuildPath { path } => wording(
                format!("`{path}` may lie outside the repository"),
                "`build` names a guest of this repository, which the tool compiles",
                "write a path such as \"guests/hello\", or use `image` for a file of your own",
            ),
            Self::BuildMissing { path } => wording(
                format!("`{path}` is no guest of this repository"),
                "it has no Cargo.toml",
                "use one of the directories in `guests`, or `image` for a file of your own",
            ),
            Self::PlatformConflict { key, platform } => wording(
                format!("`{key}` gives a {platform} guest"),
                format!("what `{key}` builds runs on no other platform"),
                format!("remove `platform`, or write \"{platform}\""),
            ),
            Self::SeveralVcpus { vcpus } => wording(
                format!("a solo5-hvt guest has one vCPU, not {vcpus}"),
                "the hvt interface has no way to start another",
                "write `vcpus = 1`, or leave it out",
            ),
            Self::ComposeImageRefused { what, why, fix } => wording(what, why, fix),
            Self::ComposeReadOnly { count, limit } => wording(
                format!("the image has {count} read-only ranges"),
                format!("a guest's server is told about {limit}"),
                "link the image with fewer read-only segments",
            ),
            _ => return None,
        })
    }

    /// The system as a whole; the last of the four, so it knows every variant.
    fn system_wording(&self) -> Wording {
        match self {
            Self::MachineMemory { bytes, min, max } => wording(
                format!("{} is not in {} to {}", Size(*bytes), Size(*min), Size(*max)),
                "with less there is no room for the servers, and more has not been tried",
                format!("use a size from \"{}\" to \"{}\"", Size(*min), Size(*max)),
            ),
            Self::NoGuests => wording(
                "the system has no guest",
                "there is nothing to run",
                "add a `[[guest]]` with `name` and `image`",
            ),
            Self::TooManyGuests { count, limit } => wording(
                format!("{count} guests"),
                format!("process numbers and badges are handed out for {limit}"),
                format!("remove {} of them, or make two systems", count - limit),
            ),
            Self::InjectUnknownGuest { name, nearest } => wording(
                format!("no guest is called `{name}`"),
                "an injection names one of the system's guests",
                match nearest {
                    Some(nearest) => format!("did you mean \"{nearest}\"?"),
                    None => "use the `name` of a `[[guest]]`".to_owned(),
                },
            ),
            Self::InjectDuplicate { process } => wording(
                format!("`{process}` dies twice"),
                "a process dies once",
                "remove one of the injections",
            ),
            Self::TooManySpaces { spaces, processes, limit } => wording(
                format!("the guests' `shadow.spaces` add up to {spaces}"),
                format!("seL4 numbers {limit} address spaces, and the processes take {processes}"),
                format!("lower them to {} in all", limit - processes),
            ),
            Self::ArchiveTooLarge { bytes, limit } => wording(
                format!("the image files have {} MiB together", bytes.div_ceil(1 << 20)),
                format!("seL4 boots archives of at most {}", Size(*limit)),
                "strip debug information from the images, or make two systems",
            ),
            Self::ComposeArchiveTooLarge { bytes, limit } => wording(
                format!("the archive would have {} MiB", bytes.div_ceil(1 << 20)),
                format!(
                    "seL4 boots archives of at most {}; this guest's image takes the most",
                    Size(*limit)
                ),
                "strip debug information from the images, or make two systems",
            ),
            Self::MachineTooSmall { machine, needed, shares } => {
                machine_wording(*machine, *needed, shares)
            }
            other => unreachable!("{} has no words", other.code()),
        }
    }
}

fn size_wording(text: &str, error: &SizeError) -> Wording {
    let (why, fix) = match error {
        SizeError::Number => (
            "a size starts with a whole number".to_owned(),
            "write a size such as \"32 MiB\"".to_owned(),
        ),
        SizeError::NoUnit(number) => {
            ("it has no unit".to_owned(), format!("write \"{number} MiB\" if these are MiB"))
        }
        SizeError::Unit(number, unit, Some(meant)) => (
            format!("the units are KiB, MiB and GiB, not `{}`", unit.trim()),
            format!("write \"{number} {meant}\""),
        ),
        SizeError::Unit(_, unit, None) => (
            format!("the units are KiB, MiB and GiB, not `{unit}`"),
            "write a size such as \"32 MiB\"".to_owned(),
        ),
        SizeError::TooLarge => {
            ("it is more than 2^64 bytes".to_owned(), "write a smaller size".to_owned())
        }
    };
    wording(format!("`{text}` is not a size"), why, fix)
}

fn machine_wording(machine: u64, needed: u64, shares: &[(String, u64)]) -> Wording {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let list: Vec<String> = shares
        .iter()
        .filter(|(_, bytes)| *bytes > 0)
        .map(|(what, bytes)| format!("{what} {} MiB", mib(*bytes)))
        .collect();
    let enough = Size(needed.next_multiple_of(64 << 20));
    wording(
        format!("the system needs about {} MiB, the machine has {}", mib(needed), mib(machine)),
        list.join(", "),
        match needed <= MACHINE_MEMORY.1 {
            true => format!("give the machine `memory = \"{enough}\"`, or the guests less"),
            false => "give the guests less".to_owned(),
        },
    )
}

/// `doc`, a sentence, to follow a colon.
fn sentence_part(doc: &str) -> String {
    let mut characters = doc.trim_end_matches('.').chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

/// What is left of `name` when only legal characters stay.
fn plain_name(name: &str, limit: usize) -> Option<String> {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }
    };
    let plain: String = name.chars().map(legal).take(limit).collect();
    let plain = plain.trim_matches('-');
    plain.starts_with(|c: char| c.is_ascii_lowercase()).then(|| plain.to_owned())
}
