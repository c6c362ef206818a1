//! CPUID: the processor that guests see where the instruction is made to trap.
//!
//! It is QEMU's default processor (`qemu64,-nx`), value by value, without what
//! is not virtualised: SVM, SYSENTER (SEP) and, unless the platform has
//! x2APICs, the local APIC. The hypervisor leaf names Umbriel. A plain image
//! executes CPUID natively and sees the processor that it runs on.
//!
//! Sources: AMD APM vol. 3, appendix E; Intel SDM vol. 2A, CPUID.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What CPUID says of the machine around the processor. All zero: one
/// processor without a local APIC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Topology {
    /// APIC ID of this vCPU.
    pub apic_id: u32,
    /// vCPUs of the guest; 0 counts as 1.
    pub vcpus: u16,
    /// [`Topology::X2APIC`].
    pub features: u16,
}

impl Topology {
    /// The platform has an x2APIC for each vCPU, with a TSC-deadline timer.
    pub const X2APIC: u16 = 1 << 0;

    pub(crate) const fn has_x2apic(&self) -> bool {
        self.features & Self::X2APIC != 0
    }

    const fn count(&self) -> u32 {
        if self.vcpus == 0 { 1 } else { self.vcpus as u32 }
    }

    /// Bits of an APIC ID that tell vCPUs apart.
    const fn id_bits(&self) -> u32 {
        u32::BITS - (self.count() - 1).leading_zeros()
    }
}

/// EAX, EBX, ECX and EDX.
pub(crate) type Leaf = [u32; 4];

const NOTHING: Leaf = [0; 4];
const LAST_BASIC: u32 = 0xd;
const HYPERVISOR: u32 = 0x4000_0000;
const LAST_EXTENDED: u32 = 0x8000_0008;
/// "AuthenticAMD" as EBX, EDX, ECX spell it.
const VENDOR: [u32; 3] = [0x6874_7541, 0x6974_6e65, 0x444d_4163];
/// Family 15, model 107, stepping 1.
const SIGNATURE: u32 = 0x0006_0fb1;

/// Leaf 1, EDX.
const APIC: u32 = 1 << 9;
/// FPU DE PSE TSC MSR PAE MCE CX8, MTRR PGE MCA CMOV PAT PSE36, CLFSH, MMX FXSR SSE SSE2.
const FEATURES_EDX: u32 = 0x078b_f1fd;
/// Leaf 1, ECX: SSE3, CMPXCHG16B, and that there is a hypervisor.
const FEATURES_ECX: u32 = 0x8000_2001;
const X2APIC: u32 = 1 << 21;
const TSC_DEADLINE: u32 = 1 << 24;
/// Leaf 1, EDX: several logical processors in the package.
const HTT: u32 = 1 << 28;
/// Leaf 0x80000001, EDX: LM, SYSCALL, and the AMD copies of leaf 1's.
const EXTENDED_EDX: u32 = 0x2183_f1fd;
/// Leaf 0x80000001, ECX: LAHF and SAHF.
const EXTENDED_ECX: u32 = 1;
/// Leaf 0x80000001, ECX: leaf 1 counts cores.
const CMP_LEGACY: u32 = 1 << 1;

/// What CPUID answers to `leaf` and `subleaf`. Unknown leaves are zeros, as
/// is the last basic one, which Intel's rule for them names.
pub(crate) fn leaf(leaf: u32, subleaf: u32, topology: &Topology) -> Leaf {
    match leaf {
        0 => with_vendor(LAST_BASIC),
        1 => features(topology),
        // MONITOR's leaf says that there would be extensions, but not MONITOR.
        5 => [0, 0, 3, 0],
        0xb => levels(subleaf, topology),
        HYPERVISOR => hypervisor(),
        0x8000_0000 => with_vendor(LAST_EXTENDED),
        0x8000_0001 => extended_features(topology),
        0x8000_0002..=0x8000_0004 => name(leaf - 0x8000_0002),
        // Caches and TLBs.
        0x8000_0005 => [0x01ff_01ff, 0x01ff_01ff, 0x4002_0140, 0x4002_0140],
        0x8000_0006 => [0, 0x4200_4200, 0x0200_8140, 0x0080_8140],
        // 40 bits of physical, 48 of linear address.
        0x8000_0008 => [0x3028, 0, core_count(topology), 0],
        _ => NOTHING,
    }
}

const fn with_vendor(last: u32) -> Leaf {
    let [b, d, c] = VENDOR;
    [last, b, c, d]
}

const fn features(topology: &Topology) -> Leaf {
    const CACHE_LINE: u32 = 8 << 8;
    let count = topology.count();
    let several = if count > 1 { count << 16 } else { 0 };
    let id = (topology.apic_id & 0xff) << 24;
    let mut ecx = FEATURES_ECX;
    let mut edx = FEATURES_EDX;
    if topology.has_x2apic() {
        ecx |= X2APIC | TSC_DEADLINE;
        edx |= APIC;
    }
    if count > 1 {
        edx |= HTT;
    }
    [SIGNATURE, id | several | CACHE_LINE, ecx, edx]
}

/// SDM vol. 2A, CPUID, leaf 0BH: threads, then cores.
const fn levels(subleaf: u32, topology: &Topology) -> Leaf {
    const THREAD: u32 = 1 << 8;
    const CORE: u32 = 2 << 8;
    let number = subleaf & 0xff;
    match subleaf {
        0 => [0, 1, THREAD, topology.apic_id],
        1 => [topology.id_bits(), topology.count(), CORE | number, topology.apic_id],
        _ => [0, 0, number, topology.apic_id],
    }
}

