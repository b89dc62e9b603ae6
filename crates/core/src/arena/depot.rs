//! Depot: full magazines between the thread caches and the slabs.
//!
//! ```text
//!            shard 0                shard 1
//! class 1   [o-o-o]                [o]           lock-free stacks; a miss looks at the own shard,
//! class 2   []                     [o-o]         then at the others that have some, then at the slabs
//! ```
//! O1  What a class keeps here is bounded by max(a sixteenth of `cache_max`, an eighth of its live bytes, its swing), all
//!     classes together by max(`cache_max`, a sixteenth of the live bytes, the swing of all). The swing is the
//!     highest less the lowest live bytes of the current and the last window (a quarter of a second): a program that
//!     frees and allocates in waves keeps its wave, one that changed phase does not.
//! O2  What is above the bound goes to the slabs as whole magazines: at once when it is pushed, and by
//!     [`age`] when the bound has fallen.
//! O3  "Live" here is what left the depot and the slabs: the application's and the thread caches' objects.
//! O4  The pointers kept take at most max(1 MiB, 1/512 of the highest live bytes of both windows): books may not
//!     outgrow what they are about. Of a wave of tiny objects that is all, of a large heap that falls the last part.
//! O5  A class that nothing came to and nothing left for a whole window keeps nothing.
//! O6  While memory is short, only a part of the floors of rule O1 is kept. Where `cache_max` is 0, nothing ever is.
//! All counters are relaxed: they steer, they guard nothing.

use super::magazine::{FULL, Magazine, MagazineLinks};
use super::{ARENAS_MAX, ArenaIndex, automatic};
use crate::ds::table::Table;
use crate::extent::{Pressure, pressure};
use crate::size::{CACHED_CLASSES, SizeClass, size_of_class};
use crate::sync::stack::Stack;
use core::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering};

/// What `cache_max` is where nothing is said.
const FLOOR_DEFAULT: usize = 4 << 20;
/// Classes that may have the floor of all to themselves: the floor of one is such a part of it.
const FLOOR_CLASSES: usize = 16;
/// Live bytes for each byte that a class, and that all of them keep (O1).
const CLASS_SHARE: usize = 8;
const TOTAL_SHARE: usize = 16;
const POINTERS_FLOOR: usize = 1 << 20;
/// Live bytes for each byte of pointers (O4).
const POINTERS_SHARE: usize = 512;
/// Length of a window of rule O1 in nanoseconds.
const WINDOW_NS: u64 = 250_000_000;
/// Magazines that one call of [`age`] gives back at most, or ...
const AGED_AT_ONCE: usize = 64;
/// ... one in so many of those there are: a large excess goes within some dozens of calls too.
const AGED_SHARE: usize = 8;

/// What a class, or all, has out of the slabs, and how that went over time.
#[repr(align(64))]
struct Books {
    /// Bytes out of the slabs. Those that are not kept here are live.
    out: AtomicIsize,
    /// Bytes kept here.
    kept: AtomicIsize,
    /// Highest and lowest live bytes of this window.
    high: AtomicIsize,
    low: AtomicIsize,
    /// The span and the highest of the last window.
    last_span: AtomicUsize,
    last_high: AtomicUsize,
}

impl Books {
    const fn new() -> Self {
        Self {
            out: AtomicIsize::new(0),
            kept: AtomicIsize::new(0),
            high: AtomicIsize::new(0),
            low: AtomicIsize::new(0),
            last_span: AtomicUsize::new(0),
            last_high: AtomicUsize::new(0),
        }
    }

    /// `bytes` came from the slabs.
    #[inline]
    fn fill(&self, bytes: usize) {
        let out = self.out.fetch_add(bytes as isize, Ordering::Relaxed) + bytes as isize;
        self.rose(out - self.kept.load(Ordering::Relaxed));
    }

    /// `bytes` of the live ones went to the slabs.
    #[inline]
    fn flush(&self, bytes: usize) {
        let out = self.out.fetch_sub(bytes as isize, Ordering::Relaxed) - bytes as isize;
        self.fell(out - self.kept.load(Ordering::Relaxed));
    }

    /// `bytes` of the live ones are kept from now on.
    #[inline]
    fn keep(&self, bytes: usize) {
        self.kept.fetch_add(bytes as isize, Ordering::Relaxed);
    }

    /// Live `bytes` may come to be kept: notes that they live no longer, and answers what would be kept then.
    #[inline]
    fn offer(&self, bytes: usize) -> usize {
        let kept = self.kept.load(Ordering::Relaxed);
        self.fell(self.out.load(Ordering::Relaxed) - kept - bytes as isize);
        kept.max(0) as usize + bytes
    }

    /// `bytes` that were kept are live again.
    #[inline]
    fn take(&self, bytes: usize) {
        let kept = self.kept.fetch_sub(bytes as isize, Ordering::Relaxed) - bytes as isize;
        self.rose(self.out.load(Ordering::Relaxed) - kept);
    }

