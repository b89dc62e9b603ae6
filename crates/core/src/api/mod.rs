//! The verbs: allocate, free, resize, ask. `GlobalAlloc` and the C door are thin layers over them.
//!
//! All of them report "out of memory" as null, keep `errno`, and never panic.

mod alloc;
mod arenas;
mod block;
mod channel;
mod container;
mod extended;
mod flags;
mod free;
mod global;
mod limits;
mod maintain;
pub mod mallctl;
mod misused;
pub mod printing;
pub mod profile;
mod query;
mod resize;
mod sampling;
pub mod settings;
mod slow;

#[cfg(feature = "allocator-api2")]
mod allocator;

pub use crate::arena::hardened::Door;
pub use crate::prof::unwind::first_defined;
/// Bytes up to which the fast paths serve.
pub use crate::size::LOOKUP_MAX as FAST_MAX;
pub use alloc::{
    alloc, alloc_aligned, alloc_by, alloc_hit, alloc_known, alloc_missed, alloc_zeroed,
    alloc_zeroed_aligned, alloc_zeroed_hit, alloc_zeroed_missed, refuse,
};
pub use arenas::{Arena, Decay, Stats, arenas, stats};
pub use channel::{ChannelError, close_channel, open_channel};
pub use container::{Container, Pressure, container};
pub use extended::{alloc_with, dealloc_sized_with, dealloc_with, realloc_with};
pub use flags::Flags;
pub use free::{dealloc, dealloc_by, dealloc_known, dealloc_sized, dealloc_told};
pub use global::Jemoxide;
pub use limits::{
    Limits, SoftLimitCallback, limits, set_heap_limit_hard, set_heap_limit_soft,
    set_soft_limit_callback,
};
pub use maintain::{
    Footprint, flush_thread_cache, footprint, idle, purge, refuse_new, rss, set_decay_ms, trim,
    zero_realloc,
};
pub use misused::{MisuseCallback, check_heap, set_misuse_callback};
pub use query::{request_size, usable_size};
pub use resize::{
    Classes, compare_classes, move_small, realloc, realloc_known, realloc_missed, resize_in_place,
};

#[cfg(test)]
mod tests;
