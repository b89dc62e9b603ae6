//! jemoxide: a general-purpose memory allocator.
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(not(loom))]
pub mod api;
#[cfg(not(loom))]
mod arena;
#[cfg(not(loom))]
mod control;
#[cfg(not(loom))]
mod ds;
#[cfg(not(loom))]
mod extent;
#[cfg(not(loom))]
mod meta;
pub mod options;
#[cfg(not(loom))]
mod prof;
pub mod size;
pub mod stats;
#[cfg(not(loom))]
mod sync;
#[cfg(loom)]
pub mod sync;
#[cfg(not(loom))]
mod sys;
#[cfg(not(loom))]
mod thread;

#[cfg(not(loom))]
pub use api::{
    Arena, ChannelError, Decay, Jemoxide, Limits, MisuseCallback, SoftLimitCallback, Stats, arenas,
    check_heap, close_channel, flush_thread_cache, idle, limits, mallctl, open_channel,
    printing::stats_print, profile, purge, rss, set_decay_ms, set_heap_limit_hard,
    set_heap_limit_soft, set_misuse_callback, set_soft_limit_callback, settings, stats,
};
#[cfg(not(loom))]
pub use stats::rss::RssReport;

/// A reader that is no part of the face of the library, for a fuzz target.
#[cfg(fuzzing)]
#[doc(hidden)]
pub use control::container::container_text;
