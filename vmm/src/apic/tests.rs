//! The APIC as a state machine; each rule cites the manual (SDM vol. 3A).

use super::*;

const EOI: u32 = 0x80b;
const SVR: u32 = 0x80f;
const ISR: u32 = 0x810;
const IRR: u32 = 0x820;
const ESR: u32 = 0x828;
const ICR: u32 = 0x830;
const LVT_TIMER: u32 = 0x832;
const LVT_LINT0: u32 = 0x835;
const LVT_ERROR: u32 = 0x837;
const INITIAL: u32 = 0x838;
const CURRENT: u32 = 0x839;
const DIVIDE_BY: u32 = 0x83e;
const SELF_IPI: u32 = 0x83f;
const TPR: u32 = 0x808;
const PPR: u32 = 0x80a;

struct Rig {
    apic: Apic,
    now: u64,
}

impl Rig {
    /// The APIC of vCPU 3, enabled.
    fn new() -> Self {
        let mut rig = Self { apic: Apic::new(3), now: 1000 };
        rig.write(SVR, 0x1ff);
        rig
    }

    fn write(&mut self, msr: u32, value: u64) {
        assert_eq!(self.apic.write(msr, value, self.now), Ok(None), "{msr:#x}");
    }

    fn refused(&mut self, msr: u32, value: u64) {
        let before = format!("{:?}", self.apic);
        let result = self.apic.write(msr, value, self.now);
        assert_eq!(result, Err(Refused), "{msr:#x} {value:#x}");
        assert_eq!(format!("{:?}", self.apic), before, "nothing has changed");
    }

    fn read(&self, msr: u32) -> u64 {
        self.apic.read(msr, self.now).unwrap()
    }

    fn take(&mut self) -> Option<u8> {
        let vector = self.apic.pending()?;
        self.apic.acknowledge(vector);
        Some(vector)
    }

    /// Vectors of the timer that arrive when time has come to `now`.
    fn pass(&mut self, now: u64) -> Option<u8> {
        self.now = now;
        self.apic.poll(now);
        let vector = self.take()?;
        self.write(EOI, 0);
        Some(vector)
    }
}

/// §10.8.4: from request to service to end.
#[test]
fn an_interrupt_is_requested_taken_and_ended() {
    let mut rig = Rig::new();
    rig.apic.receive(0x51);
    assert_eq!(rig.read(IRR + 2), 1 << 17);
    assert_eq!(rig.take(), Some(0x51));
    assert_eq!((rig.read(IRR + 2), rig.read(ISR + 2)), (0, 1 << 17));
    rig.write(EOI, 0);
    assert_eq!(rig.read(ISR + 2), 0);
    rig.write(EOI, 0);
}

/// §10.8.3: a vector's class is its upper four bits; only a higher class nests.
#[test]
fn a_higher_class_nests_and_the_same_waits() {
    let mut rig = Rig::new();
    rig.apic.receive(0x51);
    rig.apic.receive(0x4f);
    assert_eq!(rig.take(), Some(0x51));
    rig.apic.receive(0x5f);
    assert_eq!(rig.apic.pending(), None, "the same class");
    rig.apic.receive(0x60);
    assert_eq!(rig.take(), Some(0x60));
    rig.write(EOI, 0);
    assert_eq!((rig.read(ISR + 2), rig.read(ISR + 3)), (1 << 17, 0));
    rig.write(EOI, 0);
    assert_eq!(rig.take(), Some(0x5f));
    rig.write(EOI, 0);
    assert_eq!(rig.take(), Some(0x4f));
}

/// One request and one in service for each vector (§10.8.4).
#[test]
fn the_same_vector_is_kept_once_while_in_service() {
    let mut rig = Rig::new();
    rig.apic.receive(0x40);
    assert_eq!(rig.take(), Some(0x40));
    rig.apic.receive(0x40);
    rig.apic.receive(0x40);
    assert_eq!(rig.take(), None);
    rig.write(EOI, 0);
    assert_eq!(rig.take(), Some(0x40));
    rig.write(EOI, 0);
    assert_eq!(rig.take(), None);
}

