//! What the allocator tells about itself. Reads downwards only.

pub mod report;
#[cfg(not(loom))]
pub(crate) mod snapshot;
