//! Everything that can be wrong with a manifest: one variant each.

use super::size::SizeError;

/// Declares [`Problem`], the code of every variant, and the list of codes.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $code:literal $({ $($(#[$field_doc:meta])* $field:ident: $kind:ty),* $(,)? })?,)*) => {
        /// Something wrong with a manifest, or with the system that it describes.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Problem {
            $($(#[$doc])* $name $({ $($(#[$field_doc])* $field: $kind),* })?,)*
        }

        impl Problem {
            /// The codes of all problems. Those that start with `compose-` need the
            /// images; every other has a file in `manifests/invalid`.
            pub const CODES: &[&str] = &[$($code),*];

            /// A short name that stays the same, for tests and programs.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $code,)*
                }
            }
        }
    };
}

problems! {
    /// A manifest or fragment cannot be read.
    FileUnreadable = "file-unreadable" {
        /// Its path.
        path: String,
        /// The operating system's words.
        error: String,
    },
    /// A manifest or fragment is not UTF-8.
    FileNotUtf8 = "file-not-utf8" {
        /// The line of the first bad byte.
        line: usize,
    },
    /// A fragment inherits itself, perhaps through others.
    InheritCycle = "inherit-cycle" {
        /// The path that comes back.
        path: String,
    },
    /// Fragments inherit each other too deeply.
    InheritDepth = "inherit-depth" {
        /// The most levels.
        limit: usize,
    },
    /// The text is not TOML.
    Syntax = "syntax" {
        /// The parser's words.
        message: String,
    },
    /// A file does not say which schema it follows.
    SchemaMissing = "schema-missing",
    /// A file follows another schema.
    SchemaUnsupported = "schema-unsupported" {
        /// What it says.
        found: u64,
    },
    /// A key that the schema does not have.
    UnknownKey = "unknown-key" {
        /// The key.
        key: String,
        /// What its table is called.
        noun: &'static str,
        /// A key that looks like it.
        nearest: Option<&'static str>,
        /// The keys that the table may have.
        known: Vec<&'static str>,
    },
    /// A key that must be there is not.
    MissingKey = "missing-key" {
        /// The key.
        key: &'static str,
        /// What its table is called.
        noun: &'static str,
        /// What the key means.
        doc: &'static str,
    },
    /// A value of another type.
    WrongType = "wrong-type" {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
        /// What to write.
        example: String,
    },
    /// A string that is none of the values that the key can have.
    UnknownValue = "unknown-value" {
        /// The string.
        value: String,
        /// One that looks like it.
        nearest: Option<&'static str>,
        /// All of them.
        known: &'static [&'static str],
    },
    /// An integer outside its limits.
    OutOfRange = "out-of-range" {
        /// The integer as it was written.
        value: String,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
        /// Why there are limits.
        why: &'static str,
    },
    /// A text that is no size.
    SizeSyntax = "size-syntax" {
        /// The text.
        text: String,
        /// What is wrong with it.
        error: SizeError,
    },
    /// A size that is not a whole number of units.
    SizeUnit = "size-unit" {
        /// The size in bytes.
        bytes: u64,
        /// The unit in bytes.
        unit: u64,
        /// Why that unit.
        why: &'static str,
    },
    /// A machine with too little or too much memory.
    MachineMemory = "machine-memory" {
        /// The size in bytes.
        bytes: u64,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A QEMU processor model with characters that none has.
    CpuSyntax = "cpu-syntax" {
        /// The model.
        cpu: String,
    },
    /// A guest with too little or too much memory.
    GuestMemory = "guest-memory" {
        /// The size in bytes.
        bytes: u64,
        /// Its platform, or `guests` when the image decides that.
        platform: &'static str,
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A name with other characters than names have, or too long.
    NameSyntax = "name-syntax" {
        /// The name.
        name: String,
        /// The most bytes.
        limit: usize,
    },
    /// A name that messages use for something else.
    NameReserved = "name-reserved" {
        /// The name.
        name: String,
    },
    /// Two guests of the same name.
    NameDuplicate = "name-duplicate" {
        /// The name.
        name: String,
    },
    /// A system without guests.
    NoGuests = "no-guests",
    /// More guests than there are process numbers for.
    TooManyGuests = "too-many-guests" {
        /// How many.
        count: usize,
        /// The most.
        limit: usize,
    },
    /// A guest without an image.
    ImageNone = "image-none" {
        /// The guest.
        guest: String,
    },
    /// A guest with two images.
    ImageSeveral = "image-several" {
        /// The first key.
        first: &'static str,
        /// The second key.
        second: &'static str,
    },
    /// An image file that is not there or cannot be read.
    ImageUnreadable = "image-unreadable" {
        /// Its path.
        path: String,
        /// The operating system's words.
        error: String,
    },
    /// A path outside the repository for `build`.
    BuildPath = "build-path" {
        /// The path.
        path: String,
    },
    /// A directory for `build` that holds no package.
    BuildMissing = "build-missing" {
        /// The path.
        path: String,
    },
    /// A platform that what is built cannot be for.
    PlatformConflict = "platform-conflict" {
        /// The key that decides the platform.
        key: &'static str,
        /// The platform that it decides on.
        platform: &'static str,
    },
    /// More than one vCPU on a platform that has one.
    SeveralVcpus = "several-vcpus" {
        /// How many.
        vcpus: u64,
    },
    /// An argument with a NUL character.
    ArgumentNul = "argument-nul",
    /// Arguments that are too long together.
    ArgumentsTooLong = "arguments-too-long" {
        /// Bytes of the joined line.
        bytes: usize,
        /// The most bytes.
        limit: usize,
    },
    /// An injection into a guest that does not exist.
    InjectUnknownGuest = "inject-unknown-guest" {
        /// The name.
        name: String,
        /// A guest whose name looks like it.
        nearest: Option<String>,
    },
    /// Two injections into the same process.
    InjectDuplicate = "inject-duplicate" {
        /// The process.
        process: String,
    },
    /// More address spaces than seL4 numbers.
    TooManySpaces = "too-many-spaces" {
        /// Spaces of all guests.
        spaces: u64,
        /// Spaces of the processes.
        processes: u64,
        /// The most of both.
        limit: u64,
    },
    /// Image files that do not fit into an archive.
    ArchiveTooLarge = "archive-too-large" {
        /// Bytes of the image files.
        bytes: u64,
        /// The most bytes.
        limit: u64,
    },
    /// Guests that do not fit into the machine.
    MachineTooSmall = "machine-too-small" {
        /// Bytes of the machine.
        machine: u64,
        /// Bytes that are needed.
        needed: u64,
        /// What needs them, the largest share first.
        shares: Vec<(String, u64)>,
    },
    /// An image that the loader refuses.
    ComposeImageRefused = "compose-image-refused" {
        /// What is wrong.
        what: String,
        /// Why that is refused.
        why: String,
        /// What to do.
        fix: String,
    },
    /// An image with more read-only ranges than a server is told about.
    ComposeReadOnly = "compose-read-only" {
        /// How many.
        count: usize,
        /// The most.
        limit: usize,
    },
    /// An archive that is too large.
    ComposeArchiveTooLarge = "compose-archive-too-large" {
        /// Its bytes.
        bytes: u64,
        /// The most bytes.
        limit: u64,
    },
}
