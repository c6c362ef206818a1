//! The rules for a system as a whole; those for one guest are in
//! [`super::guest_rules`].

use std::collections::HashMap;
use std::path::Path;

use crate::budget::{ADDRESS_SPACES, Budget, DRIVERS, PROCESSES_PER_GUEST};
use crate::compiled::{MAX_GUESTS, ProgramKind};

use super::diagnostics::Diagnostics;
use super::document::{Document, GuestEntry, InjectionEntry, Loader};
use super::model::{Guest, Injection, Machine, System};
use super::problem::Problem;
use super::reader::{Report, nearest};
use super::source::{At, Files, Spanned};

const MIB: u64 = 1 << 20;

const DEFAULT_MACHINE_MEMORY: u64 = 512 * MIB;
const DEFAULT_PROFILE: &str = "pc";
/// Limits of the machine's memory: what has been booted.
pub(super) const MACHINE_MEMORY: (u64, u64) = (64 * MIB, 8192 * MIB);
/// Longest name of a guest, so that `name/shadow-server` fits a process's name.
const NAME_LIMIT: usize = 16;
/// Names that console lines and control records use themselves.
const RESERVED: [&str; 5] = ["umbriel", "console", "timer", "supervisor", "root-task"];

/// Turns what was read into a system.
pub(super) fn validate(
    document: Document,
    loader: Loader<'_>,
    path: &Path,
    repository: Option<&Path>,
) -> Result<System, Diagnostics> {
    let Loader { files, mut report, top, .. } = loader;
    let Some(top) = top.filter(|_| readable(&report)) else {
        return Err(Diagnostics::new(report.sources, report.list));
    };
    let mut rules = Rules { files, repository, report: &mut report, image_bytes: 0 };
    let machine = rules.machine(&document);
    let name = rules.system_name(&document, path);
    let guests = rules.guests(&document.guests, top);
    let injections = rules.injections(&document.injections, &document.guests);
    let image_bytes = rules.image_bytes;
    if !report.list.is_empty() {
        return Err(Diagnostics::new(report.sources, report.list));
    }
    let system = System { name, machine, guests, injections, sources: report.sources, top };
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

/// What rules look at, and where they report.
pub(super) struct Rules<'r> {
    pub(super) files: &'r dyn Files,
    pub(super) repository: Option<&'r Path>,
    pub(super) report: &'r mut Report,
    /// Bytes of the image files seen so far.
    pub(super) image_bytes: u64,
}

impl Rules<'_> {
    fn machine(&mut self, document: &Document) -> Machine {
        let (min, max) = MACHINE_MEMORY;
        if let Some(Spanned { value: bytes, at }) = document.memory {
            let why = "QEMU takes memory in whole MiB";
            if !(min..=max).contains(&bytes) {
                self.report.add(Problem::MachineMemory { bytes, min, max }, "machine.memory", at);
            } else if !bytes.is_multiple_of(MIB) {
                self.report.add(Problem::SizeUnit { bytes, unit: MIB, why }, "machine.memory", at);
            }
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.,+=-".contains(c);
        if let Some(cpu) = &document.cpu
            && (cpu.value.is_empty() || !cpu.value.chars().all(legal))
        {
            self.report.add(Problem::CpuSyntax { cpu: cpu.value.clone() }, "machine.cpu", cpu.at);
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
                Problem::NameSyntax { name: text.clone(), limit: NAME_LIMIT },
                key,
                name.at,
            );
        }
        fits
    }

    fn guests(&mut self, entries: &[GuestEntry], top: At) -> Vec<Guest> {
        let misread = self.report.list.iter().any(|diagnostic| diagnostic.key == "guest");
        if entries.is_empty() && !misread {
            self.report.add(Problem::NoGuests, "guest", top);
        }
        if let Some(first_too_many) = entries.get(MAX_GUESTS) {
            let problem = Problem::TooManyGuests { count: entries.len(), limit: MAX_GUESTS };
            self.report.add(problem, "guest", first_too_many.at);
        }
        self.guest_names(entries);
        let guests: Vec<Guest> = entries.iter().filter_map(|entry| self.guest(entry)).collect();
        self.address_spaces(&guests);
        guests
    }

    fn guest_names(&mut self, entries: &[GuestEntry]) {
        let mut seen: HashMap<&str, At> = HashMap::new();
        for name in entries.iter().filter_map(|entry| entry.name.as_ref()) {
            let key = format!("guest.{}.name", name.value);
            if let Some(first) = seen.get(name.value.as_str()) {
                let problem = Problem::NameDuplicate { name: name.value.clone() };
                self.report.add_with(problem, key, name.at, Some((*first, "the first is here")));
                continue;
            }
            seen.insert(&name.value, name.at);
            if self.name_syntax(name, &key) && RESERVED.contains(&name.value.as_str()) {
                self.report.add(Problem::NameReserved { name: name.value.clone() }, key, name.at);
            }
        }
    }

    fn address_spaces(&mut self, guests: &[Guest]) {
        let spaces: u64 =
            guests.iter().map(|guest| u64::from(guest.shadow.spaces(guest.vcpus))).sum();
        let processes = DRIVERS + PROCESSES_PER_GUEST * guests.len() as u64;
        if spaces + processes > ADDRESS_SPACES {
            let last = guests.iter().rev().find_map(|guest| Some((guest, guest.spaces_at?)));
            let Some((guest, at)) = last else { return };
            let problem = Problem::TooManySpaces { spaces, processes, limit: ADDRESS_SPACES };
            self.report.add(problem, format!("guest.{}.shadow.spaces", guest.name), at);
        }
    }

    fn injections(&mut self, entries: &[InjectionEntry], guests: &[GuestEntry]) -> Vec<Injection> {
        let mut injections: Vec<Injection> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let (Some(name), Some(process)) = (&entry.guest, &entry.process) else {
                continue;
            };
            let names =
                || guests.iter().map(|guest| guest.name.as_ref().map_or("", |name| &name.value));
            let Some(guest) = names().position(|guest| guest == name.value) else {
                let nearest = nearest(&name.value, names()).map(str::to_owned);
                let problem = Problem::InjectUnknownGuest { name: name.value.clone(), nearest };
                self.report.add(problem, format!("inject[{index}].guest"), name.at);
                continue;
            };
            let kind = match process.value.as_str() {
                "vmm" => ProgramKind::Vmm,
                _ => ProgramKind::ShadowServer,
            };
            if injections.iter().any(|other| other.guest == guest && other.process == kind) {
                let problem = Problem::InjectDuplicate {
                    process: format!("{}/{}", name.value, process.value),
                };
                self.report.add(problem, format!("inject[{index}]"), entry.at);
                continue;
            }
            let after_faults = entry.after_faults.as_ref().map_or(1, |faults| faults.value);
            injections.push(Injection { guest, process: kind, after_faults });
        }
        injections
    }
}
