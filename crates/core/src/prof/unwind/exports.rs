//! What a module in memory exports: functions by their names.
//!
//! ```text
//! dynamic section   tag, value | tag, value | ... | 0
//!                     ├─> hash table: a name's bucket ─> numbers of symbols      DT_GNU_HASH, or else DT_HASH
//!                     ├─> symbols    name 4 | kind 1 | - 1 | section 2 | value 8 | bytes 8
//!                     └─> names      C texts
//! ```
//! O1  Everything is read as a table is (see [`table`](super::table)), and of each list no more than a sound one has.
//! O2  A module defines what it has a section for: one that is not moved has entries without, of its own calls of functions of
//!     others, under these functions' names.
//! O3  The first symbol of a name is taken, of whatever version.
//!
//! Source: System V ABI, "Dynamic Section", "Symbol Table" and "Hash Table"; `DT_GNU_HASH` as binutils write it.

use super::table::{Cursor, Tables};

/// Entries of a dynamic section: some thousand libraries that are needed come before all others.
const ENTRIES_MAX: usize = 4096;
const CHAIN_MAX: usize = 4096;
const SYMBOL: usize = 24;

/// Where the tables of a module are.
pub(super) struct Exports {
    /// How far the module was moved.
    moved: usize,
    gnu_hash: usize,
    hash: usize,
    strings: usize,
    symbols: usize,
}

/// A function that a module defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Function {
    pub address: usize,
    /// The address is that of a function without arguments that answers the function's (`STT_GNU_IFUNC`).
    pub is_chosen: bool,
}

/// What a dynamic section tells; 0 where it does not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Dynamic {
    hash: usize,
    gnu_hash: usize,
    strings: usize,
    symbols: usize,
    /// Where the loader's list begins, for debuggers.
    pub debug: usize,
}

impl Dynamic {
    /// That at `place`. `None`: it cannot be read.
    pub(super) fn at(place: usize, tables: &mut Tables) -> Option<Self> {
        let mut told = Self::default();
        for index in 0..ENTRIES_MAX {
            let mut entry = [0; 16];
            tables.read(place.wrapping_add(index * entry.len()), &mut entry)?;
            let tag = u64::from_le_bytes(*entry.first_chunk()?);
            let value = match tag {
                0 => break,
                4 => &mut told.hash,
                5 => &mut told.strings,
                6 => &mut told.symbols,
                21 => &mut told.debug,
                0x6fff_fef5 => &mut told.gnu_hash,
                _ => continue,
            };
            *value = u64::from_le_bytes(*entry.last_chunk()?) as usize;
        }
        Some(told)
    }
}

impl Exports {
    /// Those of the module that was moved by `moved`, and whose dynamic section is at `dynamic`. `None`: it has none.
    pub(super) fn at(dynamic: usize, moved: usize, tables: &mut Tables) -> Option<Self> {
        let told = Dynamic::at(dynamic, tables)?;
        // Some loaders write addresses here where the file has offsets.
        let place = |value: usize| match value {
            0 => 0,
            offset if offset < moved => moved.wrapping_add(offset),
            address => address,
        };
        (told.strings != 0 && told.symbols != 0).then(|| Self {
            moved,
            strings: place(told.strings),
            symbols: place(told.symbols),
            gnu_hash: place(told.gnu_hash),
            hash: place(told.hash),
        })
    }

    /// The function `name`, if the module defines it.
    pub(super) fn function(&self, name: &[u8], tables: &mut Tables) -> Option<Function> {
        match self.gnu_hash {
            0 => self.in_hash(name, tables),
            _ => self.in_gnu_hash(name, tables),
        }
    }

    fn in_gnu_hash(&self, name: &[u8], tables: &mut Tables) -> Option<Function> {
        let wanted = gnu_hash(name);
        let mut head = [0; 16];
        tables.read(self.gnu_hash, &mut head)?;
        let word = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let [buckets, first, filters] = [word(0)?, word(4)?, word(8)?].map(|word| word as usize);
        let filter_list = self.gnu_hash.wrapping_add(16);
        let filter = (wanted as usize / 64).checked_rem(filters)?;
        let filter = tables.u64(filter_list.wrapping_add(filter * 8))?;
        let bits = [wanted, wanted.wrapping_shr(word(12)?)];
        if bits.iter().any(|bit| filter >> (bit % 64) & 1 == 0) {
            return None;
        }
        let bucket_list = filter_list.wrapping_add(filters * 8);
        let bucket = (wanted as usize).checked_rem(buckets)?;
        let chains = bucket_list.wrapping_add(buckets * 4);
        let head = tables.u32(bucket_list.wrapping_add(bucket * 4))? as usize;
        for index in (head..).take(CHAIN_MAX) {
            let link = index.checked_sub(first)?;
            let seen = tables.u32(chains.wrapping_add(link * 4))?;
            if (seen ^ wanted) >> 1 == 0 {
                if let Some(function) = self.symbol(index, name, tables) {
                    return Some(function);
                }
            }
            if seen & 1 != 0 {
                break;
            }
        }
        None
    }

