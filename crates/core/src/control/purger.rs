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
//! P6  It opens files only in a table of descriptors of its own: in the program's, somebody who goes through the numbers
//!     may close one that it holds and have it again for another file.
//! P7  While it is there, callers leave what is due to it, unless memory is short: a purge may wait for the system, for
//!     milliseconds on a busy machine.
//! P8  It gives way before its time is over, while it holds no lock: were it put aside with one, on a busy machine
//!     everybody would wait for it for milliseconds.
//! P9  While the live channel is open (see `channel`) it stays to serve it, also where it is not to purge.

use super::channel::{self, Service};
use super::{boot, profiling, upkeep};
use crate::extent::{Earner, HEAP, Pressure, pressure};
use crate::meta::limit;
use crate::options::{BackgroundThread, Options};
use crate::size::PAGE;
use crate::sync::errand::Errand;
use crate::sys::{bare, clock, futex, process, thread as system};
use crate::thread::passage::{self, Passage};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Idle bytes that are worth a thread.
const ENOUGH: usize = 8 << 20;
/// From one round to the next: two epochs of the default decay.
const PAUSE_NS: u64 = 100_000_000;
/// What a round may take before it pauses.
const ROUND_NS: u64 = 20_000_000;
/// How long it works until it gives way (P8): well below the three milliseconds that a scheduler grants.
const FRESH_NS: u64 = 500_000;
/// A refused start is not tried again for so long.
const RETRY_NS: u64 = 60_000_000_000;
/// How often is looked whether one that was told to leave has left.
const LEAVING_NS: u64 = 1_000_000;
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
/// See [`BackgroundThread`].
#[unsafe(link_section = ".data.jemoxide_start")]
static MODE: AtomicU8 = AtomicU8::new(BackgroundThread::Auto as u8);
/// Nothing ever goes by itself.
#[unsafe(link_section = ".data.jemoxide_start")]
static FUTILE: AtomicBool = AtomicBool::new(false);
/// Rung when the level changes, to wake it.
#[unsafe(link_section = ".data.jemoxide_start")]
static BELL: AtomicU32 = AtomicU32::new(0);
/// 0: what the option says.
#[unsafe(link_section = ".data.jemoxide_start")]
static MOST_NOW: AtomicUsize = AtomicUsize::new(0);
/// When it last gave way to others (P8).
static FRESH_SINCE: AtomicU64 = AtomicU64::new(0);
/// It has been woken since its last round began.
static HURRIED: AtomicBool = AtomicBool::new(false);
static RUNS: AtomicU64 = AtomicU64::new(0);
static TOTAL_NS: AtomicU64 = AtomicU64::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static RUNNING: AtomicBool = AtomicBool::new(false);
/// Idle bytes that it left behind: they do not count again.
#[unsafe(link_section = ".data.jemoxide_start")]
static LEFT: AtomicUsize = AtomicUsize::new(0);
/// Whether it has descriptors of its own (P6).
static MAY_READ: AtomicBool = AtomicBool::new(false);
static RETRY_AT: AtomicU64 = AtomicU64::new(0);
/// The process that it would be a thread of.
#[unsafe(link_section = ".data.jemoxide_start")]
static PROCESS: AtomicU32 = AtomicU32::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static PATIENCE: AtomicU64 = AtomicU64::new(0);

/// Settles whether there may be one. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    // With raised rights nothing is done that the program does not ask for.
    let mode = if process::has_raised_rights() {
        BackgroundThread::Never
    } else {
        options.background_thread
    };
    MODE.store(mode as u8, Ordering::Relaxed);
    PROCESS.store(process::id(), Ordering::Relaxed);
    set_decay_ms(options.dirty_decay_ms, options.muzzy_decay_ms);
}

/// Says how long idle pages may stay: less than 0 for ever, which leaves it nothing to do.
pub(super) fn set_decay_ms(dirty_ms: isize, muzzy_ms: isize) {
    let decay_ms = dirty_ms.max(muzzy_ms).max(0);
    let decay_ns = (decay_ms as u64).saturating_mul(1_000_000).min(LONGEST_NS);
    PATIENCE.store(PATIENCE_NS + decay_ns, Ordering::Relaxed);
    FUTILE.store(dirty_ms < 0, Ordering::Relaxed);
    settle();
}

/// Whether there may be one.
pub(super) fn is_on() -> bool {
    MODE.load(Ordering::Relaxed) != BackgroundThread::Never as u8
}

