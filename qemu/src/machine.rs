//! One machine to start: profile, memory, timing, and what it boots.

use std::path::PathBuf;

use crate::command::CommandLine;
use crate::profile::Profile;

/// What a machine boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// A kernel loaded by QEMU itself.
    Kernel {
        /// 32-bit Multiboot ELF, or an ELF with a PVH note.
        kernel: PathBuf,
        /// Its first boot module.
        module: Option<PathBuf>,
        /// Its command line.
        arguments: String,
    },
    /// A CD image with a boot loader.
    Iso(PathBuf),
}

/// How the machine's clocks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// With the host's clock.
    RealTime,
    /// One nanosecond per instruction; idle time is skipped. Runs repeat
    /// exactly and sleeping costs no wall time.
    InstructionCount,
}

/// A machine to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its kind.
    pub profile: Profile,
    /// Processor model with its flags, instead of the profile's.
    pub cpu: Option<String>,
    /// RAM in bytes; QEMU gets whole MiB, rounded up.
    pub memory_bytes: u64,
    /// How its clocks run.
    pub timing: Timing,
    /// What it boots.
    pub boot: Boot,
    /// Further arguments, behind all others.
    pub extra: Vec<String>,
}

impl Machine {
    /// The command that starts the machine with its serial ports on the file
    /// descriptors 0 and 1.
    pub fn command_line(&self) -> CommandLine {
        self.with_serial(|port| format!("socket,id=com{},fd={port}", port + 1))
    }

    /// A command for people to paste: COM1 on the terminal, COM2 in a file.
    pub fn replay_command(&self) -> CommandLine {
        self.with_serial(|port| match port {
            0 => "stdio,id=com1,signal=on".to_owned(),
            _ => "file,id=com2,path=control-records.json".to_owned(),
        })
    }

    fn with_serial(&self, chardev: impl Fn(usize) -> String) -> CommandLine {
        let mut line = CommandLine::new(&self.profile.program);
        line.args(&self.profile.arguments);
        if let Some(cpu) = self.cpu.as_ref().or(self.profile.cpu.as_ref()) {
            line.args(["-cpu", cpu]);
        }
        line.args(["-m".to_owned(), format!("{}M", self.memory_bytes.div_ceil(1 << 20))]);
        if self.timing == Timing::InstructionCount {
            line.args(["-icount", "shift=0,sleep=off"]);
        }
        for port in 0..self.profile.serial_ports {
            line.args(["-chardev".to_owned(), chardev(port)]);
            line.args(["-serial".to_owned(), format!("chardev:com{}", port + 1)]);
        }
        self.boot.add_to(&mut line);
        line.args(&self.extra);
        line
    }
}

impl Boot {
    fn add_to(&self, line: &mut CommandLine) {
        match self {
            Boot::Kernel { kernel, module, arguments } => {
                line.args(["-kernel".as_ref(), kernel.as_os_str()]);
                if let Some(module) = module {
                    line.args(["-initrd".as_ref(), module.as_os_str()]);
                }
                if !arguments.is_empty() {
                    line.args(["-append", arguments]);
                }
            }
            Boot::Iso(image) => {
                line.args(["-cdrom".as_ref(), image.as_os_str()]);
                line.args(["-boot", "d"]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            profile: Profile::named("pc").unwrap(),
            cpu: Some("qemu64,+umip".into()),
            memory_bytes: (256 << 20) + 1,
            timing: Timing::InstructionCount,
            boot: Boot::Kernel {
                kernel: "k.elf".into(),
                module: Some("dir with space/u.elf".into()),
                arguments: String::new(),
            },
            extra: vec!["-d".into(), "int".into()],
        }
    }

    #[test]
    fn command_names_everything() {
        let text = machine().command_line().to_string();
        for part in [
            "qemu-system-x86_64 -machine pc",
            " -cpu qemu64,+umip -m 257M ",
            " -icount shift=0,sleep=off ",
            " -chardev socket,id=com1,fd=0 -serial chardev:com1 -chardev socket,id=com2,fd=1 ",
            " -kernel k.elf -initrd 'dir with space/u.elf' -d int",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn the_profiles_processor_is_the_default() {
        let text = Machine { cpu: None, profile: Profile::named("bare").unwrap(), ..machine() }
            .command_line()
            .to_string();
        assert!(text.contains(" -cpu qemu64,-nx ") && !text.contains("+umip"), "{text}");
    }

    #[test]
    fn an_iso_boots_from_the_cd() {
        let machine =
            Machine { boot: Boot::Iso("u.iso".into()), timing: Timing::RealTime, ..machine() };
        let text = machine.replay_command().to_string();
        assert!(text.contains("-cdrom u.iso -boot d"), "{text}");
        assert!(!text.contains("-icount") && text.contains("stdio,id=com1"), "{text}");
    }
}
