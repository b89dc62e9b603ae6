//! Expressions of the unwind tables: a small machine with a stack of numbers.
//!
//! Compilers and linkers write few: the stubs of a PLT (a frame 8 bytes larger from one instruction on), functions that
//! realign their stack, frames linked to those of another stack, what a signal handler returns to.
//!
//! X1  So many operations are carried out, and so many numbers kept, and no more.
//!
//! Source: DWARF 5, section 2.5.1.

use super::row::Expression;
use super::stack::Stack;
use super::table::{Cursor, Tables};
use crate::sys::registers::Registers;

const OPERATIONS_MAX: usize = 256;
const NUMBERS_MAX: usize = 16;

struct Numbers {
    numbers: [u64; NUMBERS_MAX],
    count: usize,
}

impl Numbers {
    fn push(&mut self, number: u64) -> Option<()> {
        *self.numbers.get_mut(self.count)? = number;
        self.count += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<u64> {
        self.count = self.count.checked_sub(1)?;
        self.numbers.get(self.count).copied()
    }

    /// The number with `depth` others above it.
    fn pick(&self, depth: usize) -> Option<u64> {
        let place = self.count.checked_sub(depth.checked_add(1)?)?;
        self.numbers.get(place).copied()
    }
}

/// The value of `expression`, with `first` on the stack before it if there is one.
pub(super) fn evaluate(
    expression: Expression,
    first: Option<usize>,
    registers: &Registers,
    stack: &mut Stack,
    tables: &mut Tables,
) -> Option<usize> {
    let mut numbers = Numbers {
        numbers: [0; NUMBERS_MAX],
        count: 0,
    };
    if let Some(first) = first {
        numbers.push(first as u64)?;
    }
    let Expression { start, end } = expression;
    let mut cursor = Cursor::new(tables, start, end);
    for _ in 0..OPERATIONS_MAX {
        if cursor.is_at_end() {
            return numbers.pop().map(|value| value as usize);
        }
        let operation = cursor.u8()?;
        match operation {
            // Jumps, counted from behind their two bytes.
            0x28 | 0x2f => {
                let distance = cursor.u16()? as i16 as isize;
                if operation == 0x2f || numbers.pop()? != 0 {
                    cursor.jump(distance, start)?;
                }
            }
            0x06 => {
                let place = numbers.pop()? as usize;
                numbers.push(stack.word(place)? as u64)?;
            }
            0x70..=0x8f => {
                let offset = cursor.signed()?;
                let value = *registers.get(usize::from(operation - 0x70))? as u64;
                numbers.push(value.wrapping_add_signed(offset))?;
            }
            _ => arithmetic(operation, &mut cursor, &mut numbers)?,
        }
    }
    None
}

/// Constants, what rearranges the stack, and what computes with its top.
fn arithmetic(operation: u8, cursor: &mut Cursor<'_>, numbers: &mut Numbers) -> Option<()> {
    let constant = match operation {
        0x03 | 0x0e | 0x0f => cursor.u64()?,
        0x08 => u64::from(cursor.u8()?),
        0x09 => i64::from(cursor.u8()? as i8) as u64,
        0x0a => u64::from(cursor.u16()?),
        0x0b => i64::from(cursor.u16()? as i16) as u64,
        0x0c => u64::from(cursor.u32()?),
        0x0d => i64::from(cursor.u32()? as i32) as u64,
        0x10 => cursor.unsigned()?,
        0x11 => cursor.signed()? as u64,
        0x12 => numbers.pick(0)?,
        0x14 => numbers.pick(1)?,
        0x15 => numbers.pick(usize::from(cursor.u8()?))?,
        0x30..=0x4f => u64::from(operation - 0x30),
        0x13 => return numbers.pop().map(drop),
        0x16 => {
            let (top, below) = (numbers.pop()?, numbers.pop()?);
            numbers.push(top)?;
            below
        }
        0x96 => return Some(()),
        0x1f => numbers.pop()?.wrapping_neg(),
        0x20 => !numbers.pop()?,
        0x23 => numbers.pop()?.wrapping_add(cursor.unsigned()?),
        _ => {
            let (top, below) = (numbers.pop()?, numbers.pop()?);
            let shift = u32::try_from(top).ok().filter(|&bits| bits < 64);
            let (signed_top, signed_below) = (top as i64, below as i64);
            match operation {
                0x1a => below & top,
                0x1c => below.wrapping_sub(top),
                0x1e => below.wrapping_mul(top),
                0x21 => below | top,
                0x22 => below.wrapping_add(top),
                0x24 => shift.map_or(0, |bits| below << bits),
                0x25 => shift.map_or(0, |bits| below >> bits),
                0x26 => (signed_below >> shift.unwrap_or(63)) as u64,
                0x27 => below ^ top,
                0x29 => u64::from(signed_below == signed_top),
                0x2a => u64::from(signed_below >= signed_top),
                0x2b => u64::from(signed_below > signed_top),
                0x2c => u64::from(signed_below <= signed_top),
                0x2d => u64::from(signed_below < signed_top),
                0x2e => u64::from(signed_below != signed_top),
                _ => return None,
            }
        }
    };
    numbers.push(constant)
}
