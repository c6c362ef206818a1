//! Guest memory while a guest is being placed.

use std::collections::BTreeMap;

use x86::{Gpa, PAGE_SIZE};

use crate::{Load, Problem};

type Page = [u8; PAGE_SIZE as usize];

/// Guest memory of a given size, zero where nothing was written.
#[derive(Debug)]
pub struct GuestPages {
    size: u64,
    pages: BTreeMap<u64, Box<Page>>,
}

impl GuestPages {
    /// Memory of `size` bytes, all zero.
    pub fn new(size: u64) -> Self {
        Self { size, pages: BTreeMap::new() }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Copies `bytes` to `gpa`.
    ///
    /// # Errors
    /// [`Problem::OutsideMemory`] if the range does not lie in memory; nothing
    /// is written then.
    pub fn write(&mut self, gpa: Gpa, bytes: &[u8]) -> Result<(), Problem> {
        let start = gpa.get();
        match start.checked_add(bytes.len() as u64) {
            Some(end) if end <= self.size => {}
            end => {
                return Err(Problem::OutsideMemory {
                    start,
                    end: end.unwrap_or(u64::MAX),
                    memory: self.size,
                });
            }
        }
        let (mut address, mut rest) = (start, bytes);
        while !rest.is_empty() {
            let offset = (address % PAGE_SIZE) as usize;
            let (now, later) = rest.split_at(rest.len().min(PAGE_SIZE as usize - offset));
            let page = self
                .pages
                .entry(address / PAGE_SIZE)
                .or_insert_with(|| Box::new([0; PAGE_SIZE as usize]));
            page[offset..offset + now.len()].copy_from_slice(now);
            address += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    /// Writes a little-endian word.
    ///
    /// # Errors
    /// As [`GuestPages::write`].
    pub fn write_u64(&mut self, gpa: Gpa, value: u64) -> Result<(), Problem> {
        self.write(gpa, &value.to_le_bytes())
    }

    /// Reads the little-endian word at `gpa`; 0 outside memory.
    pub fn read_u64(&self, gpa: Gpa) -> u64 {
        let byte = |address: u64| {
            let page = self.pages.get(&(address / PAGE_SIZE));
            page.map_or(0, |page| page[(address % PAGE_SIZE) as usize])
        };
        u64::from_le_bytes(std::array::from_fn(|i| byte(gpa.get().wrapping_add(i as u64))))
    }

    /// The pages that are not all zero, neighbours joined.
    pub fn into_loads(self) -> Vec<Load> {
        let mut loads: Vec<Load> = Vec::new();
        for (number, page) in self.pages {
            if page.iter().all(|&byte| byte == 0) {
                continue;
            }
            let gpa = Gpa::new(number * PAGE_SIZE);
            match loads.last_mut() {
                Some(last) if last.end() == gpa => last.bytes.extend_from_slice(&page[..]),
                _ => loads.push(Load { gpa, bytes: page.to_vec() }),
            }
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_and_zero_pages_vanish() {
        let mut pages = GuestPages::new(0x10000);
        pages.write(Gpa::new(0x1ffe), &[1, 2, 3, 4]).unwrap();
        pages.write(Gpa::new(0x4000), &[0; 4096]).unwrap();
        pages.write(Gpa::new(0x8001), &[9]).unwrap();
        let loads = pages.into_loads();
        let places: Vec<_> = loads.iter().map(|load| (load.gpa.get(), load.end().get())).collect();
        assert_eq!(places, [(0x1000, 0x3000), (0x8000, 0x9000)]);
        assert_eq!(loads[0].bytes[0xffe..0x1002], [1, 2, 3, 4]);
    }

    #[test]
    fn words_cross_pages() {
        let mut pages = GuestPages::new(0x3000);
        pages.write_u64(Gpa::new(0xffd), 0x1122_3344_5566_7788).unwrap();
        assert_eq!(pages.read_u64(Gpa::new(0xffd)), 0x1122_3344_5566_7788);
        assert_eq!(pages.read_u64(Gpa::new(0x2ff8)), 0);
    }

    #[test]
    fn the_last_byte_is_memory_and_the_next_is_not() {
        let mut pages = GuestPages::new(0x2000);
        pages.write(Gpa::new(0x1fff), &[1]).unwrap();
        let refused = pages.write(Gpa::new(0x1fff), &[1, 2]);
        assert_eq!(
            refused,
            Err(Problem::OutsideMemory { start: 0x1fff, end: 0x2001, memory: 0x2000 })
        );
        assert!(pages.write(Gpa::new(u64::MAX), &[1]).is_err());
    }
}
