//! Depot: full magazines between the thread caches and the slabs.
//!
//! ```text
//!            shard 0                shard 1
//! class 1   [o-o-o]                [o]           lock-free stacks; a miss looks at the own shard,
//! class 2   []                     [o-o]         then at the others that have some, then at the slabs
//! ```
//! O1  What a class keeps here is bounded by max(256 KiB, an eighth of its live bytes, its swing), all
//!     classes together by max(4 MiB, a sixteenth of the live bytes, the swing of all). The swing is the
//!     highest less the lowest live bytes of the current and the last window (a second): a program that
//!     frees and allocates in waves keeps its wave, one that changed phase does not.
//! O2  What is above the bound goes to the slabs as whole magazines: at once when it is pushed, and by
//!     [`age`] when the bound has fallen.
//! O3  "Live" here is what left the depot and the slabs: the application's and the thread caches' objects.
//! All counters are relaxed: they steer, they guard nothing.

use super::magazine::{Magazine, MagazineLinks};
use super::{ARENAS_MAX, ArenaIndex, automatic};
use crate::size::{CACHED_CLASSES, SizeClass, size_of_class};
use crate::sync::stack::Stack;
use core::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering};

const CLASS_FLOOR: usize = 256 << 10;
const TOTAL_FLOOR: usize = 4 << 20;
/// Length of a window of rule O1 in nanoseconds.
const WINDOW_NS: u64 = 1_000_000_000;
/// Magazines that one call of [`age`] gives back at most.
const AGED_AT_ONCE: usize = 64;

/// Live bytes over time: now, and the span of this window and the last.
struct Swing {
    live: AtomicIsize,
    high: AtomicIsize,
    low: AtomicIsize,
    last: AtomicUsize,
}

impl Swing {
    const fn new() -> Self {
        Self {
            live: AtomicIsize::new(0),
            high: AtomicIsize::new(0),
            low: AtomicIsize::new(0),
            last: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn rise(&self, bytes: usize) {
        let live = self.live.fetch_add(bytes as isize, Ordering::Relaxed) + bytes as isize;
        if live > self.high.load(Ordering::Relaxed) {
            self.high.store(live, Ordering::Relaxed);
        }
    }

    #[inline]
    fn fall(&self, bytes: usize) {
        let live = self.live.fetch_sub(bytes as isize, Ordering::Relaxed) - bytes as isize;
        if live < self.low.load(Ordering::Relaxed) {
            self.low.store(live, Ordering::Relaxed);
        }
    }

    fn span(&self) -> usize {
        let span = self.high.load(Ordering::Relaxed) - self.low.load(Ordering::Relaxed);
        (span.max(0) as usize).max(self.last.load(Ordering::Relaxed))
    }

    fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed).max(0) as usize
    }

    /// Begins a new window.
    fn roll(&self) {
        let span = self.high.load(Ordering::Relaxed) - self.low.load(Ordering::Relaxed);
        self.last.store(span.max(0) as usize, Ordering::Relaxed);
        let live = self.live.load(Ordering::Relaxed);
        self.high.store(live, Ordering::Relaxed);
        self.low.store(live, Ordering::Relaxed);
    }
}

/// What one class keeps, over all shards.
#[repr(align(64))]
struct Class {
    kept: AtomicUsize,
    swing: Swing,
}

static STACKS: [[Stack; CACHED_CLASSES]; ARENAS_MAX] =
    [const { [const { Stack::new() }; CACHED_CLASSES] }; ARENAS_MAX];
static BY_CLASS: [Class; CACHED_CLASSES] = [const {
    Class {
        kept: AtomicUsize::new(0),
        swing: Swing::new(),
    }
}; CACHED_CLASSES];
static TOTAL: Class = Class {
    kept: AtomicUsize::new(0),
    swing: Swing::new(),
};
static WINDOW_END: AtomicU64 = AtomicU64::new(0);

/// Notes that `count` objects of `class` came from slabs to a thread cache (O3).
#[inline]
pub(crate) fn note_filled(class: SizeClass, count: usize) {
    let bytes = count * class.size();
    BY_CLASS[class.index()].swing.rise(bytes);
    TOTAL.swing.rise(bytes);
}

