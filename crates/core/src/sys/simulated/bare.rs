//! No bare thread: what unit tests use of the standard library needs thread-local storage. Starting is refused, and
//! counted.

use core::cell::Cell;

pub(crate) use crate::sys::linux::bare::{
    can_own_files, forget, is_present, leave, own_files, set_name, set_ordinary,
};

std::thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread asked for one.
pub(crate) fn asked() -> usize {
    ASKED.get()
}

/// Always refused.
pub(crate) fn start(_entry: extern "C" fn() -> !) -> bool {
    ASKED.set(ASKED.get() + 1);
    false
}

/// Whether the calling thread is the bare one: as the real one says.
pub(crate) fn is_current() -> bool {
    crate::sys::linux::bare::is_current()
}
