//! The registers of a vCPU that shut down, for people.

use core::fmt::{self, Write};

use protocol::exit::{REGISTER_NAMES, RegisterDump};

use crate::host::Host;
use crate::output::Output;

const CONTROL_NAMES: [&str; 5] = ["cr0", "cr2", "cr3", "cr4", "efer"];

/// Prints `dump` into the guest's stream, four registers to a line.
pub fn print(dump: &RegisterDump, output: &mut Output, host: &mut impl Host) {
    output.message(
        host,
        format_args!(
            "umbriel: exception {} (code {:#x}) could not be delivered",
            dump.vector, dump.error_code
        ),
    );
    let registers = REGISTER_NAMES.iter().zip(&dump.registers);
    let control = CONTROL_NAMES.iter().zip(&dump.control);
    let mut line = heapless::String::<160>::new();
    for (index, (name, value)) in registers.chain(control).enumerate() {
        if index > 0 && index.is_multiple_of(4) {
            flush(&mut line, output, host);
        }
        // Four registers of at most 26 characters each fit.
        let _: fmt::Result = write!(line, "  {name:>7} {value:016x}");
    }
    flush(&mut line, output, host);
}

fn flush(line: &mut heapless::String<160>, output: &mut Output, host: &mut impl Host) {
    output.message(host, format_args!("umbriel:{line}"));
    line.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn every_register_is_printed() {
        let mut dump = RegisterDump { vector: 14, ..RegisterDump::default() };
        for (index, register) in dump.registers.iter_mut().enumerate() {
            *register = 0x1000 + index as u64;
        }
        let mut host = Fake::default();
        let mut output = Output::new();
        print(&dump, &mut output, &mut host);
        let text = host.text();
        for (index, name) in REGISTER_NAMES.iter().enumerate() {
            assert!(text.contains(&format!("{name} {:016x}", 0x1000 + index)), "{name}");
        }
        assert!(text.contains("exception 14"));
        assert!(text.contains("efer 0000000000000000"));
    }
}