    fn in_hash(&self, name: &[u8], tables: &mut Tables) -> Option<Function> {
        if self.hash == 0 {
            return None;
        }
        let buckets = tables.u32(self.hash)? as usize;
        let bucket_list = self.hash.wrapping_add(8);
        let bucket = (hash(name) as usize).checked_rem(buckets)?;
        let chains = bucket_list.wrapping_add(buckets * 4);
        let mut index = tables.u32(bucket_list.wrapping_add(bucket * 4))? as usize;
        for _ in 0..CHAIN_MAX {
            if index == 0 {
                break;
            }
            if let Some(function) = self.symbol(index, name, tables) {
                return Some(function);
            }
            index = tables.u32(chains.wrapping_add(index * 4))? as usize;
        }
        None
    }

    /// Symbol number `index`, if it is a function of that name that is defined here (O2).
    fn symbol(&self, index: usize, name: &[u8], tables: &mut Tables) -> Option<Function> {
        const NO_TYPE: u8 = 0;
        const FUNCTION: u8 = 2;
        const CHOSEN: u8 = 10;
        const LOCAL: u8 = 0;
        let mut symbol = [0; SYMBOL];
        let place = self.symbols.wrapping_add(index.wrapping_mul(SYMBOL));
        tables.read(place, &mut symbol)?;
        let text = u32::from_le_bytes(*symbol.first_chunk()?) as usize;
        let (kind, binding) = (symbol[4] & 0x0f, symbol[4] >> 4);
        let section = u16::from_le_bytes(*symbol.get(6..)?.first_chunk()?);
        let value = u64::from_le_bytes(*symbol.get(8..)?.first_chunk()?) as usize;
        let is_function = [NO_TYPE, FUNCTION, CHOSEN].contains(&kind) && binding != LOCAL;
        let is_here = section != 0 && value != 0;
        let is_it =
            is_function && is_here && is_text(self.strings.wrapping_add(text), name, tables);
        is_it.then_some(Function {
            address: self.moved.wrapping_add(value),
            is_chosen: kind == CHOSEN,
        })
    }
}

fn gnu_hash(name: &[u8]) -> u32 {
    let fold = |hash: u32, &byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(byte));
    name.iter().fold(5381, fold)
}

fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, &byte| {
        let hash = (hash << 4).wrapping_add(u32::from(byte));
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

/// Whether the C string at `place` is `name`.
fn is_text(place: usize, name: &[u8], tables: &mut Tables) -> bool {
    let mut cursor = Cursor::new(tables, place, place.wrapping_add(name.len() + 1));
    name.iter().all(|&byte| cursor.u8() == Some(byte)) && cursor.u8() == Some(0)
}

#[cfg(test)]
mod tests {
    use super::super::elf;
    use super::*;
    use crate::sys::image;

    #[test]
    fn functions_of_the_vdso_are_found_by_either_table() {
        let base = image::landmarks().vdso;
        let mut tables = Tables::fleeting();
        let exports = elf::exports(base, &mut tables).unwrap();
        let mut seen = 0;
        for table in [exports.gnu_hash, exports.hash] {
            // Not every kernel's has both.
            if table == 0 {
                continue;
            }
            let one = Exports {
                gnu_hash: if table == exports.gnu_hash { table } else { 0 },
                ..exports
            };
            let function = one.function(b"__vdso_clock_gettime", &mut tables).unwrap();
            let module = elf::Module::at(base, &mut tables).unwrap();
            assert!(module.has_code_at(function.address) && !function.is_chosen);
            assert_eq!(one.function(b"__vdso_nothing", &mut tables), None);
            assert_eq!(one.function(b"", &mut tables), None);
            seen += 1;
        }
        assert_ne!(seen, 0);
        assert_eq!(gnu_hash(b"printf"), 0x156b_2bb8);
        assert_eq!(hash(b"printf"), 0x077_905a6);
    }

    #[test]
    fn what_stands_behind_hundreds_of_needed_libraries_is_found() {
        let mut words = std::vec![[1, 77]; 900];
        words.extend([
            [5, 10],
            [0x6fff_fef5, 20],
            [21, 30],
            [6, 40],
            [4, 50],
            [0, 0],
            [21, 9],
        ]);
        let place = words.as_ptr().expose_provenance();
        let told = Dynamic {
            hash: 50,
            gnu_hash: 20,
            strings: 10,
            symbols: 40,
            debug: 30,
        };
        let words: &[[u64; 2]] = &words;
        for mut tables in [Tables::fleeting(), Tables::lasting()] {
            assert_eq!(Dynamic::at(place, &mut tables), Some(told));
        }
        assert_eq!(words.len(), 907);
        assert_eq!(Dynamic::at(8, &mut Tables::fleeting()), None);
    }

    #[test]
    fn tables_of_nonsense_have_nothing_and_end() {
        let names: [&[u8]; 3] = [b"", b"_Znwm", b"_ZdlPvSt11align_val_t"];
        let mut random = 1u64;
        for round in 0..200usize {
            // Small numbers, large ones, and addresses of these very words.
            let mut words = [0u64; 128];
            let place = words.as_ptr().expose_provenance();
            for word in &mut words {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                *word = match random >> 60 {
                    0..6 => random >> 33 & 7,
                    6..12 => place as u64 + (random >> 33) % 1024,
                    _ => random,
                };
            }
            let exports = Exports {
                moved: place * (round & 1),
                gnu_hash: place * (round >> 1 & 1),
                hash: place,
                strings: place + 64,
                symbols: place + 128,
            };
            for name in names {
                let mut tables = Tables::fleeting();
                exports.function(name, &mut tables);
                Exports::at(place, 0, &mut tables);
            }
        }
    }
}
