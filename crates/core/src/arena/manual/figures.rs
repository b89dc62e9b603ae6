//! Figures of arenas made by request: of one, of all, of those that are no more.
//!
//! N1  Figures of one arena are of one moment: they are read under its lock.
//! N2  What keys tell is as of the epoch, whose beginning has every arena note its figures.
//! N3  What an arena counted is added to what destroyed ones counted, once, when it ends.

use super::arena::ArenaRef;
use super::books::Books;
use super::extent::State;
use super::table;
use crate::meta::residence;
use crate::size::{CLASSES, PAGE, SMALL_CLASSES, page_class, size_of_class};
use crate::sys::clock;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What became of purging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purged {
    pub(crate) npurge: u64,
    pub(crate) nmadvise: u64,
    pub(crate) pages: u64,
}

/// Figures of an arena, or sums of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) threads: u64,
    pub(crate) uptime_ns: u64,
    pub(crate) active_pages: u64,
    pub(crate) dirty_pages: u64,
    pub(crate) muzzy_pages: u64,
    /// Idle pages without memory, and those that cannot be taken back among them.
    pub(crate) retained_bytes: u64,
    pub(crate) pinned_bytes: u64,
    /// Bytes in pages that may have memory.
    pub(crate) resident_bytes: u64,
    pub(crate) small_bytes: u64,
    pub(crate) small_allocations: u64,
    pub(crate) small_frees: u64,
    pub(crate) large_bytes: u64,
    pub(crate) large_allocations: u64,
    pub(crate) large_frees: u64,
    pub(crate) dirty: Purged,
    pub(crate) muzzy: Purged,
}

/// Figures of one small class.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct BinFigures {
    pub(crate) allocations: u64,
    pub(crate) frees: u64,
    pub(crate) taken: u64,
    pub(crate) slabs: u64,
    pub(crate) slabs_made: u64,
    pub(crate) nonfull_slabs: u64,
}

/// Figures of one large class.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct LargeFigures {
    pub(crate) allocations: u64,
    pub(crate) frees: u64,
}

/// Idle extents of one page class, dirty, muzzy, retained, and those of them that cannot be taken back: how many, and
/// their bytes.
pub(crate) type ExtentFigures = [(u64, u64); 4];

/// What an arena noted at the beginning of the epoch (N2).
pub(super) struct Seen {
    figures: Figures,
    bins: [BinFigures; SMALL_CLASSES],
}

impl Seen {
    pub(super) const NONE: Self = Self {
        figures: Figures::NONE,
        bins: [BinFigures::NONE; SMALL_CLASSES],
    };
}

/// Sums of what destroyed arenas counted (N3), in the order of [`counters`].
static DESTROYED: [AtomicU64; COUNTERS] = [const { AtomicU64::new(0) }; COUNTERS];
static ANY_DESTROYED: AtomicBool = AtomicBool::new(false);

const COUNTERS: usize = 10;

fn counters(figures: &mut Figures) -> [&mut u64; COUNTERS] {
    [
        &mut figures.small_allocations,
        &mut figures.small_frees,
        &mut figures.large_allocations,
        &mut figures.large_frees,
        &mut figures.dirty.npurge,
        &mut figures.dirty.nmadvise,
        &mut figures.dirty.pages,
        &mut figures.muzzy.npurge,
        &mut figures.muzzy.nmadvise,
        &mut figures.muzzy.pages,
    ]
}

impl BinFigures {
    const NONE: Self = Self {
        allocations: 0,
        frees: 0,
        taken: 0,
        slabs: 0,
        slabs_made: 0,
        nonfull_slabs: 0,
    };
}

impl Purged {
    const NONE: Self = Self {
        npurge: 0,
        nmadvise: 0,
        pages: 0,
    };
}

impl Figures {
    pub(crate) const NONE: Self = Self {
        threads: 0,
        uptime_ns: 0,
        active_pages: 0,
        dirty_pages: 0,
        muzzy_pages: 0,
        retained_bytes: 0,
        pinned_bytes: 0,
        resident_bytes: 0,
        small_bytes: 0,
        small_allocations: 0,
        small_frees: 0,
        large_bytes: 0,
        large_allocations: 0,
        large_frees: 0,
        dirty: Purged::NONE,
        muzzy: Purged::NONE,
    };

    /// Adds another arena's.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (sum, more) in counters(self).into_iter().zip(counters(&mut other)) {
            *sum += *more;
        }
        self.threads += other.threads;
        self.active_pages += other.active_pages;
        self.dirty_pages += other.dirty_pages;
        self.muzzy_pages += other.muzzy_pages;
        self.retained_bytes += other.retained_bytes;
        self.pinned_bytes += other.pinned_bytes;
        self.resident_bytes += other.resident_bytes;
        self.small_bytes += other.small_bytes;
        self.large_bytes += other.large_bytes;
    }

    /// Bytes in pages that are in use or wait to be purged.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        (self.active_pages + self.dirty_pages + self.muzzy_pages) * PAGE as u64
    }

    fn read(&mut self, books: &Books) {
        let pages = |state| books.pages(state) as u64;
        self.active_pages = pages(State::Active);
        self.dirty_pages = pages(State::Dirty);
        self.muzzy_pages = pages(State::Muzzy);
        self.retained_bytes = pages(State::Retained) * PAGE as u64;
        self.pinned_bytes = (books.pinned_pages * PAGE) as u64;
        // Muzzy pages are told apart as in the original: they may be gone at any time.
        let resident = self.active_pages + self.dirty_pages + books.kept_pages as u64;
        self.resident_bytes = resident * PAGE as u64;
        for (class, bin) in books.bins.iter().enumerate() {
            self.small_bytes += (bin.taken * size_of_class(class)) as u64;
            self.small_allocations += bin.allocations;
            self.small_frees += bin.frees;
        }
        self.large_bytes = books.large_bytes as u64;
        for large in &books.large {
            self.large_allocations += large.allocations;
            self.large_frees += large.frees;
        }
        let purged = |at: usize| {
            let purges = books.purges[at];
            Purged {
                npurge: purges.sweeps as u64,
                nmadvise: purges.calls as u64,
                pages: purges.pages as u64,
            }
        };
        (self.dirty, self.muzzy) = (purged(0), purged(1));
    }
}

