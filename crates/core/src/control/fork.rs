//! Fork: the gate is closed while the process doubles.
//!
//! ```text
//! before   close the gate, wait until nobody is inside (a purge step included)
//! parent   open
//! child    dead threads' caches become orphans; open
//! ```
//! Nobody being inside, no lock of ours is held: the child repairs nothing and touches no object.

use super::report;
use crate::arena::large;
use crate::sys::thread as system;
use crate::thread::{self, CacheRef, Current, passage, registry};

/// Registers the handlers. May allocate from us. `false`: refused.
pub(super) fn install() -> bool {
    system::at_fork(before, parent, child)
}

fn own() -> Option<CacheRef> {
    match thread::current() {
        Current::Started(cache, _) => Some(cache),
        Current::Unstarted | Current::Gone => None,
    }
}

unsafe extern "C" fn before() {
    passage::close(own());
}

unsafe extern "C" fn parent() {
    passage::open();
}

unsafe extern "C" fn child() {
    let own = own();
    registry::orphan_others(own);
    large::recount_idle();
    report::detach();
    passage::open_in_child(own);
}
