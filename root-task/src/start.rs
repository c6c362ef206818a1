//! The state in which a guest's first vCPU starts.

use system::compiled::VcpuStart;
use vcpu::VcpuState;

/// The vCPU state that `start` describes.
pub fn initial_state(start: &VcpuStart) -> VcpuState {
    let mut state = VcpuState::long_mode(
        start.cr3,
        start.code_selector as u16,
        start.data_selector as u16,
    );
    state.cr0 = start.cr0;
    state.cr4 = start.cr4;
    state.efer = start.efer;
    state.tr.selector = start.task_selector as u16;
    state.gdtr.base = start.gdt_base;
    state.gdtr.limit = start.gdt_limit as u16;
    state.idtr.limit = start.idt_limit as u16;
    state
}
