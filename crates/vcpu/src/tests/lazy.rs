//! Registers that are fetched late: an instruction asks for all it touches.

use proptest::prelude::*;
use x86::{Gva, PageFault};

use super::property::{code, value};
use super::rig::*;
use crate::testing::FlatMachine;
use crate::{
    Access, Completion, Machine, Outcome, RegisterSet, Registers, Trap, VcpuState, complete, handle,
};

/// A machine whose thread keeps its registers until it is asked for them.
struct Lazy<'a> {
    machine: &'a mut FlatMachine<RAM>,
    thread: Registers,
    loaded: usize,
    /// How many may change.
    changeable: usize,
}

impl Machine for Lazy<'_> {
    fn load_registers(&mut self, registers: &mut Registers, set: RegisterSet) {
        self.read_registers(registers, set);
        self.changeable = self.changeable.max(set.words());
    }

    fn read_registers(&mut self, registers: &mut Registers, set: RegisterSet) {
        let mut words = registers.to_words();
        if let Some(late) = words.get_mut(self.loaded..set.words()) {
            late.copy_from_slice(&self.thread.to_words()[self.loaded..set.words()]);
        }
        *registers = Registers::from_words(words);
        self.loaded = self.loaded.max(set.words());
    }

    fn read(&mut self, gva: Gva, bytes: &mut [u8], access: Access) -> Result<(), PageFault> {
        self.machine.read(gva, bytes, access)
    }

    fn write(&mut self, gva: Gva, bytes: &[u8], access: Access) -> Result<(), PageFault> {
        self.machine.write(gva, bytes, access)
    }

    fn fetch(&mut self, gva: Gva, bytes: &mut [u8], access: Access) -> Result<(), PageFault> {
        self.machine.fetch(gva, bytes, access)
    }

    fn probe(&mut self, gva: Gva, length: usize, access: Access) -> Result<(), PageFault> {
        self.machine.probe(gva, length, access)
    }

    fn cr3_loaded(&mut self, state: &VcpuState) {
        self.machine.cr3_loaded(state);
    }

    fn page_fault_delivered(&mut self, gva: Gva) {
        self.machine.page_fault_delivered(gva);
    }

    fn invalidate(&mut self, gva: Gva) {
        self.machine.invalidate(gva);
    }

    fn paging_mode_changed(&mut self, state: &VcpuState) {
        self.machine.paging_mode_changed(state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    /// Whatever an instruction and its completion do is the same if all
    /// registers but the first three hold garbage until they are asked for, and
    /// none that was not asked for changes.
    #[test]
    fn what_was_not_asked_for_does_not_matter(
        code in code(),
        values in prop::collection::vec(value(), 17),
        garbage in any::<u64>(),
        answer in any::<u64>(),
        user in any::<bool>(),
    ) {
        let mut rig = if user { Rig::user() } else { Rig::new() };
        rig.machine.put(CODE, &code);
        let mut words = rig.registers.to_words();
        words[3..].copy_from_slice(&values);
        let thread = Registers::from_words(words);
        let trap = Trap::Exception { vector: 13, error_code: 0 };

        let mut eager = rig.clone();
        eager.registers = thread;
        let mut outcome = handle(&mut eager.state, &mut eager.registers, trap, &mut *eager.machine);

        words[3..].fill(garbage);
        rig.registers = Registers::from_words(words);
        let mut lazy = Lazy { machine: &mut rig.machine, thread, loaded: 3, changeable: 3 };
        let late = handle(&mut rig.state, &mut rig.registers, trap, &mut lazy);
        prop_assert_eq!(late, outcome);
        if let Outcome::Exit(_) = outcome {
            let answer = Completion::Value(answer);
            outcome = complete(&mut eager.state, &mut eager.registers, answer, &mut *eager.machine);
            let late = complete(&mut rig.state, &mut rig.registers, answer, &mut lazy);
            prop_assert_eq!(late, outcome);
        }
        let loaded = lazy.loaded;
        let (now, right) = (rig.registers.to_words(), eager.registers.to_words());
        prop_assert_eq!(&now[..loaded], &right[..loaded]);
        let changeable = lazy.changeable;
        prop_assert_eq!(&right[changeable..], &thread.to_words()[changeable..]);
        prop_assert!(now[loaded..].iter().all(|word| *word == garbage));
        prop_assert_eq!(rig.state, eager.state);
    }
}