/// §10.8.3.1: priorities of task and processor.
#[test]
fn the_task_priority_holds_back_what_is_not_above_it() {
    let mut rig = Rig::new();
    rig.write(TPR, 0x45);
    assert_eq!(rig.read(PPR), 0x45);
    rig.apic.receive(0x4f);
    assert_eq!(rig.take(), None);
    rig.apic.receive(0x50);
    assert_eq!(rig.take(), Some(0x50));
    assert_eq!(rig.read(PPR), 0x50);
    rig.write(TPR, 0x5a);
    assert_eq!(rig.read(PPR), 0x5a, "the task's, of the same class");
    rig.write(TPR, 0xf0);
    rig.write(EOI, 0);
    rig.apic.receive(0xff);
    assert_eq!(rig.take(), None);
    rig.write(TPR, 0);
    assert_eq!(rig.take(), Some(0xff));
}

/// A request that TPR hides is withdrawn before it is taken, so nothing is
/// left for the spurious vector to stand for (§10.9).
#[test]
fn what_is_withdrawn_is_not_taken() {
    let mut rig = Rig::new();
    rig.write(SVR, 0x1ef);
    rig.apic.receive(0x40);
    assert_eq!(rig.apic.pending(), Some(0x40));
    rig.write(TPR, 0x40);
    assert_eq!(rig.apic.pending(), None);
    rig.apic.acknowledge(0xef);
    assert!((0..8).all(|word| rig.read(ISR + word) == 0));
    assert_eq!(rig.read(SVR), 0x1ef);
}

/// §10.4.7.2: disabled by software, it masks and takes nothing, but sends.
#[test]
fn disabled_by_software() {
    let mut rig = Rig::new();
    rig.write(LVT_TIMER, 0x40);
    rig.apic.receive(0x50);
    rig.write(SVR, 0xff);
    assert_eq!(rig.read(LVT_TIMER), 0x1_0040);
    rig.write(LVT_TIMER, 0x40);
    assert_eq!(rig.read(LVT_TIMER), 0x1_0040, "masks cannot be cleared");
    assert_eq!(rig.apic.pending(), None);
    rig.apic.receive(0x60);
    assert!(rig.apic.write(ICR, 0x40, 0).unwrap().is_some());
    rig.write(SVR, 0x1ff);
    assert_eq!(rig.take(), Some(0x50), "what was requested before stays");
    assert_eq!((rig.read(IRR + 3), rig.take()), (0, None));
}

/// §10.5.3: errors are shown after a write, which clears what comes next.
#[test]
fn illegal_vectors_are_errors() {
    let mut rig = Rig::new();
    rig.write(LVT_ERROR, 0x70);
    assert_eq!(rig.apic.write(ICR, 5 << 32 | 15, 0), Ok(None), "not sent");
    assert_eq!(rig.take(), Some(0x70));
    rig.apic.receive(3);
    assert_eq!(rig.read(ESR), 0);
    rig.write(ESR, 0);
    assert_eq!(rig.read(ESR), 0x60);
    rig.write(ESR, 0);
    assert_eq!(rig.read(ESR), 0);
    // An illegal vector for errors is an error, too, and ends there.
    rig.write(LVT_ERROR, 2);
    assert_eq!(rig.apic.write(SELF_IPI, 0, 0), Ok(None));
    rig.write(ESR, 0);
    assert_eq!(rig.read(ESR), 0x60);
    rig.write(EOI, 0);
    assert_eq!(rig.take(), Some(0x70), "the second one");
    rig.write(EOI, 0);
    rig.write(LVT_ERROR, 0x1_0070);
    rig.apic.receive(3);
    assert_eq!(rig.take(), None, "masked");
}

