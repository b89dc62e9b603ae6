//! Table: a long array whose elements are shared one at a time.
//!
//! ```text
//! static [T; N]        a reference to any element begins as one to all of them
//! static Table<T, N>   one cell; a reference to an element is to that element alone
//! ```
//! A1  No reference ever spans two elements.
//! Tables of thousands of atomics are what this is for: whoever checks references (Miri) looks at each atomic that a
//! reference spans, each time that it is made.

use core::cell::UnsafeCell;
use core::ops::Index;

/// `N` elements.
#[repr(transparent)]
pub(crate) struct Table<T, const N: usize>(UnsafeCell<[T; N]>);

// SAFETY: elements are handed out as shared references only, as those of an array would be.
unsafe impl<T: Sync, const N: usize> Sync for Table<T, N> {}

impl<T, const N: usize> Table<T, N> {
    pub(crate) const fn new(elements: [T; N]) -> Self {
        Self(UnsafeCell::new(elements))
    }

    /// The element with that index, if there is one.
    #[inline(always)]
    pub(crate) const fn get(&self, index: usize) -> Option<&T> {
        if index < N {
            // SAFETY: 1. in bounds: the compare; 2. nobody has an element but shared (A1).
            Some(unsafe { &*self.0.get().cast::<T>().add(index) })
        } else {
            None
        }
    }

    /// All elements, one after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..N).map(|index| &self[index])
    }
}

impl<T, const N: usize> Index<usize> for Table<T, N> {
    type Output = T;

    /// The element with that index, which is below `N`.
    #[inline(always)]
    fn index(&self, index: usize) -> &T {
        assert!(index < N);
        // SAFETY: as in `get`.
        unsafe { &*self.0.get().cast::<T>().add(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_those_of_the_array_and_no_more() {
        static TABLE: Table<usize, 5> = Table::new([3, 1, 4, 1, 5]);
        let all = (0..5).map(|index| TABLE[index]);
        assert!(all.eq([3, 1, 4, 1, 5]));
        assert!(TABLE.iter().eq(&[3, 1, 4, 1, 5]));
        assert!((0..5).all(|index| TABLE.get(index) == Some(&TABLE[index])));
        assert_eq!((TABLE.get(5), TABLE.get(usize::MAX)), (None, None));
        assert_eq!(size_of_val(&TABLE), size_of::<[usize; 5]>());
    }
}
