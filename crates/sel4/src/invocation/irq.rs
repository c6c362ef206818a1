//! Interrupts.

use super::invoke;
use crate::abi::label;
use crate::{AbsoluteCPtr, Result, Word, cap};

/// When an I/O APIC pin interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerMode {
    /// At a change, as ISA devices do.
    Edge,
    /// As long as the line is active, as PCI devices do.
    Level,
}

/// Which state of an I/O APIC pin is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polarity {
    /// High, as for ISA devices.
    High,
    /// Low, as for PCI devices.
    Low,
}

impl cap::IrqControl {
    /// Makes a handler for a pin of an I/O APIC in the slot `dst`. Corresponds to
    /// `seL4_IRQControl_GetIOAPIC`.
    ///
    /// `vector` is 0 to 107 (the processor's vector minus 0x30) and not in use.
    ///
    /// # Errors
    ///
    /// * `RangeError`: no such vector, I/O APIC or pin.
    /// * `RevokeFirst`: the vector is in use.
    /// * `DeleteFirst`: `dst` is occupied.
    /// * `FailedLookup`: the path to `dst` leads nowhere.
    /// * `IllegalOperation`: the machine has no I/O APIC.
    pub fn irq_control_get_ioapic(
        self,
        ioapic: Word,
        pin: Word,
        trigger: TriggerMode,
        polarity: Polarity,
        vector: Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        let args = [
            dst.path().bits(),
            dst.path().depth() as Word,
            ioapic,
            pin,
            Word::from(trigger == TriggerMode::Level),
            Word::from(polarity == Polarity::Low),
            vector,
        ];
        invoke(self.cptr(), label::X86_IRQ_ISSUE_IRQ_HANDLER_IOAPIC, [dst.root().cptr()], args)
            .map(drop)
    }

    /// Makes a handler for a message-signalled interrupt in the slot `dst`. Corresponds to
    /// `seL4_IRQControl_GetMSI`.
    ///
    /// # Errors
    ///
    /// As for [`irq_control_get_ioapic`](Self::irq_control_get_ioapic), with bus, device and function
    /// in place of I/O APIC and pin.
    pub fn irq_control_get_msi(
        self,
        [bus, device, function]: [u8; 3],
        handle: Word,
        vector: Word,
        dst: &AbsoluteCPtr,
    ) -> Result<()> {
        let args = [
            dst.path().bits(),
            dst.path().depth() as Word,
            bus.into(),
            device.into(),
            function.into(),
            handle,
            vector,
        ];
        invoke(self.cptr(), label::X86_IRQ_ISSUE_IRQ_HANDLER_MSI, [dst.root().cptr()], args)
            .map(drop)
    }
}

impl cap::IrqHandler {
    /// Lets the interrupt come again. Corresponds to `seL4_IRQHandler_Ack`.
    #[inline]
    pub fn irq_handler_ack(self) -> Result<()> {
        invoke(self.cptr(), label::IRQ_ACK_IRQ, [], []).map(drop)
    }

    /// Signals `notification` at each interrupt, with the badge of the capability given.
    /// Corresponds to `seL4_IRQHandler_SetNotification`.
    ///
    /// # Errors
    ///
    /// `InvalidCapability`: `notification` is no notification, or lacks the write right.
    pub fn irq_handler_set_notification(self, notification: cap::Notification) -> Result<()> {
        invoke(self.cptr(), label::IRQ_SET_IRQ_HANDLER, [notification.cptr()], []).map(drop)
    }

    /// Signals nobody any more. Corresponds to `seL4_IRQHandler_Clear`.
    pub fn irq_handler_clear(self) -> Result<()> {
        invoke(self.cptr(), label::IRQ_CLEAR_IRQ_HANDLER, [], []).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorder::one;
    use super::*;

    #[test]
    fn arguments() {
        let slot = cap::CNode::from_bits(2).absolute_cptr_from_bits_with_depth(8, 64);
        let control = cap::IrqControl::from_bits(4);
        let seen = one(|| {
            control.irq_control_get_ioapic(0, 2, TriggerMode::Edge, Polarity::Low, 7, &slot)
        });
        assert_eq!(seen.label, label::X86_IRQ_ISSUE_IRQ_HANDLER_IOAPIC);
        assert_eq!((seen.caps, seen.args), (vec![2], vec![8, 64, 0, 2, 0, 1, 7]));
        let seen = one(|| control.irq_control_get_msi([1, 2, 3], 9, 7, &slot));
        assert_eq!(seen.args, [8, 64, 1, 2, 3, 9, 7]);
        let handler = cap::IrqHandler::from_bits(50);
        let seen = one(|| handler.irq_handler_set_notification(cap::Notification::from_bits(51)));
        assert_eq!((seen.service, seen.caps, seen.args), (50, vec![51], vec![]));
        assert_eq!(one(|| handler.irq_handler_ack()).label, label::IRQ_ACK_IRQ);
    }
}
