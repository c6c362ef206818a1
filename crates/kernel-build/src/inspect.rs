//! Checks of a built kernel for edits that no boot test can see.
//!
//! Some edits matter only after unlikely timing (E3), on other processors (the
//! second half of E7) or in code that happens not to use what they protect (the
//! `cld` of E4). Their presence is read from the linked file: from symbols, from
//! instructions that the kernel's assembler text fixes byte by byte, or from
//! constants that the compiler has to keep whole.

use std::fs;
use std::ops::Range;

use object::{Object, ObjectSection, ObjectSymbol};

use crate::build::KernelImage;
use crate::edits::EditId;
use crate::error::Error;

/// What the image tells about one edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The edit.
    pub edit: EditId,
    /// What was looked for.
    pub what: &'static str,
    /// `None` if it is there, else what is there instead.
    pub missing: Option<String>,
}

/// `mov $imm32, %eax` with SYSCALL's flag mask: TF, IF, DF, NT, AC.
const LOAD_FLAG_MASK: [u8; 5] = [0xb8, 0x00, 0x47, 0x04, 0x00];

/// `cld`, then the first bytes of the load of the kernel stack.
const CLD_BEFORE_STACK: [u8; 5] = [0xfc, 0x48, 0x8d, 0x24, 0x25];

/// Inspects `image` for the edits that leave a trace in it.
///
/// # Errors
/// [`Error::Io`] or [`Error::BadData`] if the kernel cannot be read or lacks a
/// symbol that every kernel of this release has.
pub fn inspect(image: &KernelImage) -> Result<Vec<Finding>, Error> {
    let data = fs::read(&image.elf).map_err(Error::io("read", &image.elf))?;
    let kernel = Kernel::parse(&data).map_err(|reason| Error::data(&image.elf, reason))?;
    kernel.findings().map_err(|reason| Error::data(&image.elf, reason))
}

/// A parsed kernel file.
struct Kernel<'a> {
    file: object::File<'a>,
}

impl<'a> Kernel<'a> {
    fn parse(data: &'a [u8]) -> Result<Kernel<'a>, String> {
        object::File::parse(data).map(|file| Kernel { file }).map_err(|e| e.to_string())
    }

    fn findings(&self) -> Result<Vec<Finding>, String> {
        let stack = self.symbol("kernel_stack_alloc")?.start;
        let entry = self.code("handle_interrupt")?;
        let exit = self.code("restore_user_context")?;
        let finding = |edit, what, found: bool, instead: String| Finding {
            edit: EditId(edit),
            what,
            missing: (!found).then_some(instead),
        };
        Ok(vec![
            finding(
                3,
                "the kernel stack begins at a multiple of its size",
                stack.is_multiple_of(4096),
                format!("kernel_stack_alloc is at {stack:#x}"),
            ),
            finding(
                4,
                "SYSCALL masks NT, DF and AC",
                self.boot_code()?.windows(5).any(|bytes| bytes == LOAD_FLAG_MASK),
                "no instruction loads the flag mask 0x44700".to_owned(),
            ),
            finding(
                4,
                "the interrupt entry clears DF",
                entry.windows(5).any(|bytes| bytes == CLD_BEFORE_STACK),
                "handle_interrupt executes no cld".to_owned(),
            ),
            finding(
                7,
                "the return to user level checks its address",
                sign_extends_48_bits(exit),
                "restore_user_context does not sign-extend an address".to_owned(),
            ),
        ])
    }

    /// Address range of a symbol; up to the next symbol if it has no size.
    fn symbol(&self, name: &str) -> Result<Range<u64>, String> {
        let found = self
            .file
            .symbols()
            .find(|symbol| symbol.name() == Ok(name))
            .ok_or_else(|| format!("the kernel has no symbol {name}"))?;
        let start = found.address();
        let end = match found.size() {
            0 => self
                .file
                .symbols()
                .map(|s| s.address())
                .filter(|a| *a > start)
                .min()
                .unwrap_or(start),
            size => start.saturating_add(size),
        };
        Ok(start..end)
    }

    /// Machine code of a function.
    fn code(&self, name: &str) -> Result<&'a [u8], String> {
        let range = self.symbol(name)?;
        self.file
            .sections()
            .find_map(|section| {
                section.data_range(range.start, range.end - range.start).ok().flatten()
            })
            .ok_or_else(|| format!("the code of {name} is in no section"))
    }

    /// The code that runs only while booting.
    fn boot_code(&self) -> Result<&'a [u8], String> {
        let section =
            self.file.section_by_name(".boot").ok_or("the kernel has no section .boot")?;
        section.data().map_err(|e| e.to_string())
    }
}

/// Whether the code has `shl $16, reg` and right behind it `sar $16, reg`.
fn sign_extends_48_bits(code: &[u8]) -> bool {
    code.windows(8).any(|bytes| match bytes {
        [0x48 | 0x49, 0xc1, left, 16, 0x48 | 0x49, 0xc1, right, 16] => {
            matches!(left, 0xe0..=0xe7) && *right == left + 0x18
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_extension_is_recognised() {
        // shl $16,%rax; sar $16,%rax and the same of %r9.
        assert!(sign_extends_48_bits(&[0x90, 0x48, 0xc1, 0xe0, 16, 0x48, 0xc1, 0xf8, 16, 0xc3]));
        assert!(sign_extends_48_bits(&[0x49, 0xc1, 0xe1, 16, 0x49, 0xc1, 0xf9, 16]));
        // Different registers, another count, a logical shift.
        assert!(!sign_extends_48_bits(&[0x48, 0xc1, 0xe0, 16, 0x48, 0xc1, 0xf9, 16]));
        assert!(!sign_extends_48_bits(&[0x48, 0xc1, 0xe0, 12, 0x48, 0xc1, 0xf8, 12]));
        assert!(!sign_extends_48_bits(&[0x48, 0xc1, 0xe0, 16, 0x48, 0xc1, 0xe8, 16]));
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(Kernel::parse(b"no ELF").is_err());
    }
}
