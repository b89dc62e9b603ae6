//! Signal: sampling is switched by a signal of the user's choice: `prof_signal`.
//!
//! ```text
//! signal ── ASKED ──> next tick of a slow path, or the purge thread, which is woken
//!                       off: on           on: off, and a profile is written
//! ```
//! N1  There is no handler unless the option asks for one, and none where the program has its own.
//! N2  The handler only notes and wakes: what is asked for is done outside of it.

use super::dump::{self, Trigger};
use super::{arm, inside, names, start};
use crate::control::channel::UNFIT;
use crate::control::purger;
use crate::ds::text::Line;
use crate::options::Options;
use crate::prof::{self, desk::Desk};
use crate::sys::{bare, process, signal};
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering};

/// The signal came.
#[unsafe(link_section = ".data.jemoxide_start")]
static ASKED: AtomicBool = AtomicBool::new(false);

/// Does what the option says. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    // With raised rights nothing is done that another user could ask for.
    if options.prof.signal != 0 && !process::has_raised_rights() {
        handle(options.prof.signal as c_int);
    }
}

#[cold]
#[inline(never)]
fn handle(number: c_int) {
    let why = match number {
        number if UNFIT.contains(&number) => "it cannot be used; 10 is SIGUSR1, 12 SIGUSR2",
        number if !signal::handle(number, on_signal) => {
            "the program handles it, or ignores it; choose another"
        }
        _ => return,
    };
    let mut line = Line::new();
    line.text("<jemoxide>: prof_signal:")
        .decimal(number as usize)
        .text(" has no effect: ")
        .text(why)
        .text("\n");
    process::write_error(line.as_bytes());
}

/// Rule N2.
extern "C" fn on_signal(_: c_int) {
    ASKED.store(true, Ordering::Relaxed);
    purger::start();
    purger::hurry();
}

/// Whether the signal came: [`serve`] is due.
#[inline]
pub(super) fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Does what the signal asks for, once for each that was noticed. Called outside the gate, no lock held.
#[cold]
pub(super) fn serve() {
    // Who has the desk could not write the profile: another thread will, or this one later.
    if Desk::is_own() || !ASKED.swap(false, Ordering::Relaxed) {
        return;
    }
    if prof::is_sampling() {
        prof::set_active(false);
        if names::has_prefix() {
            let _ = dump::write(Trigger::Signal);
        }
    } else {
        inside(|| {
            start(true);
            prof::set_active(true);
        });
        // Registering allocates: the purge thread leaves it to the next thread that starts.
        if !bare::is_current() {
            arm();
        }
    }
}
