//! Writes manifests: a system as one file, or one made for an image alone.

use std::path::Path;

use serde::Serialize;

use crate::compiled::{Platform, ProgramKind};

use super::model::{Guest, GuestSource, System};
use super::schema::SCHEMA;
use super::size::Size;

#[derive(Serialize)]
struct ManifestText<'s> {
    schema: u64,
    name: &'s str,
    machine: Option<MachineText<'s>>,
    guest: Vec<GuestText<'s>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inject: Vec<InjectionText<'s>>,
}

#[derive(Serialize)]
struct MachineText<'s> {
    memory: String,
    profile: &'s str,
    cpu: Option<&'s str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct GuestText<'s> {
    name: &'s str,
    platform: Option<&'static str>,
    image: Option<String>,
    build: Option<String>,
    solo5_test: Option<&'s str>,
    memory: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    args: &'s [String],
    vcpus: Option<u32>,
    priority: Option<u32>,
    rewrite: Option<bool>,
    shadow: Option<ShadowText>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShadowText {
    tables: u32,
    spaces: u32,
    extra_copies: u32,
    trace: u32,
    audit: u32,
    budget: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct InjectionText<'s> {
    guest: &'s str,
    process: &'static str,
    after_faults: u64,
}

fn platform_name(platform: Platform) -> &'static str {
    match platform {
        Platform::Solo5Hvt => "solo5-hvt",
        Platform::Pc64 => "pc64",
    }
}

fn write(manifest: &ManifestText<'_>) -> String {
    toml::to_string(manifest).expect("manifests hold only texts, numbers and tables")
}

impl<'s> GuestText<'s> {
    fn new(guest: &'s Guest) -> Self {
        let mut text = Self {
            name: &guest.name,
            platform: guest.platform.map(platform_name),
            memory: guest.memory_bytes.map(|bytes| Size(bytes).to_string()),
            args: &guest.args,
            vcpus: Some(guest.vcpus),
            priority: Some(guest.priority),
            rewrite: guest.rewrite,
            shadow: Some(ShadowText {
                tables: guest.shadow.tables,
                spaces: guest.shadow.spaces,
                extra_copies: guest.shadow.extra_copies,
                trace: guest.shadow.trace,
                audit: guest.shadow.audit,
                budget: guest.shadow.budget,
            }),
            ..Self::default()
        };
        match &guest.source {
            GuestSource::Image(path) => text.image = Some(path.display().to_string()),
            GuestSource::Build(path) => text.build = Some(path.display().to_string()),
            GuestSource::Solo5Test(name) => text.solo5_test = Some(name),
        }
        text
    }
}

impl System {
    /// The system as one manifest, fragments merged and defaults written out.
    /// Paths of images are as seen from where the tool runs.
    pub fn to_toml(&self) -> String {
        write(&ManifestText {
            schema: SCHEMA,
            name: &self.name,
            machine: Some(MachineText {
                memory: Size(self.machine.memory_bytes).to_string(),
                profile: &self.machine.profile,
                cpu: self.machine.cpu.as_deref(),
            }),
            guest: self.guests.iter().map(GuestText::new).collect(),
            inject: self
                .injections
                .iter()
                .map(|injection| InjectionText {
                    guest: &self.guests[injection.guest].name,
                    process: ProgramKind::name(injection.process),
                    after_faults: injection.after_faults,
                })
                .collect(),
        })
    }
}

/// A manifest that runs the image file `image` alone. `memory_bytes` is what
/// the user asked for or what the image needs.
pub fn for_image(image: &Path, platform: Platform, memory_bytes: u64, args: &[String]) -> String {
    // Enough for the guest, its server and any image; whole 64 MiB look better.
    let machine = (memory_bytes + memory_bytes / 8 + (256 << 20)).next_multiple_of(64 << 20);
    write(&ManifestText {
        schema: SCHEMA,
        name: "image",
        machine: Some(MachineText {
            memory: Size(machine.max(512 << 20)).to_string(),
            profile: "pc",
            cpu: None,
        }),
        guest: vec![GuestText {
            name: "guest",
            platform: Some(platform_name(platform)),
            image: Some(image.display().to_string()),
            memory: Some(Size(memory_bytes).to_string()),
            args,
            ..GuestText::default()
        }],
        inject: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{InMemory, load_from};
    use crate::testing::{MANIFEST, system};

    #[test]
    fn a_written_system_is_read_as_the_same() {
        let before = system(MANIFEST);
        let after = system(&before.to_toml());
        assert_eq!(after.to_toml(), before.to_toml());
        assert_eq!(after.machine.memory_bytes, before.machine.memory_bytes);
        assert_eq!(after.injections, before.injections);
        for (after, before) in after.guests.iter().zip(&before.guests) {
            assert_eq!(
                (&after.name, &after.source, after.shadow),
                (&before.name, &before.source, before.shadow)
            );
            assert_eq!(
                (after.memory_bytes, after.priority, after.rewrite),
                (before.memory_bytes, before.priority, before.rewrite)
            );
        }
    }

    #[test]
    fn fragments_are_merged_and_written_as_one_file() {
        let mut files = InMemory::default();
        let mut add = |path: &str, text: &str| files.0.insert(path.into(), text.into());
        add("a/i.hvt", "an image");
        add(
            "a/low.toml",
            "schema = 1\nname = \"low\"\n[machine]\nmemory = \"256 MiB\"\ncpu = \"max\"\n",
        );
        add(
            "a/f.toml",
            "schema = 1\ninherit = [\"low.toml\"]\n[[guest]]\nname = \"f\"\nimage = \"i.hvt\"\n[machine]\nmemory = \"1 GiB\"\n",
        );
        add(
            "m.toml",
            "schema = 1\ninherit = [\"a/f.toml\", \"a/low.toml\"]\n[[guest]]\nname = \"m\"\nimage = \"a/i.hvt\"\n",
        );
        let text = load_from(&files, Path::new("m.toml"), None).unwrap().to_toml();
        let first = "\
schema = 1
name = \"low\"

[machine]
memory = \"1 GiB\"
profile = \"pc\"
cpu = \"max\"

[[guest]]
name = \"f\"
image = \"a/i.hvt\"
";
        assert!(
            text.starts_with(first),
            "later values win, earlier guests come first, paths are resolved:\n{text}"
        );
        assert!(text.contains("[[guest]]\nname = \"m\"\nimage = \"a/i.hvt\"\n"), "{text}");
    }

    #[test]
    fn an_image_alone_gets_a_manifest() {
        let image = Path::new("dir/an \"odd\" name.hvt");
        for memory in [2 << 20, 32 << 20, 4 << 30] {
            let text = for_image(
                image,
                Platform::Solo5Hvt,
                memory,
                &["--port".to_owned(), "8\\0".to_owned()],
            );
            let files = InMemory(
                [("m.toml".into(), text.into_bytes()), (image.into(), vec![0; 100 << 20])].into(),
            );
            let system = load_from(&files, Path::new("m.toml"), None)
                .unwrap_or_else(|refused| panic!("{refused}"));
            let guest = &system.guests[0];
            assert_eq!(guest.source, GuestSource::Image(image.to_owned()));
            assert_eq!(
                (guest.memory_bytes, guest.platform),
                (Some(memory), Some(Platform::Solo5Hvt))
            );
            assert_eq!(guest.args, ["--port", "8\\0"]);
        }
    }
}
