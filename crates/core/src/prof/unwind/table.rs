//! Reading unwind tables: bytes of a module, in little-endian and LEB128 numbers.
//!
//! L1  A table of a module that stays for good is read in place, within the segment that holds it. One that could be
//!     unloaded meanwhile is copied by the kernel, a piece at a time, so that nothing faults.
//! L2  So many bytes are read in one walk, and no more.
//! L3  Addresses wrap around: what is nonsense is found unreadable, not computed with care.
//!
//! Source: Linux Standard Base, "Exception Frames"; DWARF 5, sections 6.4.1 and 7.6.

use crate::sys::image;
use core::ptr;

/// Bytes that may be read in one walk (L2).
const ALLOWANCE: usize = 256 << 10;
/// Bytes that a copy counts for beside its own: it is a system call.
const COPY: usize = 60;
/// Bytes that a copy brings.
const WINDOW: usize = 64;

/// A way to the tables of one module.
pub(super) struct Tables {
    low: usize,
    high: usize,
    left: usize,
}

impl Tables {
    /// Tables of which those from `low` up to `high` stay readable for good.
    pub(super) fn new(low: usize, high: usize) -> Self {
        Self {
            low,
            high,
            left: ALLOWANCE,
        }
    }

    /// Tables of which none is known to stay.
    pub(super) fn fleeting() -> Self {
        Self::new(0, 0)
    }

    /// Tables that all stay readable for good.
    pub(super) fn lasting() -> Self {
        Self::new(0, usize::MAX)
    }

    /// The other module's tables are read from now on, out of the same allowance.
    pub(super) fn turn_to(&mut self, low: usize, high: usize) {
        (self.low, self.high) = (low, high);
    }

    /// Whether too much was read: what was not found may be there all the same.
    pub(super) fn is_spent(&self) -> bool {
        self.left < WINDOW + COPY
    }

    /// Reads the bytes at `addr`. `None`: not readable, or too much was read.
    pub(super) fn read(&mut self, addr: usize, into: &mut [u8]) -> Option<()> {
        let len = into.len();
        self.left = self.left.checked_sub(len)?;
        let is_lasting = addr >= self.low && addr < self.high && len <= self.high - addr;
        if is_lasting {
            let from = ptr::with_exposed_provenance::<u8>(addr);
            // SAFETY: 1. readable: within what stays so (L1); 2. apart: `into` is no table of a module.
            unsafe { ptr::copy_nonoverlapping(from, into.as_mut_ptr(), len) };
            return Some(());
        }
        self.left = self.left.checked_sub(COPY)?;
        image::copy(addr, into).then_some(())
    }

    /// The number of four bytes at `addr`.
    pub(super) fn u32(&mut self, addr: usize) -> Option<u32> {
        let mut bytes = [0; 4];
        self.read(addr, &mut bytes)?;
        Some(u32::from_le_bytes(bytes))
    }

    /// The number of eight bytes at `addr`.
    pub(super) fn u64(&mut self, addr: usize) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(addr, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }
}

/// Reads a range of a table from its beginning.
pub(super) struct Cursor<'t> {
    tables: &'t mut Tables,
    next: usize,
    end: usize,
    window: [u8; WINDOW],
    window_at: usize,
    window_len: usize,
}

impl<'t> Cursor<'t> {
    /// Reads from `start` up to `end`.
    pub(super) fn new(tables: &'t mut Tables, start: usize, end: usize) -> Self {
        Self {
            tables,
            next: start,
            end,
            window: [0; WINDOW],
            window_at: start,
            window_len: 0,
        }
    }

    /// Where the next byte is.
    pub(super) fn place(&self) -> usize {
        self.next
    }

