//! Container: processors and memory of the control group that the process runs in, and what follows from them.
//!
//! ```text
//! second thread ──> place, quota ──> arenas, depot shards, orphans
//! pages past the ceiling ─┐
//! ticks, purge rounds ────┴> due? ──> limits (all levels: every 5 s) ──┬──> level ──> extent::pressure
//!                                     usage of the tightest (often) ───┘     └─ tight: purge; critical: give all back
//! ```
//! C1  Nothing is read before it can matter: quotas when a second thread starts on a machine of many processors, memory
//!     when the heap holds more than a few megabytes. A small process reads no file.
//! C2  The ceiling is set so that memory is looked at again before half of what is left has been handed out; and by
//!     time, in ticks and purge rounds, the more often the less is left. Nobody stays awake for it.
//! C3  What cannot be read is no limit. `cgroup:false` reads nothing.
//! C4  One at a time: who comes meanwhile goes on without. It runs in a passage, so that no fork comes between.

#[cfg(any(test, fuzzing))]
mod any_text;
mod level;
mod limits;
mod place;
pub(super) mod processors;
mod reading;
mod text;

#[cfg(fuzzing)]
pub use self::any_text::container_text;
use self::level::Signs;
use self::limits::Memory;
use self::place::Place;
use self::reading::{LINE_MAX, Scratch};
use self::text::Controller;
use crate::extent::{HEAP, Pressure, pressure};
use crate::options::Options;
use crate::sync::Mutex;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// From one look at all levels to the next.
const SLOW_NS: u64 = 5_000_000_000;
/// From one look at what is used to the next, by the clock.
const CALM_NS: u64 = 500_000_000;
const TIGHT_NS: u64 = 50_000_000;
const CRITICAL_NS: u64 = 10_000_000;
/// Bytes that may be handed out from one look to the next, however little is left.
const STEP: usize = 1 << 20;

/// What was found out.
struct State {
    memory: Place,
    cpu: Place,
    scratch: Scratch,
    found: Option<Memory>,
    signs: Signs,
    signs_ns: u64,
    level: Pressure,
    /// Bytes that the group used, and that the heap held, at the last look.
    used: u64,
    held: u64,
    /// Bytes of copies of files, as of `reclaimable_ns`.
    reclaimable: u64,
    reclaimable_ns: u64,
    /// When all levels are due.
    slow_due_ns: u64,
}

static STATE: Mutex<State, 0> = Mutex::new(State::new());
/// Whether containers are respected.
#[unsafe(link_section = ".data.jemoxide_start")]
static WANTED: AtomicBool = AtomicBool::new(false);
/// When the next look is due; 0 before the first, which comes by the ceiling.
#[unsafe(link_section = ".data.jemoxide_start")]
static DUE_NS: AtomicU64 = AtomicU64::new(0);
/// What [`figures`] tells; 0: no limit.
static LIMIT: AtomicU64 = AtomicU64::new(0);
static USED: AtomicU64 = AtomicU64::new(0);

/// What is known of the container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Figures {
    /// Processors by affinity and quota.
    pub(crate) cpus: usize,
    /// The tightest limit in bytes.
    pub(crate) memory_limit: Option<u64>,
    /// Bytes used by the group with the least left.
    pub(crate) memory_used: u64,
    pub(crate) pressure: Pressure,
}

/// Settles whether containers are respected, and how many arenas there are. How many orphans may wait. Called once, by
/// the boot.
pub(super) fn prepare(options: &Options) -> usize {
    WANTED.store(options.cgroup, Ordering::Relaxed);
    if !options.cgroup {
        pressure::set_ceiling(usize::MAX);
    }
    processors::prepare(options.percpu_arena, options.narenas, options.narenas_ratio)
}

/// Whether somebody should call [`look`]. Cheap.
pub(super) fn is_due(now_ns: u64) -> bool {
    pressure::is_alarmed() || {
        let due = DUE_NS.load(Ordering::Relaxed);
        due != 0 && now_ns >= due
    }
}

/// Looks at what is left. Inside a passage, no lock held.
#[cold]
pub(super) fn look(now_ns: u64) -> Pressure {
    if !WANTED.load(Ordering::Relaxed) {
        return Pressure::Calm;
    }
    let held = HEAP.held_bytes();
    match STATE.try_lock() {
        Some(mut state) => state.look(now_ns, held as u64),
        None => pressure::now(),
    }
}

