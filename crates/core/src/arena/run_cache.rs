//! Run cache: the last freed large object of each length waits here, whole.
//!
//! ```text
//! pages     1   2   3   ...   256
//! arena 0   .   .   o         .        o: number of the record of an object that waits
//! arena 1   .   .   .         o
//! ```
//! A program that allocates and frees a buffer again and again gets the same one back by one exchange, without a
//! lock, a search, or joining. At every instant of it an object is in a slot, or one thread's own.
//!
//! A slot is one word: the number of the record that waits there, and below it how often an object was taken from it
//! since it was last emptied. So hits are counted by the exchange itself, and each exactly once.
//!
//! What waits for an arena's threads is booked with the arena (see `large`), and so are their hits.
//!
//! R1  What waits is bounded by what it earns: [`MOST`] times the hit rate, at least [`LEAST`].
//!     While memory is short it is a part of that.
//! R2  [`drain`] empties it, each second or so: far sooner than the count in a slot could overflow.

use super::{ARENAS_MAX, ArenaIndex};
use crate::ds::table::Table;
use crate::extent::pressure;
use crate::meta::MetaRef;
use crate::size::Pages;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Largest number of pages that waits: 1 MiB.
const SLOT_PAGES: usize = 256;
/// Slots in all, indexed by pages.
const SLOTS: usize = SLOT_PAGES + 1;
/// Bytes that may wait where every request is a hit, and whatever the hit rate.
///
/// Buffers whose lengths are all different never hit; what waits is then of use to nobody and keeps its neighbours
/// from joining: 32 of 100 KiB to 2 MiB peak at 58 MiB without a cache, at 82 MiB with 16 MiB of it. Sixty lengths of
/// 100 to 340 KB on the other hand hit with 13 MiB, a twelfth of the instructions.
const MOST: usize = 16 << 20;
const LEAST: usize = 512 << 10;
/// Misses after which the hit rate is looked at.
const MISSES: u32 = 32;

/// What waits for the threads of an arena.
#[repr(align(64))]
struct Shard {
    slots: [AtomicU64; SLOTS],
}

/// Bits of a slot that hold the count of hits; above them is the number of the record.
const LG_HITS: u32 = 32;

/// The record in a slot.
const fn waits(slot: u64) -> Option<MetaRef> {
    MetaRef::from_number((slot >> LG_HITS) as u32)
}

/// The slot's hits.
const fn hits(slot: u64) -> u64 {
    slot as u32 as u64
}

/// The slot with that record in it.
const fn with(slot: u64, record: u32) -> u64 {
    (record as u64) << LG_HITS | hits(slot)
}

static SHARD: Table<Shard, ARENAS_MAX> = Table::new(
    [const {
        Shard {
            slots: [const { AtomicU64::new(0) }; SLOTS],
        }
    }; ARENAS_MAX],
);
/// Bytes that wait, and that may.
#[unsafe(link_section = ".data.jemoxide_start")]
static WAITING: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static BOUND: AtomicUsize = AtomicUsize::new(LEAST);
/// Since the hit rate was looked at. Relaxed and not exact: they steer, they guard nothing.
#[unsafe(link_section = ".data.jemoxide_start")]
static HIT: AtomicU32 = AtomicU32::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static MISSED: AtomicU32 = AtomicU32::new(0);

/// Hits that slots no longer hold, by arena and pages.
static PAST_HITS: Table<[AtomicU64; SLOTS], ARENAS_MAX> =
    Table::new([const { [const { AtomicU64::new(0) }; SLOTS] }; ARENAS_MAX]);
/// Requests that found nothing.
static MISSES_EVER: AtomicU64 = AtomicU64::new(0);
/// Objects that another one displaced, and those taken out by [`drain`].
static DISPLACED: AtomicU64 = AtomicU64::new(0);
static DRAINED: AtomicU64 = AtomicU64::new(0);

#[inline]
fn slot_of(pages: Pages, arena: ArenaIndex) -> Option<&'static AtomicU64> {
    SHARD[arena.index()].slots.get(pages.0)
}

