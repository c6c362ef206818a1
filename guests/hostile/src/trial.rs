//! Trials: user code runs until it traps for good.

use guest_excursion::{Context, SYSCALL, Trap, enter};
use guest_runtime::descriptors::selector::{USER_CODE, USER_DATA};
use guest_runtime::pic;

use crate::ground::{CODE, DATA, Ground, PAGE};

/// RFLAGS: TF and IF.
pub const TF: u64 = 1 << 8;
pub const IF: u64 = 1 << 9;
/// The bit that is always set.
pub const FIXED: u64 = 2;
/// Vector of the timer.
pub const TIMER: u64 = 32;
/// Single steps after which a trial ends.
const STEPS: u32 = 24;
/// Timer interrupts that may come before the first instruction: after a turn of
/// other guests there are two.
const EARLY: u32 = 4;
/// Index of RDI and RSI among the general registers.
const POINTERS: [usize; 2] = [4, 5];

/// Runs trials, and counts.
pub struct Trials<'a> {
    /// Where code stands.
    pub ground: &'a Ground,
    traps: u64,
}

impl<'a> Trials<'a> {
    /// On `ground`.
    pub const fn new(ground: &'a Ground) -> Self {
        Self { ground, traps: 0 }
    }

    /// How many traps came.
    pub const fn traps(&self) -> u64 {
        self.traps
    }

    /// Runs from `context` on. Single steps are followed for a while; the trap that
    /// ends the trial.
    ///
    /// # Panics
    /// If user code has gained rights.
    pub fn run(&mut self, context: &Context) -> Trap {
        let mut context = *context;
        let user = context.cs & 3 == 3;
        for step in 0..STEPS {
            let trap = self.once(&context, user);
            let stepped = trap.vector == 1 && trap.context.rflags & TF != 0;
            let too_early = step < EARLY && trap.vector == TIMER && trap.context.rip == context.rip;
            if !stepped && !too_early {
                return trap;
            }
            context = trap.context;
        }
        self.once(&context, user)
    }

    /// Runs from `context` on until the timer interrupts it.
    pub fn spin(&mut self, context: &Context) {
        let mut context = *context;
        loop {
            let trap = self.once(&context, true);
            assert!(matches!(trap.vector, 1 | TIMER), "{trap:x?}");
            if trap.vector == TIMER {
                return;
            }
            context = trap.context;
        }
    }

    fn once(&mut self, context: &Context, user: bool) -> Trap {
        let trap = enter(context);
        self.traps += 1;
        if trap.vector == TIMER {
            pic::end(0);
        }
        let Context { cs, rip, .. } = trap.context;
        let in_user_code = rip.wrapping_sub(CODE) < 5 * PAGE;
        assert!(
            !user || !in_user_code || trap.vector == SYSCALL || cs & 3 == 3,
            "user code runs with CS {cs:x}: {trap:x?}"
        );
        trap
    }
}

/// User code at [`CODE`], with pointers to data and a stack.
pub fn user() -> Context {
    let mut context = Context {
        rip: CODE,
        cs: USER_CODE.into(),
        rflags: FIXED | IF,
        rsp: DATA + PAGE,
        ss: USER_DATA.into(),
        ..Context::default()
    };
    for pointer in POINTERS {
        context.general[pointer] = DATA + 0x100;
    }
    context
}
