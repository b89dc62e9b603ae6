//! Locks, gates and lock-free stacks.
//!
//! | rank | lock | guards |
//! |---|---|---|
//! | 0 | report | the report's file |
//! | 0 | channel | where the live channel's file is |
//! | 0 | ids | ids of explicit caches |
//! | 0 | container | what was read of control groups |
//! | 0 | mallctl | the epoch's figures; the page heap's inventory |
//! | 0 | names, log, kept | prefix of profiles, target of a log, what the purge thread has to tell |
//! | 0 | rss text | the report of resident memory as C programs read it |
//! | 0 | events | handlers of threads' events, for who registers one |
//! | 1 | registry | the list of thread caches |
//! | 1 | table | indexes of arenas made by request |
//! | 1 | claim of an explicit cache | what is in it |
//! | 1 | sweep | how far the sweep of the slabs has come; only tried |
//! | 2 | bin | the slabs of one class in one arena |
//! | 2 | samples | which slabs for samples have free slots |
//! | 2 | arena made by request | its extents, slabs and figures |
//! | 2 | hardened bin, hardened large objects, sleepers | slots of one class; objects with pages of their own; runs that wait for their class |
//! | 2 | pool | pages between guards, for objects chosen now and then |
//! | 3 | page heap | descriptors, runs, decay |
//! | 3 | fences | which pages are fences |
//! | 3 | quarantine | freed objects of the hardened arena that wait |
//! | 3 | profile | what the profiler keeps |
//! | 4 | metadata | bump and free lists of our own records |
//! | 5 | data segment | moving its end |
//! | 6 | faults | misuse that waits to be told |
//!
//! Locks are taken in rank order. Every holder is inside the fork gate, so no lock is held when a
//! process forks.
#![cfg_attr(
    not(loom),
    allow(unreachable_pub, reason = "public for the model checker")
)]

/// Who chooses the interleavings under `cfg(loom)`: here loom, which tries all; in `crates/schedules` shuttle, at random.
#[cfg(loom)]
pub(crate) use loom as checker;

pub(crate) mod atomic;
pub mod claim;
pub mod errand;
mod futex_word;
pub mod gate;
pub mod lock_word;
#[cfg(not(loom))]
pub(crate) mod mutex;
pub mod stack;
#[cfg(not(loom))]
mod tally;

#[cfg(not(loom))]
pub(crate) use mutex::{Guard, Mutex};
#[cfg(not(loom))]
pub(crate) use tally::{Contended, Contention, Figures as LockFigures};