    /// Whether all has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.next >= self.end
    }

    /// Passes `len` bytes over.
    pub(super) fn skip(&mut self, len: usize) -> Option<()> {
        if len > self.end.saturating_sub(self.next) {
            return None;
        }
        self.next += len;
        Some(())
    }

    /// Goes on `distance` bytes from here, not before `start` nor behind the end.
    pub(super) fn jump(&mut self, distance: isize, start: usize) -> Option<()> {
        let place = self.next.wrapping_add_signed(distance);
        if !(start..=self.end).contains(&place) {
            return None;
        }
        self.next = place;
        Some(())
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        if self.next >= self.end {
            return None;
        }
        let mut offset = self.next.wrapping_sub(self.window_at);
        if offset >= self.window_len {
            let len = (self.end - self.next).min(WINDOW);
            self.window_len = 0;
            self.tables.read(self.next, self.window.get_mut(..len)?)?;
            (self.window_at, self.window_len, offset) = (self.next, len, 0);
        }
        self.next += 1;
        self.window.get(offset).copied()
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.u8()?;
        }
        Some(bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.fixed().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.fixed().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.fixed().map(u64::from_le_bytes)
    }

    /// An unsigned number in LEB128; bits from the 64th on are lost.
    pub(super) fn unsigned(&mut self) -> Option<u64> {
        self.leb128().map(|(value, _, _)| value)
    }

    /// A signed number in LEB128.
    pub(super) fn signed(&mut self) -> Option<i64> {
        let (value, bits, is_negative) = self.leb128()?;
        let sign = if is_negative && bits < 64 {
            u64::MAX << bits
        } else {
            0
        };
        Some((value | sign) as i64)
    }

    /// The value, how many bits it has, and whether the highest of them is set.
    fn leb128(&mut self) -> Option<(u64, u32, bool)> {
        const LONGEST: u32 = 10;
        let mut value = 0u64;
        for bits in (0..LONGEST).map(|group| group * 7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).wrapping_shl(bits);
            if byte & 0x80 == 0 {
                return Some((value, bits + 7, byte & 0x40 != 0));
            }
        }
        None
    }

    /// An address in the encoding that a table names for its addresses. `None` also for those that no linker makes here:
    /// indirect, aligned, relative to a function or to the text.
    pub(super) fn address(&mut self, encoding: u8, data: usize) -> Option<usize> {
        let place = self.next;
        let value = match encoding & 0x0f {
            0x00 | 0x04 | 0x0c => self.u64()?,
            0x01 => self.unsigned()?,
            0x02 => u64::from(self.u16()?),
            0x03 => u64::from(self.u32()?),
            0x09 => self.signed()? as u64,
            0x0a => i64::from(self.u16()? as i16) as u64,
            0x0b => i64::from(self.u32()? as i32) as u64,
            _ => return None,
        } as usize;
        match encoding & 0xf0 {
            0x00 => Some(value),
            0x10 => Some(value.wrapping_add(place)),
            0x30 => Some(value.wrapping_add(data)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn with_bytes<R>(bytes: &[u8], body: impl FnOnce(&mut Cursor<'_>, usize) -> R) -> R {
        let start = bytes.as_ptr().expose_provenance();
        let mut tables = Tables::fleeting();
        body(
            &mut Cursor::new(&mut tables, start, start + bytes.len()),
            start,
        )
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        let unsigned: [(&[u8], u64); 4] = [
            (&[2], 2),
            (&[0x80, 1], 128),
            (&[0xe5, 0x8e, 0x26], 624_485),
            (&[0xff; 9], 0),
        ];
        for (bytes, value) in unsigned {
            let expected = (value > 0).then_some(value);
            with_bytes(bytes, |cursor, _| assert_eq!(cursor.unsigned(), expected));
        }
        let signed: [(&[u8], i64); 5] = [
            (&[2], 2),
            (&[0x7e], -2),
            (&[0xff, 0], 127),
            (&[0x81, 0x7f], -127),
            (
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f],
                i64::MIN,
            ),
        ];
        for (bytes, value) in signed {
            with_bytes(bytes, |cursor, _| assert_eq!(cursor.signed(), Some(value)));
        }
    }

    #[test]
    fn addresses_are_relative_to_what_their_encoding_names() {
        let bytes = [0xfc, 0xff, 0xff, 0xff];
        with_bytes(&bytes, |cursor, start| {
            assert_eq!(cursor.address(0x1b, 0), Some(start - 4));
            assert!(cursor.is_at_end() && cursor.u8().is_none());
        });
        with_bytes(&bytes, |cursor, _| {
            assert_eq!(cursor.address(0x3b, 1000), Some(996));
        });
        with_bytes(&bytes, |cursor, _| {
            assert_eq!(cursor.address(0x9b, 0), None);
        });
    }

    #[test]
    fn windows_follow_each_other_and_the_allowance_ends() {
        let bytes: Vec<u8> = (0..=255).collect();
        with_bytes(&bytes, |cursor, _| {
            for expected in 0..100 {
                assert_eq!(cursor.u8(), Some(expected));
            }
            cursor.skip(100).unwrap();
            assert_eq!(cursor.u32(), Some(u32::from_le_bytes([200, 201, 202, 203])));
            assert_eq!(cursor.skip(53), None);
            assert_eq!(cursor.skip(52), Some(()));
        });
        let mut tables = Tables::fleeting();
        let place = bytes.as_ptr().expose_provenance();
        let mut into = [0; 256];
        let reads = (0..).take_while(|_| tables.read(place, &mut into).is_some());
        assert_eq!(reads.count(), ALLOWANCE / (256 + COPY));
        assert_eq!(Tables::fleeting().u32(8), None);
    }
}
