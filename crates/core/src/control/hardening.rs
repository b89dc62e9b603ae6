//! Hardening: what the level asks of the boot, of the end, and of a look in between.
//!
//! E0  From `standard` on objects of no bytes cannot be touched, and large objects may have fences.
//! E1  From `strong` on all of the hardened arena is looked at when the process leaves through `exit`: what was written where
//!     nobody may is told, though nobody freed or reused it. Registered with the first thread; no other process pays for it.
//! E2  There, and where objects are sampled, the signal of a refused access is looked at first: an access of a guard or of freed
//!     pages is told, and goes on to the program's own handler, or ends the process. No other process has a handler of ours.
//!     It comes with a tick, or an object of the hardened arena or its pool, of the first thread when that has come by slow paths
//!     a few dozen times, or of any other thread: what a language's runtime does with the signal at its start (Rust's tells a stack
//!     overflow by it) it does only where it finds nothing there, and so comes before.
//! E3  Pages are not made huge from `strong` on: guards would stand in their midst.

use super::modes;
use crate::arena::{empty, hardened, misuse};
use crate::extent::fence;
use crate::options::{Hardening, Options, Thp};
use crate::sys::{fault, process};
use crate::thread::{self, CacheRef, Current, passage::Passage};
use core::sync::atomic::{AtomicBool, Ordering};

static ARMED: AtomicBool = AtomicBool::new(false);
/// Refused accesses are to be looked at, and are not yet.
#[unsafe(link_section = ".data.jemoxide_start")]
static UNWATCHED: AtomicBool = AtomicBool::new(false);

/// Takes over what the options say. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    let is_standard = options.hardening >= Hardening::Standard;
    empty::want(is_standard);
    // Where the system is to give huge pages at once, a fence would keep it from that.
    fence::want(is_standard && options.thp != Thp::Always);
    if !options.hardening_families {
        hardened::treat_doors_alike();
    }
    if modes::is_hardening(options) {
        let by_level = match options.hardening {
            Hardening::Paranoid => hardened::FRAMES,
            _ => 0,
        };
        let frames = usize::try_from(options.hardening_stacks).unwrap_or(by_level);
        hardened::prepare(options.hardening, options.quarantine, frames);
    }
    if modes::is_sampling(options) {
        hardened::prepare_pool(options.guarded_sampling);
    }
    if modes::is_hardening(options) || modes::is_sampling(options) {
        UNWATCHED.store(true, Ordering::Relaxed);
    }
}

/// Has refused accesses looked at from now on, where they are to be and are not yet (E2).
#[inline]
pub(crate) fn watch(cache: Option<CacheRef>) {
    let is_late = |cache: CacheRef| cache.is_seasoned() || !process::is_first_thread();
    let is_wanted = UNWATCHED.load(Ordering::Relaxed) && cache.is_some_and(is_late);
    if is_wanted && UNWATCHED.swap(false, Ordering::Relaxed) {
        fault::on_refused_access(look_at_refused);
    }
}

/// In a signal handler.
fn look_at_refused(addr: usize) {
    let is_outside = match thread::current() {
        Current::Started(cache) => !cache.is_inside(),
        Current::Unstarted => true,
        // It keeps no count.
        Current::Gone => false,
    };
    misuse::tell_refused(addr, is_outside);
}

/// Leaves out of `options` what does not go together with the level (E3), and takes jemalloc's guards for ours.
pub(super) fn amend(options: &mut Options) {
    if modes::is_hardening(options) {
        options.huge_budget = 0;
    }
    if options.guarded_sampling == 0 {
        let said = [options.san_guard_small, options.san_guard_large];
        let least = said.into_iter().filter(|&share| share > 0).min();
        options.guarded_sampling = least.unwrap_or(0);
    }
}

/// In a forked child, whose only thread has that cache: what it does by chance is not what its parent does, and nobody else is
/// about to let go of an object.
pub(super) fn note_child(own: Option<CacheRef>) {
    if modes::guarded() {
        hardened::reseed();
        // The thread itself may be, where it forks in a hook.
        if own.is_some_and(|own| !own.is_away()) {
            hardened::forget_leaving();
        }
    }
}

/// Has the look at the end registered, where one is wanted. May allocate from us.
pub(super) fn arm() {
    if modes::hardened() && !ARMED.swap(true, Ordering::Relaxed) && !process::at_exit(look_at_end) {
        ARMED.store(false, Ordering::Relaxed);
    }
}

extern "C" fn look_at_end() {
    let _passage = Passage::enter(thread::current().cache());
    look();
}

/// Looks at everything that the hardened arena has. Called inside a passage, no lock held.
pub(crate) fn look() {
    if modes::hardened() {
        hardened::sweep();
    }
}
