//! Figures of arenas made by request: of one, of all, of those that are no more.
//!
//! N1  Figures of one arena are of one moment: they are read under its lock.
//! N2  What keys tell is as of the epoch, whose beginning has every arena note its figures.
//! N3  What an arena counted is added to what destroyed ones counted, once, when it ends.
//! N4  Objects that the hardened arena serves for an arena are its own here; they take as many pages and slabs as they would fill,
//!     which its own are, too. The address of its pages in use, for who looks without an epoch, has its own pages alone.

use super::arena::ArenaRef;
use super::books::Books;
use super::extent::State;
use super::table;
use crate::arena::{explicit, hardened};
use crate::meta::residence;
use crate::size::{
    CACHED_CLASSES, CLASSES, PAGE, SMALL_CLASSES, page_class, size_of_class, slab_slots,
};
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
    /// Bytes of the objects that the application holds; and those of objects in caches.
    pub(crate) small_bytes: u64,
    pub(crate) cached_bytes: u64,
    pub(crate) small_allocations: u64,
    pub(crate) small_frees: u64,
    pub(crate) small_requests: u64,
    /// Visits of slabs that took objects, and those that brought some back.
    pub(crate) small_fills: u64,
    pub(crate) small_flushes: u64,
    pub(crate) large_bytes: u64,
    pub(crate) large_allocations: u64,
    pub(crate) large_frees: u64,
    pub(crate) large_requests: u64,
    /// Objects of classes that are cached that came back.
    pub(crate) large_flushes: u64,
    pub(crate) dirty: Purged,
    pub(crate) muzzy: Purged,
}

/// Figures of one small class.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct BinFigures {
    pub(crate) allocations: u64,
    pub(crate) frees: u64,
    pub(crate) requests: u64,
    /// Visits that took objects, and those that brought some back.
    pub(crate) fills: u64,
    pub(crate) flushes: u64,
    pub(crate) slabs_made: u64,
    /// Slabs that were taken of and had been there before.
    pub(crate) slabs_reused: u64,
    pub(crate) taken: u64,
    pub(crate) slabs: u64,
    pub(crate) nonfull_slabs: u64,
}

/// Figures of one large class.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct LargeFigures {
    pub(crate) allocations: u64,
    pub(crate) frees: u64,
    pub(crate) requests: u64,
}

/// Idle extents of one page class, dirty, muzzy, retained, and those of them that cannot be taken back: how many, and
/// their bytes.
pub(crate) type ExtentFigures = [(u64, u64); 4];

/// What an arena noted at the beginning of the epoch (N2).
pub(super) struct Seen {
    figures: Figures,
    bins: [BinFigures; SMALL_CLASSES],
    large: [LargeFigures; LARGE_CLASSES],
}

impl Seen {
    pub(super) const NONE: Self = Self {
        figures: Figures::NONE,
        bins: [BinFigures::NONE; SMALL_CLASSES],
        large: [LargeFigures::NONE; LARGE_CLASSES],
    };
}

/// Sums of what destroyed arenas counted of purging (N3), in the order of [`purges`], and of each class, in those of
/// [`counted`] and [`counted_large`].
static DESTROYED: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];
static DESTROYED_BINS: [[AtomicU64; 7]; SMALL_CLASSES] =
    [const { [const { AtomicU64::new(0) }; 7] }; SMALL_CLASSES];
static DESTROYED_LARGE: [[AtomicU64; 3]; LARGE_CLASSES] =
    [const { [const { AtomicU64::new(0) }; 3] }; LARGE_CLASSES];
static ANY_DESTROYED: AtomicBool = AtomicBool::new(false);

const LARGE_CLASSES: usize = CLASSES - SMALL_CLASSES;

fn purges(figures: &mut Figures) -> [&mut u64; 6] {
    let (dirty, muzzy) = (&mut figures.dirty, &mut figures.muzzy);
    [
        &mut dirty.npurge,
        &mut dirty.nmadvise,
        &mut dirty.pages,
        &mut muzzy.npurge,
        &mut muzzy.nmadvise,
        &mut muzzy.pages,
    ]
}