/// §10.6.1 and §10.12.11.
#[test]
fn commands_leave_by_both_registers() {
    let mut rig = Rig::new();
    let command = rig.apic.write(ICR, 7 << 32 | 0x41, 0).unwrap().unwrap();
    assert!(command.is_for(7, 3) && !command.is_for(3, 3));
    assert_eq!((command.vector, command.mode), (0x41, Mode::Fixed));
    assert_eq!(rig.read(ICR), 7 << 32 | 0x41);
    let command = rig.apic.write(SELF_IPI, 0x42, 0).unwrap().unwrap();
    assert!(command.is_for(3, 3) && !command.is_for(7, 3));
    // INIT has no vector that could be illegal.
    let command = rig.apic.write(ICR, 7 << 32 | 0x4500, 0).unwrap().unwrap();
    assert_eq!(command.mode, Mode::Other);
    rig.write(ESR, 0);
    assert_eq!(rig.read(ESR), 0);
}

/// §10.5.4: counts down once.
#[test]
fn the_timer_runs_out_once() {
    let mut rig = Rig::new();
    rig.write(LVT_TIMER, 0x40);
    rig.write(DIVIDE_BY, 0b1011); // by 1
    rig.write(INITIAL, 500);
    assert_eq!(rig.apic.next_interrupt(), Some(1500));
    assert_eq!(rig.pass(1499), None);
    assert_eq!((rig.read(CURRENT), rig.read(INITIAL)), (1, 500));
    assert_eq!(rig.pass(1500), Some(0x40));
    assert_eq!((rig.read(CURRENT), rig.apic.next_interrupt()), (0, None));
    assert_eq!(rig.pass(u64::MAX), None);
}

#[test]
fn the_timer_runs_out_again_and_again() {
    let mut rig = Rig::new();
    rig.write(LVT_TIMER, 0x2_0040);
    rig.write(INITIAL, 100); // by 2
    assert_eq!(rig.pass(1200), Some(0x40));
    assert_eq!(rig.read(CURRENT), 100);
    assert_eq!(rig.pass(1399), None);
    assert_eq!(rig.pass(1400), Some(0x40));
    assert_eq!(rig.pass(2050), Some(0x40), "three times count once");
    assert_eq!(rig.apic.next_interrupt(), Some(2200), "and none shifts");
    rig.write(INITIAL, 0);
    assert_eq!(rig.pass(u64::MAX), None, "stopped");
}

/// §10.5.4.1.
#[test]
fn the_timer_runs_out_at_a_time() {
    let mut rig = Rig::new();
    rig.write(DEADLINE_MSR, 5000);
    assert_eq!(rig.read(DEADLINE_MSR), 0, "not in this mode");
    rig.write(LVT_TIMER, 0x4_0040);
    rig.write(DEADLINE_MSR, 5000);
    assert_eq!((rig.read(DEADLINE_MSR), rig.read(CURRENT)), (5000, 0));
    rig.write(INITIAL, 10);
    assert_eq!(rig.apic.next_interrupt(), Some(5000), "counts are ignored");
    assert_eq!(rig.pass(4999), None);
    assert_eq!(rig.pass(5000), Some(0x40));
    assert_eq!(rig.read(DEADLINE_MSR), 0);
    rig.write(DEADLINE_MSR, 1);
    assert_eq!(rig.pass(5000), Some(0x40), "a time that has passed");
    rig.write(DEADLINE_MSR, 6000);
    rig.write(DEADLINE_MSR, 0);
    assert_eq!(rig.pass(7000), None);
    rig.write(DEADLINE_MSR, 8000);
    rig.write(LVT_TIMER, 0x40);
    assert_eq!(rig.pass(9000), None, "the mode's change stops it");
}

