//! The rules of the data sheet, on a pair set up as kernels do it.

use super::*;

const EOI: u8 = 0x20;

/// Vectors 0x20 to 0x2f, fully nested, nothing masked.
fn pair() -> Pair {
    let mut pair = Pair::new();
    for (port, value) in [
        (0x20, 0x11),
        (0xa0, 0x11),
        (0x21, 0x20),
        (0xa1, 0x28),
        (0x21, 4),
        (0xa1, 2),
        (0x21, 1),
        (0xa1, 1),
    ] {
        pair.write(port, value);
    }
    pair
}

fn take(pair: &mut Pair) -> Option<u8> {
    let request = pair.pending()?;
    pair.acknowledge(request.irq);
    Some(request.vector)
}

fn in_service(pair: &mut Pair, command: u16) -> u8 {
    pair.write(command, 0x0b);
    pair.read(command)
}

#[test]
fn firmware_leaves_every_input_masked() {
    let mut pair = Pair::new();
    for irq in 0..16 {
        pair.pulse(irq);
        assert!(pair.is_masked(irq));
    }
    assert_eq!(pair.pending(), None);
    pair.write(0x21, 0xfe);
    assert_eq!(take(&mut pair), Some(0x08));
}

#[test]
fn an_edge_asks_once_and_waits_for_its_end() {
    let mut pair = pair();
    pair.set_line(0, true);
    assert_eq!(take(&mut pair), Some(0x20));
    assert_eq!(pair.pending(), None);
    // The line is still high: no new edge. A new one waits for the EOI.
    pair.write(0x20, EOI);
    assert_eq!(pair.pending(), None);
    pair.set_line(0, false);
    pair.set_line(0, true);
    assert_eq!(take(&mut pair), Some(0x20));
    pair.set_line(0, false);
    pair.pulse(0);
    assert_eq!(pair.pending(), None);
    pair.write(0x20, EOI);
    assert_eq!(take(&mut pair), Some(0x20));
}

#[test]
fn lower_inputs_interrupt_higher_ones() {
    let mut pair = pair();
    pair.pulse(4);
    assert_eq!(take(&mut pair), Some(0x24));
    pair.pulse(6);
    assert_eq!(pair.pending(), None);
    pair.pulse(1);
    assert_eq!(take(&mut pair), Some(0x21));
    assert_eq!(in_service(&mut pair, 0x20), 0b1_0010);
    // Non-specific: the highest in service ends first.
    pair.write(0x20, EOI);
    assert_eq!(in_service(&mut pair, 0x20), 0b1_0000);
    pair.write(0x20, 0x64);
    assert_eq!(take(&mut pair), Some(0x26));
}

#[test]
fn masked_requests_wait() {
    let mut pair = pair();
    pair.write(0x21, 0x01);
    pair.pulse(0);
    assert_eq!(pair.pending(), None);
    assert_eq!(pair.read(0x21), 1);
    pair.write(0x20, 0x0a);
    assert_eq!(pair.read(0x20), 1, "IRR shows it");
    pair.write(0x21, 0);
    assert_eq!(take(&mut pair), Some(0x20));
}

#[test]
fn the_second_controller_goes_through_input_2() {
    let mut pair = pair();
    pair.pulse(12);
    pair.pulse(3);
    assert_eq!(take(&mut pair), Some(0x2c), "input 2 comes before 3");
    assert_eq!(in_service(&mut pair, 0x20), 4);
    assert_eq!(in_service(&mut pair, 0xa0), 0x10);
    // A higher one of the second waits for the first's EOI.
    pair.pulse(8);
    assert_eq!(pair.pending(), None);
    pair.write(0x20, EOI);
    assert_eq!(take(&mut pair), Some(0x28));
    pair.write(0xa0, EOI);
    pair.write(0xa0, EOI);
    pair.write(0x20, EOI);
    assert_eq!(take(&mut pair), Some(0x23));
    pair.write(0x21, 4);
    pair.pulse(9);
    assert!(pair.is_masked(9));
}