const fn hypervisor() -> Leaf {
    [HYPERVISOR, u32::from_le_bytes(*b"Umbr"), u32::from_le_bytes(*b"iel\0"), 0]
}

const fn extended_features(topology: &Topology) -> Leaf {
    let apic = if topology.has_x2apic() { APIC } else { 0 };
    let legacy = if topology.count() > 1 { CMP_LEGACY } else { 0 };
    [SIGNATURE, 0, EXTENDED_ECX | legacy, EXTENDED_EDX | apic]
}

/// A third of the processor's name.
fn name(part: u32) -> Leaf {
    const NAME: [u8; 48] = *b"QEMU Virtual CPU version 2.5+\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut words = NOTHING;
    let bytes = NAME.chunks_exact(4).skip(4 * part as usize);
    for (word, bytes) in words.iter_mut().zip(bytes) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    words
}

/// SDM and APM, leaf 0x80000008, ECX: cores less one, and the bits of their IDs.
const fn core_count(topology: &Topology) -> u32 {
    (topology.count() - 1) | topology.id_bits() << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Topology = Topology { apic_id: 0, vcpus: 1, features: 0 };

    /// What `qemu-system-x86_64 -cpu qemu64,-nx` 7.2 answers under TCG.
    const BARE: &[(u32, u32, Leaf)] = &[
        (0, 0, [0xd, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
        (1, 0, [0x60fb1, 0x800, 0x8000_2001, 0x078b_fbfd]),
        (2, 0, NOTHING),
        (4, 0, NOTHING),
        (5, 0, [0, 0, 3, 0]),
        (7, 0, NOTHING),
        (0xb, 0, [0, 1, 0x100, 0]),
        (0xb, 1, [0, 1, 0x201, 0]),
        (0xd, 0, NOTHING),
        (0x16, 0, NOTHING),
        (0x8000_0000, 0, [0x8000_000a, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
        (0x8000_0001, 0, [0x60fb1, 0, 5, 0x2183_fbfd]),
        (0x8000_0002, 0, [0x554d_4551, 0x7269_5620, 0x6c61_7574, 0x5550_4320]),
        (0x8000_0003, 0, [0x7265_7620, 0x6e6f_6973, 0x352e_3220, 0x2b]),
        (0x8000_0004, 0, NOTHING),
        (0x8000_0005, 0, [0x01ff_01ff, 0x01ff_01ff, 0x4002_0140, 0x4002_0140]),
        (0x8000_0006, 0, [0, 0x4200_4200, 0x0200_8140, 0x0080_8140]),
        (0x8000_0007, 0, NOTHING),
        (0x8000_0008, 0, [0x3028, 0, 0, 0]),
        (0x9000_0000, 0, NOTHING),
    ];

    /// Equal to bare but for what is not virtualised.
    #[test]
    fn as_qemus_default_processor() {
        const SEP: u32 = 1 << 11;
        for &(number, subleaf, bare) in BARE {
            let [mut a, b, mut c, mut d] = bare;
            match number {
                1 => d &= !(APIC | SEP),
                0x8000_0000 => a = LAST_EXTENDED,
                0x8000_0001 => {
                    c &= !(1 << 2); // SVM
                    d &= !(APIC | SEP);
                }
                _ => {}
            }
            assert_eq!(leaf(number, subleaf, &ALONE), [a, b, c, d], "leaf {number:#x}.{subleaf}");
        }
    }

    /// With x2APICs, what differs from bare is SVM, SEP and the deadline timer.
    #[test]
    fn several_vcpus() {
        let topology = Topology { apic_id: 5, vcpus: 6, features: Topology::X2APIC };
        let [_, b, c, d] = leaf(1, 0, &topology);
        assert_eq!(b, 0x0506_0800);
        assert_eq!(c, 0x8120_2001);
        assert_eq!(d, 0x178b_f3fd);
        assert_eq!(leaf(0xb, 0, &topology), [0, 1, 0x100, 5]);
        assert_eq!(leaf(0xb, 1, &topology), [3, 6, 0x201, 5]);
        assert_eq!(leaf(0xb, 2, &topology), [0, 0, 2, 5]);
        assert_eq!(leaf(0x8000_0008, 0, &topology)[2], 0x3005);
        assert_eq!(leaf(0x8000_0001, 0, &topology)[2], 3);
    }

    /// The state page may hold anything.
    #[test]
    fn any_topology_has_an_answer() {
        for vcpus in [0, 1, 2, 3, u16::MAX] {
            let topology = Topology { apic_id: u32::MAX, vcpus, features: u16::MAX };
            for number in [0, 1, 0xb, HYPERVISOR, 0x8000_0001, 0x8000_0008, u32::MAX] {
                let _: Leaf = leaf(number, u32::MAX, &topology);
            }
        }
        assert_eq!(leaf(1, 0, &Topology::default()), leaf(1, 0, &ALONE), "none counts as one");
    }

    #[test]
    fn hypervisor_leaf() {
        let [last, b, c, d] = leaf(HYPERVISOR, 0, &ALONE);
        assert_eq!(last, HYPERVISOR);
        let name: Vec<u8> = [b, c, d].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(&name, b"Umbriel\0\0\0\0\0");
    }
}
