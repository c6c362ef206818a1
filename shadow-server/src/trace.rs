//! Records of page faults, filled in.

use protocol::trace::FaultRecord;
use shadow_core::{Access, FaultOutcome, PagingContext, View};
use x86::Gva;

/// What is known of a fault before it is handled.
pub fn begin(cpu: &PagingContext, rip: u64, gva: Gva, access: Access) -> FaultRecord {
    FaultRecord {
        tick: process::ticks(),
        rip,
        gva: gva.get(),
        root: cpu.root.get(),
        access: match access {
            Access::Read => 0,
            Access::Write => 1,
            Access::Execute => 2,
        },
        view: match cpu.view() {
            View::Kernel => 0,
            View::KernelWp0 => 1,
            View::User => 2,
        },
        vcpu: cpu.vcpu.index() as u8,
        ..FaultRecord::default()
    }
}

/// Adds what became of it, after `operations` capability operations.
pub fn conclude(record: &mut FaultRecord, outcome: &FaultOutcome, operations: u64) {
    record.ticks = process::ticks().saturating_sub(record.tick);
    record.operations = u16::try_from(operations).unwrap_or(u16::MAX);
    let (outcome, gfn) = match *outcome {
        FaultOutcome::Filled { gfn, healed, .. } => (u8::from(healed), Some(gfn)),
        FaultOutcome::GuestFault(_) => (2, None),
        FaultOutcome::NonCanonical => (3, None),
        FaultOutcome::NotRam { gpa, .. } => (4, Some(gpa.gfn())),
        FaultOutcome::ReadOnlyMemory { gpa } => (5, Some(gpa.gfn())),
        FaultOutcome::Retry => (6, None),
        FaultOutcome::Unmappable { .. } => (7, None),
        FaultOutcome::NotActive => (8, None),
        FaultOutcome::Failed(_) => (9, None),
        FaultOutcome::Again => (10, None),
    };
    record.outcome = outcome;
    record.gfn = gfn.map_or(u64::MAX, x86::Gfn::get);
}