/// What is only ever counted up, in contrast to what there is now.
fn counted(bin: &mut BinFigures) -> [&mut u64; 7] {
    [
        &mut bin.allocations,
        &mut bin.frees,
        &mut bin.requests,
        &mut bin.fills,
        &mut bin.flushes,
        &mut bin.slabs_made,
        &mut bin.slabs_reused,
    ]
}

fn counted_large(large: &mut LargeFigures) -> [&mut u64; 3] {
    [
        &mut large.allocations,
        &mut large.frees,
        &mut large.requests,
    ]
}

fn bury<const COUNTS: usize>(sums: &[AtomicU64; COUNTS], counts: [&mut u64; COUNTS]) {
    for (sum, more) in sums.iter().zip(counts) {
        sum.fetch_add(*more, Ordering::Relaxed);
    }
}

fn exhume<const COUNTS: usize>(sums: &[AtomicU64; COUNTS], counts: [&mut u64; COUNTS]) {
    for (sum, count) in sums.iter().zip(counts) {
        *count = sum.load(Ordering::Relaxed);
    }
}

impl LargeFigures {
    const NONE: Self = Self {
        allocations: 0,
        frees: 0,
        requests: 0,
    };
}

impl BinFigures {
    const NONE: Self = Self {
        allocations: 0,
        frees: 0,
        requests: 0,
        fills: 0,
        flushes: 0,
        slabs_made: 0,
        slabs_reused: 0,
        taken: 0,
        slabs: 0,
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
        cached_bytes: 0,
        small_allocations: 0,
        small_frees: 0,
        small_requests: 0,
        small_fills: 0,
        small_flushes: 0,
        large_bytes: 0,
        large_allocations: 0,
        large_frees: 0,
        large_requests: 0,
        large_flushes: 0,
        dirty: Purged::NONE,
        muzzy: Purged::NONE,
    };