#[test]
fn a_masked_timer_counts_but_does_not_interrupt() {
    let mut rig = Rig::new();
    rig.write(LVT_TIMER, 0x3_0040);
    rig.write(INITIAL, 100);
    assert_eq!(rig.apic.next_interrupt(), None);
    assert_eq!(rig.pass(1300), None);
    rig.write(LVT_TIMER, 0x2_0040);
    assert_eq!(rig.read(CURRENT), 50);
    assert_eq!(rig.pass(1400), Some(0x40));
}

/// Figure 10-10: the divisor, of which bit 2 is not part.
#[test]
fn divisors() {
    for (divide, by) in [
        (0b0000, 2),
        (0b0001, 4),
        (0b0010, 8),
        (0b0011, 16),
        (0b1000, 32),
        (0b1001, 64),
        (0b1010, 128),
        (0b1011, 1),
    ] {
        let mut rig = Rig::new();
        rig.write(LVT_TIMER, 0x40);
        rig.write(DIVIDE_BY, divide);
        rig.write(INITIAL, 10);
        assert_eq!(rig.apic.next_interrupt(), Some(1000 + 10 * by));
        rig.now += 3 * by;
        assert_eq!((rig.read(CURRENT), rig.read(DIVIDE_BY)), (7, divide));
        rig.write(DIVIDE_BY, 0b1011);
        assert_eq!(rig.read(CURRENT), 7, "the count goes on");
        assert_eq!(rig.apic.next_interrupt(), Some(rig.now + 7));
    }
}

/// What firmware leaves: the PIC at the first processor's LINT0.
#[test]
fn the_pic_reaches_the_first_processor_unless_it_is_masked() {
    let mut first = Apic::new(0);
    assert!(first.lets_pic_through() && !Apic::new(1).lets_pic_through());
    first.write(LVT_LINT0, 0x1_0700, 0).unwrap();
    assert!(!first.lets_pic_through());
    first.write(LVT_LINT0, 0x8700, 0).unwrap();
    assert!(first.lets_pic_through());
    first.write(LVT_LINT0, 0x40, 0).unwrap();
    assert!(!first.lets_pic_through(), "a fixed interrupt is another thing");
    first.write(LVT_LINT0, 0x700, 0).unwrap();
    first.write(SVR, 0xff, 0).unwrap();
    assert!(!first.lets_pic_through());
}

/// §10.12.1: there is no way out of x2APIC mode here.
#[test]
fn the_base_register_cannot_be_changed() {
    let mut rig = Rig::new();
    assert_eq!(rig.read(BASE_MSR), 0xfee0_0c00);
    assert_eq!(Apic::new(0).read(BASE_MSR, 0), Ok(0xfee0_0d00));
    rig.write(BASE_MSR, 0xfee0_0c00);
    for value in [0, 0xfee0_0800, 0xfee0_0000, 0xfee0_0d00, 0x1000_0c00, u64::MAX] {
        rig.refused(BASE_MSR, value);
    }
}

#[test]
fn identity() {
    let rig = Rig::new();
    assert_eq!([0x802, 0x803, 0x80d].map(|msr| rig.read(msr)), [3, 0x5_0014, 8]);
}

/// Table 10-6: what can be read, what can be written, and where nothing is.
#[test]
fn every_msr_of_the_range() {
    let readable = |register| {
        matches!(
            register,
            0x02 | 0x03 | 0x08 | 0x0a | 0x0d | 0x0f | 0x10..=0x28 | 0x30 | 0x32..=0x39 | 0x3e
        )
    };
    let writable =
        |register| matches!(register, 0x08 | 0x0b | 0x0f | 0x28 | 0x30 | 0x32..=0x38 | 0x3e | 0x3f);
    for register in 0..0x100 {
        let mut rig = Rig::new();
        let msr = FIRST_MSR + register;
        let read = rig.apic.read(msr, 0);
        assert_eq!(read.is_ok(), readable(register), "{msr:#x}");
        let written = rig.apic.write(msr, 0, 0);
        assert_eq!(written.is_ok(), writable(register), "{msr:#x}");
    }
    for msr in [0, 0x10, 0x7ff, 0x900, u32::MAX] {
        let mut rig = Rig::new();
        assert_eq!(rig.apic.read(msr, 0), Err(Refused));
        rig.refused(msr, 0);
    }
}

