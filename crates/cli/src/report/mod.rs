//! Reports: the figures that processes on the allocator left behind.
//!
//! ```text
//! DIR/<pid> -- figures: bytes -> Report, or why not -- family: the child, and all the others
//! ```
//! The files are written by programs that may have been killed, may be broken, may be hostile; nothing
//! in them is believed before it is checked, and sums saturate.

mod family;
mod figures;

pub(crate) use family::{Family, Others};
pub(crate) use figures::{Figures, Unreadable, Words, rss, snapshot};
