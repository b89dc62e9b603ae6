//! Thread caches: what the options say of them.
//!
//! ```text
//! tcache_nslots_*, lg_tcache_nslots_mul   slots of a slab, times a power of two, within bounds ──┐
//! tcache_ncached_max                      some classes otherwise ────────────────────────────────┼─> bounds of new threads
//! tcache_max                              larger classes: nothing ───────────────────────────────┘
//! ```
//! E1  Options at their defaults bound nothing: a class is bounded by bytes then (see `thread::cache`).
//! Source: jemalloc(3) `opt.tcache_max`, `opt.tcache_nslots_small_min` and their kin.

use super::options::numbers;
use super::options::spans::{self, Span};
use crate::options::Options;
use crate::size::{CACHED_CLASSES, COARSE_MAX, SizeClass, class_of, slab_slots};
use crate::thread::cache;
use crate::thread::cache::slots::{self, Slots};
use core::ops::Range;

/// Takes over what the options say. Called once, by the boot.
#[cold]
#[inline(never)]
pub(super) fn prepare(options: &Options) {
    let default = &Options::DEFAULT;
    let small = |options: &Options| {
        (
            options.tcache_nslots_small_min,
            options.tcache_nslots_small_max,
            options.lg_tcache_nslots_mul,
        )
    };
    if small(options) != small(default) {
        let (least, most, lg) = small(options);
        each(0..CACHED_CLASSES, |class| {
            if class.is_small() {
                set(class, small_slots(class, least, most, lg));
            }
        });
    }
    if options.tcache_nslots_large != default.tcache_nslots_large {
        each(0..CACHED_CLASSES, |class| {
            if !class.is_small() {
                set(class, options.tcache_nslots_large as u64);
            }
        });
    }
    for span in spans::all(options.tcache_ncached_max) {
        each(classes(&span), |class| set(class, span.number));
    }
    if options.tcache_max != default.tcache_max {
        slots::set_default_max(largest(options.tcache_max));
    }
    if options.tcache_gc_incr_bytes != default.tcache_gc_incr_bytes {
        cache::set_gc_bytes(options.tcache_gc_incr_bytes);
    }
    slots::set_spills(
        options.lg_tcache_flush_small_div as u8,
        options.lg_tcache_flush_large_div as u8,
    );
}

fn set(class: SizeClass, objects: u64) {
    slots::set_default(class, Slots::bound(class, objects));
}

fn each(indexes: Range<usize>, act: impl Fn(SizeClass)) {
    indexes.filter_map(SizeClass::new).for_each(act);
}

/// Whether `value`, a number of objects or numbers for sizes, asks for more than threads cache of some class.
#[cold]
#[inline(never)]
pub(super) fn is_beyond(value: &[u8]) -> bool {
    let is_more = |class: SizeClass, objects: u64| objects > slots::most(class) as u64;
    match numbers::unsigned(value) {
        // Of the class with the least.
        Some(objects) => {
            SizeClass::new(CACHED_CLASSES - 1).is_some_and(|last| is_more(last, objects))
        }
        None => spans::all(value).any(|span| {
            let mut classes = classes(&span).filter_map(SizeClass::new);
            classes.any(|class| is_more(class, span.number))
        }),
    }
}

/// Objects of a small class, an even number: at least one beyond the odd, at most one below it.
fn small_slots(class: SizeClass, least: usize, most: usize, lg: isize) -> u64 {
    let slots = slab_slots(class.index());
    let wanted = if lg < 0 {
        slots >> lg.unsigned_abs()
    } else {
        slots << lg
    };
    let least = least.next_multiple_of(2).max(2);
    let most = (most & !1).max(2).max(least);
    (wanted & !1).clamp(least, most) as u64
}

/// The class that covers `bytes`, of those that may be cached.
pub(crate) fn largest(bytes: usize) -> SizeClass {
    class_of(bytes.clamp(1, COARSE_MAX)).unwrap_or(SizeClass::FIRST)
}

/// Indexes of the cached classes that `span` is about.
pub(crate) fn classes(span: &Span) -> Range<usize> {
    let [first, last] = span.sizes;
    if first > COARSE_MAX as u64 || first > last {
        return 0..0;
    }
    let cut = |bytes: u64| largest(bytes.min(COARSE_MAX as u64) as usize).index();
    cut(first)..cut(last) + 1
}
