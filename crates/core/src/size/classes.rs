//! Size classes: the sizes that requests are rounded up to.
//!
//! ```text
//! index  0   1  2  3  4    5   6   7   8    9 ...
//! size   8  16 32 48 64   80  96 112 128  160 ...      four classes per doubling from 64 on
//! ```
//! C1  Classes grow strictly; class `i` is the smallest holding every size in `(size(i-1), size(i)]`.
//! C2  The first [`SMALL_CLASSES`] share slabs; the others have extents of their own.
//! C3  Large requests round to whole pages; the two rules agree up to 32 KiB.
//! Source: jemalloc(3), "Implementation notes"; the table in the testkit's facts.

use super::pages::PAGE;

/// Size classes in all.
pub const CLASSES: usize = 232;
/// Classes that share slabs.
pub const SMALL_CLASSES: usize = 36;
/// Classes that thread caches hold: the small ones and the large ones up to 32 KiB.
pub const CACHED_CLASSES: usize = 41;
/// Smallest alignment step of the classes from 16 bytes on.
pub const QUANTUM: usize = 16;
/// Largest small size in bytes.
pub const SMALL_MAX: usize = 14336;
/// Smallest large size in bytes.
pub const LARGE_MIN: usize = 16384;
/// Largest size that can be asked for: 7 EiB.
pub const MAX_SIZE: usize = 7 << 60;
/// Largest size that [`LOOKUP`] answers.
pub const LOOKUP_MAX: usize = 4096;

/// Index of a size class; always below [`CLASSES`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct SizeClass(u8);

impl SizeClass {
    /// The smallest class.
    pub const FIRST: Self = Self(0);

    /// The class with that index, if there is one.
    pub const fn new(index: usize) -> Option<Self> {
        if index < CLASSES {
            Some(Self(index as u8))
        } else {
            None
        }
    }

    /// The class of a page-map byte (see [`SizeClass::byte`]), 0 for "none": a cached one.
    #[inline]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        let index = (byte / 2).wrapping_sub(1);
        if (index as usize) < CACHED_CLASSES {
            Some(Self(index))
        } else {
            None
        }
    }

    /// Position in the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The page map's byte: twice index + 1, which is where the class's bin is, in words. Only cached classes have one.
    ///
    /// A bin is two words: the address of a bin is then one instruction away from the byte.
    pub const fn byte(self) -> u8 {
        (self.0 + 1) * 2
    }

    /// Bytes of an object of this class.
    pub const fn size(self) -> usize {
        size_of_class(self.0 as usize)
    }

    /// Whether objects of this class share a slab.
    pub const fn is_small(self) -> bool {
        (self.0 as usize) < SMALL_CLASSES
    }

    /// Whether thread caches hold objects of this class.
    pub const fn is_cached(self) -> bool {
        (self.0 as usize) < CACHED_CLASSES
    }
}

/// Bytes of the class with index `index`, which must be below [`CLASSES`].
pub const fn size_of_class(index: usize) -> usize {
    match index {
        0 => 8,
        1..=4 => 16 * index,
        _ => {
            let base = 64usize << ((index - 5) / 4);
            base + ((index - 5) % 4 + 1) * (base / 4)
        }
    }
}

/// The smallest class holding `size` bytes; 0 counts as 1. `None` above [`MAX_SIZE`].
pub const fn class_of(size: usize) -> Option<SizeClass> {
    if size <= 8 {
        Some(SizeClass(0))
    } else if size <= 64 {
        Some(SizeClass(size.div_ceil(QUANTUM) as u8))
    } else if size <= MAX_SIZE {
        let lg = (size - 1).ilog2();
        let step = (size - 1 - (1 << lg)) >> (lg - 2);
        Some(SizeClass((5 + (lg as usize - 6) * 4 + step) as u8))
    } else {
        None
    }
}

/// Bytes by page-map byte, for the classes that have one.
pub static SIZES: [u32; CACHED_CLASSES * 2 + 1] = {
    let mut sizes = [0; CACHED_CLASSES * 2 + 1];
    let mut index = 0;
    while index < CACHED_CLASSES {
        sizes[index * 2 + 2] = size_of_class(index) as u32;
        index += 1;
    }
    sizes
};

/// Page classes: the size classes that are whole pages.
pub const PAGE_CLASSES: usize = 199;

