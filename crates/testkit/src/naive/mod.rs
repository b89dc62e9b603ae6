//! Naive: an allocator's promises, checked the obvious way.
//!
//! ```text
//!  Workload --seed--> random operations ---> Heap under test
//!                            |                  | address
//!                            v                  v
//!                     blocks (patterns) <--> LiveRanges (sorted, disjoint)
//! ```
//!
//! N1  A block is aligned as asked, and its usable size holds the request.
//! N2  No two live blocks share a byte.
//! N3  What was written into a block is there until it is freed, whoever frees it.
//! N4  Zeroed memory is zero over the whole usable size.
//! N5  A resized block keeps its contents up to the smaller of both sizes.
//!
//! One test body serves every heap: the C door, the Rust face, a mock that is broken on purpose.

mod block;
mod heap;
mod live;
mod random;
mod workload;

pub use block::Block;
pub use heap::{Global, Heap};
pub use live::LiveRanges;
pub use random::Random;
pub use workload::{Report, Workload};
