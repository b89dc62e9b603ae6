//! Profiling: when profiles are written, where, and what else is asked of the profiler.
//!
//! ```text
//! option prof, mallctl, Rust ──> start, switch          inside the gate
//! interval, new high, exit, request ──> dump            outside: books read in passages, files written between them
//! reset, log, last samples ──> jobs                     outside, by who has the desk
//! ```
//! F1  Nothing is registered, and no page touched, in a process that does not ask for profiles.
//! F2  What writes files runs outside the fork gate with no lock held; a fork waits for a step of it, not for a disk.
//! F3  Who has the desk may run the application's code, which comes back here: dumps that come by themselves in the middle of
//!     allocations never wait for the desk, but stay due.
//! F4  Dumps of the allocator's own accord that fail say why in a line; one that was asked for answers.
//!
//! | file | |
//! |---|---|
//! | `dump` | the books, the process's maps and the details into a file |
//! | `file` | a file that appears whole, or not at all |
//! | `names` | prefix and numbers of files |
//! | `jobs` | what mallctl and Rust ask for |
//! | `signals` | what a signal asks for |
//!
//! Source: the testkit's facts of jemalloc's format and options.

mod dump;
mod file;
mod jobs;
mod names;
mod signals;

pub(crate) use dump::Trigger;
pub(crate) use jobs::{Job, dump_for_channel, dump_to, run};
pub(crate) use names::{option_prefix, set_prefix};

use super::boot;
use crate::ds::text::Line;
use crate::extent::HEAP;
use crate::options::Options;
use crate::prof;
use crate::sys::{bare, futex, process};
use crate::thread::{self, passage::Passage};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// Something is to be done at exit.
#[unsafe(link_section = ".data.jemoxide_start")]
static WANTED: AtomicBool = AtomicBool::new(false);
/// [`at_exit`] is registered, once and for all.
static ARMED: AtomicBool = AtomicBool::new(false);
/// A profile is written at each new high of mapped memory; and the high so far.
static AT_HIGHS: AtomicBool = AtomicBool::new(false);
static HIGH: AtomicUsize = AtomicUsize::new(0);
/// Somebody has begun to start the profiler, long after the boot.
static STARTING: AtomicBool = AtomicBool::new(false);
/// From one look at whether it is started to the next.
const WAIT_NS: u64 = 10_000;
/// What is due, as bits.
static DUE: AtomicU8 = AtomicU8::new(0);
const INTERVAL: u8 = 1;
const NEW_HIGH: u8 = 2;
const SIGNAL: u8 = 4;
const COMPLAINT: u8 = 8;

/// Starts the profiler where options ask for it. Called once, by the boot. `true`: they contradict each other, and say so.
pub(super) fn prepare(options: &Options) -> bool {
    signals::prepare(options);
    if !is_asked_for(options) {
        return false;
    }
    begin(options);
    let prof = &options.prof;
    prof::start(prof.active);
    if prof.log {
        prof::start_log();
    }
    let contradicts = prof.leak_error && !prof.at_exit;
    if contradicts {
        process::write_error(
            b"<jemoxide>: prof_leak_error:true has no effect without prof_final:true\n",
        );
    }
    contradicts
}

/// Whether options ask for the profiler: a report of leaks does.
pub(crate) fn is_asked_for(options: &Options) -> bool {
    options.prof.is_on || options.prof.leak || options.prof.leak_error
}

#[cold]
fn begin(options: &Options) {
    let prof = &options.prof;
    prof::prepare(prof);
    names::prepare(prof);
    AT_HIGHS.store(prof.gdump, Ordering::Relaxed);
    if prof.at_exit || prof.log {
        WANTED.store(true, Ordering::Relaxed);
    }
}

/// Starts the profiler in a process that began without it; [`arm`] is due then, outside the gate. Called inside a passage.
pub(crate) fn start(active: bool) {
    if !prof::is_started() {
        if STARTING.swap(true, Ordering::Relaxed) {
            // Another thread is at it.
            while !prof::is_started() {
                futex::pause(WAIT_NS);
            }
        } else {
            begin(boot::options());
        }
    }
    prof::start(active);
}

/// Has what is wanted at exit done when the process leaves through `exit`. May allocate from us.
pub(crate) fn arm() {
    if WANTED.load(Ordering::Relaxed)
        && WANTED.swap(false, Ordering::Relaxed)
        && !ARMED.swap(true, Ordering::Relaxed)
        && !process::at_exit(at_exit)
    {
        ARMED.store(false, Ordering::Relaxed);
        WANTED.store(true, Ordering::Relaxed);
    }
}

