//! What each key does, a file for each part of the tree.
//!
//! A part has `ROWS`, its `Key`s, and `answer`, which runs inside the fork gate with no lock held. Where a key is both
//! read and written, which comes first is the original's, as a wrong length for the one leaves the other done or not.

mod arena;
mod arenas;
mod by_request;
mod config;
mod hooks;
mod not_built;
mod opt;
mod own;
mod process;
mod prof;
mod stats;
mod stats_arena;
mod stats_by_request;
mod stats_classes;
mod stats_huge;
mod stats_locks;
mod tcache;
mod thread;
mod utilization;

use super::request::Refusal;
use super::row::Row;
use super::{Call, Due};

pub(super) use prof::counts_classes;

/// Every key there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    NotBuilt,
    Process(process::Key),
    Thread(thread::Key),
    Tcache(tcache::Key),
    Config(config::Key),
    Opt(opt::Key),
    Arena(arena::Key),
    Arenas(arenas::Key),
    ByRequest(by_request::Key),
    Stats(stats::Key),
    StatsArena(stats_arena::Key),
    StatsClasses(stats_classes::Key),
    StatsHuge(stats_huge::Key),
    StatsLocks(stats_locks::Key),
    Utilization(utilization::Key),
    Hooks(hooks::Key),
    Own(own::Key),
    Prof(prof::Key),
}

/// All rows, part by part.
pub(super) const SUBTREES: &[&[Row]] = &[
    process::ROWS,
    thread::ROWS,
    tcache::ROWS,
    config::ROWS,
    opt::ROWS,
    arena::ROWS,
    arenas::ROWS,
    by_request::ROWS,
    not_built::ROWS,
    stats::ROWS,
    stats_arena::ROWS,
    stats_classes::ROWS,
    stats_huge::ROWS,
    stats_locks::ROWS,
    utilization::ROWS,
    hooks::ROWS,
    own::ROWS,
    prof::ROWS,
];

/// Answers `call` by `key`.
pub(super) fn answer(key: Key, call: &mut Call) -> Result<(), Refusal> {
    match key {
        Key::NotBuilt => Err(Refusal::Absent),
        Key::Process(key) => process::answer(key, call),
        Key::Thread(key) => thread::answer(key, call),
        Key::Tcache(key) => tcache::answer(key, call),
        Key::Config(key) => config::answer(key, call),
        Key::Opt(key) => opt::answer(key, call),
        Key::Arena(key) => arena::answer(key, call),
        Key::Arenas(key) => arenas::answer(key, call),
        Key::ByRequest(key) => by_request::answer(key, call),
        Key::Stats(key) => stats::answer(key, call),
        Key::StatsArena(key) => stats_arena::answer(key, call),
        Key::StatsClasses(key) => stats_classes::answer(key, call),
        Key::StatsHuge(key) => stats_huge::answer(key, call),
        Key::StatsLocks(key) => stats_locks::answer(key, call),
        Key::Utilization(key) => utilization::answer(key, call),
        Key::Hooks(key) => hooks::answer(key, call),
        Key::Own(key) => own::answer(key, call),
        Key::Prof(key) => prof::answer(key, call),
    }
}
