//! Size classes: what a request really gets, compared with the table for every size that fits in
//! memory and, by asking, for every class up to the largest.

use std::env;
use std::ffi::c_int;

use jemoxide_testkit::door::{self, Extended};
use jemoxide_testkit::{child, facts};

/// Largest small class: up to here requests round to classes of the table.
const SMALL_MAX: usize = 14336;
/// Smallest large class.
const LARGE_MIN: usize = 16384;
const PAGE: usize = 4096;
/// Largest request that is really allocated.
const ALLOCATED_MAX: usize = 64 << 20;

/// The rules of rounding, written down anew from the table of classes.
struct Rules {
    classes: Vec<usize>,
    /// jemalloc before 5.3.1: large requests round to classes, not to pages.
    is_classic: bool,
}

impl Rules {
    fn new() -> Self {
        let classes = facts::size_classes()
            .rows()
            .map(|row| row.number("size").expect("a size"))
            .collect();
        let is_classic = env::var_os("JEMOXIDE_CHECK").is_some_and(|mode| mode == "upstream");
        Self {
            classes,
            is_classic,
        }
    }

    fn largest(&self) -> usize {
        self.classes[self.classes.len() - 1]
    }

    /// Usable size for `size` bytes; 0 if out of range.
    fn round(&self, size: usize) -> usize {
        if size > self.largest() {
            0
        } else if size <= SMALL_MAX || self.is_classic {
            *self
                .classes
                .iter()
                .find(|class| **class >= size)
                .expect("not above the largest")
        } else {
            size.max(LARGE_MIN).next_multiple_of(PAGE)
        }
    }

    /// Usable size of an object for `size` bytes: what has none lends none; the original lends 8.
    fn lent(&self, size: usize) -> usize {
        if size == 0 && !self.is_classic {
            return 0;
        }
        self.round(size)
    }

    /// Usable size for `size` bytes at `1 << lg_align`; 0 if out of range.
    fn round_aligned(&self, size: usize, lg_align: u32) -> usize {
        let align = 1 << lg_align;
        if align > self.largest() {
            return 0;
        }
        if size <= SMALL_MAX && align <= PAGE {
            let rounded = self.round(size.max(1).next_multiple_of(align));
            if rounded <= SMALL_MAX {
                return rounded;
            }
        }
        self.round(size.max(LARGE_MIN))
    }

    /// Sizes worth asking about: around every class, every power of two and every page near them.
    fn boundaries(&self) -> impl Iterator<Item = usize> + '_ {
        let powers = (0..63).map(|lg| 1_usize << lg);
        let centres = self.classes.iter().copied().chain(powers);
        centres.flat_map(|centre| {
            [-4097_isize, -4096, -1, 0, 1, 4096, 4097].map(|by| centre.saturating_add_signed(by))
        })
    }
}

#[test]
fn the_table_is_the_documented_spacing() {
    let classes = Rules::new().classes;
    assert_eq!(classes[..5], [8, 16, 32, 48, 64]);
    for (index, size) in classes.iter().enumerate().skip(5) {
        let (doubling, step) = ((index - 5) / 4, (index - 5) % 4 + 1);
        assert_eq!(
            *size,
            (64 << doubling) + step * (16 << doubling),
            "class {index}"
        );
    }
}

#[test]
fn every_size_up_to_70_000() {
    child::on_library("every_size_up_to_70_000", "", || {
        let (rules, calls) = (Rules::new(), Extended::find());
        for size in 0..=70_000 {
            let expected = rules.round(size);
            assert_eq!(calls.nallocx(size, 0), expected, "nallocx({size})");
            // SAFETY: a fresh block, asked about and freed.
            let usable = unsafe {
                let ptr = libc::malloc(size).cast();
                let usable = door::usable_size(ptr);
                libc::free(ptr.cast());
                usable
            };
            assert_eq!(usable, rules.lent(size), "malloc({size})");
        }
    });
}

#[test]
fn boundaries_up_to_the_largest() {
    child::on_library("boundaries_up_to_the_largest", "", || {
        let (rules, calls) = (Rules::new(), Extended::find());
        let beyond = [rules.largest() + 1, 1 << 63, usize::MAX - PAGE, usize::MAX];
        for size in rules.boundaries().chain(beyond) {
            let expected = rules.round(size);
            assert_eq!(calls.nallocx(size, 0), expected, "nallocx({size})");
            if size <= ALLOCATED_MAX {
                // SAFETY: fresh blocks, asked about and freed.
                let usable = unsafe {
                    let (plain, zeroed) = (libc::malloc(size).cast(), libc::calloc(1, size).cast());
                    let usable = [door::usable_size(plain), door::usable_size(zeroed)];
                    libc::free(plain.cast());
                    libc::free(zeroed.cast());
                    usable
                };
                assert_eq!(
                    usable,
                    [rules.lent(size); 2],
                    "malloc({size}), calloc(1, {size})"
                );
            }
        }
    });
}

#[test]
fn aligned_requests() {
    child::on_library("aligned_requests", "", || {
        let (rules, calls) = (Rules::new(), Extended::find());
        for lg_align in 0..64_u32 {
            for size in rules.boundaries().filter(|size| *size > 0) {
                let expected = rules.round_aligned(size, lg_align);
                let flags = c_int::try_from(lg_align).expect("below 64");
                // Near the end of the address space jemalloc's own arithmetic decides; a caller can't see it.
                if size <= 1 << 60 {
                    assert_eq!(
                        calls.nallocx(size, flags),
                        expected,
                        "nallocx({size}, {lg_align})"
                    );
                }
                if size <= 1 << 20 && lg_align <= 22 && size % 7 < 2 {
                    let mut ptr = std::ptr::null_mut();
                    // SAFETY: a fresh block, asked about and freed; `ptr` is ours.
                    let usable = unsafe {
                        assert_eq!(
                            libc::posix_memalign(&mut ptr, 8.max(1 << lg_align), size),
                            0
                        );
                        let usable = door::usable_size(ptr.cast());
                        libc::free(ptr);
                        usable
                    };
                    assert_eq!(
                        usable,
                        rules.round_aligned(size, lg_align.max(3)),
                        "posix_memalign(1 << {lg_align}, {size})"
                    );
                    assert!(ptr.addr() % (1 << lg_align) == 0);
                }
            }
        }
    });
}
