//! A linked image for a Cortex-M, as much of it as the proofs ask for.

use object::elf;
use object::read::elf::{ElfFile32, FileHeader as _, SectionHeader as _};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind, SymbolKind};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// An image: its code, its constants and the names of its functions.
#[derive(Debug, Default)]
pub struct Image {
    /// Where the code begins, and its bytes.
    pub text: (u32, Vec<u8>),
    /// Where the constants begin, and their bytes.
    pub constants: (u32, Vec<u8>),
    /// Each function's address, length and name.
    pub functions: BTreeMap<u32, Function>,
    /// Each static's name and length.
    pub statics: BTreeMap<String, u64>,
    /// From each of these addresses on there is code (`true`) or data (`false`) in the text.
    pub marks: BTreeMap<u32, bool>,
    /// Bytes of code, constants and initial values.
    pub flash: u64,
    /// Bytes of static memory, without the stack.
    pub ram: u64,
    /// Each function's stack frame, if the compiler said.
    pub frames: BTreeMap<u32, u64>,
}

/// A function of an image.
#[derive(Clone, Debug)]
pub struct Function {
    /// Bytes of code.
    pub len: u32,
    /// Its path, without the hash.
    pub name: String,
}

impl Image {
    /// Reads an ELF file for a 32-bit machine.
    ///
    /// # Errors
    /// If it cannot be read, or is not one.
    pub fn read(path: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(path)?;
        let file: ElfFile32<'_> = ElfFile32::parse(bytes.as_slice()).map_err(io::Error::other)?;
        let mut image = Self::default();
        for section in file.sections() {
            image.add_section(&file, &section)?;
        }
        for symbol in file.symbols() {
            let (Ok(name), address) = (symbol.name(), narrow(symbol.address())) else { continue };
            match symbol.kind() {
                SymbolKind::Text => {
                    let name = format!("{:#}", rustc_demangle::demangle(name));
                    let len = narrow(symbol.size());
                    image.functions.insert(address & !1, Function { len, name });
                }
                SymbolKind::Data => {
                    let name = format!("{:#}", rustc_demangle::demangle(name));
                    image.statics.insert(name, symbol.size());
                }
                _ if name.starts_with("$t") => drop(image.marks.insert(address, true)),
                _ if name.starts_with("$d") => drop(image.marks.insert(address, false)),
                _ => {}
            }
        }
        Ok(image)
    }

    /// The function that holds this address.
    #[must_use]
    pub fn function_at(&self, address: u32) -> Option<&Function> {
        let (start, function) = self.functions.range(..=address).next_back()?;
        (address < start + function.len).then_some(function)
    }

    /// Where the function of this name begins.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<u32> {
        let found = self.functions.iter().find(|(_, function)| function.name == name);
        found.map(|(address, _)| *address)
    }

    /// Bytes of code by the room of the core, or the crate, that they come from, most first.
    #[must_use]
    pub fn flash_by_part(&self) -> Vec<(String, u64)> {
        let mut parts: BTreeMap<String, u64> = BTreeMap::new();
        for function in self.functions.values() {
            *parts.entry(part_of(&function.name)).or_default() += u64::from(function.len);
        }
        let mut parts: Vec<(String, u64)> = parts.into_iter().collect();
        parts.sort_by_key(|(_, bytes)| core::cmp::Reverse(*bytes));
        parts
    }

    fn add_section<'d>(
        &mut self,
        file: &ElfFile32<'d>,
        section: &object::read::elf::ElfSection32<'d, '_>,
    ) -> io::Result<()> {
        let name = section.name().map_err(io::Error::other)?;
        let data = || section.data().map(<[u8]>::to_vec).map_err(io::Error::other);
        let start = narrow(section.address());
        match name {
            ".text" => self.text = (start, data()?),
            ".rodata" => self.constants = (start, data()?),
            ".stack_sizes" => self.frames = frames(&data()?),
            _ => {}
        }
        let endian = file.endian();
        let allocated = section.elf_section_header().sh_flags(endian) & elf::SHF_ALLOC != 0;
        debug_assert!(file.elf_header().is_little_endian());
        match section.kind() {
            _ if !allocated => {}
            // Some boards' linker scripts name what is left over.
            _ if matches!(name, ".stack" | ".heap") => {}
            SectionKind::UninitializedData => self.ram += section.size(),
            SectionKind::Data => {
                self.ram += section.size();
                self.flash += section.size();
            }
            _ => self.flash += section.size(),
        }
        Ok(())
    }
}

/// `<ropewalk_core::wire::Frame as Clone>::clone` comes from `ropewalk_core::wire`.
fn part_of(name: &str) -> String {
    let path = name.trim_start_matches(|sign: char| !sign.is_alphanumeric());
    let mut words = path.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
    let first = words.next().unwrap_or_default();
    match words.nth(1) {
        Some(room) if first == "ropewalk_core" => format!("{first}::{room}"),
        _ => first.to_owned(),
    }
}

/// What `-Z emit-stack-sizes` writes: an address and a LEB128 number for each function.
fn frames(mut bytes: &[u8]) -> BTreeMap<u32, u64> {
    let mut frames = BTreeMap::new();
    while let Some((address, rest)) = bytes.split_first_chunk::<4>() {
        let (mut size, mut shift) = (0, 0);
        let mut rest = rest.iter();
        for byte in rest.by_ref() {
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        bytes = rest.as_slice();
        frames.insert(u32::from_le_bytes(*address) & !1, size);
    }
    frames
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
