//! A small machine for tests and fuzzing, and the entry point of the fuzzer.

use x86::{Gva, PageFault, PageFaultCode};
use zerocopy::FromBytes;

use crate::machine::{Access, AccessKind, Machine};
use crate::{
    Completion, Exit, MAX_LENGTH, Original, Outcome, Registers, Segment, TableRegister, Trap,
    VcpuState, complete, handle, inject_interrupt,
};

/// `N` bytes of RAM mapped one to one from address 0, and nothing else.
#[derive(Clone)]
pub struct FlatMachine<const N: usize> {
    /// The memory.
    pub ram: [u8; N],
    /// User accesses below this address fault.
    pub user_from: u64,
    /// Writes to `[read_only.0, read_only.1)` fault.
    pub read_only: (u64, u64),
    /// Times that CR3 was loaded, and with what last.
    pub cr3_loads: (u32, u64),
    /// Page faults that were delivered, and for what address last.
    pub page_faults: (u32, u64),
    /// Times that INVLPG reached the machine, and for what address last.
    pub invalidations: (u32, u64),
    /// Times that the paging mode changed.
    pub mode_changes: u32,
    /// Writes that took place.
    pub writes: u32,
    /// Whether code ahead is shown.
    pub shows_ahead: bool,
    /// Instructions that were executed ahead.
    pub looked_ahead: u32,
    /// Whether an external interrupt waits.
    pub interrupt_pending: bool,
    /// An instruction that was rewritten, and where.
    pub rewritten: Option<(u64, Original)>,
}

impl<const N: usize> Default for FlatMachine<N> {
    fn default() -> Self {
        Self {
            ram: [0; N],
            user_from: 0,
            read_only: (0, 0),
            cr3_loads: (0, 0),
            page_faults: (0, 0),
            invalidations: (0, 0),
            mode_changes: 0,
            writes: 0,
            shows_ahead: false,
            looked_ahead: 0,
            interrupt_pending: false,
            rewritten: None,
        }
    }
}

impl<const N: usize> FlatMachine<N> {
    /// Puts `bytes` at `address`; what does not fit is dropped.
    pub fn put(&mut self, address: u64, bytes: &[u8]) {
        let tail = self.ram.get_mut(address as usize..).unwrap_or_default();
        let length = tail.len().min(bytes.len());
        if let (Some(target), Some(source)) = (tail.get_mut(..length), bytes.get(..length)) {
            target.copy_from_slice(source);
        }
    }

    /// Puts a little-endian word at `address`.
    pub fn put_u64(&mut self, address: u64, value: u64) {
        self.put(address, &value.to_le_bytes());
    }

    /// The word at `address`, or zero outside RAM.
    pub fn u64(&self, address: u64) -> u64 {
        let tail = self.ram.get(address as usize..).unwrap_or_default();
        tail.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The first byte of the range that the access may not touch decides.
    fn check(&self, gva: Gva, length: usize, access: Access) -> Result<usize, PageFault> {
        let start = gva.get();
        for address in (0..length as u64).map(|offset| start.wrapping_add(offset)) {
            let present = address < N as u64;
            let write = access.kind == AccessKind::Write;
            let user = access.privilege.is_user();
            let allowed = present
                && !(user && address < self.user_from)
                && !(write && address >= self.read_only.0 && address < self.read_only.1);
            if !allowed {
                let mut code = PageFaultCode::default();
                code.set(PageFaultCode::PRESENT, present);
                code.set(PageFaultCode::WRITE, write);
                code.set(PageFaultCode::USER, user);
                return Err(PageFault { address: Gva::new(address), code });
            }
        }
        Ok(start as usize)
    }

    fn copy(&self, gva: Gva, bytes: &mut [u8], access: Access) -> Result<(), PageFault> {
        let start = self.check(gva, bytes.len(), access)?;
        let tail = self.ram.get(start..).unwrap_or_default();
        for (target, byte) in bytes.iter_mut().zip(tail) {
            *target = *byte;
        }
        Ok(())
    }
}

impl<const N: usize> Machine for FlatMachine<N> {
    fn read(&mut self, gva: Gva, bytes: &mut [u8], access: Access) -> Result<(), PageFault> {
        assert_eq!(access.kind, AccessKind::Read);
        self.copy(gva, bytes, access)
    }

    fn write(&mut self, gva: Gva, bytes: &[u8], access: Access) -> Result<(), PageFault> {
        assert_eq!(access.kind, AccessKind::Write);
        let start = self.check(gva, bytes.len(), access)?;
        self.put(start as u64, bytes);
        self.writes += 1;
        Ok(())
    }

