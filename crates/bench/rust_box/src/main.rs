//! `Box::new` and drop of a constant size, as often as the first argument says. One operation is one
//! pair. With fat LTO the allocator's fast path is inlined here and the size class is a constant.

use std::hint::black_box;

#[cfg(feature = "jemoxide")]
#[global_allocator]
static ALLOCATOR: jemoxide::Jemoxide = jemoxide::Jemoxide;

fn main() {
    let operations: u64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    for index in 0..operations {
        let boxed = Box::new(index);
        // The box must exist in memory: its address leaves through here.
        black_box(&*boxed);
    }
}
