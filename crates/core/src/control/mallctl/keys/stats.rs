//! `stats.*` of the whole process, as of the epoch.

use super::super::epoch::figure;
use super::super::row::{Kind, Row, read};
use super::{Call, Refusal};
use crate::arena::manual;
use crate::control::boot;
use crate::extent::page_map;
use crate::meta;
use crate::size::PAGE;
use crate::stats::snapshot;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Key {
    Allocated,
    Active,
    Metadata,
    MetadataRtree,
    MetadataEdata,
    MetadataThp,
    Resident,
    Mapped,
    Retained,
    Zero,
    NumThreads,
    NumRuns,
    RunInterval,
    ZeroReallocs,
    ActiveAtOnce,
}

const fn key(key: Key) -> super::Key {
    super::Key::Stats(key)
}

pub(super) const ROWS: &[Row] = &[
    read("stats.allocated", Kind::Size, key(Key::Allocated)),
    read("stats.active", Kind::Size, key(Key::Active)),
    read("stats.metadata", Kind::Size, key(Key::Metadata)),
    read("stats.metadata_rtree", Kind::Size, key(Key::MetadataRtree)),
    read("stats.metadata_edata", Kind::Size, key(Key::MetadataEdata)),
    read("stats.metadata_thp", Kind::Size, key(Key::MetadataThp)),
    read("stats.resident", Kind::Size, key(Key::Resident)),
    read("stats.mapped", Kind::Size, key(Key::Mapped)),
    read("stats.retained", Kind::Size, key(Key::Retained)),
    // No hooks of the program's, so nothing of theirs that must stay.
    read("stats.pinned", Kind::Size, key(Key::Zero)),
    read(
        "stats.background_thread.num_threads",
        Kind::Size,
        key(Key::NumThreads),
    ),
    read(
        "stats.background_thread.num_runs",
        Kind::U64,
        key(Key::NumRuns),
    ),
    read(
        "stats.background_thread.run_interval",
        Kind::U64,
        key(Key::RunInterval),
    ),
    read("stats.zero_reallocs", Kind::Size, key(Key::ZeroReallocs)),
    read(
        "approximate_stats.active",
        Kind::Size,
        key(Key::ActiveAtOnce),
    ),
];

pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    let by_request =
        |part: fn(&manual::Figures) -> u64| figure(|figures| part(&figures.by_request)) as usize;
    let more = match key {
        Key::Allocated => by_request(|sums| sums.small_bytes + sums.large_bytes),
        Key::Active => by_request(|sums| sums.active_pages) * PAGE,
        Key::Resident => by_request(|sums| sums.resident_bytes),
        Key::Mapped => by_request(manual::Figures::mapped_bytes),
        Key::Retained => by_request(|sums| sums.retained_bytes),
        _ => 0,
    };
    let bytes = match key {
        Key::NumRuns => return call.request.give(figure(|figures| figures.purger.runs)),
        Key::RunInterval => {
            return call
                .request
                .give(figure(|figures| figures.purger.interval_ns()));
        }
        Key::NumThreads => figure(|figures| figures.purger.threads),
        Key::ZeroReallocs => boot::zero_reallocs(),
        Key::ActiveAtOnce => snapshot::active_at_once(),
        Key::MetadataRtree => page_map::used_bytes(),
        Key::MetadataEdata => figure(|figures| figures.record_bytes),
        Key::MetadataThp => meta::huge_pages(),
        Key::Zero => 0,
        Key::Allocated => figure(|figures| figures.books.allocated as usize),
        Key::Active => figure(|figures| figures.books.active as usize),
        Key::Metadata => figure(|figures| figures.books.metadata as usize),
        Key::Resident => figure(|figures| {
            (figures.books.active + figures.books.dirty + figures.books.metadata) as usize
        }),
        Key::Mapped => figure(|figures| figures.heap.mapped + figures.books.metadata as usize),
        Key::Retained => figure(|figures| figures.books.retained as usize),
    };
    call.request.give(bytes + more)
}
