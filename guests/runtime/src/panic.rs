//! A panicking guest says where, and ends with status 101.

use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crate::println!("{info}");
    crate::exit::exit(101)
}
