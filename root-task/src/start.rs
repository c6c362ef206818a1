//! The state in which a guest's vCPUs start.

use system::compiled::Guest;
use vcpu::{Topology, VcpuState};

/// The state of vCPU number `number` of `guest`.
pub fn initial_state(guest: &Guest, number: usize) -> VcpuState {
    let start = match number {
        0 => &guest.start,
        _ => &guest.secondary,
    };
    let mut state =
        VcpuState::long_mode(start.cr3, start.code_selector as u16, start.data_selector as u16);
    state.cr0 = start.cr0;
    state.cr4 = start.cr4;
    state.efer = start.efer;
    state.tr.selector = start.task_selector as u16;
    state.gdtr.base = start.gdt_base;
    state.gdtr.limit = start.gdt_limit as u16;
    state.idtr.limit = start.idt_limit as u16;
    state.topology = Topology {
        apic_id: number as u32,
        vcpus: guest.vcpus as u16,
        features: if guest.vcpus > 1 { Topology::X2APIC } else { 0 },
    };
    state
}