/// Index of the smallest page class that holds `pages` pages, of which there is one at least.
pub const fn page_class_of(pages: usize) -> usize {
    if pages < 4 {
        return pages.saturating_sub(1);
    }
    match class_of(pages * PAGE) {
        Some(class) => class.index() - SMALL_CLASSES + 3,
        None => PAGE_CLASSES - 1,
    }
}

/// Bytes of the page class with that index.
pub const fn size_of_page_class(index: usize) -> usize {
    if index < 3 {
        (index + 1) * PAGE
    } else {
        size_of_class(index - 3 + SMALL_CLASSES)
    }
}

/// Usable size of a request of `size` bytes. `None`: larger than any class.
pub const fn usable_size(size: usize) -> Option<usize> {
    if size <= SMALL_MAX {
        match class_of(size) {
            Some(class) => Some(class.size()),
            None => None,
        }
    } else if size <= LARGE_MIN {
        Some(LARGE_MIN)
    } else if size <= MAX_SIZE {
        Some(size.next_multiple_of(PAGE))
    } else {
        None
    }
}

/// `size` rounded up to a multiple of `align`, a power of two; neither is above [`SMALL_MAX`].
///
/// By a mask: where the alignment is not a constant, a division would cost more than the rest of an allocation.
#[inline(always)]
pub const fn round_up(size: usize, align: usize) -> usize {
    (size + align - 1) & !(align - 1)
}

/// Usable size of a request of `size` bytes at `align`, a power of two.
///
/// Small objects of a class that is a multiple of `align` are aligned to it as slabs start on pages;
/// everything else gets an extent. `None`: out of range, which the caller reports as out of memory.
pub const fn aligned_size(size: usize, align: usize) -> Option<usize> {
    if align > MAX_SIZE || size > MAX_SIZE {
        return None;
    }
    if size <= SMALL_MAX && align <= PAGE {
        // Rounding to a multiple of `align` makes the class a multiple of it too (C1: spacings are
        // powers of two, and every class at or above a multiple of `align` keeps that divisor).
        let rounded = round_up(if size == 0 { 1 } else { size }, align);
        if rounded <= SMALL_MAX {
            return usable_size(rounded);
        }
    }
    let large = if size < LARGE_MIN { LARGE_MIN } else { size };
    usable_size(large)
}

/// Index among the page classes (sizes that are whole pages), if the class with that index is one.
pub const fn page_class(index: usize) -> Option<usize> {
    match index {
        28 => Some(0),
        32 => Some(1),
        34 => Some(2),
        36..CLASSES => Some(index - 33),
        _ => None,
    }
}

/// Page-map byte of every size up to [`LOOKUP_MAX`], by `(size + 7) / 8`; 0, "look closer", for the size 0.
pub static LOOKUP: [u8; LOOKUP_MAX / 8 + 1] = lookup();

const fn lookup() -> [u8; LOOKUP_MAX / 8 + 1] {
    let mut table = [0; LOOKUP_MAX / 8 + 1];
    let mut step = 1;
    while step < table.len() {
        if let Some(class) = class_of(step * 8) {
            table[step] = class.byte();
        }
        step += 1;
    }
    table
}

/// Largest size that [`LOOKUP_COARSE`] answers: that of the last cached class.
pub const COARSE_MAX: usize = size_of_class(CACHED_CLASSES - 1);
/// Bytes of a step of [`LOOKUP_COARSE`]: classes above [`LOOKUP_MAX`] lie that far apart, or a multiple.
pub const COARSE_STEP: usize = 1024;

/// Page-map byte of every size from [`LOOKUP_MAX`] to [`COARSE_MAX`], by steps of [`COARSE_STEP`], rounded up.
pub static LOOKUP_COARSE: [u8; COARSE_MAX / COARSE_STEP + 1] = {
    let mut table = [0; COARSE_MAX / COARSE_STEP + 1];
    let mut step = LOOKUP_MAX / COARSE_STEP;
    while step < table.len() {
        if let Some(class) = class_of(step * COARSE_STEP) {
            table[step] = class.byte();
        }
        step += 1;
    }
    table
};

