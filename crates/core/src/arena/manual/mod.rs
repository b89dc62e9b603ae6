//! Arenas made by request: with pages, slabs and hooks of their own.
//!
//! ```text
//! MALLOCX_ARENA(i), thread.arena, explicit caches
//!        v
//! table ──> arena ──> books: slabs by class, extents by state
//!                       └──> pages ──> extent hooks, or the defaults
//! ```
//! H1  What belongs to such an arena is handed out by it alone, and by explicit caches, which know whose theirs is: its pages
//!     read class 0 in the page map, so that its objects never enter a thread's bins, a magazine of the depot, or the run
//!     cache. After a reset, or in memory that two processes share, another thread would hold what is no more.
//! H2  No lock is held while a hook or a system call runs; what is under way is marked.
//! H3  Two threads may use one arena at any time; reset and destruction are for a time when nobody does.
//! H4  At `hardening:strong` and `paranoid` objects of an arena with the default hooks are the hardened arena's, which knows by
//!     its index whose they are; pages of its own it has as long as it has hooks of the application. Reset, end and figures
//!     are of both.
//!
//! | file | |
//! |---|---|
//! | `table` | indexes |
//! | `arena` | the record of an arena |
//! | `books`, `tree` | its extents, by state, length and age |
//! | `pages` | extents from the hooks, to objects, and back |
//! | `extent`, `slab`, `cells` | records |
//! | `objects` | objects: allocated, freed, resized, looked at |
//! | `samples` | objects that the profiler knows of |
//! | `life` | making, resetting, ending; settings |
//! | `figures` | what there is to tell |
//!
//! Source: jemalloc(3) `arenas.create`, `arena.<i>.*`, `MALLOCX_ARENA`.

mod arena;
mod books;
mod extent;
mod figures;
mod life;
mod objects;
mod pages;
mod samples;
mod slab;
mod table;
#[cfg(test)]
mod tests;
mod tree;

pub(crate) use arena::{ArenaRef, NAME};
pub(crate) use figures::{BinFigures, Figures, LargeFigures, add_class_bytes};
pub(crate) use figures::{destroyed, destroyed_bin, destroyed_large, is_any_destroyed};
pub(crate) use figures::{note_all, requests, resident_bytes, sum};
pub(crate) use life::{
    active_bytes, age_all, create, forget_visitors, idle_bytes, purge_all, tick,
};
pub(crate) use objects::{
    alloc, arena_of, dealloc, fill, flush, inspect, resize, small_at, utilisation,
};
pub(crate) use pages::set_retain;
pub(crate) use samples::{attach, detach, sample_of};
pub(crate) use table::{ARENAS_LIMIT, all, end, get, held, is_used};
