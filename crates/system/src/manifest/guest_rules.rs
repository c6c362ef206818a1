//! The rules for one guest.

use std::path::{Component, PathBuf};

use crate::compile::MAX_ARCHIVE;
use crate::compiled::Platform;

use super::document::GuestEntry;
use super::model::{Guest, GuestSource, Shadow};
use super::problem::Problem;
use super::reader::join;
use super::source::{At, Spanned, resolve};
use super::validate::Rules;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Memory of a guest whose manifest and image ask for nothing else.
pub const DEFAULT_GUEST_MEMORY: u64 = 32 * MIB;
const DEFAULT_PRIORITY: u32 = 100;
/// Guest memory comes in level-2 pages.
const GUEST_UNIT: u64 = 2 * MIB;

/// What a platform allows; its loader may allow less for an image.
struct Limits {
    /// What messages call it.
    name: &'static str,
    /// Most bytes of memory.
    memory: u64,
    /// Most bytes of the command line, without its NUL.
    arguments: usize,
}

impl Limits {
    const fn of(platform: Option<Platform>) -> Self {
        match platform {
            Some(Platform::Solo5Hvt) => Self {
                name: "platform solo5-hvt, whose pointers in hypercalls have 32 bits",
                memory: 4 * GIB,
                arguments: 8191,
            },
            Some(Platform::Pc64) => Self {
                name: "platform pc64, whose PCI hole begins above",
                memory: 2 * GIB,
                arguments: 2047,
            },
            None => Self { name: "all platforms", memory: 4 * GIB, arguments: 8191 },
        }
    }
}

impl Rules<'_> {
    pub(super) fn guest(&mut self, entry: &GuestEntry) -> Option<Guest> {
        let source = self.guest_source(entry);
        let written = entry.platform.as_ref().map(|platform| platform_of(&platform.value));
        let platform = match &source {
            Some((GuestSource::Build(_), _)) => Some(Platform::Pc64),
            Some((GuestSource::Solo5Test(_), _)) => Some(Platform::Solo5Hvt),
            _ => written,
        };
        if let (Some(Spanned { at, .. }), Some((source, _))) = (&entry.platform, &source)
            && written != platform
        {
            let name = if platform == Some(Platform::Pc64) { "pc64" } else { "solo5-hvt" };
            let problem = Problem::PlatformConflict { key: source.key(), platform: name };
            self.report.add(problem, join(&entry.prefix, "platform"), *at);
        }
        let limits = Limits::of(platform);
        self.guest_memory(entry, &limits);
        self.arguments(entry, limits.arguments);
        if let Some(Spanned { value: vcpus @ 2.., at }) = entry.vcpus
            && platform == Some(Platform::Solo5Hvt)
        {
            self.report.add(Problem::SeveralVcpus { vcpus }, join(&entry.prefix, "vcpus"), at);
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
            args: entry.args.iter().map(|argument| argument.value.clone()).collect(),
            vcpus: number(&entry.vcpus, 1),
            priority: number(&entry.priority, DEFAULT_PRIORITY),
            rewrite: entry.rewrite,
            shadow: Shadow {
                tables: number(&entry.tables, shadow.tables),
                spaces: number(&entry.spaces, shadow.spaces),
                extra_copies: number(&entry.extra_copies, shadow.extra_copies),
                trace: number(&entry.trace, shadow.trace),
                audit: number(&entry.audit, shadow.audit),
                budget: number(&entry.budget, shadow.budget),
            },
            source_at,
            spaces_at: entry.spaces.as_ref().map(|spaces| spaces.at),
        })
    }

    fn guest_source(&mut self, entry: &GuestEntry) -> Option<(GuestSource, At)> {
        let Some((key, first_at, value)) = entry.sources.first() else {
            let guest = entry.name.as_ref().map_or("", |name| &name.value).to_owned();
            self.report.add(Problem::ImageNone { guest }, &entry.prefix, entry.at);
            return None;
        };
        for (second, at, _) in &entry.sources[1..] {
            let problem = Problem::ImageSeveral { first: key, second };
            let other = Some((*first_at, "the first is here"));
            self.report.add_with(problem, join(&entry.prefix, second), *at, other);
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
                    let problem =
                        Problem::ArchiveTooLarge { bytes: self.image_bytes, limit: MAX_ARCHIVE };
                    self.report.add(problem, key, value.at);
                }
                Some(GuestSource::Image(path))
            }
            Err(error) => {
                let path = path.display().to_string();
                self.report.add(
                    Problem::ImageUnreadable { path, error: error.to_string() },
                    key,
                    value.at,
                );
                None
            }
        }
    }

    fn build(&mut self, value: &Spanned<String>, key: &str) -> Option<GuestSource> {
        let path = PathBuf::from(&value.value);
        let inside = path.components().all(|component| matches!(component, Component::Normal(_)));
        let problem = if !inside || value.value.is_empty() {
            Problem::BuildPath { path: value.value.clone() }
        } else if self
            .repository
            .is_some_and(|top| self.files.length(&top.join(&path).join("Cargo.toml")).is_err())
        {
            Problem::BuildMissing { path: value.value.clone() }
        } else {
            return Some(GuestSource::Build(path));
        };
        self.report.add(problem, key, value.at);
        None
    }

    fn guest_memory(&mut self, entry: &GuestEntry, limits: &Limits) {
        let Some(Spanned { value: bytes, at }) = entry.memory else {
            return;
        };
        let (min, max) = (GUEST_UNIT, limits.memory);
        let why = "guests are mapped in pages of 2 MiB at first";
        let problem = if !(min..=max).contains(&bytes) {
            Problem::GuestMemory { bytes, platform: limits.name, min, max }
        } else if !bytes.is_multiple_of(GUEST_UNIT) {
            Problem::SizeUnit { bytes, unit: GUEST_UNIT, why }
        } else {
            return;
        };
        self.report.add(problem, join(&entry.prefix, "memory"), at);
    }

    fn arguments(&mut self, entry: &GuestEntry, limit: usize) {
        let key = join(&entry.prefix, "args");
        for argument in entry.args.iter().filter(|argument| argument.value.contains('\0')) {
            self.report.add(Problem::ArgumentNul, &key, argument.at);
        }
        let spaces = entry.args.len().saturating_sub(1);
        let bytes = entry.args.iter().map(|argument| argument.value.len()).sum::<usize>() + spaces;
        if let Some(last) = entry.args.last().filter(|_| bytes > limit) {
            self.report.add(Problem::ArgumentsTooLong { bytes, limit }, key, last.at);
        }
    }
}

fn platform_of(name: &str) -> Platform {
    match name {
        "pc64" => Platform::Pc64,
        _ => Platform::Solo5Hvt,
    }
}
