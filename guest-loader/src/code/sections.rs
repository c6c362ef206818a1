//! Where an image may hold code, and what its symbols say about that.
//!
//! Sections with `SHF_EXECINSTR` are the authority: a segment that is mapped
//! executable may hold constants too. An image without sections offers its
//! executable segments. Layouts: System V ABI, "gABI 4.1", chapter 4.

use object::elf::{SHF_ALLOC, SHF_EXECINSTR};
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind};

use crate::Problem;
use crate::elf::{Elf, PF_X};

/// A run of bytes that may be code, at its virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region<'a> {
    /// Virtual address of the first byte.
    pub start: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Region<'_> {
    /// Address behind the last byte.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Index of `address` into the bytes, if it lies inside.
    pub fn index(&self, address: u64) -> Option<usize> {
        let index = address.checked_sub(self.start)?;
        (index < self.bytes.len() as u64).then_some(index as usize)
    }
}

/// What a symbol says about the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `STT_FUNC`: code.
    Function,
    /// `STT_NOTYPE`: a label of hand-written code, or of data in it.
    Label,
    /// `STT_OBJECT`: data.
    Object,
}

/// A symbol inside a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Virtual address.
    pub address: u64,
    /// Bytes; 0 if the symbol does not say.
    pub size: u64,
    /// What is there.
    pub kind: Kind,
    /// Its name as the file has it.
    pub name: String,
}

/// Regions and symbols of an image, each in ascending order.
#[derive(Clone, Debug)]
pub struct Layout<'a> {
    /// Disjoint regions.
    pub regions: Vec<Region<'a>>,
    /// Symbols inside them.
    pub symbols: Vec<Symbol>,
}

impl<'a> Layout<'a> {
    /// Reads sections and symbols of the file that `elf` was parsed from.
    ///
    /// # Errors
    /// [`Problem::SectionTable`] and [`Problem::CodeOverlaps`].
    pub fn read(bytes: &'a [u8], elf: &Elf<'a>) -> Result<Self, Problem> {
        let file = ElfFile64::<Endianness>::parse(bytes)
            .map_err(|error| Problem::SectionTable { error: error.to_string() })?;
        let mut regions = regions(&file, elf);
        regions.sort_by_key(|region| region.start);
        if let Some(pair) = regions.windows(2).find(|pair| pair[0].end() > pair[1].start) {
            let address = pair[1].start;
            return Err(Problem::CodeOverlaps { address });
        }
        let mut symbols: Vec<_> =
            file.symbols().filter_map(|symbol| read_symbol(&symbol, &regions)).collect();
        symbols.sort_by_key(|symbol| (symbol.address, symbol.kind));
        Ok(Self { regions, symbols })
    }

    /// The region that `address` lies in, by its index.
    pub fn region_of(&self, address: u64) -> Option<usize> {
        let after = self.regions.partition_point(|region| region.start <= address);
        let index = after.checked_sub(1)?;
        self.regions[index].index(address).map(|_| index)
    }

    /// The last symbol at or before `address` in its region that is not data,
    /// and how far behind it the address lies.
    pub fn symbol_of(&self, address: u64) -> Option<(&Symbol, u64)> {
        let region = &self.regions[self.region_of(address)?];
        let after = self.symbols.partition_point(|symbol| symbol.address <= address);
        let named = self.symbols[..after]
            .iter()
            .rev()
            .take_while(|symbol| symbol.address >= region.start)
            .find(|symbol| symbol.kind != Kind::Object)?;
        Some((named, address - named.address))
    }
}

fn regions<'a>(file: &ElfFile64<'a, Endianness>, elf: &Elf<'a>) -> Vec<Region<'a>> {
    let has_sections = file.sections().next().is_some();
    if !has_sections {
        return elf
            .loads()
            .filter(|segment| segment.flags & PF_X != 0 && !segment.content.is_empty())
            .map(|segment| Region { start: segment.virtual_address, bytes: segment.content })
            .collect();
    }
    let wanted = u64::from(SHF_ALLOC | SHF_EXECINSTR);
    file.sections()
        .filter(|section| match section.flags() {
            SectionFlags::Elf { sh_flags } => sh_flags & wanted == wanted,
            _ => false,
        })
        .filter_map(|section| loaded(elf, section.address(), section.size()))
        .collect()
}

/// The bytes that are placed at `[start, start + size)`, if a segment has them.
fn loaded<'a>(elf: &Elf<'a>, start: u64, size: u64) -> Option<Region<'a>> {
    elf.loads().find_map(|segment| {
        let from = usize::try_from(start.checked_sub(segment.virtual_address)?).ok()?;
        let to = from.checked_add(usize::try_from(size).ok()?)?;
        let bytes = segment.content.get(from..to)?;
        (!bytes.is_empty()).then_some(Region { start, bytes })
    })
}

fn read_symbol<'a>(symbol: &impl ObjectSymbol<'a>, regions: &[Region<'_>]) -> Option<Symbol> {
    let kind = match symbol.kind() {
        SymbolKind::Text => Kind::Function,
        SymbolKind::Unknown | SymbolKind::Label => Kind::Label,
        SymbolKind::Data => Kind::Object,
        _ => return None,
    };
    let address = symbol.address();
    let inside = regions.iter().any(|region| region.index(address).is_some());
    (inside && symbol.is_definition() || inside && kind == Kind::Label && !symbol.is_undefined())
        .then(|| Symbol {
            address,
            size: symbol.size(),
            kind,
            name: String::from_utf8_lossy(symbol.name_bytes().unwrap_or(&[])).into_owned(),
        })
}
