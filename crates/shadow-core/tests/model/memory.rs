//! Guest memory that records every write.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use x86::{Gpa, GuestMemory, OutsideRam};

/// One 8-byte store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    pub gpa: u64,
    pub old: u64,
    pub new: u64,
}

/// RAM from 0, and what the code under test stored there.
///
/// A clone is the same memory, as another vCPU sees it.
#[derive(Clone)]
pub struct Ram {
    words: Rc<Vec<Cell<u64>>>,
    /// How often a word has changed.
    changes: Rc<Cell<u64>>,
    pub stores: RefCell<Vec<Store>>,
    /// Stores to make, one each before the next compare-exchange: what another
    /// vCPU does meanwhile.
    pub interference: RefCell<Vec<(u64, u64)>>,
}

impl Ram {
    /// A copy of the memory as it is now.
    pub fn photograph(&self) -> Self {
        Self {
            words: Rc::new(self.words.to_vec()),
            changes: Rc::new(Cell::new(self.changes.get())),
            ..self.clone()
        }
    }
}

impl Ram {
    pub fn new(frames: u64) -> Self {
        Self {
            words: Rc::new(vec![Cell::new(0); frames as usize * 512]),
            changes: Rc::default(),
            stores: RefCell::default(),
            interference: RefCell::default(),
        }
    }

    fn word(&self, gpa: Gpa) -> Result<&Cell<u64>, OutsideRam> {
        let index = (gpa.get() / 8) as usize;
        let aligned = gpa.get().is_multiple_of(8);
        self.words.get(index).filter(|_| aligned).ok_or(OutsideRam { gpa, length: 8 })
    }

    /// What the guest itself writes; not recorded.
    pub fn poke(&self, gpa: u64, value: u64) {
        self.change(self.word(Gpa::new(gpa)).expect("tests poke RAM"), value);
    }

    fn change(&self, word: &Cell<u64>, value: u64) {
        if word.replace(value) != value {
            self.changes.set(self.changes.get() + 1);
        }
    }

    /// How often a word has changed: the contents are the same if this is.
    pub fn changes(&self) -> u64 {
        self.changes.get()
    }

    pub fn peek(&self, gpa: u64) -> u64 {
        self.word(Gpa::new(gpa)).map_or(u64::MAX, Cell::get)
    }
}

impl GuestMemory for Ram {
    fn size(&self) -> u64 {
        self.words.len() as u64 * 8
    }

    fn load_u64(&self, gpa: Gpa) -> Result<u64, OutsideRam> {
        self.word(gpa).map(Cell::get)
    }

    fn compare_exchange_u64(&self, gpa: Gpa, current: u64, new: u64) -> Result<u64, OutsideRam> {
        if let Some((at, value)) = self.interference.borrow_mut().pop() {
            self.poke(at, value);
        }
        let word = self.word(gpa)?;
        let old = word.get();
        if old == current {
            self.change(word, new);
            self.stores.borrow_mut().push(Store { gpa: gpa.get(), old, new });
        }
        Ok(old)
    }

    fn read(&self, gpa: Gpa, bytes: &mut [u8]) -> Result<(), OutsideRam> {
        Err(OutsideRam { gpa, length: bytes.len() as u64 })
    }

    fn write(&self, gpa: Gpa, bytes: &[u8]) -> Result<(), OutsideRam> {
        Err(OutsideRam { gpa, length: bytes.len() as u64 })
    }
}
