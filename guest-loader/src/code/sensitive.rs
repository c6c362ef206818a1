//! Which instructions are privileged or sensitive, and what they do at CPL 3.
//!
//! *Privileged* ones trap there. *Sensitive* ones show or change state that a
//! guest must not see or cannot have, and do so without a trap (Popek and
//! Goldberg, 1974; for x86 Robin and Irvine, "Analysis of the Intel Pentium's
//! Ability to Support a Secure Virtual Machine Monitor", 2000). What traps on
//! seL4 5.0.0 was tried instruction by instruction.

use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};

/// What an instruction does when the guest's thread, at CPL 3, executes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Nothing that concerns a hypervisor.
    Plain,
    /// It raises #GP.
    Privileged,
    /// It raises #UD: not offered, or only in modes that guests do not have.
    Undefined,
    /// It enters the kernel, which hands it on with all registers.
    SystemCall,
    /// It raises an exception of its own vector.
    Exception,
    /// It does not trap, or only with some operands, and shows or changes real
    /// state; in words, what.
    Silent(&'static str),
    /// It does not trap and is left alone; in words, what it shows.
    Harmless(&'static str),
}

/// First vector that seL4 takes for a system call (`int_trap_min` + its IRQs on x86-64).
pub const FIRST_TRAP: u8 = 0x9e;
/// Vector whose gate seL4 takes for a spurious interrupt, and ignores.
const IGNORED: u8 = 0xff;

impl Nature {
    /// The nature of `instruction`.
    pub fn of(instruction: &Instruction) -> Self {
        use Mnemonic as M;
        match instruction.mnemonic() {
            M::Pushf | M::Pushfd | M::Pushfq => Self::Silent("the real IF and IOPL"),
            M::Popf | M::Popfd | M::Popfq => Self::Silent("IF and IOPL are not changed"),
            M::Lar | M::Lsl | M::Verr | M::Verw => Self::Silent("the kernel's descriptors"),
            M::Cpuid => Self::Silent("the machine's processor"),
            M::Iret | M::Iretd | M::Iretq => {
                Self::Silent("no trap where the selectors are valid at CPL 3")
            }
            M::Retf => Self::Silent("no trap where the selector is valid at CPL 3"),
            M::Jmp | M::Call if is_far(instruction) => {
                Self::Silent("no trap where the selector is valid at CPL 3")
            }
            M::Sgdt | M::Sidt | M::Sldt | M::Str | M::Smsw => {
                Self::Silent("the kernel's registers, on processors without UMIP")
            }
            M::Lss | M::Lfs | M::Lgs => {
                Self::Silent("no trap where the selector is valid at CPL 3")
            }
            M::Mov => of_move(instruction),
            M::Push if is_segment(instruction.op0_register()) => {
                Self::Silent("the thread's selector")
            }
            M::Pop if is_segment(instruction.op0_register()) => {
                Self::Silent("no trap where the selector is valid at CPL 3")
            }
            M::Int => of_interrupt(instruction.immediate8()),
            // Not INT3: it does the same at every CPL, and fills the space
            // between functions.
            M::Int1 => Self::Exception,
            M::Syscall => Self::SystemCall,
            M::Rdtsc => Self::Harmless("the machine's time-stamp counter"),
            M::Rdtscp => {
                Self::Harmless("the machine's time-stamp counter, where its processor has it")
            }
            M::Hlt | M::Cli | M::Sti | M::Clts | M::Lmsw | M::Invd | M::Wbinvd | M::Swapgs => {
                Self::Privileged
            }
            M::Rdmsr | M::Wrmsr | M::Rdpmc | M::Invlpg => Self::Privileged,
            M::Sysenter | M::Sysexit | M::Sysexitq | M::Sysret | M::Sysretq => Self::Privileged,
            M::Lgdt | M::Lidt | M::Lldt | M::Ltr => Self::Privileged,
            M::In | M::Out | M::Insb | M::Insw | M::Insd | M::Outsb | M::Outsw | M::Outsd => {
                Self::Privileged
            }
            M::Monitor | M::Mwait | M::Xgetbv | M::Xsetbv | M::Invpcid => Self::Undefined,
            M::Rdfsbase | M::Rdgsbase | M::Wrfsbase | M::Wrgsbase => Self::Undefined,
            M::Clac | M::Stac | M::Rsm | M::Vmcall | M::Vmmcall | M::Vmlaunch | M::Vmrun => {
                Self::Undefined
            }
            _ => Self::Plain,
        }
    }

    /// Whether a guest with this instruction runs wrongly unless it is rewritten.
    pub const fn is_silent(self) -> bool {
        matches!(self, Self::Silent(_))
    }
}

fn is_far(instruction: &Instruction) -> bool {
    instruction.is_jmp_far_indirect() || instruction.is_call_far_indirect()
}

fn is_segment(register: Register) -> bool {
    register.is_segment_register()
}

/// MOV from or to segment, control and debug registers; `mov cs` is #UD.
fn of_move(instruction: &Instruction) -> Nature {
    let (to, from) = (instruction.op0_register(), instruction.op1_register());
    let is_register = |operand: u32| instruction.op_kind(operand) == OpKind::Register;
    if is_register(0) && is_segment(to) {
        return match to {
            Register::CS => Nature::Undefined,
            _ => Nature::Silent("no trap where the selector is valid at CPL 3"),
        };
    }
    if is_register(1) && is_segment(from) {
        return Nature::Silent("the thread's selector");
    }
    let is_system = |code: Code| {
        use Code as C;
        matches!(code, C::Mov_r64_cr | C::Mov_cr_r64 | C::Mov_r64_dr | C::Mov_dr_r64)
    };
    if is_system(instruction.code()) { Nature::Privileged } else { Nature::Plain }
}

const fn of_interrupt(vector: u8) -> Nature {
    match vector {
        3 => Nature::Exception,
        IGNORED => Nature::Silent("the kernel ignores it"),
        FIRST_TRAP.. => Nature::SystemCall,
        _ => Nature::Privileged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions};

    fn nature(bytes: &[u8]) -> Nature {
        let instruction = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
        assert_eq!(instruction.len(), bytes.len(), "{bytes:x?}");
        Nature::of(&instruction)
    }

    /// Encodings of every instruction that DESIGN and manual count as
    /// sensitive and that does not trap at CPL 3.
    pub const SILENT: &[&[u8]] = &[
        &[0x9c],                                     // pushfq
        &[0x66, 0x9c],                               // pushfw
        &[0x9d],                                     // popfq
        &[0x66, 0x9d],                               // popfw
        &[0x0f, 0x02, 0xc1],                         // lar eax, cx
        &[0x48, 0x0f, 0x03, 0x04, 0x24],             // lsl rax, [rsp]
        &[0x0f, 0x00, 0xe0],                         // verr ax
        &[0x0f, 0x00, 0xe8],                         // verw ax
        &[0x8c, 0xc8],                               // mov eax, cs
        &[0x8c, 0x5d, 0x08],                         // mov [rbp+8], ds
        &[0x0f, 0xa0],                               // push fs
        &[0x0f, 0xa8],                               // push gs
        &[0x8e, 0xd8],                               // mov ds, ax
        &[0x0f, 0xa1],                               // pop fs
        &[0x0f, 0xa9],                               // pop gs
        &[0x0f, 0xb2, 0x00],                         // lss eax, [rax]
        &[0x48, 0x0f, 0xb4, 0x00],                   // lfs rax, [rax]
        &[0x0f, 0xb5, 0x00],                         // lgs eax, [rax]
        &[0x0f, 0xa2],                               // cpuid
        &[0xcf],                                     // iretd
        &[0x48, 0xcf],                               // iretq
        &[0xcb],                                     // retf
        &[0x48, 0xcb],                               // retfq
        &[0xca, 0x10, 0x00],                         // retf 16
        &[0xff, 0x28],                               // jmp far [rax]
        &[0x48, 0xff, 0x1d, 0x00, 0x01, 0x00, 0x00], // call far [rip+0x100]
        &[0x0f, 0x01, 0x00],                         // sgdt [rax]
        &[0x0f, 0x01, 0x08],                         // sidt [rax]
        &[0x0f, 0x00, 0xc0],                         // sldt eax
        &[0x0f, 0x00, 0xc8],                         // str eax
        &[0x0f, 0x01, 0xe0],                         // smsw eax
        &[0xcd, 0xff],                               // int 0xff
    ];

    #[test]
    fn what_does_not_trap_is_silent() {
        for bytes in SILENT {
            assert!(nature(bytes).is_silent(), "{bytes:x?}");
            let length = vcpu::decode(bytes).map(|known| usize::from(known.length));
            assert_eq!(length, Ok(bytes.len()), "{bytes:x?} is virtualised");
        }
    }

    #[test]
    fn what_traps_is_told_apart() {
        for bytes in [
            &[0xfa][..],
            &[0xf4],
            &[0x0f, 0x30],
            &[0x0f, 0x20, 0xd8],
            &[0xe6, 0x80],
            &[0xf3, 0x6e],
            &[0xcd, 0x80],
            &[0x0f, 0x01, 0xf8],
        ] {
            assert_eq!(nature(bytes), Nature::Privileged, "{bytes:x?}");
        }
        assert_eq!(nature(&[0x0f, 0x05]), Nature::SystemCall);
        assert_eq!(nature(&[0xcd, 0x9e]), Nature::SystemCall);
        assert_eq!(nature(&[0xf1]), Nature::Exception);
        assert_eq!(nature(&[0xcd, 3]), Nature::Exception);
        assert_eq!(nature(&[0x0f, 0x01, 0xd0]), Nature::Undefined);
        for bytes in
            [&[0x90][..], &[0xcc], &[0x48, 0x89, 0xc3], &[0x50], &[0xe8, 0, 0, 0, 0], &[0x0f, 0x0b]]
        {
            assert_eq!(nature(bytes), Nature::Plain, "{bytes:x?}");
        }
    }
}
