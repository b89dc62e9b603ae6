//! A row of the unwind tables: how to get from a function's registers to its caller's, at one place in its code.
//!
//! ```text
//! common's instructions | function's instructions ... advance to +4 | ... advance to +9 | ...
//!                        └──── row of +0 ────────┘└── row of +4 ───┘└── row of +9
//! ```
//! The frame's address (CFA) is what the stack pointer was before the call. The other columns say where the caller's
//! registers are, mostly at an offset from it. Only those columns are kept that a caller's frame can depend on: what a
//! function preserves, the stack pointer, the return address.
//!
//! W1  So many instructions are carried out, and so many rows kept aside, and no more.
//!
//! Source: DWARF 5, section 6.4.2; GNU's own instructions as in Linux Standard Base, "Exception Frames".

use super::frames::{Common, Description};
use super::table::{Cursor, Tables};
use crate::sys::registers::{FRAME, RETURN, STACK};

/// Columns of a row.
const COLUMNS: [usize; 8] = [3, FRAME, STACK, 12, 13, 14, 15, RETURN];
/// Instructions of one description (W1).
const INSTRUCTIONS_MAX: usize = 4096;
/// Rows kept aside at once (W1).
const ASIDE_MAX: usize = 4;

/// An expression in a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Expression {
    pub start: usize,
    pub end: usize,
}

/// The address of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    Register { number: usize, offset: i64 },
    Computed(Expression),
}

/// What a register was in the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// As it is.
    Same,
    /// Nobody knows; of the return address: there is no caller.
    Undefined,
    /// In memory, so far from the frame's address.
    At(i64),
    /// The frame's address and so much.
    Offset(i64),
    /// In that register.
    Register(usize),
    /// In memory, at a computed address.
    AtComputed(Expression),
    /// A computed value.
    Computed(Expression),
}

/// One row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub frame: Frame,
    origins: [Origin; COLUMNS.len()],
}

impl Row {
    const EMPTY: Self = Self {
        frame: Frame::Register {
            number: STACK,
            offset: 0,
        },
        origins: [Origin::Same; COLUMNS.len()],
    };

    /// The row of `description` at `pc`. `None`: unreadable, unknown instructions, or beyond the bounds.
    pub(super) fn at(tables: &mut Tables, description: &Description, pc: usize) -> Option<Self> {
        let common = &description.common;
        let mut machine = Machine {
            common,
            pc,
            place: description.start,
            row: Self::EMPTY,
            initial: Self::EMPTY,
            aside: [Self::EMPTY; ASIDE_MAX],
            aside_count: 0,
        };
        machine.run(tables, common.code)?;
        machine.initial = machine.row;
        machine.run(tables, description.code)?;
        Some(machine.row)
    }

    /// Registers and where they come from.
    pub(super) fn origins(&self) -> impl Iterator<Item = (usize, Origin)> {
        COLUMNS.into_iter().zip(self.origins)
    }

    /// Where the return address comes from.
    pub(super) fn return_address(&self) -> Origin {
        self.origins[COLUMNS.len() - 1]
    }

    fn set(&mut self, register: u64, origin: Origin) {
        let column = COLUMNS.iter().position(|&number| number as u64 == register);
        if let Some(place) = column.and_then(|column| self.origins.get_mut(column)) {
            *place = origin;
        }
    }

    fn of(&self, register: u64) -> Origin {
        let column = COLUMNS.iter().position(|&number| number as u64 == register);
        let origin = column.and_then(|column| self.origins.get(column));
        origin.copied().unwrap_or(Origin::Same)
    }
}

/// What carries the instructions out.
struct Machine<'c> {
    common: &'c Common,
    pc: usize,
    /// What code the current row holds from.
    place: usize,
    row: Row,
    /// The row after the common instructions.
    initial: Row,
    aside: [Row; ASIDE_MAX],
    aside_count: usize,
}

