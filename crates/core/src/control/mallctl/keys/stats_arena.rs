//! `stats.arenas.<i>.*`, as of the epoch.
//!
//! Automatic arenas share one page heap and their books: what there is stands with the first, and in the sum of all.

use super::super::epoch::{Figures, figure};
use super::super::index::Arenas;
use super::super::row::{Kind, Row, read};
use super::{Call, Refusal, arena};
use crate::arena::{ArenaIndex, automatic};
use crate::extent::{HEAP, page_map};
use crate::size::{CACHED_CLASSES, PAGE, SMALL_CLASSES, size_of_class};
use crate::thread::registry;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Nthreads,
    Dss,
    DirtyDecayMs,
    MuzzyDecayMs,
    Pactive,
    Pdirty,
    Pmuzzy,
    Mapped,
    Retained,
    Resident,
    Metadata,
    MetadataRtree,
    TcacheBytes,
    Zero,
    DirtyNpurge,
    DirtyNmadvise,
    DirtyPurged,
    MuzzyNpurge,
    MuzzyNmadvise,
    MuzzyPurged,
    SmallAllocated,
    LargeAllocated,
    Curregs,
    Curslabs,
}

const fn size(name: &'static str, key: Key) -> Row {
    read(name, Kind::Size, super::Key::StatsArena(key))
}

const fn count(name: &'static str, key: Key) -> Row {
    read(name, Kind::U64, super::Key::StatsArena(key))
}

const fn other(name: &'static str, kind: Kind, key: Key) -> Row {
    read(name, kind, super::Key::StatsArena(key))
}

pub(super) const ROWS: &[Row] = &[
    other("stats.arenas.<i>.nthreads", Kind::U32, Key::Nthreads),
    other("stats.arenas.<i>.dss", Kind::Text, Key::Dss),
    other(
        "stats.arenas.<i>.dirty_decay_ms",
        Kind::Signed,
        Key::DirtyDecayMs,
    ),
    other(
        "stats.arenas.<i>.muzzy_decay_ms",
        Kind::Signed,
        Key::MuzzyDecayMs,
    ),
    size("stats.arenas.<i>.pactive", Key::Pactive),
    size("stats.arenas.<i>.pdirty", Key::Pdirty),
    size("stats.arenas.<i>.pmuzzy", Key::Pmuzzy),
    size("stats.arenas.<i>.mapped", Key::Mapped),
    size("stats.arenas.<i>.retained", Key::Retained),
    size("stats.arenas.<i>.pinned", Key::Zero),
    count("stats.arenas.<i>.dirty_npurge", Key::DirtyNpurge),
    count("stats.arenas.<i>.dirty_nmadvise", Key::DirtyNmadvise),
    count("stats.arenas.<i>.dirty_purged", Key::DirtyPurged),
    count("stats.arenas.<i>.muzzy_npurge", Key::MuzzyNpurge),
    count("stats.arenas.<i>.muzzy_nmadvise", Key::MuzzyNmadvise),
    count("stats.arenas.<i>.muzzy_purged", Key::MuzzyPurged),
    size("stats.arenas.<i>.base", Key::Metadata),
    size("stats.arenas.<i>.metadata_rtree", Key::MetadataRtree),
    size("stats.arenas.<i>.tcache_bytes", Key::TcacheBytes),
    // Nothing is stashed to be looked at later, and no address range was ever given up.
    size("stats.arenas.<i>.tcache_stashed_bytes", Key::Zero),
    size("stats.arenas.<i>.resident", Key::Resident),
    size("stats.arenas.<i>.abandoned_vm", Key::Zero),
    size("stats.arenas.<i>.small.allocated", Key::SmallAllocated),
    size("stats.arenas.<i>.large.allocated", Key::LargeAllocated),
    size("stats.arenas.<i>.bins.<j>.curregs", Key::Curregs),
    size("stats.arenas.<i>.bins.<j>.curslabs", Key::Curslabs),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let arenas = Arenas::of(call.indexes[0]);
    let request = &mut call.request;
    match key {
        Key::Nthreads => {
            let of = |index| registry::threads_of(ArenaIndex::new(index));
            let threads: usize = match arenas {
                Arenas::One(index) => of(index),
                _ => (0..automatic()).map(of).sum(),
            };
            return request.give(threads as u32);
        }
        Key::Dss => return request.give_text(arena::dss_name(HEAP.dss())),
        Key::DirtyDecayMs => return request.give(HEAP.decay_ms().0),
        Key::MuzzyDecayMs => return request.give(HEAP.decay_ms().1),
        _ => {}
    }
    let holds = matches!(arenas, Arenas::One(0) | Arenas::All);
    let number = if holds {
        figure(|figures| total(key, figures, call.indexes[1]))
    } else {
        0
    };
    // A size or a count: of one length here.
    call.request.give(number)
}

fn total(key: Key, figures: &Figures, class: usize) -> usize {
    let (books, heap) = (&figures.books, &figures.heap);
    let bytes_of = |class: usize| {
        books
            .class_bytes
            .get(class)
            .map_or(0, |&bytes| bytes as usize)
    };
    match key {
        Key::Nthreads | Key::Dss | Key::DirtyDecayMs | Key::MuzzyDecayMs | Key::Zero => 0,
        Key::Pactive => books.active as usize / PAGE,
        Key::Pdirty => books.dirty as usize / PAGE,
        Key::Pmuzzy => books.muzzy as usize / PAGE,
        Key::Mapped => heap.mapped + books.metadata as usize,
        Key::Retained => books.retained as usize,
        Key::Resident => (books.active + books.dirty + books.metadata) as usize,
        Key::Metadata => books.metadata as usize,
        Key::MetadataRtree => page_map::used_bytes(),
        Key::TcacheBytes => (0..CACHED_CLASSES)
            .map(|class| figures.cached[class] * size_of_class(class))
            .sum(),
        Key::DirtyNpurge => heap.dirty_purges.npurge,
        Key::DirtyNmadvise => heap.dirty_purges.nmadvise,
        Key::DirtyPurged => heap.dirty_purges.purged_pages,
        Key::MuzzyNpurge => heap.muzzy_purges.npurge,
        Key::MuzzyNmadvise => heap.muzzy_purges.nmadvise,
        Key::MuzzyPurged => heap.muzzy_purges.purged_pages,
        Key::SmallAllocated => (0..SMALL_CLASSES).map(bytes_of).sum(),
        Key::LargeAllocated => (SMALL_CLASSES..books.class_bytes.len()).map(bytes_of).sum(),
        Key::Curregs => bytes_of(class) / size_of_class(class),
        Key::Curslabs => figures.slabs[class % SMALL_CLASSES],
    }
}
