//! `stats.arenas.<i>.bins.<j>`, `.lextents.<j>` and `.extents.<j>`, as of the epoch.
//!
//! Bins are each arena's own, and so are large objects. Runs of pages are shared by all automatic arenas, and stand with the
//! first. Those made by request have all of their own. Regions count as out of their bin while caches or the depot hold
//! them; `nrequests` tells what the application asked for, and stands with the first, too.

use super::super::epoch::{Figures, figure, inventory};
use super::super::index::Arenas;
use super::super::row::{Kind, Row, read};
use super::{Call, Refusal, stats_by_request};
use crate::arena::automatic;
use crate::arena::bin::BinFigures;
use crate::arena::large::LargeFigures;
use crate::extent::RunState;
use crate::size::SMALL_CLASSES;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Nmalloc,
    Ndalloc,
    Nrequests,
    Curregs,
    Nfills,
    Nflushes,
    Nslabs,
    Nreslabs,
    Curslabs,
    NonfullSlabs,
    LargeNmalloc,
    LargeNdalloc,
    LargeNrequests,
    Curlextents,
    Ndirty,
    Nmuzzy,
    Nretained,
    DirtyBytes,
    MuzzyBytes,
    RetainedBytes,
    Npinned,
    PinnedBytes,
}

impl Key {
    /// Whether it is about large objects.
    pub(super) fn is_large(self) -> bool {
        matches!(
            self,
            Self::LargeNmalloc | Self::LargeNdalloc | Self::LargeNrequests | Self::Curlextents
        )
    }

    /// Whether it is about idle runs of pages.
    pub(super) fn is_of_runs(self) -> bool {
        matches!(
            self,
            Self::Ndirty
                | Self::Nmuzzy
                | Self::Nretained
                | Self::DirtyBytes
                | Self::MuzzyBytes
                | Self::RetainedBytes
                | Self::Npinned
                | Self::PinnedBytes
        )
    }
}

const fn size(name: &'static str, key: Key) -> Row {
    read(name, Kind::Size, super::Key::StatsClasses(key))
}

const fn count(name: &'static str, key: Key) -> Row {
    read(name, Kind::U64, super::Key::StatsClasses(key))
}