    /// `bytes` that were kept go to the slabs.
    fn withdraw(&self, bytes: usize) {
        self.kept.fetch_sub(bytes as isize, Ordering::Relaxed);
        self.out.fetch_sub(bytes as isize, Ordering::Relaxed);
    }

    #[inline]
    fn rose(&self, live: isize) {
        if live > self.high.load(Ordering::Relaxed) {
            self.high.store(live, Ordering::Relaxed);
        }
    }

    #[inline]
    fn fell(&self, live: isize) {
        if live < self.low.load(Ordering::Relaxed) {
            self.low.store(live, Ordering::Relaxed);
        }
    }

    fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed).max(0) as usize
    }

    fn live(&self) -> isize {
        self.out.load(Ordering::Relaxed) - self.kept.load(Ordering::Relaxed)
    }

    /// See rule O1.
    fn swing(&self) -> usize {
        self.span().max(self.last_span.load(Ordering::Relaxed))
    }

    fn span(&self) -> usize {
        let span = self.high.load(Ordering::Relaxed) - self.low.load(Ordering::Relaxed);
        span.max(0) as usize
    }

    fn highest(&self) -> usize {
        let high = self.high.load(Ordering::Relaxed).max(0) as usize;
        high.max(self.last_high.load(Ordering::Relaxed))
    }

    /// Begins a new window.
    fn roll(&self) {
        self.last_span.store(self.span(), Ordering::Relaxed);
        let high = self.high.load(Ordering::Relaxed).max(0) as usize;
        self.last_high.store(high, Ordering::Relaxed);
        let live = self.live();
        self.high.store(live, Ordering::Relaxed);
        self.low.store(live, Ordering::Relaxed);
    }
}

/// The stacks of the first shard, which every process uses.
#[unsafe(link_section = ".data.jemoxide_start")]
static FIRST: [Stack; CACHED_CLASSES] = [const { Stack::new() }; CACHED_CLASSES];
/// The stacks of all other shards.
static OTHERS: Table<[Stack; CACHED_CLASSES], { ARENAS_MAX - 1 }> =
    Table::new([const { [const { Stack::new() }; CACHED_CLASSES] }; ARENAS_MAX - 1]);
#[unsafe(link_section = ".data.jemoxide_start")]
static BY_CLASS: [Books; CACHED_CLASSES] = [const { Books::new() }; CACHED_CLASSES];
#[unsafe(link_section = ".data.jemoxide_start")]
static TOTAL: Books = Books::new();
/// What all classes may keep whatever their load: `cache_max`.
#[unsafe(link_section = ".data.jemoxide_start")]
static FLOOR: AtomicUsize = AtomicUsize::new(FLOOR_DEFAULT);
/// Pointers kept.
#[unsafe(link_section = ".data.jemoxide_start")]
static POINTERS: AtomicUsize = AtomicUsize::new(0);
static WINDOW_END: AtomicU64 = AtomicU64::new(0);

fn stack(class: usize, shard: usize) -> &'static Stack {
    let class = class % CACHED_CLASSES;
    match shard.checked_sub(1) {
        None => &FIRST[class],
        Some(other) => &OTHERS[other % (ARENAS_MAX - 1)][class],
    }
}

/// Notes that `count` objects of `class` came from slabs to a thread cache (O3).
#[inline]
pub(crate) fn note_filled(class: SizeClass, count: usize) {
    let bytes = count * class.size();
    BY_CLASS[class.index()].fill(bytes);
    TOTAL.fill(bytes);
}

/// Notes that `count` objects of `class` went from a thread cache to their slabs (O3).
#[inline]
pub(crate) fn note_flushed(class: SizeClass, count: usize) {
    let bytes = count * class.size();
    BY_CLASS[class.index()].flush(bytes);
    TOTAL.flush(bytes);
}

/// Sets what all classes may keep whatever their load, in bytes; 0: nothing is kept at all.
pub(crate) fn set_floor(bytes: usize) {
    FLOOR.store(bytes, Ordering::Relaxed);
}

/// Takes a magazine with objects of `class`.
pub(crate) fn take(class: SizeClass, shard: ArenaIndex) -> Option<Magazine> {
    let (magazine, count) = pop(class.index(), shard)?;
    let bytes = count * class.size();
    BY_CLASS[class.index()].take(bytes);
    TOTAL.take(bytes);
    Some(magazine)
}

/// A magazine of the class with index `index`, of this shard's rather than of another's.
#[inline]
fn pop(index: usize, shard: ArenaIndex) -> Option<(Magazine, usize)> {
    let number = match stack(index, shard.index()).pop(&MagazineLinks) {
        Some(number) => number,
        None if BY_CLASS[index].kept() == 0 => return None,
        None => pop_elsewhere(index, shard)?,
    };
    // SAFETY: pushed by `keep`, popped once.
    let magazine = unsafe { Magazine::from_number(number) }?;
    let count = magazine.count();
    POINTERS.fetch_sub(count, Ordering::Relaxed);
    Some((magazine, count))
}

