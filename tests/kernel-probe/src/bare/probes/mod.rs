//! One probe per edit.

mod e01_unmap;
mod e02_fault_address;
mod e04_flags;
mod e05_syscall_registers;
mod e06_bases;
mod e07_canonical;
mod e08_guest_syscalls;
mod e09_user_flags;
mod e10_umip;
mod e11_registers;
mod e12_move;
mod e13_straight;
mod e14_same_root;

use crate::bare::lab::Lab;
use crate::bare::verdict::Verdict;

/// A probe: what it finds about its edit.
pub type Probe = fn(&mut Lab) -> Verdict;

/// The probes. E3 cannot be seen from here; the host side reads it off the image.
/// E4 comes last, since a kernel without it stops.
pub const ALL: [(&str, Probe); 13] = [
    ("E1", |lab| e01_unmap::probe(lab).into()),
    ("E2", |lab| e02_fault_address::probe(lab).into()),
    ("E5", |lab| e05_syscall_registers::probe(lab).into()),
    ("E6", |lab| e06_bases::probe(lab).into()),
    ("E7", |lab| e07_canonical::probe(lab).into()),
    ("E8", |lab| e08_guest_syscalls::probe(lab).into()),
    ("E9", |lab| e09_user_flags::probe(lab).into()),
    ("E10", e10_umip::probe),
    ("E11", |lab| e11_registers::probe(lab).into()),
    ("E12", |lab| e12_move::probe(lab).into()),
    ("E13", |lab| e13_straight::probe(lab).into()),
    ("E14", |lab| e14_same_root::probe(lab).into()),
    ("E4", |lab| e04_flags::probe(lab).into()),
];
