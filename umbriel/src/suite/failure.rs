//! What is kept of a boot test that failed.

use std::fs;
use std::path::{Path, PathBuf};

use qemu::{Machine, Port};

use crate::compose::write_whole;
use crate::error::Result;
use crate::machine::Observer;
use crate::output::console::Piece;
use crate::output::record::Record;

/// The bytes of both serial ports.
#[derive(Debug, Default)]
pub struct Log {
    /// COM1.
    pub com1: Vec<u8>,
    com2: Vec<u8>,
}

impl Observer for Log {
    fn piece(&mut self, _: &Piece) {}

    fn record(&mut self, _: &Record) {}

    fn bytes(&mut self, port: Port, bytes: &[u8]) {
        match port {
            Port::Com1 => self.com1.extend(bytes),
            Port::Com2 => self.com2.extend(bytes),
        }
    }
}

/// Keeps logs, report and a script that boots the same again in `directory`;
/// the images that `machine` boots lie there already.
///
/// # Errors
/// If a file cannot be written.
pub fn keep(directory: &Path, machine: &Machine, log: &Log, report: &str) -> Result<PathBuf> {
    write_whole(&directory.join("com1.log"), &log.com1)?;
    write_whole(&directory.join("com2.log"), &log.com2)?;
    write_whole(&directory.join("report.txt"), report.as_bytes())?;
    let script = directory.join("replay.sh");
    write_whole(&script, format!("#!/bin/sh\nexec {}\n", machine.replay_command()).as_bytes())?;
    Ok(script)
}

/// Removes what was kept of a test that has passed since.
pub fn forget(directory: &Path) {
    // Nothing depends on it; if it cannot be removed it only takes space.
    let _ = fs::remove_dir_all(directory);
}
