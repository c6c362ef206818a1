//! The rules of the data sheet.

use super::*;

fn with_fifos(trigger: u8) -> Uart {
    let mut uart = Uart::new();
    uart.write(2, FIFO_ENABLE | trigger << 6);
    uart
}

#[test]
fn bytes_go_out_unless_the_latch_is_open() {
    let mut uart = Uart::new();
    assert_eq!(uart.write(0, b'x'), Some(b'x'));
    uart.write(3, DIVISOR_LATCH);
    assert_eq!(uart.write(0, 1), None);
    assert_eq!(uart.read(0), 1);
    uart.write(3, 3);
    assert_eq!(uart.read(0), 0);
}

#[test]
fn drivers_find_an_idle_transmitter() {
    assert_eq!(Uart::new().read(5) & 0x20, 0x20);
}

#[test]
fn received_bytes_wait_in_order() {
    let mut uart = with_fifos(0);
    assert_eq!(uart.room(), 16);
    (1..=3).for_each(|byte| uart.receive(byte));
    assert_eq!(uart.room(), 13);
    for byte in 1..=3 {
        assert_eq!(uart.read(5) & DATA_READY, DATA_READY);
        assert_eq!(uart.read(0), byte);
    }
    assert_eq!(uart.read(5) & DATA_READY, 0);
}

#[test]
fn a_byte_too_many_is_lost_and_told() {
    let mut uart = Uart::new();
    uart.write(1, ON_LINE);
    uart.receive(1);
    uart.receive(2);
    assert_eq!(uart.read(2), LINE_ERROR);
    assert_eq!(uart.read(5) & OVERRUN, OVERRUN);
    assert_eq!(uart.read(5) & OVERRUN, 0);
    assert_eq!(uart.read(0), 1);
    assert!(!uart.interrupts());
}

#[test]
fn data_interrupts_until_it_is_read() {
    let mut uart = with_fifos(1);
    uart.receive(1);
    assert!(!uart.interrupts());
    uart.write(1, ON_DATA);
    assert_eq!(uart.read(2), TIMEOUT | FIFOS_ON, "below the trigger level");
    (2..=4).for_each(|byte| uart.receive(byte));
    assert_eq!(uart.read(2), DATA | FIFOS_ON);
    for _ in 0..4 {
        assert!(uart.interrupts());
        uart.read(0);
    }
    assert_eq!(uart.read(2), NO_INTERRUPT | FIFOS_ON);
}

#[test]
fn an_empty_transmitter_interrupts_once() {
    let mut uart = Uart::new();
    assert!(!uart.interrupts());
    uart.write(1, ON_EMPTY);
    assert_eq!(uart.read(2), EMPTY);
    assert!(!uart.interrupts());
    uart.write(0, b'x');
    assert!(uart.interrupts());
    uart.write(1, 0);
    assert!(!uart.interrupts());
}

#[test]
fn data_comes_before_the_transmitter() {
    let mut uart = Uart::new();
    uart.write(1, ON_DATA | ON_EMPTY);
    uart.receive(7);
    assert_eq!(uart.read(2), DATA);
    uart.read(0);
    assert_eq!(uart.read(2), EMPTY);
}

#[test]
fn loopback_receives_what_it_sends() {
    let mut uart = with_fifos(0);
    uart.write(4, LOOPBACK | 0x0f);
    assert_eq!(uart.write(0, b'l'), None);
    assert_eq!(uart.read(0), b'l');
    assert_eq!(uart.room(), 0, "the line is cut");
    assert_eq!(uart.read(6) & 0xf0, 0xf0);
    uart.write(4, LOOPBACK);
    assert_eq!(uart.read(6) & 0xf0, 0);
}

#[test]
fn the_fifo_can_be_emptied() {
    let mut uart = with_fifos(0);
    uart.receive(1);
    uart.write(2, FIFO_ENABLE | CLEAR_RECEIVER);
    assert_eq!(uart.read(5) & DATA_READY, 0);
    uart.receive(1);
    uart.write(2, 0);
    assert_eq!(uart.read(5) & DATA_READY, 0);
    assert_eq!(uart.room(), 1);
}
