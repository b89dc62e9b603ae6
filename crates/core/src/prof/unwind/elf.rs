//! What an ELF module in memory says of itself: where it lies, where its unwind tables are, who it is.
//!
//! ```text
//! base ─> | ELF header | program headers | ... | build id | ... | .eh_frame_hdr | .eh_frame | ... | text | ...
//!              64 B         56 B each                               12 B, then 8 B a function: where, its description
//! ```
//! E1  Everything is read as a table is (see [`table`](super::table)), and checked: a module that is nonsense is none.
//! E2  A module is told from another one, loaded later at its place, by its build id, or else by its ELF header, which
//!     has the file's length in it.
//!
//! E3  A program that was linked without a list of its functions (C, `-static`) is looked into as a file, once: where all
//!     descriptions are is told by its section headers.
//!
//! Source: System V ABI, "Object Files" and "Program Loading"; Linux Standard Base, "DWARF Extensions".

use super::exports::Exports;
use super::table::{Cursor, Tables};
use crate::sys::image;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
/// More than any linker writes.
const PROGRAM_HEADERS_MAX: usize = 64;

const LOADED: u32 = 1;
const DYNAMIC: u32 = 2;
const NOTES: u32 = 4;
const HEADERS: u32 = 6;
const UNWIND_TABLES: u32 = 0x6474_e550;
const EXECUTABLE: u32 = 1;
const READABLE: u32 = 4;
const BUILD_ID: u32 = 3;

/// A loaded module.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Module {
    /// First byte, and the first one behind.
    pub start: usize,
    pub end: usize,
    /// Where the code is.
    pub text: usize,
    pub text_end: usize,
    /// The head of the unwind tables, 0: there is none; the addresses in its list count from here.
    pub tables: usize,
    /// The sorted list, and how many functions are in it.
    pub list: usize,
    pub functions: usize,
    /// Where all descriptions are, if there is no list (E3); 0: not known.
    pub frames: usize,
    pub frames_end: usize,
    /// The segment that holds them.
    pub segment: usize,
    pub segment_end: usize,
    /// The bytes that tell who it is (E2), and what they were.
    pub identity: usize,
    pub identity_len: usize,
    pub fingerprint: u64,
}

/// A program header, its address moved to where the module lies.
#[derive(Clone, Copy)]
struct Segment {
    kind: u32,
    flags: u32,
    start: usize,
    len: usize,
}

impl Module {
    /// The module whose ELF header is at `base`. `None`: there is none, or none for this processor.
    pub(super) fn at(base: usize, tables: &mut Tables) -> Option<Self> {
        let (headers, count) = program_headers(base, tables)?;
        let header = |index: usize, tables: &mut Tables| {
            segment(headers.wrapping_add(index * PROGRAM_HEADER), tables)
        };
        // The file's first segment has the ELF header in it: what its address lacks is how far the module was moved.
        let mut first = usize::MAX;
        for index in 0..count {
            let segment = header(index, tables)?;
            if segment.kind == LOADED {
                first = first.min(segment.start & !(4096 - 1));
            }
        }
        let moved = base.wrapping_sub(first);
        let mut module = Self {
            start: base,
            end: base,
            text: usize::MAX,
            identity: base,
            identity_len: HEADER,
            ..Self::default()
        };
        for index in 0..count {
            let segment = header(index, tables)?;
            let start = segment.start.wrapping_add(moved);
            let end = start.checked_add(segment.len)?;
            match segment.kind {
                LOADED => {
                    module.end = module.end.max(end);
                    if segment.flags & EXECUTABLE != 0 {
                        module.text = module.text.min(start);
                        module.text_end = module.text_end.max(end);
                    }
                }
                UNWIND_TABLES => module.tables = start,
                NOTES if module.identity == base => {
                    if let Some((place, len)) = build_id(start, end, tables) {
                        (module.identity, module.identity_len) = (place, len);
                    }
                }
                _ => {}
            }
        }
        if module.text >= module.text_end {
            return None;
        }
        module.fingerprint = module.fingerprint_now(tables)?;
        let program = image::landmarks().program;
        if module.tables == 0 && (module.start..module.end).contains(&program) {
            if let Some((start, len)) = section_of_program(b".eh_frame\0") {
                module.frames = start.wrapping_add(moved);
                module.frames_end = module.frames.wrapping_add(len);
            }
        }
        let inside = module.tables.max(module.frames);
        for index in 0..count {
            let segment = header(index, tables)?;
            let start = segment.start.wrapping_add(moved);
            let is_around = (start..start.wrapping_add(segment.len)).contains(&inside);
            if segment.kind == LOADED && segment.flags & READABLE != 0 && is_around {
                (module.segment, module.segment_end) = (start, start.wrapping_add(segment.len));
            }
        }
        module.find_list(tables);
        Some(module)
    }

