//! The rules of the data sheet, on a clock with one tick per oscillator tick
//! unless a test is about the clock.

use super::*;

fn pit() -> Pit {
    Pit::new(HZ, 0)
}

fn load(pit: &mut Pit, channel: u16, control: u8, count: u16, now: u64) {
    pit.write(COMMAND, control, now);
    let [low, high] = count.to_le_bytes();
    pit.write(FIRST_PORT + channel, low, now);
    pit.write(FIRST_PORT + channel, high, now);
}

fn count(pit: &mut Pit, channel: u16, now: u64) -> u16 {
    let low = pit.read(FIRST_PORT + channel, now);
    let high = pit.read(FIRST_PORT + channel, now);
    u16::from_le_bytes([low, high])
}

fn status(pit: &mut Pit, channel: u16, now: u64) -> u8 {
    pit.write(COMMAND, 0xe0 | 2 << channel, now);
    pit.read(FIRST_PORT + channel, now)
}

/// Times at which channel 0 rises up to `end`, found by asking at every tick.
fn rises(pit: &mut Pit, start: u64, end: u64) -> Vec<u64> {
    (start..=end).filter(|now| pit.poll(*now)).collect()
}

#[test]
fn mode_0_rises_once() {
    let mut pit = pit();
    load(&mut pit, 0, 0x30, 100, 10);
    assert_eq!(status(&mut pit, 0, 50), 0x30);
    assert_eq!(count(&mut pit, 0, 50), 60);
    assert_eq!(pit.next_rise(), Some(110));
    assert_eq!(rises(&mut pit, 10, 70_000), [110]);
    assert_eq!(status(&mut pit, 0, 110), 0xb0);
    assert_eq!(pit.next_rise(), None);
    assert_eq!(count(&mut pit, 0, 111), 0xffff, "it counts on");
}

#[test]
fn mode_2_rises_every_count() {
    let mut pit = pit();
    load(&mut pit, 0, 0x34, 100, 10);
    assert_eq!(rises(&mut pit, 10, 350), [110, 210, 310]);
    assert_eq!(count(&mut pit, 0, 311), 99);
    assert_eq!(count(&mut pit, 0, 409), 1);
    assert_eq!(status(&mut pit, 0, 409), 0x34, "low for the last tick");
    assert_eq!(status(&mut pit, 0, 410), 0xb4);
}

#[test]
fn mode_3_is_high_for_half_of_the_count() {
    let mut pit = pit();
    load(&mut pit, 0, 0x36, 101, 0);
    assert_eq!(rises(&mut pit, 0, 310), [101, 202, 303]);
    assert_eq!(status(&mut pit, 0, 303 + 50), 0xb6);
    assert_eq!(status(&mut pit, 0, 303 + 51), 0x36);
    load(&mut pit, 0, 0x36, 100, 1000);
    assert_eq!(count(&mut pit, 0, 1010), 80, "it counts by two");
}

#[test]
fn mode_4_strobes_once() {
    let mut pit = pit();
    load(&mut pit, 0, 0x38, 100, 0);
    assert_eq!(status(&mut pit, 0, 100), 0x38);
    assert_eq!(rises(&mut pit, 0, 1000), [101]);
}

#[test]
fn zero_counts_65536() {
    let mut pit = pit();
    load(&mut pit, 0, 0x34, 0, 0);
    assert_eq!(rises(&mut pit, 0, 131_072), [65_536, 131_072]);
    assert_eq!(count(&mut pit, 0, 131_072), 0);
}

#[test]
fn a_control_word_stops_the_count() {
    let mut pit = pit();
    load(&mut pit, 0, 0x34, 100, 0);
    pit.write(COMMAND, 0x30, 50);
    assert_eq!(pit.next_rise(), None);
    assert_eq!(status(&mut pit, 0, 60), 0x70, "null count, OUT low");
    pit.write(FIRST_PORT, 7, 60);
    assert_eq!(pit.next_rise(), None, "half a count does not start it");
    pit.write(FIRST_PORT, 0, 61);
    assert_eq!(pit.next_rise(), Some(68));
}

