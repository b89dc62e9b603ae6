//! Finding the description of a function among a module's unwind tables.
//!
//! ```text
//! .eh_frame_hdr   head | (function, description) (function, description) ...   sorted by function: 4 + 4 bytes
//!                                         │
//! .eh_frame       | common | description | description | common | ...
//!                      ^───────────┘ how it is written: encodings, factors, first instructions
//! ```
//! Without a list all descriptions are looked through, within the allowance of a walk; rules found are remembered, so that the
//! next walk gets further.
//!
//! Source: Linux Standard Base, "Exception Frames".

use super::elf::Module;
use super::table::{Cursor, Tables};
use crate::sys::registers::RETURN;

/// A function's description.
#[derive(Clone, Copy)]
pub(super) struct Description {
    /// The function's first byte.
    pub start: usize,
    /// Its own instructions.
    pub code: (usize, usize),
    pub common: Common,
}

/// What several descriptions have in common.
#[derive(Clone, Copy)]
pub(super) struct Common {
    /// Its instructions, which come first.
    pub code: (usize, usize),
    /// Factors of places in the code and of offsets in a frame.
    pub code_factor: usize,
    pub data_factor: i64,
    /// How addresses are written.
    pub encoding: u8,
    /// The code is where a signal handler returns to.
    pub is_signal: bool,
    /// The descriptions have a length of what is for others.
    has_extras: bool,
}

/// The description of the function at `pc`. `None`: none, or unreadable.
pub(super) fn find(tables: &mut Tables, module: &Module, pc: usize) -> Option<Description> {
    let place = if module.tables != 0 {
        look_up(tables, module, pc)?
    } else {
        scan(tables, module, pc)?
    };
    let description = read(tables, module, place)?;
    (pc.wrapping_sub(description.0.start) < description.1).then_some(description.0)
}

/// Where the description is that the sorted list has for `pc`.
fn look_up(tables: &mut Tables, module: &Module, pc: usize) -> Option<usize> {
    let base = module.tables;
    let offset = pc.wrapping_sub(base) as i64;
    let function = |index: usize, tables: &mut Tables| {
        let place = module.list.wrapping_add(index * 8);
        Some(i64::from(tables.u32(place)? as i32))
    };
    let (mut low, mut high) = (0, module.functions);
    // The function at `low` begins at or before the pc, if any does; the one at `high` behind it.
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if function(middle, tables)? <= offset {
            low = middle;
        } else {
            high = middle;
        }
    }
    if high == 0 || function(low, tables)? > offset {
        return None;
    }
    let place = module.list.wrapping_add(low * 8 + 4);
    Some(base.wrapping_add_signed(tables.u32(place)? as i32 as isize))
}

/// Where the description is for `pc` among all of them, where there is no list: one after the other. They are taken to be
/// written as gcc and clang do, the function's place from its own on, in 4 bytes; who reads the description sees to that.
#[cold]
fn scan(tables: &mut Tables, module: &Module, pc: usize) -> Option<usize> {
    let mut place = module.frames;
    while place < module.frames_end {
        let (start, end) = entry(tables, place)?;
        if tables.u32(start)? != 0 {
            let at = start.wrapping_add(4);
            let function = at.wrapping_add_signed(tables.u32(at)? as i32 as isize);
            let len = tables.u32(at.wrapping_add(4))? as usize;
            if pc.wrapping_sub(function) < len {
                return Some(place);
            }
        }
        place = end;
    }
    None
}

/// An entry of `.eh_frame`: where what follows its length begins, and where it ends.
fn entry(tables: &mut Tables, place: usize) -> Option<(usize, usize)> {
    /// Those that are not 4 GiB long begin with four bytes of length.
    const LONG: u32 = u32::MAX;
    let len = tables.u32(place)?;
    let start = place.wrapping_add(4);
    (len != 0 && len != LONG).then_some((start, start.checked_add(len as usize)?))
}

/// The description at `place`, and the bytes of its function.
fn read(tables: &mut Tables, module: &Module, place: usize) -> Option<(Description, usize)> {
    let (start, end) = entry(tables, place)?;
    let back = tables.u32(start)? as usize;
    if back == 0 {
        return None;
    }
    let common = read_common(tables, module, start.wrapping_sub(back))?;
    let mut cursor = Cursor::new(tables, start.wrapping_add(4), end);
    let function = cursor.address(common.encoding, module.tables)?;
    let len = cursor.address(common.encoding & 0x0f, 0)?;
    if common.has_extras {
        let extras = cursor.unsigned()? as usize;
        cursor.skip(extras)?;
    }
    let description = Description {
        start: function,
        code: (cursor.place(), end),
        common,
    };
    Some((description, len))
}

fn read_common(tables: &mut Tables, module: &Module, place: usize) -> Option<Common> {
    const PERSONALITY: u8 = b'P';
    let (start, end) = entry(tables, place)?;
    let mut cursor = Cursor::new(tables, start, end);
    let is_common = cursor.u32()? == 0;
    let version = cursor.u8()?;
    if !is_common || (version != 1 && version != 3) {
        return None;
    }
    let mut letters = [0; 8];
    let mut count = 0;
    loop {
        let letter = cursor.u8()?;
        if letter == 0 {
            break;
        }
        *letters.get_mut(count)? = letter;
        count += 1;
    }
    let code_factor = cursor.unsigned()? as usize;
    let data_factor = cursor.signed()?;
    let returns = match version {
        1 => u64::from(cursor.u8()?),
        _ => cursor.unsigned()?,
    };
    if returns != RETURN as u64 {
        return None;
    }
    let mut common = Common {
        code: (0, 0),
        code_factor,
        data_factor,
        encoding: 0,
        is_signal: false,
        has_extras: false,
    };
    let mut instructions = cursor.place();
    for &letter in letters.get(..count)? {
        match letter {
            b'z' => {
                let extras = cursor.unsigned()? as usize;
                instructions = cursor.place().checked_add(extras)?;
                common.has_extras = true;
            }
            b'R' => common.encoding = cursor.u8()?,
            b'L' => cursor.skip(1)?,
            PERSONALITY => {
                let encoding = cursor.u8()?;
                // It may be indirect; where it is does not matter, how long it is does.
                cursor.address(encoding & 0x0f, module.tables)?;
            }
            b'S' => common.is_signal = true,
            b'B' => {}
            // What follows is unknown, but with its length known it does not matter.
            _ if common.has_extras => break,
            _ => return None,
        }
    }
    if !common.has_extras {
        instructions = cursor.place();
    }
    common.code = (instructions, end);
    Some(common)
}