    /// Whether code at `pc` is this module's.
    pub(super) fn has_code_at(&self, pc: usize) -> bool {
        (self.text..self.text_end).contains(&pc)
    }

    /// What tells who is at this module's place now. `None`: not readable, nobody is.
    pub(super) fn fingerprint_now(&self, tables: &mut Tables) -> Option<u64> {
        let mut bytes = [0; HEADER];
        let bytes = bytes.get_mut(..self.identity_len)?;
        tables.read(self.identity, bytes)?;
        // FNV-1a, 64 bits.
        let fold = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Some(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
    }

    /// Finds the sorted list of functions; without one the module has no tables for us.
    fn find_list(&mut self, tables: &mut Tables) {
        /// Version 1; how the three things that follow are written: any, 4 bytes, 4 bytes counted from the head.
        const COUNTED: u8 = 0x03;
        const SORTED: u8 = 0x3b;
        let found = (self.tables != 0).then(|| {
            let mut cursor = Cursor::new(tables, self.tables, self.segment_end);
            let [version, frames, count, list] =
                [cursor.u8()?, cursor.u8()?, cursor.u8()?, cursor.u8()?];
            cursor.address(frames, self.tables)?;
            let functions = cursor.address(count, self.tables)?;
            let room = self.segment_end.saturating_sub(cursor.place()) / 8;
            let is_known = version == 1 && count == COUNTED && list == SORTED;
            (is_known && functions <= room).then_some((cursor.place(), functions))
        });
        match found.flatten() {
            Some((list, functions)) => (self.list, self.functions) = (list, functions),
            None => self.tables = 0,
        }
    }
}

/// Where the program headers of the module at `base` are, and how many.
fn program_headers(base: usize, tables: &mut Tables) -> Option<(usize, usize)> {
    const FILE: [u8; 6] = *b"\x7fELF\x02\x01";
    const X86_64: u16 = 62;
    let mut header = [0; HEADER];
    tables.read(base, &mut header)?;
    let u16_at = |at: usize| Some(u16::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let offset = u64::from_le_bytes(*header.get(32..)?.first_chunk()?) as usize;
    let count = usize::from(u16_at(56)?);
    let is_ours = header.starts_with(&FILE)
        && u16_at(18)? == X86_64
        && usize::from(u16_at(54)?) == PROGRAM_HEADER
        && count <= PROGRAM_HEADERS_MAX;
    is_ours.then_some((base.wrapping_add(offset), count))
}

/// The program header at `place`, not moved.
fn segment(place: usize, tables: &mut Tables) -> Option<Segment> {
    let mut header = [0; PROGRAM_HEADER];
    tables.read(place, &mut header)?;
    let u32_at = |at: usize| Some(u32::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(*header.get(at..)?.first_chunk()?));
    Some(Segment {
        kind: u32_at(0)?,
        flags: u32_at(4)?,
        start: u64_at(16)? as usize,
        len: u64_at(40)? as usize,
    })
}

/// Where the build id is among the notes from `start` to `end`, and how long: up to 32 bytes of it.
fn build_id(start: usize, end: usize, tables: &mut Tables) -> Option<(usize, usize)> {
    const NOTES_MAX: usize = 32;
    const ID_MAX: usize = 32;
    let mut place = start;
    for _ in 0..NOTES_MAX {
        if place.checked_add(16)? > end {
            return None;
        }
        let mut head = [0; 16];
        tables.read(place, &mut head)?;
        let word = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let (name, len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let description = place
            .checked_add(12)?
            .checked_add(name.next_multiple_of(4))?;
        if kind == BUILD_ID && head.ends_with(b"GNU\0") && len > 0 {
            return (description.checked_add(len)? <= end)
                .then_some((description, len.min(ID_MAX)));
        }
        place = description.checked_add(len.next_multiple_of(4))?;
    }
    None
}

/// Where the section `name`, with a zero byte behind it, of the program's file is in memory, not moved, and its bytes.
#[cold]
fn section_of_program<const N: usize>(name: &[u8; N]) -> Option<(usize, usize)> {
    const SECTION_HEADER: u64 = 64;
    let mut header = [0; HEADER];
    if !image::read_program(0, &mut header) || !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let u16_at = |at: usize| Some(u16::from_le_bytes(*header.get(at..)?.first_chunk()?));
    let headers = u64::from_le_bytes(*header.get(40..)?.first_chunk()?);
    let (count, names) = (u64::from(u16_at(60)?), u64::from(u16_at(62)?));
    let section = |index: u64| {
        let mut section = [0; SECTION_HEADER as usize];
        let place = headers.checked_add(index * SECTION_HEADER)?;
        image::read_program(place, &mut section).then_some(section)
    };
    let word = |section: &[u8; 64], at: usize| {
        Some(u64::from_le_bytes(*section.get(at..)?.first_chunk()?))
    };
    let texts = word(&section(names)?, 24)?;
    (0..count).find_map(|index| {
        let section = section(index)?;
        let offset = word(&section, 0)? & u64::from(u32::MAX);
        let mut text = [0; N];
        let is_named = image::read_program(texts.checked_add(offset)?, &mut text) && text == *name;
        is_named.then_some((word(&section, 16)? as usize, word(&section, 32)? as usize))
    })
}

/// What the module at `base` exports. `None`: it has no table of that.
pub(super) fn exports(base: usize, tables: &mut Tables) -> Option<Exports> {
    let (headers, count) = program_headers(base, tables)?;
    let dynamic = find_segment(headers, count, DYNAMIC, tables)?;
    Exports::at(base.wrapping_add(dynamic.start), base, tables)
}

/// The first segment of that kind among the `count` program headers at `headers`.
fn find_segment(headers: usize, count: usize, kind: u32, tables: &mut Tables) -> Option<Segment> {
    (0..count).find_map(|index| {
        let segment = segment(headers.wrapping_add(index * PROGRAM_HEADER), tables)?;
        (segment.kind == kind).then_some(segment)
    })
}

/// Where the dynamic section of the program is. `None`: it has none, as it has no loader.
pub(super) fn dynamic_of_program(tables: &mut Tables) -> Option<usize> {
    let image::Landmarks {
        program,
        program_headers,
        ..
    } = image::landmarks();
    let count = program_headers.min(PROGRAM_HEADERS_MAX);
    let own = find_segment(program, count, HEADERS, tables)?;
    let dynamic = find_segment(program, count, DYNAMIC, tables)?;
    Some(program.wrapping_sub(own.start).wrapping_add(dynamic.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_the_vdso_are_modules_with_tables() {
        let landmarks = image::landmarks();
        for base in [landmarks.loader, landmarks.vdso]
            .into_iter()
            .filter(|&base| base != 0)
        {
            let module = Module::at(base, &mut Tables::fleeting()).unwrap();
            assert!(module.start == base && module.tables > base && module.functions > 0);
            assert!(module.has_code_at(module.text) && module.text_end <= module.end);
            assert!((module.segment..module.segment_end).contains(&module.list));
            assert_ne!(module.identity, base, "has a build id");
            let again = Module::at(base, &mut Tables::fleeting());
            assert_eq!(again, Some(module));
        }
        let local = [0u8; 64];
        let nonsense = local.as_ptr().expose_provenance();
        assert_eq!(Module::at(nonsense, &mut Tables::fleeting()), None);
        assert_eq!(Module::at(8, &mut Tables::fleeting()), None);
    }

    #[test]
    fn a_section_of_the_program_is_where_its_header_says() {
        let program = image::landmarks().program;
        let base = super::super::maps::find(program).unwrap();
        let module = Module::at(base, &mut Tables::fleeting()).unwrap();
        // Behind the head of the tables, or before it, in the same segment; this test is moved by its base.
        let (start, len) = section_of_program(b".eh_frame\0").unwrap();
        let start = start + base;
        assert!(module.segment <= start && start + len <= module.segment_end);
        assert_eq!(section_of_program(b".nothing\0"), None);
    }
}