/// The object of `pages` pages that waits, if one does; the caller's from now on.
#[inline]
pub(super) fn take(pages: Pages, arena: ArenaIndex) -> Option<MetaRef> {
    let slot = slot_of(pages, arena)?;
    let mut seen = slot.load(Ordering::Relaxed);
    let record = loop {
        let record = waits(seen)?;
        let taken = hits(seen + 1);
        // Acquire: pairs with the exchange in `put`.
        match slot.compare_exchange_weak(seen, taken, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => break record,
            Err(now) => seen = now,
        }
    };
    WAITING.fetch_sub(pages.bytes(), Ordering::Relaxed);
    HIT.store(
        HIT.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
    Some(record)
}

/// Notes that a request for `pages` pages found nothing, and now and then sets the bound anew (R1).
pub(super) fn note_miss(pages: Pages) {
    if pages.0 >= SLOTS {
        return;
    }
    MISSES_EVER.fetch_add(1, Ordering::Relaxed);
    let missed = MISSED.load(Ordering::Relaxed) + 1;
    if missed < MISSES {
        MISSED.store(missed, Ordering::Relaxed);
        return;
    }
    MISSED.store(0, Ordering::Relaxed);
    let hit = HIT.swap(0, Ordering::Relaxed) as usize;
    let bound = MOST / (hit + MISSES as usize) * hit;
    BOUND.store(pressure::now().of(bound.max(LEAST)), Ordering::Relaxed);
}

/// Lets next to nothing wait until it has earned more: memory is short.
pub(super) fn forget_earnings() {
    BOUND.store(pressure::now().of(LEAST), Ordering::Relaxed);
}

/// Room that [`reserve`] found for an object.
pub(super) struct Room {
    slot: &'static AtomicU64,
    pages: Pages,
    waiting: usize,
}

/// Makes room for an object of `pages` pages. `None`: it may not wait.
#[inline]
pub(super) fn reserve(pages: Pages, arena: ArenaIndex) -> Option<Room> {
    let slot = slot_of(pages, arena)?;
    // Counted before it is in its slot: who takes it from there subtracts.
    // SeqCst: who has it noticed how much idles, and then looks here, misses nothing.
    let waiting = WAITING.fetch_add(pages.bytes(), Ordering::SeqCst) + pages.bytes();
    let room = Room {
        slot,
        pages,
        waiting,
    };
    if waiting <= BOUND.load(Ordering::Relaxed) {
        return Some(room);
    }
    room.cancel();
    None
}

impl Room {
    /// Bytes that wait, these included.
    #[inline]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting
    }

    /// Leaves an object here; the answer is the one that waited in its place, the caller's from now on.
    #[inline]
    pub(super) fn put(self, record: MetaRef) -> Option<MetaRef> {
        let mut seen = self.slot.load(Ordering::Relaxed);
        // Release: the next owner sees the object as it is now. Acquire: so do we with the one displaced.
        while let Err(now) = self.slot.compare_exchange_weak(
            seen,
            with(seen, record.number()),
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            seen = now;
        }
        let displaced = waits(seen)?;
        DISPLACED.fetch_add(1, Ordering::Relaxed);
        self.cancel();
        Some(displaced)
    }

    /// Gives the room up.
    #[inline]
    pub(super) fn cancel(self) {
        WAITING.fetch_sub(self.pages.bytes(), Ordering::Relaxed);
    }
}

/// Takes all that wait, one after the other.
pub(super) fn drain(mut each: impl FnMut(MetaRef)) {
    for (shard, past_hits) in SHARD.iter().zip(PAST_HITS.iter()) {
        for (pages, slot) in shard.slots.iter().enumerate() {
            if slot.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // Acquire: pairs with the exchange in `put`.
            let found = slot.swap(0, Ordering::Acquire);
            past_hits[pages].fetch_add(hits(found), Ordering::Relaxed);
            if let Some(record) = waits(found) {
                WAITING.fetch_sub(Pages(pages).bytes(), Ordering::Relaxed);
                DRAINED.fetch_add(1, Ordering::Relaxed);
                each(record);
            }
        }
    }
}