#[cold]
fn pop_elsewhere(index: usize, shard: ArenaIndex) -> Option<u32> {
    (0..automatic())
        .filter(|&other| other != shard.index())
        .find_map(|other| stack(index, other).pop(&MagazineLinks))
}

/// Keeps a magazine of `class`, unless that would break rule O1 or O4: then it comes back, to be flushed.
pub(crate) fn keep(
    class: SizeClass,
    shard: ArenaIndex,
    magazine: Magazine,
) -> Result<(), Magazine> {
    let index = class.index();
    let count = magazine.count();
    let bytes = count * class.size();
    let books = &BY_CLASS[index];
    let floors = Floors::now();
    let (kept, all) = (books.offer(bytes), TOTAL.offer(bytes));
    if floors.are_exceeded_by(books, kept, bytes)
        || floors.are_exceeded_by_all(all, bytes)
        || too_many(count)
    {
        note_flushed(class, count);
        return Err(magazine);
    }
    books.keep(bytes);
    TOTAL.keep(bytes);
    POINTERS.fetch_add(count, Ordering::Relaxed);
    stack(index, shard.index()).push(magazine.into_number(), &MagazineLinks);
    Ok(())
}

/// Floors of the bounds at this moment (O1, O6).
struct Floors {
    class: usize,
    all: usize,
    /// Nothing is kept above them, whatever the load.
    strict: bool,
}

impl Floors {
    #[inline]
    fn now() -> Self {
        let (all, pressure) = (FLOOR.load(Ordering::Relaxed), pressure::now());
        if all == 0 || pressure != Pressure::Calm {
            return Self::of(all, pressure);
        }
        Self {
            class: all / FLOOR_CLASSES,
            all,
            strict: false,
        }
    }

    #[cold]
    fn of(all: usize, pressure: Pressure) -> Self {
        let part = |floor: usize| pressure.of(floor.min(FLOOR_DEFAULT));
        Self {
            class: part(all / FLOOR_CLASSES),
            all: part(all),
            strict: true,
        }
    }

    /// Whether `kept` bytes, `fresh` of them live still by the books, are above the bound of `class`.
    fn are_exceeded_by(&self, class: &Books, kept: usize, fresh: usize) -> bool {
        self.exceeded(class, kept, fresh, self.class, CLASS_SHARE)
    }

    /// The same of all classes together.
    fn are_exceeded_by_all(&self, kept: usize, fresh: usize) -> bool {
        self.exceeded(&TOTAL, kept, fresh, self.all, TOTAL_SHARE)
    }

    #[inline]
    fn exceeded(
        &self,
        books: &Books,
        kept: usize,
        fresh: usize,
        floor: usize,
        share: usize,
    ) -> bool {
        kept > floor
            && (self.strict || {
                let live = (books.live() - fresh as isize).max(0) as usize;
                kept > (live / share).max(books.swing())
            })
    }
}

/// Whether the pointers kept, and `more`, are too many (O4).
fn too_many(more: usize) -> bool {
    let bytes = (POINTERS.load(Ordering::Relaxed) + more) * size_of::<*mut u8>();
    bytes > POINTERS_FLOOR && bytes > TOTAL.highest() / POINTERS_SHARE
}

/// Hands `give_back` the magazines that the rules no longer cover, a bounded number a call. Rolls the windows. `true`:
/// there are more.
pub(crate) fn age(now_ns: u64, mut give_back: impl FnMut(SizeClass, Magazine)) -> bool {
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
        BY_CLASS.iter().for_each(Books::roll);
        TOTAL.roll();
    }
    let floors = Floors::now();
    let crowded = || floors.are_exceeded_by_all(TOTAL.kept(), 0) || too_many(0);
    let mut budget = AGED_AT_ONCE.max(POINTERS.load(Ordering::Relaxed) / FULL / AGED_SHARE);
    for index in (0..CACHED_CLASSES).rev() {
        let books = &BY_CLASS[index];
        let at_rest = books.swing() == 0;
        while books.kept() > 0
            && (at_rest || floors.are_exceeded_by(books, books.kept(), 0) || crowded())
        {
            if budget == 0 {
                return true;
            }
            let Some((class, magazine)) = withdraw(index) else {
                break;
            };
            give_back(class, magazine);
            budget -= 1;
        }
    }
    false
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
    let (magazine, count) = pop(index, ArenaIndex::FIRST)?;
    let bytes = count * class.size();
    BY_CLASS[index].withdraw(bytes);
    TOTAL.withdraw(bytes);
    Some((class, magazine))
}

/// Bytes that are kept here.
pub(crate) fn kept_bytes() -> usize {
    TOTAL.kept()
}

/// Objects of the cached class with index `index` that are kept here.
pub(crate) fn kept(index: usize) -> usize {
    BY_CLASS[index].kept() / size_of_class(index)
}
