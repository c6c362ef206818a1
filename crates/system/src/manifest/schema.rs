//! Every key of a manifest: the reader, the suggestions for unknown keys and
//! the reference in `docs/manifest.md` all come from these tables.

use crate::address_map::MAX_TRACE;
use crate::compiled::GUEST_PRIORITIES;

/// The schema number that this reader understands.
pub const SCHEMA: u64 = 1;

/// What a key's value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string.
    Text,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A size such as "32 MiB".
    Size,
    /// An integer; the limits and why they are there.
    Integer {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
        /// Why not less or more, as the end of a sentence.
        why: &'static str,
    },
    /// `true` or `false`.
    Boolean,
    /// An array of strings.
    Texts,
    /// A table.
    Table(&'static Section),
    /// An array of tables.
    Tables(&'static Section),
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub kind: Kind,
    /// What holds when it is absent; empty if it must be there.
    pub default: &'static str,
    /// What it means, as a sentence.
    pub doc: &'static str,
}

/// A table of keys.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its header as one writes it; empty for the top of the file.
    pub header: &'static str,
    /// What people call one of them.
    pub noun: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// The key `name`.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The top of the file.
pub static TOP: Section = Section {
    header: "",
    noun: "manifest",
    keys: &[
        Key {
            name: "schema",
            kind: Kind::Integer { min: 0, max: u32::MAX as u64, why: "schema numbers are small" },
            default: "",
            doc: "The version of this format: 1. Every file says it, fragments too.",
        },
        Key {
            name: "name",
            kind: Kind::Text,
            default: "the file's name without `.toml`",
            doc: "What the system is called in messages; a name like a guest's.",
        },
        Key {
            name: "inherit",
            kind: Kind::Texts,
            default: "none",
            doc: "Fragments to read first, relative to this file.",
        },
        Key {
            name: "machine",
            kind: Kind::Table(&MACHINE),
            default: "all defaults",
            doc: "The machine that QEMU emulates.",
        },
        Key {
            name: "guest",
            kind: Kind::Tables(&GUEST),
            default: "",
            doc: "A guest; 1 to 16 of them.",
        },
        Key {
            name: "inject",
            kind: Kind::Tables(&INJECT),
            default: "none",
            doc: "A process that dies on purpose, for tests of crash isolation.",
        },
    ],
};

/// `[machine]`.
pub static MACHINE: Section = Section {
    header: "[machine]",
    noun: "machine",
    keys: &[
        Key {
            name: "memory",
            kind: Kind::Size,
            default: "\"512 MiB\"",
            doc: "RAM, whole MiB from \"64 MiB\" to \"8 GiB\".",
        },
        Key {
            name: "profile",
            kind: Kind::Choice(&["pc"]),
            default: "\"pc\"",
            doc: "Which machine of `qemu/machines` it is.",
        },
        Key {
            name: "cpu",
            kind: Kind::Text,
            default: "QEMU's own",
            doc: "QEMU's `-cpu` model with its flags, such as \"qemu64,+umip\".",
        },
    ],
};

/// `[[guest]]`.
pub static GUEST: Section = Section {
    header: "[[guest]]",
    noun: "guest",
    keys: &[
        Key {
            name: "name",
            kind: Kind::Text,
            default: "",
            doc: "Its name: 1 to 16 of `a-z`, `0-9` and `-`, a letter first; unique.",
        },
        Key {
            name: "platform",
            kind: Kind::Choice(&["solo5-hvt", "pc64"]),
            default: "found in the image",
            doc: "The virtual machine it is made for.",
        },
        Key {
            name: "image",
            kind: Kind::Text,
            default: "one of the three",
            doc: "An image file, relative to this file.",
        },
        Key {
            name: "build",
            kind: Kind::Text,
            default: "one of the three",
            doc: "A guest of this repository that the tool builds, such as \"guests/hello\".",
        },
        Key {
            name: "solo5-test",
            kind: Kind::Choice(&SOLO5_TESTS),
            default: "one of the three",
            doc: "One of Solo5's own tests, which the tool builds.",
        },
        Key {
            name: "memory",
            kind: Kind::Size,
            default: "\"32 MiB\", or what the image needs",
            doc: "RAM, a multiple of 2 MiB: up to \"4 GiB\" on `solo5-hvt`, \"2 GiB\" on `pc64`.",
        },
        Key {
            name: "args",
            kind: Kind::Texts,
            default: "none",
            doc: "Arguments; the guest sees them joined by single spaces.",
        },
        Key {
            name: "vcpus",
            kind: Kind::Integer {
                min: 1,
                max: crate::address_map::MAX_VCPUS as u64,
                why: "every guest has at least one vCPU, and the servers' tables hold 8",
            },
            default: "1",
            doc: "Virtual processors, which share one core of the machine; 1 on `solo5-hvt`.",
        },
        Key {
            name: "priority",
            kind: Kind::Integer {
                min: *GUEST_PRIORITIES.start() as u64,
                max: *GUEST_PRIORITIES.end() as u64,
                why: "the supervisor and the drivers keep the priorities above",
            },
            default: "100",
            doc: "seL4 priority of its vCPUs and servers; a higher one runs first.",
        },
        Key {
            name: "rewrite",
            kind: Kind::Boolean,
            default: "true on `pc64`, false on `solo5-hvt`",
            doc: "Whether instructions of the image that do not trap are replaced by some that do.",
        },
        Key {
            name: "shadow",
            kind: Kind::Table(&SHADOW),
            default: "all defaults",
            doc: "What its shadow-paging server owns, in objects.",
        },
    ],
};

/// `shadow = { … }` of a guest.
pub static SHADOW: Section = Section {
    header: "shadow",
    noun: "shadow table",
    keys: &[
        Key {
            name: "tables",
            kind: Kind::Integer {
                min: 18,
                max: 32_768,
                why: "one instruction of a vCPU may need 18 tables at once, and the server numbers 32768",
            },
            default: "512",
            doc: "Page tables; each shadows 2 MiB of one address space.",
        },
        Key {
            name: "spaces",
            kind: Kind::Integer {
                min: 3,
                max: 256,
                why: "a guest CR3 has up to three views, and seL4 numbers 510 spaces in all",
            },
            default: "16",
            doc: "Address spaces; one per guest CR3 and view that stays in memory.",
        },
        Key {
            name: "extra-copies",
            kind: Kind::Integer {
                min: 8,
                max: 1 << 20,
                why: "one instruction may need eight, and each takes 32 bytes of the server's CNode",
            },
            default: "1024",
            doc: "Mappings of frames beyond the one that every frame has, shared by all frames.",
        },
        Key {
            name: "trace",
            kind: Kind::Integer {
                min: 0,
                max: MAX_TRACE as u64,
                why: "the records of page faults have a region of 4 MiB",
            },
            default: "0",
            doc: "Records of the latest page faults that are kept; see `run --trace`.",
        },
        Key {
            name: "audit",
            kind: Kind::Integer {
                min: 0,
                max: 65_536,
                why: "the guest waits while its server checks",
            },
            default: "0",
            doc: "Records of the server that are checked after each message; see `run --audit`.",
        },
        Key {
            name: "budget",
            kind: Kind::Integer {
                min: 1,
                max: 65_536,
                why: "a long request must get on, and must end",
            },
            default: "128",
            doc: "Capability operations that one request may take at a time, before others get their turn.",
        },
    ],
};

/// `[[inject]]`.
pub static INJECT: Section = Section {
    header: "[[inject]]",
    noun: "injection",
    keys: &[
        Key { name: "guest", kind: Kind::Text, default: "", doc: "The guest whose process dies." },
        Key {
            name: "process",
            kind: Kind::Choice(&["shadow-server", "vmm"]),
            default: "",
            doc: "Which of its processes.",
        },
        Key {
            name: "after-faults",
            kind: Kind::Integer {
                min: 1,
                max: i64::MAX as u64,
                why: "it counts faults that the server has answered",
            },
            default: "1",
            doc: "How many faults of the guest its server answers before that.",
        },
    ],
};

/// Solo5's tests that need no device.
pub static SOLO5_TESTS: [&str; 11] = [
    "hello",
    "quiet",
    "globals",
    "exception",
    "zeropage",
    "xnow",
    "notls",
    "tls",
    "ssp",
    "fpu",
    "time",
];

/// Every section, in the order of the reference.
pub static SECTIONS: [&Section; 5] = [&TOP, &MACHINE, &GUEST, &SHADOW, &INJECT];