/// Has one there while anything can be given back. `true`: it is wanted now, see [`start`].
pub(super) fn switch_on() -> bool {
    MODE.store(BackgroundThread::Always as u8, Ordering::Relaxed);
    RETRY_AT.store(0, Ordering::Relaxed);
    // What the last one was told to leave lying counts again.
    LEFT.store(0, Ordering::Relaxed);
    settle();
    is_wanted(clock::now_ns())
}

/// Tells it to leave, and lets none come; see [`wait_until_gone`].
pub(super) fn switch_off() {
    MODE.store(BackgroundThread::Never as u8, Ordering::Relaxed);
    settle();
}

/// Waits until one that was told to leave has left, or another was called for. Outside the fork gate.
pub(crate) fn wait_until_gone() {
    // Who forks, and comes here from a handler of the program's, keeps it from its steps.
    let leaves = || !is_on() && !channel::is_open();
    while bare::is_present() && leaves() && !passage::is_closer() {
        futex::pause(LEAVING_NS);
    }
}

/// Threads there may be: see [`set_most`].
pub(super) fn most() -> usize {
    match MOST_NOW.load(Ordering::Relaxed) {
        0 => boot::options().max_background_threads,
        most => most,
    }
}

/// Sets how many threads there may be at most, 1 to what the option said; there is one. `false`: out of range.
pub(super) fn set_most(most: usize) -> bool {
    let fits = (1..=boot::options().max_background_threads).contains(&most);
    if fits {
        MOST_NOW.store(most, Ordering::Relaxed);
    }
    fits
}

/// What it did so far.
pub(super) struct Figures {
    /// 1 while it is there.
    pub(super) threads: usize,
    /// Rounds.
    pub(super) runs: u64,
    /// Nanoseconds that it was there, up to its last round.
    total_ns: u64,
}

impl Figures {
    pub(super) const ZERO: Self = Self {
        threads: 0,
        runs: 0,
        total_ns: 0,
    };

    /// Nanoseconds from one round to the next, on average.
    pub(super) fn interval_ns(&self) -> u64 {
        self.total_ns.checked_div(self.runs).unwrap_or(0)
    }
}

/// What it did so far.
pub(super) fn figures() -> Figures {
    Figures {
        threads: usize::from(RUNNING.load(Ordering::Relaxed)),
        runs: RUNS.load(Ordering::Relaxed),
        total_ns: TOTAL_NS.load(Ordering::Relaxed),
    }
}

/// Sets the level by what was said.
fn settle() {
    let level = match MODE.load(Ordering::Relaxed) {
        _ if FUTILE.load(Ordering::Relaxed) => 0,
        mode if mode == BackgroundThread::Never as u8 => 0,
        mode if mode == BackgroundThread::Always as u8 => PAGE,
        _ => ENOUGH,
    };
    LEVEL.store(level, Ordering::SeqCst);
    // One that is there takes the watch back in its next round.
    watch();
    hurry();
}

/// Wakes it, if it is there and sleeps.
pub(super) fn hurry() {
    BELL.fetch_add(1, Ordering::Relaxed);
    futex::wake(&BELL, 1);
}

fn level() -> usize {
    LEVEL.load(Ordering::SeqCst)
}

/// Has ticks follow frees that make a thread wanted.
fn watch() {
    loop {
        let level = level();
        HEAP.set_notice((level > 0).then_some(level / PAGE));
        // Who changed it meanwhile may have been first with its watch.
        if self::level() == level {
            break;
        }
    }
}

/// While there is one, or none can be had, nobody needs to look.
fn unwatch() {
    HEAP.set_notice(None);
}

