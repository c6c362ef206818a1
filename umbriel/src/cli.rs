//! The command line, and its help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Boots systems of isolated guests on seL4, in plain QEMU.
#[derive(Debug, Parser)]
#[command(name = "cargo umbriel", bin_name = "cargo umbriel", disable_version_flag = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Print versions of the tool and the kernel, with the kernel's hash.
    #[arg(long, short = 'V')]
    pub version: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot a system, or a single guest image, and show what it prints.
    ///
    /// The exit status is the first non-zero status of a guest, in the order of
    /// the manifest. 124: time ran out; 125: the tool or the machine failed;
    /// 126: a guest crashed; 127: a guest's server crashed; 130: Ctrl-C.
    Run(RunArgs),
    /// Build the kernel, the processes and the guests of a system.
    ///
    /// `run` and `test` do this by themselves; `compose` packs what is built.
    Build(BuildArgs),
    /// Pack a system for booting elsewhere: kernel and image for
    /// `qemu -kernel/-initrd`, and a CD image for GRUB. Runs no compiler.
    Compose(ComposeArgs),
    /// Check manifests without building anything.
    Check(CheckArgs),
    /// List the privileged and sensitive instructions of a guest image, and
    /// what becomes of each.
    ///
    /// The exit status is 1 if the image cannot be rewritten because code and
    /// data cannot be told apart.
    Inspect(InspectArgs),
    /// Show the kernel: version, configuration, and every edit with its reason.
    Kernel(KernelArgs),
    /// Run the tests, or those whose group or name contains FILTER.
    Test(TestArgs),
    /// Visit the states of a small model of the shadow MMU or of a protocol in
    /// a browser, with stateright's Explorer. Without MODEL, list the models.
    ///
    /// The models run the real code: each state shows the guest's tables and
    /// what is mapped, each step leads to the states that may follow. `test`
    /// visits all of them.
    Explore(ExploreArgs),
    /// Count what page-table work and traps cost, in instructions, beside bare
    /// hardware and other hypervisors.
    ///
    /// The exit status is 1 if a check of a guest failed, or if a row has grown
    /// by more than 2 % since `bench/ledger.json` with the same compilers and
    /// the same QEMU.
    Bench(BenchArgs),
}

/// Options about what a system is.
#[derive(Args, Clone, Debug, Default)]
pub struct SystemArgs {
    /// A manifest (`.toml`), or a guest image: a Solo5 `.hvt` or a pc64 ELF
    /// [default: manifests/quickstart.toml].
    #[arg(value_name = "MANIFEST|IMAGE")]
    pub system: Option<PathBuf>,
    /// Guest memory for an image, such as "64 MiB" [default: 32 MiB, or what it needs].
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<String>,
    /// Arguments for an image, separated by spaces.
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// Run an image as it is: replace no instructions (docs/rewriting.md).
    #[arg(long)]
    pub no_rewrite: bool,
    /// Use the debug kernel, which prints its own messages.
    #[arg(long)]
    pub debug_kernel: bool,
}

/// Options of commands that build.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ConsentArgs {
    /// Install missing programs without asking.
    #[arg(long)]
    pub yes: bool,
    /// Show the commands that run.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Options of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// What to boot.
    #[command(flatten)]
    pub system: SystemArgs,
    /// Print the manifest that an image runs under, and stop.
    #[arg(long)]
    pub print_manifest: bool,
    /// End the machine after so many seconds of wall time.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<f64>,
    /// Count one nanosecond per instruction: runs repeat exactly, sleeping
    /// costs no time.
    #[arg(long)]
    pub icount: bool,
    /// Send what is typed to this guest's UART. At a terminal, Ctrl-] ends the
    /// machine; all other keys go to the guest.
    #[arg(long, value_name = "GUEST")]
    pub stdin: Option<String>,
    /// Print JSON, one object a line; the last ones are the guests' ends.
    #[arg(long)]
    pub json: bool,
    /// Show what each guest's processes counted.
    #[arg(long)]
    pub counters: bool,
    /// Write the latest page faults of each guest to a file, one JSON object a
    /// line: as many as the manifest's `shadow.trace` says, else 4096.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Let each shadow-server check its records while the guest runs; one that
    /// finds a mistake ends with its guest.
    #[arg(long)]
    pub audit: bool,
    /// Consent and verbosity.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Options of `build`.
#[derive(Args, Clone, Debug)]
pub struct BuildArgs {
    /// What to build.
    #[command(flatten)]
    pub system: SystemArgs,
    /// Consent and verbosity.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Options of `compose`.
#[derive(Args, Clone, Debug)]
pub struct ComposeArgs {
    /// What to pack.
    #[command(flatten)]
    pub system: SystemArgs,
    /// Directory for the results; made if it is not there.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// Consent and verbosity.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Options of `check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The manifests.
    #[arg(required = true, value_name = "MANIFEST")]
    pub manifests: Vec<PathBuf>,
    /// Print what is wrong as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// A Solo5 `.hvt` or a pc64 ELF.
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,
    /// As for a seL4 of your own, without this kernel's edits E5 and E8:
    /// `syscall` is rewritten too.
    #[arg(long)]
    pub plain_kernel: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `kernel`.
#[derive(Args, Clone, Debug)]
pub struct KernelArgs {
    /// Show the debug configuration.
    #[arg(long)]
    pub debug_kernel: bool,
    /// Build it too.
    #[arg(long)]
    pub build: bool,
    /// Consent and verbosity.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Options of `test`.
#[derive(Args, Clone, Debug)]
pub struct TestArgs {
    /// Part of a group's or test's name.
    pub filter: Option<String>,
    /// Also what takes long.
    #[arg(long)]
    pub long: bool,
    /// List what would run.
    #[arg(long)]
    pub list: bool,
    /// Consent and verbosity.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

/// Options of `explore`.
#[derive(Args, Clone, Debug)]
pub struct ExploreArgs {
    /// The model.
    pub model: Option<String>,
    /// Where the Explorer listens.
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:3000")]
    pub address: String,
    /// Visit all states and count them, instead.
    #[arg(long, requires = "model")]
    pub count: bool,
}

/// Options of `bench`.
#[derive(Args, Clone, Debug, Default)]
pub struct BenchArgs {
    /// Rows [default: all]. Growth is judged only when all run, since a row
    /// depends a little on what those before it left in place.
    #[arg(value_name = "ROW")]
    pub rows: Vec<String>,
    /// Count events an operation too: boots every row once more, alone.
    #[arg(long)]
    pub counts: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Accept the figures: write `bench/ledger.json`, with events.
    #[arg(long, conflicts_with = "rows")]
    pub bless: bool,
    /// Consent and verbosity.
    #[command(flatten)]
    pub consent: ConsentArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_defaults_to_the_quickstart() {
        let Ok(Cli { command: Some(Command::Run(run)), .. }) =
            Cli::try_parse_from(["umbriel", "run"])
        else {
            panic!("`run` needs no argument")
        };
        assert!(run.system.system.is_none() && !run.system.debug_kernel && run.timeout.is_none());
    }

    #[test]
    fn arguments_for_a_guest_may_look_like_options() {
        let line = ["umbriel", "run", "x.hvt", "--append", "--solo5:quiet a b"];
        let Ok(Cli { command: Some(Command::Run(run)), .. }) = Cli::try_parse_from(line) else {
            panic!()
        };
        assert_eq!(run.system.append.as_deref(), Some("--solo5:quiet a b"));
    }
}
