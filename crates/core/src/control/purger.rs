//! Purger: the thread that gives idle memory back while the program makes no calls.
//!
//! ```text
//! tick of a slow path ──enough is idle──> start ──> round ──> pause ──> round ... ──nothing left──> gone
//! ```
//! It is there only while there is something to give back: a program at rest has no thread of ours, and one that
//! never frees much never gets it. It is a bare thread (see `sys::bare`), which costs the program little more than
//! the kernel's own books.
//!
//! P1  It is started by the outermost slow path of a thread, outside the fork gate, with no lock held.
//! P2  Each step of its work is a passage: a fork waits for a step, not for a round.
//! P3  Nothing is missed at its end: it first has idle memory noticed again, then looks, then leaves; and who
//!     called for it since then keeps it.
//! P4  A forked child has none, and starts its own as its parent did.
//! P5  Its rights are those of its starter. When the process has dropped some since, it leaves.

use super::upkeep;
use crate::extent::HEAP;
use crate::options::{BackgroundThread, Options};
use crate::size::PAGE;
use crate::sync::errand::Errand;
use crate::sys::{bare, clock, futex, process, thread as system};
use crate::thread::passage::Passage;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Idle bytes that are worth a thread.
const ENOUGH: usize = 8 << 20;
/// From one round to the next: two epochs of the default decay.
const PAUSE_NS: u64 = 100_000_000;
/// What a round may take before it pauses.
const ROUND_NS: u64 = 20_000_000;
/// A refused start is not tried again for so long.
const RETRY_NS: u64 = 60_000_000_000;
/// How often a starter gives way to the last one, which is about to leave, before it leaves the start to others.
const LEAVING_YIELDS: u32 = 1000;
/// How long nothing may change before idle records of our own are looked at too.
const TIDY_NS: u64 = 1_000_000_000;
/// How long nothing may change before it leaves, beyond the decay time.
const PATIENCE_NS: u64 = 3_000_000_000;
/// The longest decay time it stays for.
const LONGEST_NS: u64 = 600_000_000_000;
/// How long less than a share of [`ENOUGH`] may be idle before it leaves.
const LITTLE_NS: u64 = 12_000_000_000;

#[unsafe(link_section = ".data.jemoxide_start")]
static ERRAND: Errand = Errand::new();
/// Idle bytes above which it is wanted; 0: never.
#[unsafe(link_section = ".data.jemoxide_start")]
static LEVEL: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static RUNNING: AtomicBool = AtomicBool::new(false);
/// Idle bytes that it left behind: they do not count again.
#[unsafe(link_section = ".data.jemoxide_start")]
static LEFT: AtomicUsize = AtomicUsize::new(0);
static RETRY_AT: AtomicU64 = AtomicU64::new(0);
/// The process that it would be a thread of.
static PROCESS: AtomicU32 = AtomicU32::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static PATIENCE: AtomicU64 = AtomicU64::new(0);

/// Settles whether there may be one. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    let level = match options.background_thread {
        // With raised rights nothing is done that the program does not ask for.
        _ if options.dirty_decay_ms < 0 || process::has_raised_rights() => 0,
        BackgroundThread::Never => 0,
        BackgroundThread::Always => PAGE,
        BackgroundThread::Auto => ENOUGH,
    };
    let decay_ms = options.dirty_decay_ms.max(options.muzzy_decay_ms).max(0);
    let decay_ns = (decay_ms as u64).saturating_mul(1_000_000).min(LONGEST_NS);
    PATIENCE.store(PATIENCE_NS + decay_ns, Ordering::Relaxed);
    PROCESS.store(process::id(), Ordering::Relaxed);
    LEVEL.store(level, Ordering::Relaxed);
    watch();
}

fn level() -> usize {
    LEVEL.load(Ordering::Relaxed)
}

/// Has ticks follow frees that make a thread wanted.
fn watch() {
    HEAP.set_notice(match level() {
        0 => None,
        level => Some(level / PAGE),
    });
}

/// While there is one, or none can be had, nobody needs to look.
fn unwatch() {
    HEAP.set_notice(None);
}

