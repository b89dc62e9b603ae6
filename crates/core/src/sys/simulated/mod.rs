//! The system of the unit tests: the real one behind a gate that can refuse, and a clock turned by hand.
//!
//! Both are the calling thread's own, so that tests running side by side do not meet. What else tests of every
//! floor need stands here too: a process of their own, and numbers to draw operations with.

pub(crate) mod bare;
pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod dice;
pub(crate) mod files;
pub(crate) mod memory;