#[test]
fn single_bytes_load_and_read() {
    let mut pit = pit();
    pit.write(COMMAND, 0x10, 0);
    pit.write(FIRST_PORT, 200, 0);
    assert_eq!(pit.read(FIRST_PORT, 10), 190);
    assert_eq!(pit.read(FIRST_PORT, 11), 189);
    pit.write(COMMAND, 0x20, 0);
    pit.write(FIRST_PORT, 2, 0);
    assert_eq!(pit.read(FIRST_PORT, 1), 1);
    assert_eq!(pit.next_rise(), Some(512));
}

#[test]
fn a_latched_count_stays_until_it_is_read() {
    let mut pit = pit();
    load(&mut pit, 0, 0x34, 1000, 0);
    pit.write(COMMAND, 0x00, 300);
    pit.write(COMMAND, 0x00, 400);
    assert_eq!(count(&mut pit, 0, 500), 700);
    assert_eq!(count(&mut pit, 0, 500), 500);
}

#[test]
fn read_back_latches_status_and_count_of_several_channels() {
    let mut pit = pit();
    load(&mut pit, 0, 0x34, 1000, 0);
    load(&mut pit, 2, 0xb0, 500, 0);
    pit.write(COMMAND, 0xca, 100);
    assert_eq!(pit.read(FIRST_PORT, 200), 0xb4);
    assert_eq!(count(&mut pit, 0, 200), 900);
    assert_eq!(pit.read(FIRST_PORT + 2, 200), 0x30);
    assert_eq!(count(&mut pit, 2, 200), 400);
    assert_eq!(count(&mut pit, 2, 200), 300);
}

#[test]
fn port_b_gates_channel_2_and_shows_it() {
    let mut pit = pit();
    pit.write(PORT_B, GATE_2 | SPEAKER, 0);
    load(&mut pit, 2, 0xb0, 100, 0);
    assert_eq!(pit.read(PORT_B, 99) & !REFRESH, GATE_2 | SPEAKER);
    assert_eq!(pit.read(PORT_B, 100) & !REFRESH, GATE_2 | SPEAKER | OUT_2);
    let toggles = pit.read(PORT_B, 100) ^ pit.read(PORT_B, 100);
    assert_eq!(toggles, REFRESH);
    load(&mut pit, 2, 0xb4, 100, 200);
    pit.write(PORT_B, 0, 210);
    pit.write(PORT_B, GATE_2, 230);
    assert_eq!(count(&mut pit, 2, 240), 90, "a rising gate starts it anew");
}

#[test]
fn missed_rises_count_once_and_the_phase_stays() {
    let mut pit = pit();
    load(&mut pit, 0, 0x34, 100, 10);
    assert!(pit.poll(1_000));
    assert!(!pit.poll(1_009));
    assert!(pit.poll(1_010));
}

/// Ten seconds of 1,000 Hz: no rise is early, none is later than a tick, so
/// the error does not grow.
#[test]
fn long_runs_do_not_drift() {
    const TSC_HZ: u64 = 2_593_000_000;
    const COUNT: u64 = 1193;
    let mut pit = Pit::new(TSC_HZ, 5);
    load(&mut pit, 0, 0x34, COUNT as u16, 5);
    for number in 1..=10_000_u64 {
        let rise = pit.next_rise().unwrap();
        let exact = u128::from(number * COUNT) * u128::from(TSC_HZ) / u128::from(HZ);
        let error = u128::from(rise - 5) - exact;
        assert!(error <= 1, "rise {number}: {error}");
        assert!(!pit.poll(rise - 1));
        assert!(pit.poll(rise));
    }
}

#[test]
fn hostile_values_are_harmless() {
    let mut pit = Pit::new(0, u64::MAX);
    for value in 0..=255 {
        pit.write(COMMAND, value, u64::MAX);
        for port in FIRST_PORT..COMMAND {
            pit.write(port, value, u64::MAX);
            pit.read(port, 0);
        }
        pit.poll(u64::MAX);
        pit.read(COMMAND, 0);
    }
}
