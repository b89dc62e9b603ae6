//! `stats.arenas.<i>.*`, as of the epoch.
//!
//! Automatic arenas share one page heap: its figures stand with the first, and in the sum of all. Slabs are each arena's
//! own, and so are the regions out of them and large objects; what is asked of caches is booked with the first.

use super::super::epoch::{Figures, LARGE_CLASSES, figure};
use super::super::index::Arenas;
use super::super::row::{Kind, Row, read};
use super::stats_classes::{bin, large, requests};
use super::{Call, Refusal, arena, stats_by_request};
use crate::arena::bin::BinFigures;
use crate::arena::large::LargeFigures;
use crate::arena::{ArenaIndex, automatic};
use crate::extent::{HEAP, page_map};
use crate::meta;
use crate::size::{CACHED_CLASSES, PAGE, SMALL_CLASSES, size_of_class, slab_pages};
use crate::thread::registry;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Nthreads,
    Uptime,
    Dss,
    DirtyDecayMs,
    MuzzyDecayMs,
    Pactive,
    Pdirty,
    Pmuzzy,
    Mapped,
    Retained,
    Pinned,
    Resident,
    Metadata,
    MetadataRtree,
    MetadataEdata,
    MetadataThp,
    ExtentAvail,
    TcacheBytes,
    Zero,
    DirtyNpurge,
    DirtyNmadvise,
    DirtyPurged,
    MuzzyNpurge,
    MuzzyNmadvise,
    MuzzyPurged,
    SmallAllocated,
    SmallNmalloc,
    SmallNdalloc,
    SmallNrequests,
    SmallNfills,
    SmallNflushes,
    LargeAllocated,
    LargeNmalloc,
    LargeNdalloc,
    LargeNrequests,
    LargeNflushes,
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
    count("stats.arenas.<i>.uptime", Key::Uptime),
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
    size("stats.arenas.<i>.pinned", Key::Pinned),
    count("stats.arenas.<i>.dirty_npurge", Key::DirtyNpurge),
    count("stats.arenas.<i>.dirty_nmadvise", Key::DirtyNmadvise),
    count("stats.arenas.<i>.dirty_purged", Key::DirtyPurged),
    count("stats.arenas.<i>.muzzy_npurge", Key::MuzzyNpurge),
    count("stats.arenas.<i>.muzzy_nmadvise", Key::MuzzyNmadvise),
    count("stats.arenas.<i>.muzzy_purged", Key::MuzzyPurged),
    size("stats.arenas.<i>.base", Key::Metadata),
    // Nothing of ours comes out of arenas.
    size("stats.arenas.<i>.internal", Key::Zero),
    size("stats.arenas.<i>.extent_avail", Key::ExtentAvail),
    size("stats.arenas.<i>.metadata_edata", Key::MetadataEdata),
    size("stats.arenas.<i>.metadata_rtree", Key::MetadataRtree),
    size("stats.arenas.<i>.metadata_thp", Key::MetadataThp),
    size("stats.arenas.<i>.tcache_bytes", Key::TcacheBytes),
    // Nothing is stashed to be looked at later, and no address range was ever given up.
    size("stats.arenas.<i>.tcache_stashed_bytes", Key::Zero),
    size("stats.arenas.<i>.resident", Key::Resident),
    size("stats.arenas.<i>.abandoned_vm", Key::Zero),
    size("stats.arenas.<i>.small.allocated", Key::SmallAllocated),
    count("stats.arenas.<i>.small.nmalloc", Key::SmallNmalloc),
    count("stats.arenas.<i>.small.ndalloc", Key::SmallNdalloc),
    count("stats.arenas.<i>.small.nrequests", Key::SmallNrequests),
    count("stats.arenas.<i>.small.nfills", Key::SmallNfills),
    count("stats.arenas.<i>.small.nflushes", Key::SmallNflushes),
    size("stats.arenas.<i>.large.allocated", Key::LargeAllocated),
    count("stats.arenas.<i>.large.nmalloc", Key::LargeNmalloc),
    count("stats.arenas.<i>.large.ndalloc", Key::LargeNdalloc),
    count("stats.arenas.<i>.large.nrequests", Key::LargeNrequests),
    // As in the original: each large object is fetched by itself.
    count("stats.arenas.<i>.large.nfills", Key::LargeNmalloc),
    count("stats.arenas.<i>.large.nflushes", Key::LargeNflushes),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let arenas = Arenas::of(call.indexes[0]);
    match arenas {
        Arenas::Manual(_) | Arenas::Destroyed => {
            return stats_by_request::answer(key, arenas, call);
        }
        Arenas::Absent => return Err(Refusal::Absent),
        Arenas::One(_) | Arenas::All => {}
    }
    let request = &mut call.request;
    match key {
        Key::Nthreads => {
            let of = |index| registry::threads_of(ArenaIndex::new(index));
            let threads: usize = match arenas {
                Arenas::One(index) => of(index),
                _ => (0..automatic()).map(of).sum::<usize>() + stats_by_request::threads(),
            };
            return request.give(threads as u32);
        }
        Key::Dss => return request.give_text(arena::dss_name(HEAP.dss())),
        Key::DirtyDecayMs => return request.give(HEAP.decay_ms().0),
        Key::MuzzyDecayMs => return request.give(HEAP.decay_ms().1),
        _ => {}
    }
    let more = match arenas {
        Arenas::All => figure(|figures| stats_by_request::number(key, &figures.by_request)),
        _ => 0,
    };
    let number = figure(|figures| total(key, figures, arenas)) + more as usize;
    // A size or a count: of one length here.
    call.request.give(number)
}

