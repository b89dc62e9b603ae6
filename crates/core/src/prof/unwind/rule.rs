//! A rule: a row of the unwind tables in one word, if it is as plain as nearly all are.
//!
//! ```text
//! 63   51 50          31 30 ........... 7 6    3 2  0
//! |  0  | words of frame | rbx rbp r12-r15 | base | kind |
//!                          4 bits each: 0 as it is, else saved so many words below the frame's address
//! plain:    frame's address = base register + words of frame;   return address one word below it
//! ```
//! U1  What does not fit is *complex*, and is read from the tables each time.

use super::row::{Frame, Origin, Row};
use crate::sys::registers::{FRAME, PRESERVED, RETURN, STACK};

const KIND_BITS: u32 = 3;
const BASE_BITS: u32 = 4;
const SAVED_BITS: u32 = 4;
const SAVED_SHIFT: u32 = KIND_BITS + BASE_BITS;
const FRAME_SHIFT: u32 = SAVED_SHIFT + SAVED_BITS * PRESERVED.len() as u32;
const FRAME_BITS: u32 = 20;
const WORD: usize = size_of::<usize>();

const _: () = assert!(FRAME_SHIFT + FRAME_BITS <= u64::BITS);

/// How to get to the caller; never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rule(u64);

/// The kinds of rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The word says it all.
    Plain,
    /// A signal handler returns to here: the kernel saved all registers.
    Handler,
    /// There is no caller.
    Outermost,
    /// Read the tables (U1).
    Complex,
    /// The tables have nothing: perhaps there is a frame pointer.
    Absent,
}

impl Rule {
    const PLAIN: u64 = 1;
    pub(super) const HANDLER: Self = Self(2);
    pub(super) const OUTERMOST: Self = Self(3);
    pub(super) const COMPLEX: Self = Self(4);
    pub(super) const ABSENT: Self = Self(5);

    /// The rule of a row.
    pub(super) fn of(row: &Row) -> Self {
        if row.return_address() == Origin::Undefined {
            return Self::OUTERMOST;
        }
        Self::plain(row).unwrap_or(Self::COMPLEX)
    }

    fn plain(row: &Row) -> Option<Self> {
        let Frame::Register { number, offset } = row.frame else {
            return None;
        };
        let words = words(offset)?;
        if number >= 1 << BASE_BITS || words >= 1 << FRAME_BITS {
            return None;
        }
        let mut rule = Self::PLAIN | (number as u64) << KIND_BITS | words << FRAME_SHIFT;
        for (register, origin) in row.origins() {
            let below = match origin {
                Origin::Same => 0,
                Origin::At(offset) => words_below(offset)?,
                _ => return None,
            };
            match PRESERVED
                .iter()
                .position(|&preserved| preserved == register)
            {
                Some(place) if below < 1 << SAVED_BITS => {
                    rule |= below << (SAVED_SHIFT + SAVED_BITS * place as u32);
                }
                None if register == STACK && below == 0 => {}
                None if register == RETURN && below == 1 => {}
                _ => return None,
            }
        }
        Some(Self(rule))
    }

    /// The rule kept as that number, which is not 0.
    pub(super) fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) fn kind(self) -> Kind {
        match Self(self.0 & ((1 << KIND_BITS) - 1)) {
            Self(Self::PLAIN) => Kind::Plain,
            Self::HANDLER => Kind::Handler,
            Self::OUTERMOST => Kind::Outermost,
            Self::COMPLEX => Kind::Complex,
            _ => Kind::Absent,
        }
    }

    /// Of a plain rule: the register that the frame's address is counted from, and bytes from there.
    #[inline]
    pub(super) fn frame(self) -> (usize, usize) {
        let base = self.0 >> KIND_BITS & ((1 << BASE_BITS) - 1);
        let words = self.0 >> FRAME_SHIFT & ((1 << FRAME_BITS) - 1);
        (base as usize, words as usize * WORD)
    }

    /// Of a plain rule: how many bytes below the frame's address the frame pointer was saved; 0: it is as it was.
    #[inline]
    pub(super) fn saved_frame_pointer(self) -> usize {
        const PLACE: u32 = 1;
        const { assert!(PRESERVED[PLACE as usize] == FRAME) };
        let below = self.0 >> (SAVED_SHIFT + SAVED_BITS * PLACE) & ((1 << SAVED_BITS) - 1);
        below as usize * WORD
    }

    /// Of a plain rule: registers that were saved, and how many bytes below the frame's address.
    #[inline]
    pub(super) fn saved(self) -> impl Iterator<Item = (usize, usize)> {
        let mut fields = self.0 >> SAVED_SHIFT & ((1 << (FRAME_SHIFT - SAVED_SHIFT)) - 1);
        core::iter::from_fn(move || {
            if fields == 0 {
                return None;
            }
            let place = fields.trailing_zeros() / SAVED_BITS;
            let below = fields >> (place * SAVED_BITS) & ((1 << SAVED_BITS) - 1);
            fields &= !(((1 << SAVED_BITS) - 1) << (place * SAVED_BITS));
            let register = PRESERVED.get(place as usize)?;
            Some((*register, below as usize * WORD))
        })
    }
}

/// `bytes` in words; `None`: not whole ones, or less than none.
fn words(bytes: i64) -> Option<u64> {
    let bytes = u64::try_from(bytes).ok()?;
    (bytes % WORD as u64 == 0).then_some(bytes / WORD as u64)
}

/// Words from the frame's address down to what is at `offset`, at least one.
fn words_below(offset: i64) -> Option<u64> {
    words(offset.checked_neg()?).filter(|&words| words > 0)
}