/// What there is at this moment. Inside a passage, no lock held.
pub(crate) fn figures(now_ns: u64) -> Figures {
    if let Some(mut state) = STATE.try_lock() {
        state.slow_due_ns = 0;
    }
    let pressure = look(now_ns);
    let limit = LIMIT.load(Ordering::Relaxed);
    Figures {
        cpus: processors::known(),
        memory_limit: (limit != 0).then_some(limit),
        memory_used: USED.load(Ordering::Relaxed),
        pressure,
    }
}

/// The memory that the container allows, as far as that was read; 0: none.
pub(super) fn known_limit() -> u64 {
    LIMIT.load(Ordering::Relaxed)
}

impl State {
    const fn new() -> Self {
        Self {
            memory: Place::new(),
            cpu: Place::new(),
            scratch: [0; LINE_MAX],
            found: None,
            signs: Signs::new(),
            signs_ns: 0,
            level: Pressure::Calm,
            used: 0,
            held: 0,
            reclaimable: 0,
            reclaimable_ns: 0,
            slow_due_ns: 0,
        }
    }

    fn look(&mut self, now_ns: u64, held: u64) -> Pressure {
        pressure::heed_alarm();
        if now_ns >= self.slow_due_ns {
            self.look_at_all(now_ns);
        }
        let Some(found) = self.found else {
            self.level = Pressure::Calm;
            pressure::set(Pressure::Calm, false);
            pressure::set_ceiling(usize::MAX);
            DUE_NS.store(self.slow_due_ns, Ordering::Relaxed);
            return self.level;
        };
        let left = self.left(found, now_ns, held);
        let limit = found.watched.limit;
        if now_ns != self.signs_ns {
            self.read_signs(found, now_ns);
        }
        let by_amount = level::by_amount(left, limit, self.level);
        self.level = by_amount.max(self.signs.level(now_ns));
        pressure::set(self.level, true);
        pressure::set_ceiling(held as usize + (left as usize / 2).max(STEP));
        let pause = match self.level {
            Pressure::Calm => CALM_NS,
            Pressure::Tight => TIGHT_NS,
            Pressure::Critical => CRITICAL_NS,
        };
        DUE_NS.store((now_ns + pause).min(self.slow_due_ns), Ordering::Relaxed);
        self.level
    }

    /// Looks for our group and its limits.
    fn look_at_all(&mut self, now_ns: u64) {
        self.slow_due_ns = now_ns + SLOW_NS;
        self.memory.find(Controller::Memory, &mut self.scratch);
        let found = limits::memory(&self.memory, &mut self.scratch);
        if found.map(|found| found.watched) != self.found.map(|found| found.watched) {
            self.signs.forget();
            self.reclaimable_ns = 0;
        }
        self.found = found;
        LIMIT.store(found.map_or(0, |found| found.limit), Ordering::Relaxed);
        self.look_at_quota();
    }

    /// Bytes that are left of the watched limit.
    fn left(&mut self, found: Memory, now_ns: u64, held: u64) -> u64 {
        let (level, limit) = (found.watched.level, found.watched.limit);
        let Some(used) = limits::usage(&self.memory, level, &mut self.scratch) else {
            // Gone, or no longer for us: all levels are due, unless they were looked at just now.
            if self.slow_due_ns != now_ns + SLOW_NS {
                self.slow_due_ns = now_ns;
            }
            return limit;
        };
        let grown = held.saturating_sub(self.held);
        let mut left = level::left(limit, used, self.used, grown);
        if !level::is_plenty(left, limit) {
            if now_ns >= self.reclaimable_ns {
                let bytes = limits::reclaimable(&self.memory, level, &mut self.scratch);
                self.reclaimable = bytes.unwrap_or(0);
                self.reclaimable_ns = now_ns + CALM_NS;
            }
            left = left.saturating_add(self.reclaimable).min(limit);
        }
        (self.used, self.held) = (used, held);
        USED.store(used, Ordering::Relaxed);
        left
    }

    fn read_signs(&mut self, found: Memory, now_ns: u64) {
        self.signs_ns = now_ns;
        let level = found.watched.level;
        let events = limits::events(&self.memory, level, &mut self.scratch);
        self.signs.note_events(now_ns, events);
        if self.signs.wants_stalled(now_ns) {
            let stalled = limits::stalled(&self.memory, level, &mut self.scratch);
            self.signs.note_stalled(now_ns, stalled);
        }
    }
}

#[cfg(test)]
mod tests;
