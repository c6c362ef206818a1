//! The pc64 platform: PC devices through ports. So far the UART on COM1 and
//! the exit port.

use protocol::exit::{Completion, Exit};
use protocol::supervisor::{Cause, STATUS_GUEST_CRASHED};

use crate::host::Host;
use crate::output::Output;
use crate::platform::Action;
use crate::uart::{self, Uart};

/// A byte written here ends the guest with that status.
pub const EXIT_PORT: u16 = 0xf4;

/// The devices.
pub struct Pc {
    uart: Uart,
}

impl Pc {
    /// After power-on.
    pub const fn new() -> Self {
        Self { uart: Uart::new() }
    }

    /// Serves an exit.
    pub fn serve(&mut self, exit: Exit, output: &mut Output, host: &mut impl Host) -> Action {
        match exit {
            Exit::PortOut {
                port, size, value, ..
            } => self.port_out(port, size, value, output, host),
            Exit::PortIn { port, size } => {
                Action::Complete(Completion::Value(self.port_in(port, size, host)))
            }
            Exit::ReadMsr { .. } | Exit::WriteMsr { .. } => {
                Action::Complete(Completion::GeneralProtection)
            }
            Exit::Halt { .. } => {
                output.message(
                    host,
                    format_args!("umbriel: halted, and nothing can wake it"),
                );
                ended(Cause::Unsupported)
            }
            Exit::ReadOnlyMemory { gpa, rip } | Exit::NotRam { gpa, rip, .. } => {
                output.message(
                    host,
                    format_args!("umbriel: no device at guest-physical {gpa:#x} (rip {rip:#x})"),
                );
                ended(Cause::Unsupported)
            }
            Exit::Shutdown | Exit::Unsupported { .. } => ended(Cause::Unsupported),
        }
    }

    fn port_out(
        &mut self,
        port: u16,
        size: u8,
        value: u32,
        output: &mut Output,
        host: &mut impl Host,
    ) -> Action {
        if port == EXIT_PORT {
            output.flush(host);
            return Action::End {
                status: u64::from(value & 0xff),
                cause: Cause::Exit,
            };
        }
        match uart_register(port) {
            Some(register) if size == 1 => {
                if let Some(byte) = self.uart.write(register, value as u8) {
                    output.write(&[byte], host);
                }
            }
            _ => host.count_unknown_port(),
        }
        Action::DONE
    }

    /// The value read, in the low bytes; all ones where no device answers.
    fn port_in(&mut self, port: u16, size: u8, host: &mut impl Host) -> u64 {
        match uart_register(port) {
            Some(register) if size == 1 => u64::from(self.uart.read(register)),
            _ => {
                host.count_unknown_port();
                u64::from(u32::MAX >> (32 - 8 * u32::from(size)))
            }
        }
    }
}

const fn ended(cause: Cause) -> Action {
    Action::End {
        status: STATUS_GUEST_CRASHED,
        cause,
    }
}

fn uart_register(port: u16) -> Option<u16> {
    let register = port.checked_sub(uart::FIRST_PORT)?;
    (register < uart::PORTS).then_some(register)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn the_uart_prints_and_the_exit_port_ends() {
        let (mut pc, mut output, mut host) = (Pc::new(), Output::new(), Fake::default());
        for byte in *b"hi" {
            let exit = Exit::PortOut {
                port: 0x3f8,
                size: 1,
                value: u32::from(byte),
                argument: None,
            };
            assert_eq!(pc.serve(exit, &mut output, &mut host), Action::DONE);
        }
        let exit = Exit::PortOut {
            port: EXIT_PORT,
            size: 4,
            value: 0x103,
            argument: None,
        };
        let end = Action::End {
            status: 3,
            cause: Cause::Exit,
        };
        assert_eq!(pc.serve(exit, &mut output, &mut host), end);
        assert_eq!(host.text(), "hi");
    }

    #[test]
    fn unclaimed_ports_read_all_ones() {
        let (mut pc, mut output, mut host) = (Pc::new(), Output::new(), Fake::default());
        for (size, ones) in [(1, 0xff), (2, 0xffff), (4, 0xffff_ffff)] {
            let action = pc.serve(Exit::PortIn { port: 0xe0, size }, &mut output, &mut host);
            assert_eq!(action, Action::Complete(Completion::Value(ones)));
        }
        assert_eq!(host.unknown_ports, 3);
    }
}
