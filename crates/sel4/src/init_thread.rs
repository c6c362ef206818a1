//! The capabilities that the kernel leaves to the root task, by slot.
//!
//! These slots agree in all releases that the crate serves. What follows slot 15 varies: use the
//! regions of [`BootInfo`](crate::BootInfo).

/// Fixed slots of the initial CNode.
pub mod slot {
    use crate::cap;

    /// The initial thread.
    pub const TCB: cap::Tcb = cap::Tcb::from_bits(1);
    /// The initial CNode: its own guard makes 64-bit pointers of its slot numbers.
    pub const CNODE: cap::CNode = cap::CNode::from_bits(2);
    /// The initial address space.
    pub const VSPACE: cap::VSpace = cap::VSpace::from_bits(3);
    /// Authority over interrupts.
    pub const IRQ_CONTROL: cap::IrqControl = cap::IrqControl::from_bits(4);
    /// Authority over ASID pools.
    pub const ASID_CONTROL: cap::AsidControl = cap::AsidControl::from_bits(5);
    /// The initial ASID pool: 512 address spaces, two of them taken.
    pub const ASID_POOL: cap::AsidPool = cap::AsidPool::from_bits(6);
    /// Authority over I/O ports: on 5.0.0 a capability to all of them.
    pub const IO_PORT_CONTROL: cap::IOPortControl = cap::IOPortControl::from_bits(7);
    /// The frame of the boot information.
    pub const BOOT_INFO_FRAME: cap::Granule = cap::Granule::from_bits(9);
    /// The frame of the initial thread's IPC buffer.
    pub const IPC_BUFFER: cap::Granule = cap::Granule::from_bits(10);
}

/// Suspends the initial thread for good.
pub fn suspend_self() -> ! {
    loop {
        // Succeeds and does not return; should it fail, nothing better is left to do.
        let _ = slot::TCB.tcb_suspend();
    }
}