/// Whether it is to be started. Cheap while it is not.
pub(super) fn is_wanted(now_ns: u64) -> bool {
    let level = level();
    if level == 0 || RUNNING.load(Ordering::SeqCst) {
        return false;
    }
    let retry_at = RETRY_AT.load(Ordering::Relaxed);
    if retry_at != 0 {
        if now_ns < retry_at {
            return false;
        }
        RETRY_AT.store(0, Ordering::Relaxed);
        watch();
    }
    excess() > level
}

/// Idle bytes beyond those that nothing could be done about.
fn excess() -> usize {
    let surplus = upkeep::surplus();
    let left = LEFT.load(Ordering::Relaxed);
    if surplus < left {
        LEFT.store(surplus, Ordering::Relaxed);
    }
    surplus.saturating_sub(left)
}

/// Starts it, unless it is there (P1).
#[cold]
pub(crate) fn start() {
    // A child of vfork works in its parent's memory: the thread would end with it.
    if process::id() != PROCESS.load(Ordering::Relaxed) {
        return;
    }
    // A signal handler that forked in between would leave the child half a start.
    system::with_signals_blocked(|| {
        if !ERRAND.call() {
            return;
        }
        // The last one may be about to leave; a caller with real-time priority may be what keeps it from that.
        let mut patience = LEAVING_YIELDS;
        while bare::is_present() && patience > 0 {
            system::relax();
            patience -= 1;
        }
        if patience == 0 {
            ERRAND.give_up();
        } else if !bare::start(run) {
            RETRY_AT.store(clock::now_ns() + RETRY_NS, Ordering::Relaxed);
            unwatch();
            ERRAND.give_up();
        }
    });
}

/// In a forked child (P4). The gate is closed.
pub(super) fn forget() {
    bare::forget();
    PROCESS.store(process::id(), Ordering::Relaxed);
    RUNNING.store(false, Ordering::SeqCst);
    ERRAND.give_up();
    watch();
}

extern "C" fn run() -> ! {
    bare::set_name(c"jemoxide-purge");
    bare::set_ordinary();
    loop {
        RUNNING.store(true, Ordering::SeqCst);
        unwatch();
        live();
        RUNNING.store(false, Ordering::SeqCst);
        watch();
        // P3: what was idle before `watch` is seen here, what is idle after it is noticed by others.
        let enough = inside(excess) > level().max(ENOUGH / 8);
        if (!enough || process::exceeds_process_rights()) && ERRAND.finish() {
            bare::leave();
        }
    }
}

/// Rounds until there is nothing left to do.
fn live() {
    let patience = PATIENCE.load(Ordering::Relaxed);
    let mut surplus = usize::MAX;
    let (mut changed_ns, mut much_ns) = (clock::now_ns(), clock::now_ns());
    let mut tidied = false;
    while !process::exceeds_process_rights() {
        let more = round();
        let (now, left) = (clock::now_ns(), inside(upkeep::surplus));
        if left != surplus {
            (surplus, changed_ns) = (left, now);
            tidied = false;
        }
        if left > ENOUGH / 8 {
            much_ns = now;
        }
        if !tidied && now - changed_ns > TIDY_NS {
            inside(upkeep::tidy);
            tidied = true;
        }
        if left == 0 || now - changed_ns > patience || now - much_ns > LITTLE_NS {
            break;
        }
        futex::pause(if more { PAUSE_NS / 5 } else { PAUSE_NS });
    }
    inside(upkeep::tidy);
    // Where it left for its rights, what is idle is its successor's.
    if surplus != usize::MAX && !process::exceeds_process_rights() {
        LEFT.store(surplus, Ordering::Relaxed);
    }
}

/// Steps until nothing is due, or for a while. `true`: there is more.
fn round() -> bool {
    let begin = clock::now_ns();
    loop {
        let now = clock::now_ns();
        inside(|| upkeep::heed_pressure(now));
        let more = inside(|| upkeep::age(now)) | inside(|| upkeep::age_threads(now));
        if !more {
            return false;
        }
        if now - begin > ROUND_NS {
            return true;
        }
    }
}

/// Does a step inside the fork gate (P2).
fn inside<R>(step: impl FnOnce() -> R) -> R {
    let _passage = Passage::enter(None);
    step()
}
