//! Platform `pc64`.

use crate::elf::Elf;
use crate::{DEFAULT_MEMORY, Options, PlacedGuest, Problem};

pub fn default_memory(_: &Elf<'_>) -> u64 {
    DEFAULT_MEMORY
}
pub fn place(_: &[u8], _: &Options) -> Result<PlacedGuest, Problem> {
    Err(Problem::NothingToLoad)
}