    /// Adds another arena's; how old that is is no sum.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = *other;
        let own = self.sums();
        for (sum, more) in own.into_iter().zip(other.sums()) {
            *sum += *more;
        }
        for (sum, more) in purges(self).into_iter().zip(purges(&mut other)) {
            *sum += *more;
        }
    }

    fn sums(&mut self) -> [&mut u64; 19] {
        [
            &mut self.threads,
            &mut self.active_pages,
            &mut self.dirty_pages,
            &mut self.muzzy_pages,
            &mut self.retained_bytes,
            &mut self.pinned_bytes,
            &mut self.resident_bytes,
            &mut self.small_bytes,
            &mut self.cached_bytes,
            &mut self.small_allocations,
            &mut self.small_frees,
            &mut self.small_requests,
            &mut self.small_fills,
            &mut self.small_flushes,
            &mut self.large_bytes,
            &mut self.large_allocations,
            &mut self.large_frees,
            &mut self.large_requests,
            &mut self.large_flushes,
        ]
    }

    /// Adds what was counted of a small class.
    fn add_bin(&mut self, bin: &BinFigures) {
        self.small_allocations += bin.allocations;
        self.small_frees += bin.frees;
        self.small_requests += bin.requests;
        self.small_fills += bin.fills;
        self.small_flushes += bin.flushes;
    }

    /// Adds what was counted of the large class with index `class`.
    fn add_large(&mut self, class: usize, large: &LargeFigures) {
        self.large_allocations += large.allocations;
        self.large_frees += large.frees;
        self.large_requests += large.requests;
        if class + SMALL_CLASSES < CACHED_CLASSES {
            self.large_flushes += large.frees;
        }
    }

    /// Bytes in pages that are in use or wait to be purged.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        (self.active_pages + self.dirty_pages + self.muzzy_pages) * PAGE as u64
    }

    fn read(&mut self, arena: ArenaRef, books: &Books) {
        let pages = |state| books.pages(state) as u64;
        let shared = hardened::pages_of(arena.index()) as u64;
        self.active_pages = pages(State::Active) + shared;
        self.dirty_pages = pages(State::Dirty);
        self.muzzy_pages = pages(State::Muzzy);
        self.retained_bytes = pages(State::Retained) * PAGE as u64;
        self.pinned_bytes = (books.pinned_pages * PAGE) as u64;
        // Muzzy pages are told apart as in the original: they may be gone at any time.
        let resident = self.active_pages + self.dirty_pages + books.kept_pages as u64;
        self.resident_bytes = resident * PAGE as u64;
        for class in 0..SMALL_CLASSES {
            self.small_bytes += arena.bytes_of(books, class);
            self.add_bin(&arena.bin_of(books, class));
        }
        for class in 0..LARGE_CLASSES {
            self.large_bytes += arena.bytes_of(books, SMALL_CLASSES + class);
            self.add_large(class, &arena.large_of(books, class));
        }
        for (class, &cached) in books.cached.iter().enumerate() {
            self.cached_bytes += cached * size_of_class(class) as u64;
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
    /// What is known without the books.
    fn born(self) -> Figures {
        let born = self.born_ns.load(Ordering::Relaxed);
        Figures {
            threads: self.threads() as u64,
            uptime_ns: clock::now_ns().saturating_sub(born),
            ..Figures::NONE
        }
    }

    /// Its figures (N1).
    pub(crate) fn figures(self) -> Figures {
        let mut figures = self.born();
        self.open_books();
        self.with(|books| figures.read(self, books));
        figures
    }

    /// Sees to it that there are books where there is something to tell that is not in them (N4).
    fn open_books(self) {
        if hardened::serves(self.index()) {
            self.has_books();
        }
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

    /// A cache served so many requests of each class, and holds so many objects of it now in place of those before.
    pub(crate) fn note_cached(
        self,
        served: &[u64; CACHED_CLASSES],
        before: &[u64; CACHED_CLASSES],
        held: &[u64; CACHED_CLASSES],
    ) {
        self.with(|books| {
            for (sum, more) in books.served.iter_mut().zip(served) {
                *sum += more;
            }
            let changes = before.iter().zip(held);
            for (sum, (before, held)) in books.cached.iter_mut().zip(changes) {
                *sum = *sum + held - before;
            }
        });
    }

    /// Counts an object of the class with index `class` that was asked for and came along with others for a cache.
    pub(crate) fn note_request(self, class: usize) {
        let mut served = [0; CACHED_CLASSES];
        served[class % CACHED_CLASSES] = 1;
        let none = [0; CACHED_CLASSES];
        self.note_cached(&served, &none, &none);
    }

    /// Its figures as of the epoch.
    pub(crate) fn seen(self) -> Figures {
        self.with_seen(|seen| seen.figures)
            .unwrap_or_else(|| self.born())
    }

    /// Those of the small class with index `class`.
    pub(crate) fn seen_bin(self, class: usize) -> BinFigures {
        let bin = self.with_seen(|seen| seen.bins[class % SMALL_CLASSES]);
        bin.unwrap_or(BinFigures::NONE)
    }

    /// Those of the large class with index `class`, counted from the first large one.
    pub(crate) fn seen_large(self, class: usize) -> LargeFigures {
        let large = self.with_seen(|seen| seen.large[class % LARGE_CLASSES]);
        large.unwrap_or(LargeFigures::NONE)
    }

    /// Notes its figures: an epoch begins. Where memory is out, those of the last one stay.
    fn note(self) -> Figures {
        let mut figures = self.born();
        self.open_books();
        let noted = self.renew_seen(|books, seen| {
            figures.read(self, books);
            seen.figures = figures;
            for (class, bin) in seen.bins.iter_mut().enumerate() {
                *bin = self.bin_of(books, class);
            }
            for (class, large) in seen.large.iter_mut().enumerate() {
                *large = self.large_of(books, class);
            }
        });
        if noted { figures } else { self.figures() }
    }

    /// Adds what it counted to the destroyed ones' (N3).
    pub(super) fn bury(self) {
        bury(&DESTROYED, purges(&mut self.figures()));
        self.with(|books| {
            for (class, sums) in DESTROYED_BINS.iter().enumerate() {
                bury(sums, counted(&mut self.bin_of(books, class)));
            }
            for (class, sums) in DESTROYED_LARGE.iter().enumerate() {
                bury(sums, counted_large(&mut self.large_of(books, class)));
            }
        });
        ANY_DESTROYED.store(true, Ordering::Relaxed);
    }
}

impl ArenaRef {
    /// Bytes of the objects of a class that the application holds.
    fn bytes_of(self, books: &Books, class: usize) -> u64 {
        let out = match books.bins.get(class) {
            Some(bin) => bin.taken * size_of_class(class),
            None => books
                .large
                .get(class.wrapping_sub(SMALL_CLASSES))
                .map_or(0, |large| large.bytes),
        };
        let cached = books.cached.get(class).copied().unwrap_or(0);
        let own = (out as u64).saturating_sub(cached * size_of_class(class) as u64);
        own + hardened::figures_of(self.index(), class).bytes as u64
    }

    fn bin_of(self, books: &Books, class: usize) -> BinFigures {
        let class = class % SMALL_CLASSES;
        let bin = &books.bins[class];
        let hard = hardened::figures_of(self.index(), class);
        let filled = hard.out().div_ceil(slab_slots(class) as u64);
        BinFigures {
            allocations: bin.allocations + hard.nmalloc,
            frees: bin.frees + hard.ndalloc,
            requests: bin.requests + books.served[class] + hard.nmalloc,
            fills: bin.fills,
            flushes: bin.flushes,
            slabs_made: bin.made,
            slabs_reused: bin.reused,
            taken: bin.taken as u64 + hard.out(),
            slabs: bin.count as u64 + filled,
            nonfull_slabs: bin.nonfull() as u64,
        }
    }

    fn large_of(self, books: &Books, class: usize) -> LargeFigures {
        let large = books.large.get(class).copied().unwrap_or_default();
        let served = books.served.get(SMALL_CLASSES + class);
        let hard = hardened::figures_of(self.index(), SMALL_CLASSES + class);
        LargeFigures {
            allocations: large.allocations + hard.nmalloc,
            frees: large.frees + hard.ndalloc,
            requests: large.allocations + served.copied().unwrap_or(0) + hard.nmalloc,
        }
    }
}

/// The sums over all arenas at this moment.
pub(crate) fn sum() -> Figures {
    let mut sum = Figures::NONE;
    if table::is_used() {
        explicit::tell_all();
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
        explicit::tell_all();
        for arena in table::all() {
            sum.add(&arena.note());
        }
    }
    sum
}

/// What destroyed arenas counted.
pub(crate) fn destroyed() -> Figures {
    let mut figures = Figures::NONE;
    exhume(&DESTROYED, purges(&mut figures));
    for class in 0..SMALL_CLASSES {
        figures.add_bin(&destroyed_bin(class));
    }
    for class in 0..LARGE_CLASSES {
        figures.add_large(class, &destroyed_large(class));
    }
    figures
}

/// What they counted of the small class with index `class`.
pub(crate) fn destroyed_bin(class: usize) -> BinFigures {
    let mut bin = BinFigures::NONE;
    exhume(&DESTROYED_BINS[class % SMALL_CLASSES], counted(&mut bin));
    bin
}

/// What they counted of the large class with index `class`, counted from the first large one.
pub(crate) fn destroyed_large(class: usize) -> LargeFigures {
    let mut large = LargeFigures::default();
    exhume(
        &DESTROYED_LARGE[class % LARGE_CLASSES],
        counted_large(&mut large),
    );
    large
}

/// Objects of the class with index `class` that were asked of any arena so far, be it gone, as of the epoch.
pub(crate) fn requests(class: usize) -> u64 {
    if !table::is_used() {
        return 0;
    }
    match class.checked_sub(SMALL_CLASSES) {
        None => {
            let alive = table::all().map(|arena| arena.seen_bin(class).requests);
            alive.sum::<u64>() + destroyed_bin(class).requests
        }
        Some(large) => {
            let alive = table::all().map(|arena| arena.seen_large(large).requests);
            alive.sum::<u64>() + destroyed_large(large).requests
        }
    }
}

/// Adds the bytes of the objects of each class that the application holds of all arenas to `sums`.
pub(crate) fn add_class_bytes(sums: &mut [u64; CLASSES]) {
    if table::is_used() {
        for arena in table::all() {
            arena.open_books();
            arena.with(|books| {
                for (class, sum) in sums.iter_mut().enumerate() {
                    *sum += arena.bytes_of(books, class);
                }
            });
        }
    }
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