/// Whether it is to be started. Cheap while it is not.
pub(super) fn is_wanted(now_ns: u64) -> bool {
    let level = level();
    if level == 0 && !channel::is_open() || RUNNING.load(Ordering::SeqCst) {
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
    if channel::is_open() {
        return true;
    }
    // All that idles is part of what is used: a small process need not add it up.
    limit::used() > level && excess() > level || HEAP.is_earning_due(now_ns)
}

/// Whether there may be one: whether anybody need do its work.
pub(super) fn is_possible() -> bool {
    level() != 0 && RETRY_AT.load(Ordering::Relaxed) == 0
}

/// Whether there is one that does what is due, so that callers need not, unless memory is short. One that sleeps is
/// woken where more idles than may.
pub(super) fn takes_over() -> bool {
    if !RUNNING.load(Ordering::Relaxed) || level() == 0 || pressure::now() != Pressure::Calm {
        return false;
    }
    if HEAP.is_pressed() && !HURRIED.swap(true, Ordering::Relaxed) {
        hurry();
    }
    true
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
    HURRIED.store(false, Ordering::Relaxed);
    ERRAND.give_up();
    watch();
}

extern "C" fn run() -> ! {
    bare::set_name(c"jemoxide-purge");
    bare::set_ordinary();
    MAY_READ.store(bare::own_files(), Ordering::Relaxed);
    if !MAY_READ.load(Ordering::Relaxed) {
        channel::give_up();
    }
    // SAFETY: there is one runner of the errand, and the last one has left.
    let mut service = unsafe { channel::service() };
    loop {
        RUNNING.store(true, Ordering::SeqCst);
        unwatch();
        live(&mut service);
        RUNNING.store(false, Ordering::SeqCst);
        watch();
        // P3: what was idle before `watch` is seen here, what is idle after it is noticed by others.
        let enough = level() > 0 && inside(excess) > level().max(ENOUGH / 8);
        let stays = enough || has_channel();
        if (!stays || process::exceeds_process_rights()) && ERRAND.finish() {
            service.leave();
            bare::leave();
        }
    }
}

/// Rounds until there is nothing left to do.
fn live(service: &mut Service) {
    let patience = PATIENCE.load(Ordering::Relaxed);
    let mut surplus = usize::MAX;
    let (mut changed_ns, mut much_ns) = (clock::now_ns(), clock::now_ns());
    let (mut tidied, mut begin_ns) = (false, clock::now_ns());
    while !process::exceeds_process_rights() {
        unwatch();
        // Before the round: who is in a hurry during it cuts the pause short.
        let bell = BELL.load(Ordering::Relaxed);
        let more = level() != 0 && round();
        serve(service);
        if MAY_READ.load(Ordering::Relaxed) {
            profiling::heed_signal();
        }
        let (now, left) = (clock::now_ns(), inside(upkeep::surplus));
        count(now - begin_ns);
        begin_ns = now;
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
        let earning = inside(|| HEAP.is_earning_near(now));
        let at_rest = left == 0 || now - changed_ns > patience || now - much_ns > LITTLE_NS;
        if (level() == 0 || at_rest && !earning) && !has_channel() {
            break;
        }
        futex::wait_for(&BELL, bell, if more { PAUSE_NS / 5 } else { PAUSE_NS });
    }
    inside(upkeep::tidy);
    // Where it left for its rights, what is idle is its successor's.
    if surplus != usize::MAX && !process::exceeds_process_rights() {
        LEFT.store(surplus, Ordering::Relaxed);
    }
}

/// Whether there is a channel to be served (P6, P9).
fn has_channel() -> bool {
    MAY_READ.load(Ordering::Relaxed) && channel::is_open()
}

/// Does what the live channel asks for, if it is open.
fn serve(service: &mut Service) {
    if !has_channel() {
        service.leave();
        return;
    }
    inside(|| service.find_file());
    if service.is_due() {
        inside(|| service.look());
        service.dump();
        service.show();
    }
}

/// Counts a round, `ns` after the last.
fn count(ns: u64) {
    // One writer: no read-modify-write needed.
    RUNS.store(RUNS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    TOTAL_NS.store(TOTAL_NS.load(Ordering::Relaxed) + ns, Ordering::Relaxed);
}

/// Steps until nothing is due, or for a while. `true`: there is more.
fn round() -> bool {
    HURRIED.store(false, Ordering::Relaxed);
    let begin = clock::now_ns();
    // Purging comes first, and huge pages take half of the time at most.
    let more = purge(begin);
    let begin = clock::now_ns();
    loop {
        if !MAY_READ.load(Ordering::Relaxed) || !inside(|| upkeep::earn(begin)) {
            return more;
        }
        if clock::now_ns() - begin >= ROUND_NS / 2 {
            return true;
        }
    }
}

fn purge(begin: u64) -> bool {
    loop {
        let now = clock::now_ns();
        if MAY_READ.load(Ordering::Relaxed) {
            inside(|| upkeep::heed_pressure(now));
        }
        let more =
            inside(|| upkeep::age(now, Earner::Thread)) | inside(|| upkeep::age_threads(now));
        if !more {
            return false;
        }
        if now - begin > ROUND_NS {
            return true;
        }
    }
}

/// Does a step inside the fork gate (P2), at the beginning of its time (P8).
fn inside<R>(step: impl FnOnce() -> R) -> R {
    let now = clock::fine_ns();
    if now.saturating_sub(FRESH_SINCE.load(Ordering::Relaxed)) > FRESH_NS {
        system::relax();
        FRESH_SINCE.store(clock::fine_ns(), Ordering::Relaxed);
    }
    let _passage = Passage::enter(None);
    step()
}
