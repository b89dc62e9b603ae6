//! The system of the unit tests: the real one behind a gate that can refuse, and a clock turned by hand.
//!
//! Both are the calling thread's own, so that tests running side by side do not meet.

pub(crate) mod clock;
pub(crate) mod memory;