/// §10.12.1.3: reserved bits raise #GP, one by one.
#[test]
fn reserved_bits_of_every_register() {
    let bits: [(u32, u64); 11] = [
        (TPR, 0xff),
        (EOI, 0),
        (SVR, 0x3ff),
        (ESR, 0),
        (LVT_TIMER, 0x7_10ff),
        (0x833, 0x1_17ff),
        (LVT_LINT0, 0x1_f7ff),
        (LVT_ERROR, 0x1_10ff),
        (INITIAL, 0xffff_ffff),
        (DIVIDE_BY, 0xb),
        (SELF_IPI, 0xff),
    ];
    for (msr, valid) in bits {
        for bit in 0..64 {
            let mut rig = Rig::new();
            if valid & 1 << bit == 0 {
                rig.refused(msr, 1 << bit);
            } else {
                assert!(rig.apic.write(msr, 1 << bit, 0).is_ok(), "{msr:#x} {bit}");
            }
        }
    }
    Rig::new().refused(LVT_TIMER, 0x6_0040);
    // Delivery status and remote IRR are there, and stay clear.
    let mut rig = Rig::new();
    rig.write(LVT_LINT0, 0x1_f7ff);
    assert_eq!(rig.read(LVT_LINT0), 0x1_a7ff);
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u32, u64),
        Receive(u8),
        Take,
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let msr = prop_oneof![0x800..0x840_u32, Just(DEADLINE_MSR), Just(BASE_MSR), any::<u32>()];
        let value = prop_oneof![
            any::<u64>(),
            0..0x400_u64,
            Just(0),
            (0..64).prop_map(|bit| 1_u64 << bit),
            (0..8_u64, 0..256_u64).prop_map(|(mode, vector)| mode << 16 | vector)
        ];
        prop_oneof![
            4 => (msr, value).prop_map(|(msr, value)| Step::Write(msr, value)),
            2 => any::<u8>().prop_map(Step::Receive),
            2 => Just(Step::Take),
            1 => prop_oneof![0..10_000_u64, any::<u64>()].prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// Whatever a guest writes: nothing panics, interrupts nest by class,
        /// and what is pending is above the processor's priority.
        #[test]
        fn any_order_of_anything(steps in prop::collection::vec(step(), 0..200)) {
            let mut rig = Rig::new();
            let mut nested = Vec::new();
            for step in steps {
                match step {
                    Step::Write(msr, value) => {
                        let done = rig.apic.write(msr, value, rig.now);
                        if msr == EOI && done.is_ok() {
                            nested.pop();
                        }
                    }
                    Step::Receive(vector) => rig.apic.receive(vector),
                    Step::Take => {
                        let priority = rig.apic.priority();
                        if let Some(vector) = rig.take() {
                            prop_assert!(vector >= 16 && vector >> 4 > priority >> 4);
                            nested.push(vector);
                        }
                    }
                    Step::Pass(ticks) => {
                        rig.now = rig.now.saturating_add(ticks);
                        rig.apic.poll(rig.now);
                        let next = rig.apic.next_interrupt();
                        prop_assert!(next.is_none_or(|next| next > rig.now));
                    }
                }
                prop_assert!(nested.is_sorted_by(|lower, higher| lower >> 4 < higher >> 4));
                prop_assert_eq!(rig.apic.in_service.highest(), nested.last().copied());
                for msr in FIRST_MSR..FIRST_MSR + 0x40 {
                    let _: Result<u64, Refused> = rig.apic.read(msr, rig.now);
                }
            }
        }
    }
}