const _: () = {
    assert!(size_of_class(SMALL_CLASSES - 1) == SMALL_MAX);
    assert!(size_of_class(SMALL_CLASSES) == LARGE_MIN);
    assert!(size_of_class(CACHED_CLASSES - 1) == 32768);
    assert!(size_of_class(CLASSES - 1) == MAX_SIZE);
    let mut index = 1;
    while index < CLASSES {
        assert!(size_of_class(index - 1) < size_of_class(index));
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Miri looks at one number in so many: each costs it a millisecond.
    const STRIDE: usize = if cfg!(miri) { 997 } else { 1 };
    /// And at one class in so many, where a walk over the classes follows; the last is among them.
    const CLASS_STRIDE: usize = if cfg!(miri) { 11 } else { 1 };

    /// The naive twin: walk the table.
    fn class_by_walk(size: usize) -> Option<usize> {
        (0..CLASSES).find(|&index| size_of_class(index) >= size)
    }

    #[test]
    fn the_coarse_table_agrees_with_the_arithmetic_everywhere() {
        for size in (LOOKUP_MAX + 1..=COARSE_MAX).step_by(STRIDE) {
            let byte = LOOKUP_COARSE[size.div_ceil(COARSE_STEP)];
            assert_eq!(Some(byte), class_of(size).map(SizeClass::byte), "{size}");
        }
    }

    #[test]
    fn the_fine_table_agrees_with_the_arithmetic_everywhere() {
        assert_eq!(LOOKUP[0], 0);
        for size in (1..=LOOKUP_MAX).step_by(STRIDE) {
            let byte = LOOKUP[size.div_ceil(8)];
            assert_eq!(Some(byte), class_of(size).map(SizeClass::byte), "{size}");
        }
    }

    /// All sizes there are: between two doublings `class_of` is a step function of the size, and both ends of each of its
    /// steps are looked at.
    #[test]
    fn class_of_agrees_with_a_walk_over_the_table() {
        let near = (0..CLASSES).step_by(CLASS_STRIDE).flat_map(|i| {
            let size = size_of_class(i);
            [size - 1, size, size + 1]
        });
        for size in (0..=70_000).step_by(STRIDE).chain(near).chain([usize::MAX]) {
            assert_eq!(
                class_of(size).map(SizeClass::index),
                class_by_walk(size),
                "size {size}"
            );
        }
    }

    #[test]
    fn aligned_sizes_hold_the_request_and_keep_the_alignment() {
        for lg in 0..=12 {
            let align = 1usize << lg;
            for size in (0..=SMALL_MAX).step_by(STRIDE).chain([16384, 20000]) {
                let usable = aligned_size(size, align).unwrap();
                assert!(usable >= size.max(1));
                if usable <= SMALL_MAX {
                    assert_eq!(usable % align, 0, "size {size} align {align}");
                }
            }
        }
        assert_eq!(aligned_size(1, 8192), Some(LARGE_MIN));
        assert_eq!(aligned_size(1, 1 << 63), None);
        assert_eq!(aligned_size(MAX_SIZE + 1, 1), None);
    }

    #[test]
    fn page_classes_agree_with_a_walk_over_the_size_classes() {
        let sizes = || (0..CLASSES).filter(|&index| page_class(index).is_some());
        assert_eq!(sizes().count(), PAGE_CLASSES);
        for (position, index) in sizes().enumerate() {
            assert_eq!(page_class(index), Some(position));
            let size = size_of_class(index);
            assert_eq!(size_of_page_class(position), size);
            let pages = size / PAGE;
            assert_eq!(page_class_of(pages), position, "{pages} pages");
            if position + 1 < PAGE_CLASSES {
                assert_eq!(
                    page_class_of(pages + 1),
                    position + 1,
                    "{pages} pages and one"
                );
            }
        }
    }

    #[test]
    fn rounding_agrees_with_division() {
        for lg in 0..=12 {
            for size in (0..=SMALL_MAX).step_by(STRIDE) {
                let expected = size.next_multiple_of(1 << lg);
                assert_eq!(round_up(size, 1 << lg), expected, "size {size} lg {lg}");
            }
        }
    }

    #[test]
    fn large_requests_round_to_pages() {
        assert_eq!(usable_size(14337), Some(16384));
        assert_eq!(usable_size(16385), Some(20480));
        assert_eq!(usable_size(32769), Some(36864));
        assert_eq!(usable_size(MAX_SIZE), Some(MAX_SIZE));
        assert_eq!(usable_size(MAX_SIZE + 1), None);
    }
}
