//! Which device answers at which port. What nobody claims reads as all ones
//! and drops writes.

use protocol::supervisor::Cause;

use super::Pc;
use crate::host::Host;
use crate::output::Output;
use crate::pic::Pair;
use crate::pit::Pit;
use crate::platform::Action;
use crate::power::Wish;
use crate::rtc::Rtc;
use crate::uart;

/// A byte written here ends the guest with that status.
pub const EXIT_PORT: u16 = 0xf4;

impl Pc {
    pub(super) fn port_out(
        &mut self,
        port: u16,
        size: u8,
        value: u32,
        output: &mut Output,
        host: &mut impl Host,
    ) -> Action {
        if port == EXIT_PORT {
            output.flush(host);
            return Action::End { status: u64::from(value & 0xff), cause: Cause::Exit };
        }
        match self.power.write(port, size, value) {
            // A machine that is reset would start its image anew; here it
            // ends, as `qemu -no-reboot` does.
            Some(Wish::Off | Wish::Reset) => {
                output.flush(host);
                return Action::End { status: 0, cause: Cause::Exit };
            }
            Some(Wish::None) => {}
            None => {
                if size != 1 || !self.write_byte(port, value as u8, output, host) {
                    host.count_unknown_port();
                }
            }
        }
        Action::DONE
    }

    /// Whether a device took the byte.
    fn write_byte(
        &mut self,
        port: u16,
        value: u8,
        output: &mut Output,
        host: &mut impl Host,
    ) -> bool {
        if let Some(register) = uart_register(port) {
            if let Some(byte) = self.uart.write(register, value) {
                output.write(&[byte], host);
            }
            self.take_input(host);
        } else if Pair::has(port) {
            self.interrupts.pic.write(port, value);
        } else if Pit::has(port) {
            self.pit.write(port, value, host.now());
        } else if Rtc::has(port) {
            self.rtc.write(port, value);
        } else {
            return false;
        }
        true
    }

    /// The value read, in the low bytes; all ones where no device answers.
    pub(super) fn port_in(&mut self, port: u16, size: u8, host: &mut impl Host) -> u64 {
        if size == 1
            && let Some(byte) = self.read_byte(port, host)
        {
            return u64::from(byte);
        }
        if let Some(value) = self.power.read(port, size, host.now()) {
            return u64::from(value);
        }
        host.count_unknown_port();
        u64::from(u32::MAX >> (32 - 8 * u32::from(size)))
    }

    fn read_byte(&mut self, port: u16, host: &mut impl Host) -> Option<u8> {
        if let Some(register) = uart_register(port) {
            let value = self.uart.read(register);
            self.take_input(host);
            Some(value)
        } else if Pair::has(port) {
            Some(self.interrupts.pic.read(port))
        } else if Pit::has(port) {
            Some(self.pit.read(port, host.now()))
        } else if Rtc::has(port) {
            Some(self.rtc.read(port, host.wall_time_ns()))
        } else {
            None
        }
    }
}

fn uart_register(port: u16) -> Option<u16> {
    let register = port.checked_sub(uart::FIRST_PORT)?;
    (register < uart::PORTS).then_some(register)
}