impl ArenaRef {
    /// Its figures (N1).
    pub(crate) fn figures(self) -> Figures {
        let born = self.born_ns.load(Ordering::Relaxed);
        let mut figures = Figures {
            threads: self.threads() as u64,
            uptime_ns: clock::now_ns().saturating_sub(born),
            ..Figures::NONE
        };
        self.with(|books| figures.read(books));
        figures
    }

    /// Figures of the large class with index `class`, counted from the first large one.
    pub(crate) fn large_figures(self, class: usize) -> LargeFigures {
        let look = |books: &mut Books| {
            let large = books.large.get(class).copied().unwrap_or_default();
            LargeFigures {
                allocations: large.allocations,
                frees: large.frees,
            }
        };
        self.with(look).unwrap_or_default()
    }

    /// Figures of idle extents of the page class with index `index`: those as long as it, and shorter than the next.
    pub(crate) fn extent_figures(self, index: usize) -> ExtentFigures {
        let mut sizes = (0..CLASSES).filter(|&class| page_class(class).is_some());
        let least = sizes.by_ref().nth(index).map_or(usize::MAX, size_of_class);
        let next = sizes.next().map_or(usize::MAX, size_of_class);
        let mut figures = ExtentFigures::default();
        self.with(|books| {
            for (at, state) in State::IDLE.into_iter().enumerate() {
                books.each_idle(state, &mut |extent| {
                    let told = [Some(at), extent.pinned.get().then_some(3)];
                    let fits = (least..next).contains(&extent.bytes());
                    for at in told.into_iter().flatten().filter(|_| fits) {
                        figures[at].0 += 1;
                        figures[at].1 += extent.bytes() as u64;
                    }
                });
            }
        });
        figures
    }

    /// Its figures as of the epoch.
    pub(crate) fn seen(self) -> Figures {
        let figures = self.with(|books| books.seen.figures);
        figures.unwrap_or(Figures::NONE)
    }

    /// Those of the small class with index `class`.
    pub(crate) fn seen_bin(self, class: usize) -> BinFigures {
        let bin = self.with(|books| books.seen.bins[class % SMALL_CLASSES]);
        bin.unwrap_or(BinFigures::NONE)
    }

    /// Notes its figures: an epoch begins.
    fn note(self) -> Figures {
        let figures = self.figures();
        self.with(|books| {
            books.seen.figures = figures;
            books.seen.bins = core::array::from_fn(|class| bin_of(books, class));
        });
        figures
    }

    /// Adds what it counted to the destroyed ones' (N3).
    pub(super) fn bury(self) {
        let mut figures = self.figures();
        for (sum, more) in DESTROYED.iter().zip(counters(&mut figures)) {
            sum.fetch_add(*more, Ordering::Relaxed);
        }
        ANY_DESTROYED.store(true, Ordering::Relaxed);
    }
}

fn bin_of(books: &Books, class: usize) -> BinFigures {
    let bin = &books.bins[class % SMALL_CLASSES];
    BinFigures {
        allocations: bin.allocations,
        frees: bin.frees,
        taken: bin.taken as u64,
        slabs: bin.count as u64,
        slabs_made: bin.made,
        nonfull_slabs: bin.nonfull() as u64,
    }
}

/// The sums over all arenas at this moment.
pub(crate) fn sum() -> Figures {
    let mut sum = Figures::NONE;
    if table::is_used() {
        for arena in table::all() {
            sum.add(&arena.figures());
        }
    }
    sum
}

/// Has all arenas note their figures, as an epoch begins; the sums.
pub(crate) fn note_all() -> Figures {
    let mut sum = Figures::NONE;
    if table::is_used() {
        for arena in table::all() {
            sum.add(&arena.note());
        }
    }
    sum
}

/// What destroyed arenas counted.
pub(crate) fn destroyed() -> Figures {
    let mut figures = Figures::NONE;
    for (figure, sum) in counters(&mut figures).into_iter().zip(&DESTROYED) {
        *figure = sum.load(Ordering::Relaxed);
    }
    figures
}

/// Extents looked up at a time.
const PLACES: usize = 128;

/// Bytes in pages of all arenas that have memory, by the system. The lock is not held while it is asked.
pub(crate) fn resident_bytes() -> usize {
    if !table::is_used() {
        return 0;
    }
    let states = || [State::Active, State::Dirty, State::Muzzy, State::Retained].into_iter();
    let of = |arena: ArenaRef| {
        states()
            .map(|state| arena.resident_bytes(state))
            .sum::<usize>()
    };
    table::all().map(of).sum()
}

impl ArenaRef {
    fn resident_bytes(self, state: State) -> usize {
        let (mut places, mut passed, mut bytes) = ([(0, 0); PLACES], 0, 0);
        while let Some(count @ 1..) = self.with(|books| books.places(state, passed, &mut places)) {
            passed += count;
            let places = places.iter().take(count);
            bytes += places
                .map(|&(start, end)| residence::resident_bytes(start, end))
                .sum::<usize>();
        }
        bytes
    }
}

/// Whether any arena was ever destroyed.
pub(crate) fn is_any_destroyed() -> bool {
    ANY_DESTROYED.load(Ordering::Relaxed)
}
