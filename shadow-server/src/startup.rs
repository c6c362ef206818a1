//! From the builder's promises to a server that serves.

use heapless::{Deque, Vec};
use protocol::desk::Desk;
use protocol::exit::Taken;
use protocol::startup::Startup;
use protocol::trace::Trace;
use sel4::runtime::StartupPage;
use shadow_core::{AuditCursor, Policy, ShadowMmu, Storage, VcpuId};
use system::compiled::VcpuStart;
use vcpu::Fetched;
use x86::Gfn;

use crate::caps::Caps;
use crate::owed::Flush;
use crate::pages::{self, Pages};
use crate::paging::Paging;
use crate::rewrites::Rewrites;
use crate::serve::{Next, Server};
use crate::vcpus::Vcpu;
use crate::window::Window;

sel4::process!(main);

/// Extra copies that stay in the pool when frames are given one each at the start:
/// as many as a manifest gives that asks for none.
const EXTRAS_KEPT: u32 = 1024;

#[allow(unsafe_code, reason = "the builder's promises to a new process")]
fn main(page: StartupPage) -> ! {
    let startup = process::start(page);
    // SAFETY: this is the one call, and the builder mapped as the startup page says.
    let pages = unsafe { Pages::take(startup.metadata_bytes, startup.trace, startup.rewrites) };
    // SAFETY: the builder mapped that much guest memory.
    let memory = unsafe { Window::new(startup.memory_bytes) };
    let mut mmu = ShadowMmu::new(
        Storage::carve(pages.metadata, pools(startup)).expect("enough metadata for the pools"),
        pages.counters,
        Policy { budget: startup.budget.max(1), ..Policy::DEFAULT },
    );
    for range in startup.read_only() {
        let first = Gfn::new(range.start >> 12);
        mmu.set_read_only(first, range.end.saturating_sub(range.start) >> 12);
    }
    let mut caps = Caps::new(&startup.pools);
    // What is refused now is made when it is needed.
    let _ = mmu.stock(EXTRAS_KEPT, &mut caps);
    let paging = Paging {
        mmu,
        caps,
        memory,
        trace: Trace::new(pages.trace),
        rewrites: Rewrites::new(pages.rewrites).expect("the root task checked the table"),
        fetched: Fetched::new(),
    };
    let mut server = Server {
        paging,
        bounce: pages.bounce,
        vcpus: Vec::new(),
        desk: Desk::new(),
        input: false,
        taken: Taken::default(),
        priority: startup.priority as u8,
        audit: (startup.audit, AuditCursor::default()),
        work: Deque::new(),
    };
    server.start(startup);
    server.run()
}

/// The pools as shadow-core counts them; more than it can count is refused by
/// [`Storage::carve`].
fn pools(startup: &Startup) -> shadow_core::Pools {
    let pools = &startup.pools;
    let narrow = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    shadow_core::Pools {
        frames: pools.frames,
        extra_copies: pools.extra_copies,
        spaces: narrow(pools.spaces),
        pdpts: narrow(pools.pdpts),
        pds: narrow(pools.pds),
        pts: narrow(pools.pts),
    }
}

impl Server {
    /// Starts the vCPUs where the image wants them.
    #[allow(unsafe_code, reason = "state pages are taken once")]
    fn start(&mut self, startup: &Startup) {
        for index in 0..startup.vcpus as usize {
            let Some(id) = VcpuId::new(index) else { break };
            // SAFETY: once for each vCPU, whose page the builder mapped.
            let state = unsafe { pages::state(index) };
            let vcpu = Vcpu::new(id, index, self.paging.caps.slots(), state);
            // There are no more than the capacity, by `VcpuId::new`.
            let _ = self.vcpus.push(vcpu);
        }
        for index in 0..self.vcpus.len() {
            let start = match index {
                0 => &startup.start,
                _ => &startup.secondary,
            };
            self.start_vcpu(index, start);
        }
    }

    fn start_vcpu(&mut self, index: usize, start: &VcpuStart) {
        let vcpu = &mut self.vcpus[index];
        vcpu.registers.rip = start.rip;
        vcpu.registers.rsp = start.rsp;
        vcpu.registers.rflags = start.rflags;
        vcpu.registers.rdi = start.rdi;
        vcpu.registers.rsi = start.rsi;
        let context = vcpu.context();
        // A guest whose first space cannot be made does not run; the counters
        // say that an invocation failed.
        let Paging { mmu, caps, memory, .. } = &mut self.paging;
        let loaded = mmu.load_cr3(&context, memory, caps);
        vcpu.owed.flushed(Flush::Load, loaded);
        let _: Next = self.resume(index);
    }
}
