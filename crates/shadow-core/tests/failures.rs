//! Every capability operation fails once, at every point of a scenario: the
//! records stay consistent, and a repetition succeeds.

use crate::model::machine::{A, D, Machine, P, PS, SMALL, W};
use shadow_core::{Access, FaultOutcome};
use x86::{Gfn, Gva, Level};

/// One thing that a server asks for; `Err` if the kernel refused.
type Request = Box<dyn Fn(&mut Machine) -> Result<(), ()>>;

fn access(va: u64, access: Access) -> Request {
    Box::new(move |machine| match machine.fault(va, access) {
        FaultOutcome::Filled { .. } => Ok(()),
        FaultOutcome::Failed(_) => Err(()),
        other => panic!("{other:?}"),
    })
}

fn guest(change: impl Fn(&mut Machine) + 'static) -> Request {
    Box::new(move |machine| {
        change(machine);
        Ok(())
    })
}

fn mmu(request: impl Fn(&mut Machine) -> Result<(), shadow_core::MapError> + 'static) -> Request {
    Box::new(move |machine| request(machine).map_err(|_| ()))
}

/// Fills of every kind, drops of every kind, recycling of every kind.
fn scenario() -> Vec<Request> {
    let mut steps: Vec<Request> = Vec::new();
    for page in 0..14 {
        steps.push(guest(move |machine| machine.map(page << 12, 100 + page % 3, P | W)));
        steps.push(access(page << 12, Access::Read));
    }
    steps.push(access(0, Access::Write));
    for table in 1..8 {
        let va = (table << 21) | ((table % 2) << 30) | ((table % 3) << 39);
        steps.push(guest(move |machine| machine.map(va, 100 + table, P | W | A | D)));
        steps.push(access(va, Access::Read));
    }
    steps.push(mmu(|machine| {
        machine.mmu.invlpg(&machine.cpu, Gva::new(0), &machine.ram, &mut machine.kernel)
    }));
    steps.push(mmu(|machine| {
        machine.mmu.load_cr3(&machine.cpu, &machine.ram, &mut machine.kernel).map(drop)
    }));
    steps.push(access(0x3000, Access::Read));
    steps.push(access(0x5000, Access::Read));
    steps.push(mmu(|machine| machine.mmu.remove_all_mappings(Gfn::new(100), &mut machine.kernel)));
    steps.push(access(0x3000, Access::Read));
    steps.push(guest(|machine| {
        let entry = machine.entry(Level::L2, 0);
        machine.poke(entry, P | W | PS);
    }));
    steps.push(access(0x4000, Access::Write));
    steps.push(mmu(|machine| {
        machine.mmu.page_fault_delivered(
            &machine.cpu,
            Gva::new(0),
            &machine.ram,
            &mut machine.kernel,
        )
    }));
    for root in [600, 601, 602, 603] {
        steps.push(guest(move |machine| {
            machine.cpu.root = Gfn::new(root);
            machine.poke(root << 12, machine.ram.peek(1 << 12));
        }));
        steps.push(mmu(|machine| {
            machine.mmu.load_cr3(&machine.cpu, &machine.ram, &mut machine.kernel).map(drop)
        }));
        steps.push(access(0x4000, Access::Read));
    }
    steps
}

/// Runs the scenario, repeating refused steps; gives the number of operations.
fn run(fail_after: Option<u32>) -> (usize, bool) {
    let mut machine = Machine::new(SMALL);
    machine.kernel.take_calls();
    machine.kernel.fail_after = fail_after;
    let mut refused = false;
    for step in scenario() {
        for attempt in 0.. {
            assert!(attempt < 2, "one failure, one repetition");
            let result = step(&mut machine);
            refused |= machine.refused;
            machine.check();
            if result.is_ok() {
                break;
            }
            refused = true;
        }
    }
    (machine.kernel.take_calls().len(), refused)
}

#[test]
fn every_operation_may_fail_once() {
    let (operations, _) = run(None);
    assert!(operations > 60, "{operations} operations are too few to mean anything");
    for point in 0..operations as u32 {
        let (_, refused) = run(Some(point));
        assert!(refused, "the failure at operation {point} was not noticed");
    }
}
