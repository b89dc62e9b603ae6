//! What the allocator tells about itself. Reads downwards only.

#[cfg(not(loom))]
pub(crate) mod accounts;
pub mod live;
pub mod maps;
#[cfg(not(loom))]
pub(crate) mod print;
pub mod report;
pub mod rss;
#[cfg(not(loom))]
pub(crate) mod snapshot;