/// Shows `each` what waits, one after the other. What found its slot taken afterwards goes to `displaced`.
pub(super) fn look(mut each: impl FnMut(MetaRef), mut displaced: impl FnMut(MetaRef)) {
    for shard in SHARD.iter() {
        for (pages, slot) in shard.slots.iter().enumerate() {
            if waits(slot.load(Ordering::Relaxed)).is_none() {
                continue;
            }
            // Acquire: pairs with the exchange in `put`. Nobody else can reach the object until it is back.
            let found = slot.fetch_and(hits(u64::MAX), Ordering::Acquire);
            let Some(record) = waits(found) else {
                continue;
            };
            each(record);
            let put_back = |seen| waits(seen).is_none().then(|| with(seen, record.number()));
            // Release: as in `put`.
            let back = slot.fetch_update(Ordering::Release, Ordering::Relaxed, put_back);
            if back.is_err() {
                WAITING.fetch_sub(Pages(pages).bytes(), Ordering::Relaxed);
                DISPLACED.fetch_add(1, Ordering::Relaxed);
                displaced(record);
            }
        }
    }
}

/// Counts anew what waits, in a forked child: a thread that is gone may have been between an exchange and its count.
pub(crate) fn recount() {
    let bytes = |shard: &Shard| -> usize {
        let full = |&(_, slot): &(usize, &AtomicU64)| waits(slot.load(Ordering::Relaxed)).is_some();
        let waiting = shard.slots.iter().enumerate().filter(full);
        waiting.map(|(pages, _)| Pages(pages).bytes()).sum()
    };
    WAITING.store(SHARD.iter().map(bytes).sum(), Ordering::Relaxed);
}

/// Bytes that wait.
pub(crate) fn waiting_bytes() -> usize {
    WAITING.load(Ordering::SeqCst)
}

/// What became of requests, and of objects that were freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunFigures {
    /// Requests that an object served, and that found none.
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Objects that wait, and their bytes.
    pub(crate) waiting: u64,
    pub(crate) waiting_bytes: usize,
    /// Objects that another one displaced, and those taken out as time passed.
    pub(crate) displaced: u64,
    pub(crate) drained: u64,
}

impl RunFigures {
    pub(crate) const ZERO: Self = Self {
        hits: 0,
        misses: 0,
        waiting: 0,
        waiting_bytes: 0,
        displaced: 0,
        drained: 0,
    };
}

/// Calls `each` with the pages of every object that waits.
pub(crate) fn each_waiting(mut each: impl FnMut(usize)) {
    for shard in SHARD.iter() {
        for (pages, slot) in shard.slots.iter().enumerate() {
            if waits(slot.load(Ordering::Relaxed)).is_some() {
                each(pages);
            }
        }
    }
}

/// The figures of objects of so many pages that wait for an arena; misses, displaced and drained ones are not told apart.
pub(super) fn figures_of(arena: ArenaIndex, pages: RangeInclusive<usize>) -> RunFigures {
    let mut figures = RunFigures::ZERO;
    let (shard, past_hits) = (&SHARD[arena.index()], &PAST_HITS[arena.index()]);
    for pages in (*pages.start()..SLOTS).take_while(|number| number <= pages.end()) {
        figures.hits += past_hits[pages].load(Ordering::Relaxed);
        let slot = shard.slots[pages].load(Ordering::Relaxed);
        figures.hits += hits(slot);
        if waits(slot).is_some() {
            figures.waiting += 1;
            figures.waiting_bytes += Pages(pages).bytes();
        }
    }
    figures
}

/// The figures of all that ever waited, for these arenas.
pub(super) fn figures(arenas: impl Iterator<Item = ArenaIndex>) -> RunFigures {
    let mut sum = RunFigures {
        misses: MISSES_EVER.load(Ordering::Relaxed),
        displaced: DISPLACED.load(Ordering::Relaxed),
        drained: DRAINED.load(Ordering::Relaxed),
        ..RunFigures::ZERO
    };
    for arena in arenas {
        let figures = figures_of(arena, 0..=SLOT_PAGES);
        sum.hits += figures.hits;
        sum.waiting += figures.waiting;
        sum.waiting_bytes += figures.waiting_bytes;
    }
    sum
}