/// Has a log that is begun now written at exit.
fn want_exit() {
    WANTED.store(true, Ordering::Relaxed);
}

extern "C" fn at_exit() {
    let options = boot::options();
    if options.prof.at_exit && names::has_prefix() {
        let found = dump::write(Trigger::Exit);
        if let (Ok(found), true) = (found, options.prof.leak || options.prof.leak_error) {
            tell_leaks(found, options.prof.leak_error);
        }
    }
    if inside(prof::is_logging) {
        jobs::end_log();
    }
}

/// Tells of objects that are still there.
fn tell_leaks(found: prof::dump::Found, is_error: bool) {
    if found.objects == 0 {
        return;
    }
    let mut line = Line::new();
    line.text("<jemoxide>: Leak approximation summary: ~");
    for (number, word, then) in [
        (found.bytes, " byte", ", ~"),
        (found.objects, " object", ", >= "),
        (found.stacks, " context", "\n"),
    ] {
        let plural = if number == 1 { "" } else { "s" };
        line.decimal(number as usize)
            .text(word)
            .text(plural)
            .text(then);
    }
    line.text("<jemoxide>: Run jeprof, or jemoxide report, on the dump for leak detail\n");
    if is_error {
        line.text("<jemoxide>: Exiting with status 1, as prof_leak_error asks for\n");
    }
    process::write_error(line.as_bytes());
    if is_error {
        process::exit_now(1);
    }
}

/// Whether a profile is due: [`run_due`] is the caller's task, outside the gate. Called inside a passage, on ticks.
pub(crate) fn is_due() -> bool {
    let asked = if signals::is_asked() { SIGNAL } else { 0 };
    if dump::has_kept() {
        DUE.fetch_or(COMPLAINT, Ordering::Relaxed);
    }
    let mut due = asked | DUE.load(Ordering::Relaxed);
    if !prof::is_sampling() && due == 0 {
        return false;
    }
    if prof::take_due() {
        due |= INTERVAL;
    }
    if AT_HIGHS.load(Ordering::Relaxed) {
        let mapped = HEAP.figures().mapped;
        if HIGH.fetch_max(mapped, Ordering::Relaxed) < mapped {
            due |= NEW_HIGH;
        }
    }
    due != 0 && {
        DUE.fetch_or(due, Ordering::Relaxed);
        true
    }
}

/// Writes the profiles that are due.
pub(crate) fn run_due() {
    let due = DUE.swap(0, Ordering::Relaxed);
    if due & COMPLAINT != 0 {
        dump::tell_kept();
    }
    if due & SIGNAL != 0 {
        signals::serve();
    }
    if !names::has_prefix() {
        return;
    }
    for (bit, trigger) in [(INTERVAL, Trigger::Interval), (NEW_HIGH, Trigger::NewHigh)] {
        if due & bit == 0 {
            continue;
        }
        match dump::free_desk() {
            Some(desk) => drop(dump::write_at(desk, trigger)),
            // Rule F3.
            None => drop(DUE.fetch_or(bit, Ordering::Relaxed)),
        }
    }
}

/// Whether a profile is written at each new high of mapped memory: `prof.gdump`.
pub(crate) fn is_at_highs() -> bool {
    AT_HIGHS.load(Ordering::Relaxed)
}

/// Sets that.
pub(crate) fn set_at_highs(is_on: bool) {
    AT_HIGHS.store(is_on, Ordering::Relaxed);
}

/// In a forked child, the gate being closed: what the parent was about is the parent's.
pub(super) fn forget() {
    if prof::is_started() {
        prof::forget_dump();
        file::forget();
        dump::forget_kept();
        DUE.store(0, Ordering::Relaxed);
    }
}

/// Does what a signal asks for, if it came. Called by the purge thread, outside the gate: for programs that make no calls.
pub(super) fn heed_signal() {
    if signals::is_asked() {
        signals::serve();
    }
}

/// Runs a step in a passage of its own (F2).
fn inside<R>(step: impl FnOnce() -> R) -> R {
    let cache = match bare::is_current() {
        true => None,
        false => thread::current().cache(),
    };
    let _passage = Passage::enter(cache);
    step()
}