pub(super) const ROWS: &[Row] = &[
    count("stats.arenas.<i>.bins.<j>.nmalloc", Key::Nmalloc),
    count("stats.arenas.<i>.bins.<j>.ndalloc", Key::Ndalloc),
    count("stats.arenas.<i>.bins.<j>.nrequests", Key::Nrequests),
    size("stats.arenas.<i>.bins.<j>.curregs", Key::Curregs),
    count("stats.arenas.<i>.bins.<j>.nfills", Key::Nfills),
    count("stats.arenas.<i>.bins.<j>.nflushes", Key::Nflushes),
    count("stats.arenas.<i>.bins.<j>.nslabs", Key::Nslabs),
    count("stats.arenas.<i>.bins.<j>.nreslabs", Key::Nreslabs),
    size("stats.arenas.<i>.bins.<j>.curslabs", Key::Curslabs),
    size("stats.arenas.<i>.bins.<j>.nonfull_slabs", Key::NonfullSlabs),
    count("stats.arenas.<i>.lextents.<j>.nmalloc", Key::LargeNmalloc),
    count("stats.arenas.<i>.lextents.<j>.ndalloc", Key::LargeNdalloc),
    count(
        "stats.arenas.<i>.lextents.<j>.nrequests",
        Key::LargeNrequests,
    ),
    size(
        "stats.arenas.<i>.lextents.<j>.curlextents",
        Key::Curlextents,
    ),
    size("stats.arenas.<i>.extents.<j>.ndirty", Key::Ndirty),
    size("stats.arenas.<i>.extents.<j>.nmuzzy", Key::Nmuzzy),
    size("stats.arenas.<i>.extents.<j>.nretained", Key::Nretained),
    size("stats.arenas.<i>.extents.<j>.npinned", Key::Npinned),
    size("stats.arenas.<i>.extents.<j>.dirty_bytes", Key::DirtyBytes),
    size("stats.arenas.<i>.extents.<j>.muzzy_bytes", Key::MuzzyBytes),
    size(
        "stats.arenas.<i>.extents.<j>.retained_bytes",
        Key::RetainedBytes,
    ),
    size(
        "stats.arenas.<i>.extents.<j>.pinned_bytes",
        Key::PinnedBytes,
    ),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let (arenas, class) = (Arenas::of(call.indexes[0]), call.indexes[1]);
    let by_request = stats_by_request::of_class(key, arenas, class)?;
    let number = match key {
        _ if key.is_of_runs() => runs(key, arenas, class) as u64,
        Key::Nrequests => figure(|figures| requests(figures, arenas, class)),
        Key::LargeNrequests => figure(|figures| requests(figures, arenas, SMALL_CLASSES + class)),
        Key::LargeNmalloc | Key::LargeNdalloc | Key::Curlextents => {
            let large = figure(|figures| large(figures, arenas, class));
            match key {
                Key::LargeNmalloc => large.nmalloc,
                Key::LargeNdalloc => large.ndalloc,
                _ => large.curlextents() as u64,
            }
        }
        _ => {
            let bin = figure(|figures| bin(figures, arenas, class));
            match key {
                Key::Nmalloc => bin.nmalloc,
                Key::Ndalloc => bin.ndalloc,
                Key::Nfills => bin.nfills,
                Key::Nflushes => bin.nflushes,
                Key::Nslabs => bin.nslabs,
                Key::Nreslabs => bin.nreslabs,
                Key::Curslabs => bin.curslabs as u64,
                Key::NonfullSlabs => bin.nonfull_slabs as u64,
                _ => bin.curregs() as u64,
            }
        }
    };
    // A size or a count: of one length here.
    call.request.give(number + by_request)
}

/// The bin of a small class, of one arena or all together.
pub(super) fn bin(figures: &Figures, arenas: Arenas, class: usize) -> BinFigures {
    let mut sum = BinFigures::ZERO;
    for (index, bins) in figures.bins.iter().enumerate().take(automatic()) {
        if arenas.include(index) {
            sum.add(&bins[class % SMALL_CLASSES]);
        }
    }
    sum
}

/// A large class, by its position among them, of one arena or all together.
pub(super) fn large(figures: &Figures, arenas: Arenas, class: usize) -> LargeFigures {
    let mut sum = LargeFigures::ZERO;
    for (index, large) in figures.large.iter().enumerate().take(automatic()) {
        if arenas.include(index) {
            sum.add(large.get(class).unwrap_or(&LargeFigures::ZERO));
        }
    }
    sum
}

/// Objects of a class that the application asked for. Caches are not told apart by arena: what is cached stands with the
/// first, and in the sum.
pub(super) fn requests(figures: &Figures, arenas: Arenas, class: usize) -> u64 {
    match figures.requests.get(class) {
        Some(&requests) if arenas.hold_shared() => requests,
        Some(_) => 0,
        None => large(figures, arenas, class - SMALL_CLASSES).nmalloc,
    }
}

fn runs(key: Key, arenas: Arenas, class: usize) -> usize {
    let (state, wants_bytes) = match key {
        Key::Ndirty => (RunState::Dirty, false),
        Key::DirtyBytes => (RunState::Dirty, true),
        Key::Nmuzzy => (RunState::Muzzy, false),
        Key::MuzzyBytes => (RunState::Muzzy, true),
        Key::Nretained => (RunState::Retained, false),
        Key::RetainedBytes => (RunState::Retained, true),
        _ => return 0,
    };
    if !arenas.hold_shared() {
        return 0;
    }
    let runs = inventory(|inventory| inventory.runs[state as usize].get(class).copied());
    runs.map_or(0, |runs| if wants_bytes { runs.bytes } else { runs.count })
}