    fn fetch(&mut self, gva: Gva, bytes: &mut [u8], access: Access) -> Result<(), PageFault> {
        assert_eq!(access.kind, AccessKind::Fetch);
        assert!(gva.page_offset() + bytes.len() as u64 <= x86::PAGE_SIZE, "fetch in one page");
        self.copy(gva, bytes, access)
    }

    fn probe(&mut self, gva: Gva, length: usize, access: Access) -> Result<(), PageFault> {
        self.check(gva, length, access).map(|_| ())
    }

    fn peek(&mut self, gva: Gva, access: Access) -> Option<[u8; 8]> {
        assert_eq!(access.kind, AccessKind::Fetch);
        let mut bytes = [0; 8];
        let in_page = gva.page_offset() <= x86::PAGE_SIZE - 8;
        (self.shows_ahead && in_page && self.copy(gva, &mut bytes, access).is_ok()).then_some(bytes)
    }

    fn looked_ahead(&mut self) {
        self.looked_ahead += 1;
    }

    fn original(&mut self, gva: Gva) -> Option<Original> {
        self.rewritten.and_then(|(at, original)| (at == gva.get()).then_some(original))
    }

    fn interrupt_pending(&self) -> bool {
        self.interrupt_pending
    }

    fn cr3_loaded(&mut self, state: &VcpuState) {
        self.cr3_loads = (self.cr3_loads.0 + 1, state.cr3);
    }

    fn page_fault_delivered(&mut self, gva: Gva) {
        self.page_faults = (self.page_faults.0 + 1, gva.get());
    }

    fn invalidate(&mut self, gva: Gva) {
        assert!(gva.is_canonical());
        self.invalidations = (self.invalidations.0 + 1, gva.get());
    }

    fn paging_mode_changed(&mut self, _state: &VcpuState) {
        self.mode_changes += 1;
    }
}

/// xorshift64*: repeatable numbers without a dependency.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    #[allow(clippy::should_implement_trait)] // never ends
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }
}

/// Bytes of RAM in the machine that [`exercise`] drives.
pub const FUZZ_RAM: usize = 8192;

/// Drives the CPU with arbitrary bytes: state, registers, memory, then one
/// byte per step. The input may be of any length.
///
/// # Panics
/// If the CPU breaks an invariant that its caller relies on: the fuzzer's find.
pub fn exercise(input: &[u8]) {
    let Ok((state, input)) = VcpuState::read_from_prefix(input) else {
        return;
    };
    let Ok((registers, input)) = Registers::read_from_prefix(input) else {
        return;
    };
    let (mut state, mut registers) = (state, registers);
    let (steps, memory) = input.split_at(input.len().min(8));
    let mut machine = FlatMachine::<FUZZ_RAM>::default();
    machine.put(0, memory);
    machine.shows_ahead = state.version & 1 != 0;
    if state.version & 2 != 0 {
        machine.rewritten = Some((registers.r11, Original::new(&original(&registers))));
    }
    for step in steps {
        let outcome = act(*step, &mut state, &mut registers, &mut machine);
        match outcome {
            Outcome::Resume => assert_resumable(&registers, *step),
            Outcome::Exit(Exit::PortIn { size, .. } | Exit::PortOut { size, .. }) => {
                assert!(matches!(size, 1 | 2 | 4));
            }
            Outcome::Exit(_) => {}
            Outcome::Shutdown(_) => return,
        }
    }
}

fn act(
    step: u8,
    state: &mut VcpuState,
    registers: &mut Registers,
    machine: &mut impl Machine,
) -> Outcome {
    let parameter = step >> 3;
    let trap = match step & 7 {
        0 => Trap::SystemCall,
        1 => software_interrupt(parameter, registers),
        2 => Trap::PageFault(PageFault {
            address: Gva::new(registers.rax),
            code: PageFaultCode::from_bits_truncate(parameter.into()),
        }),
        3 => Trap::Exception { vector: parameter.into(), error_code: registers.rax },
        4 => return complete(state, registers, Completion::Value(registers.rbx), machine),
        5 => return complete(state, registers, Completion::Done, machine),
        6 => return inject_interrupt(state, registers, registers.rax as u8, machine),
        _ => Trap::Exception { vector: 13, error_code: 0 },
    };
    handle(state, registers, trap, machine)
}

