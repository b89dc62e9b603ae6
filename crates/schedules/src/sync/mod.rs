//! `crates/core/src/sync`, as far as it has no other parts of the core beneath it.

pub(crate) use shuttle as checker;

#[path = "../../../core/src/sync/atomic.rs"]
pub(crate) mod atomic;
#[path = "../../../core/src/sync/errand.rs"]
pub mod errand;
#[path = "../../../core/src/sync/futex_word.rs"]
mod futex_word;
#[path = "../../../core/src/sync/gate.rs"]
pub mod gate;
#[path = "../../../core/src/sync/lock_word.rs"]
pub mod lock_word;
#[path = "../../../core/src/sync/stack.rs"]
pub mod stack;