#[test]
fn special_fully_nested_mode_lets_the_second_interrupt_itself() {
    let mut pair = pair();
    for (port, value) in [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 0x11)] {
        pair.write(port, value);
    }
    pair.pulse(12);
    assert_eq!(take(&mut pair), Some(0x2c));
    pair.pulse(8);
    assert_eq!(take(&mut pair), Some(0x28));
}

#[test]
fn special_mask_mode_lets_lower_priorities_through() {
    let mut pair = pair();
    pair.pulse(1);
    assert_eq!(take(&mut pair), Some(0x21));
    pair.pulse(5);
    assert_eq!(pair.pending(), None);
    pair.write(0x21, 2);
    pair.write(0x20, 0x68);
    assert_eq!(take(&mut pair), Some(0x25));
    pair.write(0x20, 0x48);
    pair.write(0x21, 0);
    pair.pulse(6);
    assert_eq!(pair.pending(), None);
}

#[test]
fn rotation_makes_the_served_input_the_lowest() {
    let mut pair = pair();
    pair.pulse(3);
    assert_eq!(take(&mut pair), Some(0x23));
    pair.write(0x20, 0xa0);
    pair.pulse(3);
    pair.pulse(4);
    assert_eq!(take(&mut pair), Some(0x24));
    pair.write(0x20, 0xe4);
    assert_eq!(take(&mut pair), Some(0x23));
    pair.write(0x20, 0x63);
    // Set priority: input 5 becomes the lowest.
    pair.write(0x20, 0xc5);
    pair.pulse(5);
    pair.pulse(6);
    assert_eq!(take(&mut pair), Some(0x26));
}

#[test]
fn automatic_end_of_interrupt_leaves_nothing_in_service() {
    let mut pair = pair();
    for (port, value) in [(0x20, 0x13), (0x21, 0x40), (0x21, 3)] {
        pair.write(port, value);
    }
    pair.pulse(0);
    assert_eq!(take(&mut pair), Some(0x40));
    assert_eq!(in_service(&mut pair, 0x20), 0);
    pair.write(0x20, 0x80);
    pair.pulse(0);
    assert_eq!(take(&mut pair), Some(0x40));
    pair.pulse(0);
    pair.pulse(1);
    assert_eq!(take(&mut pair), Some(0x41), "input 0 became the lowest");
}

#[test]
fn level_triggered_inputs_ask_while_they_are_high() {
    let mut pair = pair();
    pair.write(0x4d0, 0xff);
    assert_eq!(pair.read(0x4d0), 0xf8, "the timer's stays edge-triggered");
    pair.write(0x4d1, 0xff);
    assert_eq!(pair.read(0x4d1), 0xde);
    pair.set_line(5, true);
    assert_eq!(take(&mut pair), Some(0x25));
    pair.write(0x20, EOI);
    assert_eq!(take(&mut pair), Some(0x25));
    pair.set_line(5, false);
    pair.write(0x20, EOI);
    assert_eq!(pair.pending(), None);
}

#[test]
fn a_poll_acknowledges() {
    let mut pair = pair();
    pair.write(0x20, 0x0c);
    assert_eq!(pair.read(0x20), 0);
    pair.pulse(6);
    pair.write(0x20, 0x0c);
    assert_eq!(pair.read(0x20), 0x86);
    assert_eq!(in_service(&mut pair, 0x20), 0x40);
    assert_eq!(pair.pending(), None);
}

#[test]
fn initialisation_forgets_requests() {
    let mut pair = pair();
    pair.pulse(0);
    pair.write(0x20, 0x11);
    pair.write(0x21, 0x35);
    pair.write(0x21, 4);
    pair.write(0x21, 1);
    assert_eq!(pair.pending(), None);
    assert_eq!(pair.read(0x21), 0);
    pair.pulse(1);
    assert_eq!(take(&mut pair), Some(0x31), "the base's low bits are ignored");
}

#[test]
fn a_withdrawn_request_of_the_second_is_its_input_7() {
    let mut pair = pair();
    pair.pulse(9);
    pair.write(0xa1, 0xff);
    assert_eq!(pair.pending(), Some(Request { irq: 15, vector: 0x2f }));
    pair.acknowledge(15);
    assert_eq!(in_service(&mut pair, 0xa0), 0);
    assert_eq!(in_service(&mut pair, 0x20), 4);
}
