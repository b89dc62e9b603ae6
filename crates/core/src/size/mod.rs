//! Numbers: size classes, pages, slab geometry. No memory, no state.
//!
//! ```text
//! request ── class_of ──> SizeClass ── size_of_class ──> usable size
//!    └── large: rounded to pages, an extent of its own
//! ```
#![deny(unsafe_code)]

mod classes;
mod geometry;
mod pages;

pub use classes::{
    CACHED_CLASSES, CLASSES, COARSE_MAX, COARSE_STEP, LARGE_MIN, LOOKUP, LOOKUP_COARSE, LOOKUP_MAX,
    MAX_SIZE, PAGE_CLASSES, QUANTUM, SIZES, SMALL_CLASSES, SMALL_MAX, SizeClass, aligned_size,
    class_of, page_class, page_class_of, round_up, size_of_class, size_of_page_class, usable_size,
};
pub use geometry::{Slots, magazine_capacity, slab_pages, slab_slots, slots_of};
pub(crate) use geometry::{is_populated, slots_in_slab};
pub use pages::{HUGE, HUGE_PAGES, LG_HUGE, LG_PAGE, PAGE, Pages};