fn total(key: Key, figures: &Figures, arenas: Arenas) -> usize {
    let bins = |of: fn(&BinFigures) -> u64| -> usize {
        let classes = (0..SMALL_CLASSES).map(|class| of(&bin(figures, arenas, class)));
        classes.sum::<u64>() as usize
    };
    let larges = |classes: usize, of: fn(&LargeFigures) -> u64| -> usize {
        let classes = (0..classes).map(|class| of(&large(figures, arenas, class)));
        classes.sum::<u64>() as usize
    };
    match key {
        // All automatic arenas are there from the start.
        Key::Uptime => figures.uptime_ns as usize * usize::from(arenas != Arenas::Destroyed),
        Key::SmallNmalloc => bins(|bin| bin.nmalloc),
        Key::SmallNdalloc => bins(|bin| bin.ndalloc),
        Key::SmallNrequests => (0..SMALL_CLASSES)
            .map(|class| requests(figures, arenas, class) as usize)
            .sum(),
        Key::LargeNrequests => (SMALL_CLASSES..SMALL_CLASSES + LARGE_CLASSES)
            .map(|class| requests(figures, arenas, class) as usize)
            .sum(),
        Key::SmallNfills => bins(|bin| bin.nfills),
        Key::SmallNflushes => bins(|bin| bin.nflushes),
        Key::LargeNmalloc => larges(LARGE_CLASSES, |large| large.nmalloc),
        Key::LargeNdalloc => larges(LARGE_CLASSES, |large| large.ndalloc),
        Key::LargeNflushes => larges(CACHED_CLASSES - SMALL_CLASSES, |large| large.ndalloc),
        Key::Pactive | Key::Mapped | Key::Resident | Key::SmallAllocated | Key::LargeAllocated => {
            let of = |index: usize| own(key, figures, index);
            let others = || (1..automatic()).map(of).sum();
            match arenas {
                Arenas::Manual(_) | Arenas::Absent | Arenas::Destroyed => 0,
                Arenas::One(0) => shared(key, figures).saturating_sub(others()),
                Arenas::One(index) => of(index),
                Arenas::All => shared(key, figures),
            }
        }
        _ if arenas.hold_shared() => shared(key, figures),
        _ => 0,
    }
}

/// What is booked with an arena that is not the first: its slabs, and its large objects, those in caches among them.
fn own(key: Key, figures: &Figures, arena: usize) -> usize {
    let large = || figures.large.get(arena).into_iter().flatten();
    let large_bytes = || large().map(|class| class.bytes).sum::<usize>();
    let bins = (0..SMALL_CLASSES).map(|class| (class, bin(figures, Arenas::One(arena), class)));
    match key {
        Key::SmallAllocated => bins
            .map(|(class, bin)| bin.curregs() * size_of_class(class))
            .sum(),
        Key::LargeAllocated => large_bytes(),
        _ => {
            let slabs = bins.map(|(class, bin)| bin.curslabs * slab_pages(class));
            let pages = slabs.sum::<usize>() + large_bytes() / PAGE;
            if key == Key::Pactive {
                pages
            } else {
                pages * PAGE
            }
        }
    }
}

/// The figures of all together.
fn shared(key: Key, figures: &Figures) -> usize {
    let (books, heap) = (&figures.books, &figures.heap);
    let bytes_of = |class: usize| {
        books
            .class_bytes
            .get(class)
            .map_or(0, |&bytes| bytes as usize)
    };
    match key {
        Key::Pactive => books.active as usize / PAGE,
        Key::Pdirty => books.dirty as usize / PAGE,
        Key::Pmuzzy => books.muzzy as usize / PAGE,
        Key::Mapped => heap.mapped + books.metadata as usize,
        Key::Retained => books.retained as usize,
        Key::Resident => (books.active + books.dirty + books.metadata) as usize,
        Key::Metadata => books.metadata as usize,
        Key::MetadataRtree => page_map::used_bytes(),
        Key::MetadataEdata => figures.record_bytes,
        Key::MetadataThp => meta::huge_pages(),
        Key::ExtentAvail => heap.spare_descriptors,
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
        _ => 0,
    }
}