/// Notes that `count` objects of `class` went from a thread cache to their slabs (O3).
#[inline]
pub(crate) fn note_flushed(class: SizeClass, count: usize) {
    let bytes = count * class.size();
    BY_CLASS[class.index()].swing.fall(bytes);
    TOTAL.swing.fall(bytes);
}

/// Takes a magazine with objects of `class`.
pub(crate) fn take(class: SizeClass, shard: ArenaIndex) -> Option<Magazine> {
    let index = class.index();
    let own = shard.index();
    let number = STACKS[own][index].pop(&MagazineLinks).or_else(|| {
        if BY_CLASS[index].kept.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let others = (0..automatic()).filter(|&other| other != own);
        others
            .into_iter()
            .find_map(|other| STACKS[other][index].pop(&MagazineLinks))
    })?;
    // SAFETY: pushed by `keep`, popped once.
    let magazine = unsafe { Magazine::from_number(number) }?;
    let bytes = magazine.count() * class.size();
    BY_CLASS[index].kept.fetch_sub(bytes, Ordering::Relaxed);
    TOTAL.kept.fetch_sub(bytes, Ordering::Relaxed);
    note_filled(class, magazine.count());
    Some(magazine)
}

/// Keeps a magazine of `class`, unless that would break rule O1: then it comes back, to be flushed.
pub(crate) fn keep(
    class: SizeClass,
    shard: ArenaIndex,
    magazine: Magazine,
) -> Result<(), Magazine> {
    let index = class.index();
    let count = magazine.count();
    let bytes = count * class.size();
    note_flushed(class, count);
    let kept = BY_CLASS[index].kept.load(Ordering::Relaxed) + bytes;
    let all = TOTAL.kept.load(Ordering::Relaxed) + bytes;
    if kept > class_bound(index) || all > total_bound() {
        return Err(magazine);
    }
    BY_CLASS[index].kept.fetch_add(bytes, Ordering::Relaxed);
    TOTAL.kept.fetch_add(bytes, Ordering::Relaxed);
    STACKS[shard.index()][index].push(magazine.into_number(), &MagazineLinks);
    Ok(())
}

fn class_bound(index: usize) -> usize {
    let swing = &BY_CLASS[index].swing;
    CLASS_FLOOR.max(swing.live() / 8).max(swing.span())
}

fn total_bound() -> usize {
    TOTAL_FLOOR
        .max(TOTAL.swing.live() / 16)
        .max(TOTAL.swing.span())
}

/// Hands `give_back` the magazines that rule O1 no longer covers, a bounded number a call. Rolls the windows.
pub(crate) fn age(now_ns: u64, mut give_back: impl FnMut(SizeClass, Magazine)) {
    let end = WINDOW_END.load(Ordering::Relaxed);
    if now_ns >= end
        && WINDOW_END
            .compare_exchange(
                end,
                now_ns + WINDOW_NS,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    {
        BY_CLASS.iter().for_each(|class| class.swing.roll());
        TOTAL.swing.roll();
    }
    let mut budget = AGED_AT_ONCE;
    let crowded = || {
        let kept = TOTAL.kept.load(Ordering::Relaxed);
        kept > TOTAL_FLOOR && kept > total_bound()
    };
    for index in (0..CACHED_CLASSES).rev() {
        let over = || {
            let kept = BY_CLASS[index].kept.load(Ordering::Relaxed);
            kept > 0 && (kept > CLASS_FLOOR && kept > class_bound(index) || crowded())
        };
        while budget > 0 && over() {
            let Some((class, magazine)) = withdraw(index) else {
                break;
            };
            give_back(class, magazine);
            budget -= 1;
        }
    }
}

/// Hands `give_back` all magazines.
pub(crate) fn empty(mut give_back: impl FnMut(SizeClass, Magazine)) {
    for index in 0..CACHED_CLASSES {
        while let Some((class, magazine)) = withdraw(index) {
            give_back(class, magazine);
        }
    }
}

/// Takes a magazine that will not go to a thread.
fn withdraw(index: usize) -> Option<(SizeClass, Magazine)> {
    let class = SizeClass::new(index)?;
    let magazine = take(class, ArenaIndex::FIRST)?;
    note_flushed(class, magazine.count());
    Some((class, magazine))
}

/// Objects of the cached class with index `index` that are kept here.
pub(crate) fn kept(index: usize) -> usize {
    BY_CLASS[index].kept.load(Ordering::Relaxed) / size_of_class(index)
}
