//! Limits: how much memory the heap may take.
//!
//! Counted is what the system may charge the process for on the allocator's account: everything handed out, touched or
//! not, idle memory that has not been given back, and the allocator's own records. The program's stacks, its code and
//! its own mappings are not.

use super::slow;
use crate::control::limit;
use crate::meta::limit as counts;

pub use crate::control::limit::SoftLimitCallback;

/// The limits in force, in bytes; 0: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that count at this moment.
    pub used: usize,
    /// Above this, idle memory is given back and the callback is called.
    pub soft: usize,
    /// Beyond this, allocations fail.
    pub hard: usize,
}

/// The limits in force, and what is used.
pub fn limits() -> Limits {
    Limits {
        used: counts::used(),
        soft: limit::limit_or_none(counts::soft()),
        hard: limit::limit_or_none(counts::hard()),
    }
}

/// Sets the hard limit to `bytes`, at least 1 MiB; 0: none. The program never gets beyond it: allocations that would
/// take more fail. Where more is used already, idle memory is given back at once, and nothing is added until less is
/// used than the limit says.
///
/// As the option `heap_limit_hard`.
pub fn set_heap_limit_hard(bytes: usize) {
    slow::enter(|cache| limit::set_hard(bytes, cache));
}

/// Sets the soft limit to `bytes`, at least 1 MiB; 0: none. Where allocations take more, idle memory is given back, and
/// if that is not enough the callback is called.
///
/// As the option `heap_limit_soft`.
pub fn set_heap_limit_soft(bytes: usize) {
    slow::enter(|_| limit::set_soft(bytes));
}

/// Registers the function that is called when more memory is in use than the soft limit says, with the bytes used and
/// the limit; `None`: none is.
///
/// It is called in whichever thread allocates, in the middle of the allocation it asked for, once for each crossing and
/// never by two threads at a time. It may allocate, free, and set limits; it must not wait for a lock that its thread
/// may hold while it allocates. A panic in it ends the process.
pub fn set_soft_limit_callback(callback: Option<SoftLimitCallback>) {
    slow::enter(|_| limit::set_callback(callback));
}
