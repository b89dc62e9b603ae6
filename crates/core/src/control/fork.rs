//! Fork: the gate is closed while the process doubles.
//!
//! ```text
//! before   close the gate, wait until nobody is inside (a purge step included)
//! parent   open
//! child    dead threads' caches become orphans; the purge thread is forgotten, to come again when wanted; open
//! ```
//! Nobody being inside, no lock of ours is held and every record is whole: the child mends none, and moves no object of the
//! program's. What it changes is what belonged to threads that are gone: their caches and claims, a dump that was under way
//! (the books of the profiler let go of what had to stay for it), the channel's file.

use super::{channel, hardening, limit, profiling, purger, report};
use crate::arena::{explicit, manual, misuse, run_cache};
use crate::extent::HEAP;
use crate::sys::{clock, thread as system};
use crate::thread::{self, passage, registry};

/// Registers the handlers. May allocate from us. `false`: refused.
pub(super) fn install() -> bool {
    system::at_fork(before, parent, child)
}

unsafe extern "C" fn before() {
    passage::close(thread::current().cache());
}

unsafe extern "C" fn parent() {
    HEAP.note_fork(clock::now_ns(), false);
    passage::open();
}

unsafe extern "C" fn child() {
    let own = thread::current().cache();
    profiling::forget();
    registry::orphan_others(own);
    run_cache::recount();
    manual::forget_visitors();
    explicit::forget_claims();
    misuse::forget_others();
    hardening::note_child(own);
    report::detach();
    channel::forget();
    purger::forget();
    limit::forget_caller();
    HEAP.note_fork(clock::now_ns(), true);
    passage::open_in_child(own);
}
