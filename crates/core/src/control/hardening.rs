//! Hardening: what the level asks of the boot, of the end, and of a look in between.
//!
//! E1  From `strong` on all of the hardened arena is looked at when the process leaves through `exit`: what was written where
//!     nobody may is told, though nobody freed or reused it. Registered with the first thread; no other process pays for it.
//! E2  There, and where objects are sampled, the signal of a refused access is looked at first: an access of a guard or of freed
//!     pages is told, and goes on to the program's own handler, or ends the process. No other process has a handler of ours.
//! E3  Pages are not made huge from `strong` on: guards would stand in their midst.

use super::modes;
use crate::arena::{hardened, misuse};
use crate::options::{Hardening, Options};
use crate::sys::{fault, process};
use crate::thread::{self, passage::Passage};
use core::sync::atomic::{AtomicBool, Ordering};

static ARMED: AtomicBool = AtomicBool::new(false);

/// Takes over what the options say. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    if modes::is_hardening(options) {
        let by_level = match options.hardening {
            Hardening::Paranoid => hardened::FRAMES,
            _ => 0,
        };
        let frames = usize::try_from(options.hardening_stacks).unwrap_or(by_level);
        hardened::prepare(options.hardening, options.quarantine, frames);
    } else if modes::is_sampling(options) {
        hardened::prepare_pool(options.guarded_sampling);
    } else {
        return;
    }
    fault::on_refused_access(misuse::tell_refused);
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

/// In a forked child: what it does by chance is not what its parent does.
pub(super) fn note_child() {
    if modes::hardened() {
        hardened::reseed();
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