impl Machine<'_> {
    /// Carries `code` out up to the row of the pc.
    fn run(&mut self, tables: &mut Tables, code: (usize, usize)) -> Option<()> {
        let mut cursor = Cursor::new(tables, code.0, code.1);
        for _ in 0..INSTRUCTIONS_MAX {
            if cursor.is_at_end() {
                return Some(());
            }
            let is_before = self.step(&mut cursor)?;
            if !is_before {
                return Some(());
            }
        }
        None
    }

    /// Carries one instruction out. `false`: what follows is for code behind the pc.
    fn step(&mut self, cursor: &mut Cursor<'_>) -> Option<bool> {
        let instruction = cursor.u8()?;
        let low = u64::from(instruction & 0x3f);
        match instruction {
            0x00 => {}
            0x01 => {
                let place = cursor.address(self.common.encoding, 0)?;
                return Some(self.move_to(place));
            }
            0x02 => {
                let delta = usize::from(cursor.u8()?);
                return Some(self.advance(delta));
            }
            0x03 => {
                let delta = usize::from(cursor.u16()?);
                return Some(self.advance(delta));
            }
            0x04 => {
                let delta = cursor.u32()? as usize;
                return Some(self.advance(delta));
            }
            0x40..=0x7f => return Some(self.advance(low as usize)),
            0x80..=0xbf => {
                let offset = self.factored(cursor.unsigned()? as i64);
                self.row.set(low, Origin::At(offset));
            }
            0xc0..=0xff => self.row.set(low, self.initial.of(low)),
            0x0a => {
                *self.aside.get_mut(self.aside_count)? = self.row;
                self.aside_count += 1;
            }
            0x0b => {
                self.aside_count = self.aside_count.checked_sub(1)?;
                self.row = *self.aside.get(self.aside_count)?;
            }
            0x0c..=0x0f | 0x12 | 0x13 => self.set_frame(instruction, cursor)?,
            // The bytes of arguments pushed: for landing in a handler.
            0x2e => _ = cursor.unsigned()?,
            _ => {
                let register = cursor.unsigned()?;
                let origin = self.origin(instruction, register, cursor)?;
                self.row.set(register, origin);
            }
        }
        Some(true)
    }

    /// The instructions that say where the frame is.
    fn set_frame(&mut self, instruction: u8, cursor: &mut Cursor<'_>) -> Option<()> {
        let before = match self.row.frame {
            Frame::Register { number, offset } => Some((number, offset)),
            Frame::Computed(_) => None,
        };
        let (number, offset) = match instruction {
            0x0c => (cursor.unsigned()? as usize, cursor.unsigned()? as i64),
            0x12 => {
                let number = cursor.unsigned()? as usize;
                (number, self.factored(cursor.signed()?))
            }
            0x0d => (cursor.unsigned()? as usize, before?.1),
            0x0e => (before?.0, cursor.unsigned()? as i64),
            0x13 => (before?.0, self.factored(cursor.signed()?)),
            _ => {
                self.row.frame = Frame::Computed(expression(cursor)?);
                return Some(());
            }
        };
        self.row.frame = Frame::Register { number, offset };
        Some(())
    }

    /// The instructions that say where a register comes from, the register being known.
    fn origin(&self, instruction: u8, register: u64, cursor: &mut Cursor<'_>) -> Option<Origin> {
        Some(match instruction {
            0x05 => Origin::At(self.factored(cursor.unsigned()? as i64)),
            0x06 => self.initial.of(register),
            0x07 => Origin::Undefined,
            0x08 => Origin::Same,
            0x09 => Origin::Register(cursor.unsigned()? as usize),
            0x10 => Origin::AtComputed(expression(cursor)?),
            0x11 => Origin::At(self.factored(cursor.signed()?)),
            0x14 => Origin::Offset(self.factored(cursor.unsigned()? as i64)),
            0x15 => Origin::Offset(self.factored(cursor.signed()?)),
            0x16 => Origin::Computed(expression(cursor)?),
            0x2f => Origin::At(self.factored((cursor.unsigned()? as i64).wrapping_neg())),
            _ => return None,
        })
    }

    fn advance(&mut self, delta: usize) -> bool {
        let bytes = delta.wrapping_mul(self.common.code_factor);
        self.move_to(self.place.wrapping_add(bytes))
    }

    fn move_to(&mut self, place: usize) -> bool {
        let is_before = place <= self.pc;
        if is_before {
            self.place = place;
        }
        is_before
    }

    fn factored(&self, offset: i64) -> i64 {
        offset.wrapping_mul(self.common.data_factor)
    }
}

/// The expression that comes next, its length first.
fn expression(cursor: &mut Cursor<'_>) -> Option<Expression> {
    let len = cursor.unsigned()? as usize;
    let start = cursor.place();
    cursor.skip(len)?;
    Some(Expression {
        start,
        end: cursor.place(),
    })
}
