//! What the hardware reaches: a thread in each space that reads and writes.

use kernel_model::SPACES;
use sel4::{
    CapRights, Fault, ObjectBlueprint, SchedParams, TcbConfiguration, UserContext, VmAttributes,
    cap, init_thread, ipc_buffer,
};

use crate::bare::objects::Objects;

/// Where the threads' code is: index 100 of the root, which operations leave alone.
const CODE: usize = 100 << 39;
/// Offset of the code that writes.
const WRITE: usize = 16;
/// `mov rax, [rdi]; ud2` and, at [`WRITE`], `mov [rdi], rsi; ud2`.
const INSTRUCTIONS: [u8; 21] =
    [0x48, 0x8b, 0x07, 0x0f, 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0x89, 0x37, 0x0f, 0x0b];
/// User flags with nothing but the interrupt flag and the fixed bit set.
const PLAIN_FLAGS: u64 = 0x202;

/// What is at an address.
pub enum Reached {
    /// A fault.
    Nothing,
    /// A page.
    Frame {
        /// Its first word.
        word: u64,
        /// Whether a write goes through.
        writable: bool,
    },
}

/// The threads.
pub struct Probes {
    threads: [cap::Tcb; SPACES],
    faults: cap::Endpoint,
}

impl Probes {
    /// Makes a thread for each space.
    pub fn new(objects: &mut Objects) -> Probes {
        let faults: cap::Endpoint = objects.make(ObjectBlueprint::Endpoint);
        let code = objects.frame_beginning_with(&INSTRUCTIONS);
        let threads = objects.spaces.map(|space| {
            objects.link_tables(space, CODE, 3);
            objects
                .another(code)
                .frame_map(space, CODE, CapRights::read_only(), VmAttributes::DEFAULT)
                .expect("the probe's code");
            let thread: cap::Tcb = objects.make(ObjectBlueprint::Tcb);
            thread
                .tcb_configure(&TcbConfiguration {
                    fault_ep: faults.cptr(),
                    cspace_root: init_thread::slot::CNODE,
                    cspace_root_data: None,
                    vspace_root: space,
                    ipc_buffer: None,
                    authority: init_thread::slot::TCB,
                    sched: SchedParams { mcp: 0, priority: 100 },
                })
                .expect("a probe");
            thread
        });
        Probes { threads, faults }
    }

    /// What is at `address` in `space`. The page's first word stays what it is.
    pub fn reach(&self, space: usize, address: u64) -> Reached {
        let thread = self.threads[space];
        if !self.runs(thread, 0, address, 0) {
            return Reached::Nothing;
        }
        let registers = thread.tcb_read_all_registers(false);
        let word = registers.expect("a probe's registers").rax;
        let writable = self.runs(thread, WRITE, address, word);
        Reached::Frame { word, writable }
    }

    /// Whether the code at `offset` comes to its end.
    fn runs(&self, thread: cap::Tcb, offset: usize, address: u64, word: u64) -> bool {
        let context = UserContext {
            rip: (CODE + offset) as u64,
            rflags: PLAIN_FLAGS,
            rdi: address,
            rsi: word,
            ..UserContext::default()
        };
        thread.tcb_write_all_registers(true, &context).expect("a probe runs");
        let message = self.faults.recv_with_mrs();
        match Fault::decode(&message, ipc_buffer()) {
            Some(Fault::UserException(_)) => true,
            Some(Fault::VmFault(fault)) if fault.addr == address => false,
            _ => panic!("the probe did something else"),
        }
    }
}
