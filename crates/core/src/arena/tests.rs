//! Tests of what stands between the thread caches and the page heap, each against its naive twin.

mod depot;
mod large;
mod magazine;
mod sweep;
