//! What the allocator tells about itself.

pub mod report;
