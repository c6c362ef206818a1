//! The rules that look at more than one key, or beyond the manifest.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::budget::{ADDRESS_SPACES, Budget, DRIVERS, PROCESSES_PER_GUEST};
use crate::compile::MAX_ARCHIVE;
use crate::compiled::{MAX_GUESTS, Platform, ProgramKind};

use super::diagnostics::Diagnostics;
use super::document::{Document, GuestEntry, InjectionEntry, Loader};
use super::model::{Guest, GuestSource, Injection, Machine, Shadow, System};
use super::problem::Problem;
use super::reader::{Report, join, nearest};
use super::source::{At, Files, Spanned, resolve};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Memory of a guest whose manifest and image ask for nothing else.
pub const DEFAULT_GUEST_MEMORY: u64 = 32 * MIB;
const DEFAULT_MACHINE_MEMORY: u64 = 512 * MIB;
const DEFAULT_PROFILE: &str = "pc";
const DEFAULT_PRIORITY: u32 = 100;
/// Limits of the machine's memory: what has been booted.
const MACHINE_MEMORY: (u64, u64) = (64 * MIB, 8 * GIB);
/// Guest memory comes in level-2 pages.
const GUEST_UNIT: u64 = 2 * MIB;
/// Longest name of a guest, so that `name/shadow-server` fits a process's name.
const NAME_LIMIT: usize = 16;
/// Names that console lines and control records use themselves.
const RESERVED: [&str; 6] = [
    "umbriel",
    "console",
    "timer",
    "supervisor",
    "root-task",
    "kernel",
];
/// Bytes of a command line: Solo5's limit with its NUL; `pc64` has the same.
const ARGUMENTS_LIMIT: usize = 8191;

/// Turns what was read into a system.
pub(super) fn validate(
    document: Document,
    loader: Loader<'_>,
    path: &Path,
    repository: Option<&Path>,
) -> Result<System, Diagnostics> {
    let Loader {
        files,
        mut report,
        top,
        ..
    } = loader;
    let Some(top) = top.filter(|_| readable(&report)) else {
        return Err(Diagnostics::new(report.sources, report.list));
    };
    let mut rules = Rules {
        files,
        repository,
        report: &mut report,
        image_bytes: 0,
    };
    let machine = rules.machine(&document);
    let name = rules.system_name(&document, path);
    let guests = rules.guests(&document.guests, top);
    let injections = rules.injections(&document.injections, &document.guests);
    let image_bytes = rules.image_bytes;
    if !report.list.is_empty() {
        return Err(Diagnostics::new(report.sources, report.list));
    }
    let system = System {
        name,
        machine,
        guests,
        injections,
        sources: report.sources,
        top,
    };
    Budget::estimate(&system, image_bytes).check(&system)?;
    Ok(system)
}

/// Whether every file could be read as a table of this schema. If not, what
/// is missing would only bring further complaints.
fn readable(report: &Report) -> bool {
    !report.list.iter().any(|diagnostic| {
        matches!(
            diagnostic.problem,
            Problem::FileUnreadable { .. }
                | Problem::FileNotUtf8 { .. }
                | Problem::InheritCycle { .. }
                | Problem::InheritDepth { .. }
                | Problem::Syntax { .. }
                | Problem::SchemaMissing
                | Problem::SchemaUnsupported { .. }
        )
    })
}

struct Rules<'r> {
    files: &'r dyn Files,
    repository: Option<&'r Path>,
    report: &'r mut Report,
    image_bytes: u64,
}