/// What may stand behind the kernel's unknown system call.
fn software_interrupt(parameter: u8, registers: &Registers) -> Trap {
    let vector = registers.rbx as u8;
    match parameter {
        0 => Trap::SoftwareInterrupt,
        1 => Trap::Interrupt { vector },
        2 => Trap::of_unknown_system_call(registers.r8, registers.rax, registers.rdx),
        length => Trap::Rewritten(Original { bytes: original(registers), length }),
    }
}

/// Bytes of an instruction, from registers.
fn original(registers: &Registers) -> [u8; MAX_LENGTH] {
    let mut bytes = [0; MAX_LENGTH];
    let words = [registers.r9, registers.r10];
    for (to, from) in bytes.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())) {
        *to = from;
    }
    bytes
}

/// Decodes arbitrary bytes, and what is found once more without what follows it.
///
/// # Panics
/// If the length is wrong: the fuzzer's find.
pub fn decode(input: &[u8]) {
    if let Ok(found) = crate::decode(input) {
        let length = usize::from(found.length);
        assert!((1..=MAX_LENGTH).contains(&length));
        let (whole, cut) = (input.get(..length), input.get(..length - 1));
        assert_eq!(whole.map(crate::decode), Some(Ok(found)));
        let truncated = cut.map(|cut| crate::decode(cut).is_err());
        assert_eq!(truncated, Some(true));
    }
}

/// Where [`exercise_code`] puts the input.
const FUZZ_CODE: u64 = 0x1000;
const FUZZ_GDT: u64 = 0x100;
const FUZZ_TSS: u64 = 0x200;
const FUZZ_IDT: u64 = 0x400;

/// Runs arbitrary code on a CPU that is set up as a kernel does, at CPL 0 or
/// 3: registers, then code. Handlers are code of the input, too. Instructions
/// that are not the CPU's raise #UD.
///
/// # Panics
/// As [`exercise`].
pub fn exercise_code(input: &[u8]) {
    let Ok((registers, code)) = Registers::read_from_prefix(input) else {
        return;
    };
    let mut registers = registers;
    let mut machine = FlatMachine::<FUZZ_RAM>::default();
    let mut state = VcpuState::long_mode(0, 0x08, 0x10);
    let descriptors = [
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x00cf_f300_0000_ffff,
        0x00af_fb00_0000_ffff,
        0x0000_8900_0200_0067,
    ];
    for (number, descriptor) in (1..).zip(descriptors) {
        machine.put_u64(FUZZ_GDT + 8 * number, descriptor);
    }
    machine.put_u64(FUZZ_TSS + 4, 0xf00);
    for vector in 0..32 {
        let handler = FUZZ_CODE + 0x20 * vector;
        let gate = handler | 0x08 << 16 | 0x8e << 40;
        machine.put_u64(FUZZ_IDT + 16 * vector, gate);
    }
    machine.put(FUZZ_CODE, code);
    state.gdtr = TableRegister::new(FUZZ_GDT, 0x37);
    state.idtr = TableRegister::new(FUZZ_IDT, 0x1ff);
    state.tr = Segment {
        base: FUZZ_TSS,
        limit: 0x67,
        selector: 0x28,
        attributes: Segment::PRESENT | Segment::TSS_BUSY,
    };
    state.efer |= registers.rflags >> 32 & 1;
    if registers.rflags >> 33 & 1 != 0 {
        state.cpl = 3;
        state.cs = Segment::flat_code(0x23, 3);
        state.ss = Segment::flat_data(0x1b, 3);
    }
    machine.shows_ahead = registers.rflags >> 34 & 1 != 0;
    registers.rip = FUZZ_CODE;
    for _ in 0..64 {
        let trap = Trap::Exception { vector: 6, error_code: 0 };
        let outcome = match handle(&mut state, &mut registers, trap, &mut machine) {
            Outcome::Exit(_) => {
                let value = Completion::Value(registers.r8);
                complete(&mut state, &mut registers, value, &mut machine)
            }
            outcome => outcome,
        };
        match outcome {
            Outcome::Resume => assert_resumable(&registers, 0),
            Outcome::Exit(_) => {}
            Outcome::Shutdown(_) => return,
        }
    }
}

fn assert_resumable(registers: &Registers, step: u8) {
    // A completion without an exit changes nothing, not even a bad RIP.
    let completed = matches!(step & 7, 4 | 5);
    assert!(completed || Gva::new(registers.rip).is_canonical());
}
