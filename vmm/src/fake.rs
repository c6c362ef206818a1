//! A host for tests: 1 MiB of memory and a record of everything asked.

use crate::host::{Host, OutsideRam};

#[derive(Clone)]
pub struct Fake {
    pub memory: Vec<u8>,
    pub writes: Vec<Vec<u8>>,
    pub slept_ns: u64,
    pub unknown_ports: u32,
    pub now: u64,
    pub input: Vec<u8>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            memory: vec![0; 1 << 20],
            writes: Vec::new(),
            slept_ns: 0,
            unknown_ports: 0,
            now: 0,
            input: Vec::new(),
        }
    }
}

impl Fake {
    pub const WALL_TIME: u64 = 1_700_000_000_000_000_000;

    pub fn text(&self) -> String {
        String::from_utf8(self.writes.concat()).unwrap()
    }

    pub fn put_u64(&mut self, gpa: usize, value: u64) {
        self.memory[gpa..gpa + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn range(&self, gpa: u64, length: usize) -> Result<core::ops::Range<usize>, OutsideRam> {
        let start = usize::try_from(gpa).map_err(|_| OutsideRam)?;
        let end = start.checked_add(length).ok_or(OutsideRam)?;
        if end > self.memory.len() { Err(OutsideRam) } else { Ok(start..end) }
    }
}

impl Host for Fake {
    fn memory_bytes(&self) -> u64 {
        self.memory.len() as u64
    }

    fn read_guest(&mut self, gpa: u64, bytes: &mut [u8]) -> Result<(), OutsideRam> {
        let range = self.range(gpa, bytes.len())?;
        bytes.copy_from_slice(&self.memory[range]);
        Ok(())
    }

    fn write_guest(&mut self, gpa: u64, bytes: &[u8]) -> Result<(), OutsideRam> {
        let range = self.range(gpa, bytes.len())?;
        self.memory[range].copy_from_slice(bytes);
        Ok(())
    }

    fn console(&mut self, bytes: &[u8]) {
        self.writes.push(bytes.to_vec());
    }

    fn input(&mut self, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.input.len());
        for (to, from) in bytes.iter_mut().zip(self.input.drain(..count)) {
            *to = from;
        }
        count
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn wall_time_ns(&mut self) -> u64 {
        Self::WALL_TIME
    }

    fn sleep_ns(&mut self, ns: u64) {
        self.slept_ns += ns;
    }

    fn count_unknown_port(&mut self) {
        self.unknown_ports += 1;
    }
}