impl Rules<'_> {
    fn machine(&mut self, document: &Document) -> Machine {
        let (min, max) = MACHINE_MEMORY;
        if let Some(Spanned { value: bytes, at }) = document.memory {
            let why = "QEMU takes memory in whole MiB";
            if !(min..=max).contains(&bytes) {
                self.report.add(
                    Problem::MachineMemory { bytes, min, max },
                    "machine.memory",
                    at,
                );
            } else if !bytes.is_multiple_of(MIB) {
                self.report.add(
                    Problem::SizeUnit {
                        bytes,
                        unit: MIB,
                        why,
                    },
                    "machine.memory",
                    at,
                );
            }
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.,+=-".contains(c);
        if let Some(cpu) = &document.cpu
            && (cpu.value.is_empty() || !cpu.value.chars().all(legal))
        {
            self.report.add(
                Problem::CpuSyntax {
                    cpu: cpu.value.clone(),
                },
                "machine.cpu",
                cpu.at,
            );
        }
        Machine {
            memory_bytes: document
                .memory
                .as_ref()
                .map_or(DEFAULT_MACHINE_MEMORY, |memory| memory.value),
            profile: document
                .profile
                .as_ref()
                .map_or(DEFAULT_PROFILE.to_owned(), |profile| profile.value.clone()),
            cpu: document.cpu.as_ref().map(|cpu| cpu.value.clone()),
            memory_at: document.memory.as_ref().map(|memory| memory.at),
        }
    }

    fn system_name(&mut self, document: &Document, path: &Path) -> String {
        match &document.name {
            Some(name) => {
                self.name_syntax(name, "name");
                name.value.clone()
            }
            None => path
                .file_stem()
                .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
        }
    }

    fn name_syntax(&mut self, name: &Spanned<String>, key: &str) -> bool {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let text = &name.value;
        let fits = text.len() <= NAME_LIMIT
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(legal);
        if !fits {
            self.report.add(
                Problem::NameSyntax {
                    name: text.clone(),
                    limit: NAME_LIMIT,
                },
                key,
                name.at,
            );
        }
        fits
    }

    fn guests(&mut self, entries: &[GuestEntry], top: At) -> Vec<Guest> {
        if entries.is_empty() {
            self.report.add(Problem::NoGuests, "guest", top);
        }
        if let Some(first_too_many) = entries.get(MAX_GUESTS) {
            let problem = Problem::TooManyGuests {
                count: entries.len(),
                limit: MAX_GUESTS,
            };
            self.report.add(problem, "guest", first_too_many.at);
        }
        self.guest_names(entries);
        let guests: Vec<Guest> = entries
            .iter()
            .filter_map(|entry| self.guest(entry))
            .collect();
        self.address_spaces(&guests);
        guests
    }

    fn guest_names(&mut self, entries: &[GuestEntry]) {
        let mut seen: HashMap<&str, At> = HashMap::new();
        for name in entries.iter().filter_map(|entry| entry.name.as_ref()) {
            let key = format!("guest.{}.name", name.value);
            if let Some(first) = seen.get(name.value.as_str()) {
                let problem = Problem::NameDuplicate {
                    name: name.value.clone(),
                };
                self.report
                    .add_with(problem, key, name.at, Some((*first, "the first is here")));
                continue;
            }
            seen.insert(&name.value, name.at);
            if self.name_syntax(name, &key) && RESERVED.contains(&name.value.as_str()) {
                self.report.add(
                    Problem::NameReserved {
                        name: name.value.clone(),
                    },
                    key,
                    name.at,
                );
            }
        }
    }

    fn guest(&mut self, entry: &GuestEntry) -> Option<Guest> {
        let source = self.guest_source(entry);
        let written = entry
            .platform
            .as_ref()
            .map(|platform| platform_of(&platform.value));
        let platform = match &source {
            Some((GuestSource::Build(_), _)) => Some(Platform::Pc64),
            Some((GuestSource::Solo5Test(_), _)) => Some(Platform::Solo5Hvt),
            _ => written,
        };
        if let (Some(Spanned { at, .. }), Some((source, _))) = (&entry.platform, &source)
            && written != platform
        {
            let name = if platform == Some(Platform::Pc64) {
                "pc64"
            } else {
                "solo5-hvt"
            };
            let problem = Problem::PlatformConflict {
                key: source.key(),
                platform: name,
            };
            self.report
                .add(problem, join(&entry.prefix, "platform"), *at);
        }
        self.guest_memory(entry, platform);
        self.arguments(entry);
        if let Some(Spanned {
            value: vcpus @ 2..,
            at,
        }) = entry.vcpus
        {
            self.report.add(
                Problem::SeveralVcpus { vcpus },
                join(&entry.prefix, "vcpus"),
                at,
            );
        }
        let (source, source_at) = source?;
        let number = |value: &Option<Spanned<u64>>, default: u32| {
            value.as_ref().map_or(default, |v| v.value as u32)
        };
        let shadow = Shadow::default();
        Some(Guest {
            name: entry.name.as_ref()?.value.clone(),
            platform,
            source,
            memory_bytes: entry.memory.as_ref().map(|memory| memory.value),
            args: entry
                .args
                .iter()
                .map(|argument| argument.value.clone())
                .collect(),
            vcpus: number(&entry.vcpus, 1),
            priority: number(&entry.priority, DEFAULT_PRIORITY),
            shadow: Shadow {
                tables: number(&entry.tables, shadow.tables),
                spaces: number(&entry.spaces, shadow.spaces),
                extra_copies: number(&entry.extra_copies, shadow.extra_copies),
            },
            source_at,
            spaces_at: entry.spaces.as_ref().map(|spaces| spaces.at),
        })
    }

    fn guest_source(&mut self, entry: &GuestEntry) -> Option<(GuestSource, At)> {
        let Some((key, first_at, value)) = entry.sources.first() else {
            let guest = entry
                .name
                .as_ref()
                .map_or("", |name| &name.value)
                .to_owned();
            self.report
                .add(Problem::ImageNone { guest }, &entry.prefix, entry.at);
            return None;
        };
        for (second, at, _) in &entry.sources[1..] {
            let problem = Problem::ImageSeveral { first: key, second };
            let other = Some((*first_at, "the first is here"));
            self.report
                .add_with(problem, join(&entry.prefix, second), *at, other);
        }
        let value = value.as_ref()?;
        let key_path = join(&entry.prefix, key);
        let source = match *key {
            "image" => self.image(entry, value, &key_path)?,
            "build" => self.build(value, &key_path)?,
            _ => GuestSource::Solo5Test(value.value.clone()),
        };
        Some((source, value.at))
    }

    fn image(
        &mut self,
        entry: &GuestEntry,
        value: &Spanned<String>,
        key: &str,
    ) -> Option<GuestSource> {
        let path = resolve(&entry.file, &value.value);
        match self.files.length(&path) {
            Ok(bytes) => {
                let before = self.image_bytes;
                self.image_bytes = before.saturating_add(bytes);
                if before <= MAX_ARCHIVE && self.image_bytes > MAX_ARCHIVE {
                    let problem = Problem::ArchiveTooLarge {
                        bytes: self.image_bytes,
                        limit: MAX_ARCHIVE,
                    };
                    self.report.add(problem, key, value.at);
                }
                Some(GuestSource::Image(path))
            }
            Err(error) => {
                let path = path.display().to_string();
                self.report.add(
                    Problem::ImageUnreadable {
                        path,
                        error: error.to_string(),
                    },
                    key,
                    value.at,
                );
                None
            }
        }
    }

    fn build(&mut self, value: &Spanned<String>, key: &str) -> Option<GuestSource> {
        let path = PathBuf::from(&value.value);
        let inside = path
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        let problem = if !inside || value.value.is_empty() {
            Problem::BuildPath {
                path: value.value.clone(),
            }
        } else if self.repository.is_some_and(|top| {
            self.files
                .length(&top.join(&path).join("Cargo.toml"))
                .is_err()
        }) {
            Problem::BuildMissing {
                path: value.value.clone(),
            }
        } else {
            return Some(GuestSource::Build(path));
        };
        self.report.add(problem, key, value.at);
        None
    }

    fn guest_memory(&mut self, entry: &GuestEntry, platform: Option<Platform>) {
        let Some(Spanned { value: bytes, at }) = entry.memory else {
            return;
        };
        let (name, max) = match platform {
            Some(Platform::Solo5Hvt) => (
                "platform solo5-hvt, whose pointers in hypercalls have 32 bits",
                4 * GIB,
            ),
            Some(Platform::Pc64) => ("platform pc64, whose devices begin above 3 GiB", 3 * GIB),
            None => ("all platforms", 4 * GIB),
        };
        let min = GUEST_UNIT;
        let why = "guests are mapped in pages of 2 MiB at first";
        let problem = if !(min..=max).contains(&bytes) {
            Problem::GuestMemory {
                bytes,
                platform: name,
                min,
                max,
            }
        } else if !bytes.is_multiple_of(GUEST_UNIT) {
            Problem::SizeUnit {
                bytes,
                unit: GUEST_UNIT,
                why,
            }
        } else {
            return;
        };
        self.report.add(problem, join(&entry.prefix, "memory"), at);
    }

    fn arguments(&mut self, entry: &GuestEntry) {
        let key = join(&entry.prefix, "args");
        for argument in entry
            .args
            .iter()
            .filter(|argument| argument.value.contains('\0'))
        {
            self.report.add(Problem::ArgumentNul, &key, argument.at);
        }
        let spaces = entry.args.len().saturating_sub(1);
        let bytes = entry
            .args
            .iter()
            .map(|argument| argument.value.len())
            .sum::<usize>()
            + spaces;
        if let Some(last) = entry.args.last().filter(|_| bytes > ARGUMENTS_LIMIT) {
            self.report.add(
                Problem::ArgumentsTooLong {
                    bytes,
                    limit: ARGUMENTS_LIMIT,
                },
                key,
                last.at,
            );
        }
    }

    fn address_spaces(&mut self, guests: &[Guest]) {
        let spaces: u64 = guests
            .iter()
            .map(|guest| u64::from(guest.shadow.spaces))
            .sum();
        let processes = DRIVERS + PROCESSES_PER_GUEST * guests.len() as u64;
        if spaces + processes > ADDRESS_SPACES {
            let last = guests
                .iter()
                .rev()
                .find_map(|guest| Some((guest, guest.spaces_at?)));
            let Some((guest, at)) = last else { return };
            let problem = Problem::TooManySpaces {
                spaces,
                processes,
                limit: ADDRESS_SPACES,
            };
            self.report
                .add(problem, format!("guest.{}.shadow.spaces", guest.name), at);
        }
    }

    fn injections(&mut self, entries: &[InjectionEntry], guests: &[GuestEntry]) -> Vec<Injection> {
        let mut injections: Vec<Injection> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let (Some(name), Some(process)) = (&entry.guest, &entry.process) else {
                continue;
            };
            let names = || {
                guests
                    .iter()
                    .map(|guest| guest.name.as_ref().map_or("", |name| &name.value))
            };
            let Some(guest) = names().position(|guest| guest == name.value) else {
                let nearest = nearest(&name.value, names()).map(str::to_owned);
                let problem = Problem::InjectUnknownGuest {
                    name: name.value.clone(),
                    nearest,
                };
                self.report
                    .add(problem, format!("inject[{index}].guest"), name.at);
                continue;
            };
            let kind = match process.value.as_str() {
                "vmm" => ProgramKind::Vmm,
                _ => ProgramKind::ShadowServer,
            };
            if injections
                .iter()
                .any(|other| other.guest == guest && other.process == kind)
            {
                let problem = Problem::InjectDuplicate {
                    process: format!("{}/{}", name.value, process.value),
                };
                self.report
                    .add(problem, format!("inject[{index}]"), entry.at);
                continue;
            }
            let after_faults = entry.after_faults.as_ref().map_or(1, |faults| faults.value);
            injections.push(Injection {
                guest,
                process: kind,
                after_faults,
            });
        }
        injections
    }
}

fn platform_of(name: &str) -> Platform {
    match name {
        "pc64" => Platform::Pc64,
        _ => Platform::Solo5Hvt,
    }
}
