//! Grant: how many pushes a bin lets pass until the next look, and what passed since the last one (rule L1).

use super::Totals;
use crate::arena::magazine::FULL;
use crate::thread::bins::{Bin, mark};
use crate::thread::cache::growth::Bounds;

/// Objects that pass from one look to the next, at most: pushes fill a magazine, pops empty it besides.
pub(super) const MOST: u64 = 2 * FULL as u64;

/// What is needed of a class to count it, and to let pushes pass.
#[derive(Clone, Copy)]
pub(in crate::thread::cache) struct Grant {
    /// Pushes that passed for good at the last look, as the bin's `left` was set then.
    pub(super) granted: i16,
    /// Objects in the bin at the last look, less those that the purger took.
    pub(super) base: i16,
    /// The mark of the active magazine's end: counts need no look at the magazine.
    pub(super) end: u16,
    /// Objects that the bin may hold from one look to the next.
    brim: u8,
    /// A look that finds so many passes them on; 0: before that, a larger magazine is due.
    keeps: u8,
}

impl Grant {
    /// Of a bin without a magazine.
    pub(in crate::thread::cache) const NEW: Self = Self {
        granted: 0,
        base: 0,
        end: 0,
        brim: 0,
        keeps: 0,
    };

    /// Of a bin with a magazine that ends at `end` and holds `count` objects, which were counted.
    #[inline]
    pub(in crate::thread::cache) fn of(end: *mut *mut u8, count: usize, bounds: Bounds) -> Self {
        let brim = bounds.brim.max(count);
        Self {
            granted: (brim - count) as i16,
            base: count as i16,
            end: mark(end),
            brim: brim as u8,
            keeps: bounds.keeps as u8,
        }
    }

    /// Pushes that pass from the look on that it was made at.
    #[inline]
    pub(in crate::thread::cache) fn granted(self) -> i16 {
        self.granted
    }

    /// Has no push pass that would lie on top of the `count` objects that are in the bin, until [`Grant::of`] says
    /// otherwise.
    pub(in crate::thread::cache) fn close(&mut self, count: usize) {
        (self.granted, self.base) = (0, count as i16);
        (self.brim, self.keeps) = (count as u8, 0);
    }

    /// Objects in a bin with its head there.
    #[inline]
    pub(in crate::thread::cache) fn count(self, head: *mut *mut u8) -> usize {
        self.count_to(head, self.end)
    }

    #[inline]
    pub(in crate::thread::cache) fn count_to(self, head: *mut *mut u8, end: u16) -> usize {
        usize::from(end.wrapping_sub(mark(head))) / size_of::<*mut u8>()
    }

    /// Objects that the bin may hold from one look to the next: as many are popped at most up to the next one.
    #[inline]
    pub(in crate::thread::cache) fn brim(self) -> usize {
        self.brim.into()
    }

    /// Objects from the mark `low_water` down.
    #[inline]
    pub(in crate::thread::cache) fn below(self, low_water: u16) -> usize {
        usize::from(self.end.wrapping_sub(low_water)) / size_of::<*mut u8>()
    }

    /// Objects that there is room for beside `count`.
    pub(in crate::thread::cache) fn room(self, count: usize) -> usize {
        usize::from(self.brim).saturating_sub(count)
    }

    /// Whether a look at `count` objects lets pushes pass, and there is no more to it.
    #[inline]
    pub(in crate::thread::cache) fn has_room(self, count: usize) -> bool {
        count < usize::from(self.keeps)
    }

    /// Whether the class has the largest magazine and keeps whole loads.
    pub(in crate::thread::cache) fn is_grown(self) -> bool {
        self.keeps > 0
    }

    /// Whether `count` objects are as many as there may be.
    pub(in crate::thread::cache) fn is_full(self, count: usize) -> bool {
        count >= usize::from(self.brim)
    }

    /// What came since the last look, of a bin with `left` pushes left and `count` objects.
    #[inline]
    pub(in crate::thread::cache) fn since(self, left: i16, count: usize) -> Totals {
        let pushed = i64::from(self.granted) - i64::from(left.max(0));
        let popped = pushed + i64::from(self.base) - count as i64;
        Totals {
            popped: popped as u64,
            pushed: pushed as u64,
        }
    }

    /// Looks at `bin`, which holds `count` objects (L1).
    #[inline]
    pub(in crate::thread::cache) fn look(&mut self, bin: &mut Bin, count: usize) -> Totals {
        let passed = self.since(bin.left, count);
        debug_assert!(passed.popped <= MOST && passed.pushed <= MOST);
        self.base = count as i16;
        self.granted = bin.left.max(0);
        bin.left = self.granted;
        passed
    }

    /// Looks at a bin with no push left and `count` objects, and lets as many pushes pass as there is room for.
    #[inline]
    pub(in crate::thread::cache) fn renew(&mut self, count: usize) -> Totals {
        let passed = self.since(0, count);
        debug_assert!(passed.popped <= MOST && passed.pushed <= MOST);
        self.base = count as i16;
        self.granted = i16::from(self.brim) - count as i16;
        passed
    }
}
