//! A register dump for people.

use core::fmt;

use crate::segment::{Segment, TableRegister};
use crate::{Registers, VcpuState};

/// Displays state and registers in a dozen lines, without a final newline.
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a> {
    /// System state.
    pub state: &'a VcpuState,
    /// Thread registers.
    pub registers: &'a Registers,
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            state: s,
            registers: r,
        } = self;
        let flags = s.guest_rflags(r);
        writeln!(
            f,
            "rip={:016x} rsp={:016x} rflags={flags:08x} cpl={}",
            r.rip,
            r.rsp,
            s.cpl()
        )?;
        writeln!(
            f,
            "rax={:016x} rbx={:016x} rcx={:016x} rdx={:016x}",
            r.rax, r.rbx, r.rcx, r.rdx
        )?;
        writeln!(
            f,
            "rsi={:016x} rdi={:016x} rbp={:016x} r8 ={:016x}",
            r.rsi, r.rdi, r.rbp, r.r8
        )?;
        writeln!(
            f,
            "r9 ={:016x} r10={:016x} r11={:016x} r12={:016x}",
            r.r9, r.r10, r.r11, r.r12
        )?;
        writeln!(
            f,
            "r13={:016x} r14={:016x} r15={:016x}",
            r.r13, r.r14, r.r15
        )?;
        writeln!(
            f,
            "fs ={:016x} gs ={:016x} kgs={:016x}",
            r.fs_base, r.gs_base, s.kernel_gs_base
        )?;
        writeln!(
            f,
            "cr0={:08x} cr2={:016x} cr3={:x} cr4={:x} efer={:x}",
            s.cr0, s.cr2, s.cr3, s.cr4, s.efer
        )?;
        segment(f, "cs", &s.cs, ' ')?;
        segment(f, "ss", &s.ss, '\n')?;
        segment(f, "tr", &s.tr, ' ')?;
        segment(f, "ldtr", &s.ldtr, '\n')?;
        table(f, "gdtr", &s.gdtr)?;
        f.write_str(" ")?;
        table(f, "idtr", &s.idtr)
    }
}

fn segment(f: &mut fmt::Formatter<'_>, name: &str, segment: &Segment, end: char) -> fmt::Result {
    let Segment {
        base,
        limit,
        selector,
        attributes,
    } = segment;
    write!(
        f,
        "{name}={selector:04x}[{base:x}+{limit:x} {attributes:03x}]{end}"
    )
}

fn table(f: &mut fmt::Formatter<'_>, name: &str, table: &TableRegister) -> fmt::Result {
    write!(f, "{name}={:x}+{:x}", table.base, table.limit)
}
