//! The root task: make the objects, carry out the operations, power off.

mod objects;
mod probe;

use kernel_model::{BYTES, Kind, LAST_LINE, Operation, PAGES, VirtualPage};
use sel4::{BootInfoPtr, CapRights, Error, VmAttributes, cap};
use sel4_root_task::{SerialPort, console, print, println};

use objects::Objects;
use probe::{Probes, Reached};

/// Before 10.0.0 the kernel hands out one capability to all I/O ports.
const ALL_PORTS: cap::IOPort = cap::IOPort::from_bits(7);

const SERIAL: SerialPort = SerialPort::new(ALL_PORTS, SerialPort::COM1);

/// The operations.
static SEQUENCE: &[u8] = include_bytes!(env!("KERNEL_MODEL_SEQUENCE"));

sel4_root_task::root_task! { main = main, stack = 64 * 1024 }

fn main(bootinfo: &BootInfoPtr) -> ! {
    // Without a serial port nobody would learn that it does not work.
    let _ = SERIAL.initialise();
    console::set_sink(|bytes| {
        let _ = SERIAL.send(bytes);
    });
    let mut objects = Objects::new(bootinfo);
    let probes = Probes::new(&mut objects);
    let (operations, _) = SEQUENCE.as_chunks::<BYTES>();
    for bytes in operations {
        let operation = Operation::from_bytes(*bytes).expect("an operation of this version");
        print!("{}", number(carry_out(&objects, operation)));
        if operation.kind == Kind::Sweep {
            (0..PAGES).for_each(|page| show(&probes, operation.space, VirtualPage(page)));
        } else {
            show(&probes, operation.space, operation.page);
        }
        println!();
    }
    println!("{LAST_LINE}");
    power_off()
}

fn carry_out(objects: &Objects, operation: Operation) -> sel4::Result<()> {
    let rights = if operation.writable { CapRights::read_write() } else { CapRights::read_only() };
    let attributes = VmAttributes::DEFAULT;
    let object = usize::from(operation.object);
    let space = objects.spaces[usize::from(operation.space)];
    let address = operation.page.address() as usize;
    match operation.kind {
        Kind::Map => objects.copy(object).frame_map(space, address, rights, attributes),
        Kind::Remap => objects.copy(object).frame_remap(space, address, rights, attributes),
        Kind::Unmap => objects.copy(object).frame_unmap(),
        Kind::MapTable => {
            let (table, level) = objects.table(operation.detail, object);
            let start = operation.page.table_address(operation.detail) as usize;
            table.translation_table_map(level, space, start, attributes)
        }
        Kind::UnmapTable => {
            let (table, level) = objects.table(operation.detail, object);
            table.translation_table_unmap(level)
        }
        Kind::Copy => objects.copy_frame(object, operation.detail.into()),
        Kind::Delete => objects.path(objects.copy(object).cptr()).delete(),
        Kind::Revoke => objects.path(objects.frames[object].cptr()).revoke(),
        Kind::Sweep => Ok(()),
    }
}

fn show(probes: &Probes, space: u8, page: VirtualPage) {
    match probes.reach(space.into(), page.address()) {
        Reached::Nothing => print!(" -"),
        Reached::Frame { word, writable } => {
            print!(" {}{}", word.wrapping_sub(1), if writable { 'w' } else { 'r' });
        }
    }
}

/// The kernel's number of an error; 0 for none.
fn number(result: sel4::Result<()>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(Error::InvalidArgument) => 1,
        Err(Error::InvalidCapability) => 2,
        Err(Error::IllegalOperation) => 3,
        Err(Error::RangeError) => 4,
        Err(Error::AlignmentError) => 5,
        Err(Error::FailedLookup) => 6,
        Err(Error::TruncatedMessage) => 7,
        Err(Error::DeleteFirst) => 8,
        Err(Error::RevokeFirst) => 9,
        Err(Error::NotEnoughMemory) => 10,
        Err(Error::Unrecognised) => 99,
    }
}

/// Powers the machine off through QEMU's ACPI power-management port.
fn power_off() -> ! {
    const PM1A_CONTROL: u16 = 0x604;
    const SLEEP_ENABLE: u16 = 1 << 13;
    let _ = ALL_PORTS.ioport_out16(PM1A_CONTROL, SLEEP_ENABLE);
    sel4::init_thread::suspend_self()
}
