//! Processors: how many we may really use, and what there is of each kind because of it.
//!
//! A container on a machine of 64 processors that may use two of them needs one arena, not eight. The boot knows the
//! affinity mask, by one system call; the quota stands in files, and a process with one thread uses one arena and
//! leaves no orphans whatever it says. So the files are read when a second thread starts, where the mask alone would
//! give more than one arena, and afterwards at a slow pace with all the rest (C1).

use super::text::Controller;
use super::{STATE, State, WANTED, limits};
use crate::arena::{self, ARENAS_MAX};
use crate::options::{Fixed, Options, PercpuArena};
use crate::sys::cpu;
use crate::thread::registry;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Processors that share an arena and a depot shard: about a last-level cache.
const CPUS_PER_ARENA: usize = 8;
/// Caches of ended threads that wait for adoption, for each processor.
const ORPHANS_PER_CPU: usize = 2;

/// Whether the number of arenas follows the processors.
#[unsafe(link_section = ".data.jemoxide_start")]
static FOLLOWED: AtomicBool = AtomicBool::new(false);
/// Threads started so far, as far as it matters.
#[unsafe(link_section = ".data.jemoxide_start")]
static STARTS: AtomicUsize = AtomicUsize::new(0);
/// Processors by quota as last read; 0: no quota.
#[unsafe(link_section = ".data.jemoxide_start")]
static QUOTA: AtomicUsize = AtomicUsize::new(0);

/// Settles the number of arenas: one for a processor, or two, as `by_cpu` says; else by `narenas`, 0 for as many as the
/// processors want, which is `ratio` of them where that is not the default. Called once, by the boot.
pub(super) fn prepare(by_cpu: PercpuArena, narenas: usize, ratio: Fixed) -> usize {
    let cpus = cpu::usable();
    let wanted = match (narenas, ratio) {
        _ if by_cpu != PercpuArena::Disabled => {
            Some(arena::by_cpu::prepare(by_cpu == PercpuArena::Phycpu))
        }
        (0, Options::DEFAULT_RATIO) => None,
        (0, Fixed(ratio)) => {
            let count = cpus.saturating_mul(ratio.max(0) as usize) >> Fixed::LG_ONE;
            Some(count.clamp(1, ARENAS_MAX))
        }
        (count, _) => Some(count),
    };
    FOLLOWED.store(wanted.is_none(), Ordering::Relaxed);
    arena::set_automatic(wanted.unwrap_or(cpus.div_ceil(CPUS_PER_ARENA)));
    ORPHANS_PER_CPU * cpus
}

/// A thread is about to get its cache. Inside a passage, no lock held.
#[inline]
pub(in crate::control) fn note_start() {
    if STARTS.load(Ordering::Relaxed) < 2 && STARTS.fetch_add(1, Ordering::Relaxed) == 1 {
        note_second_start();
    }
}

#[cold]
fn note_second_start() {
    if WANTED.load(Ordering::Relaxed) && cpu::usable() > CPUS_PER_ARENA {
        if let Some(mut state) = STATE.try_lock() {
            state.look_at_quota();
        }
    }
}

/// Processors by affinity and quota, the latter as last read.
pub(super) fn known() -> usize {
    let usable = cpu::usable();
    match QUOTA.load(Ordering::Relaxed) {
        0 => usable,
        quota => quota.min(usable),
    }
}

impl State {
    /// Reads the quota and lets what depends on it follow.
    pub(super) fn look_at_quota(&mut self) {
        self.cpu.find(Controller::Cpu, &mut self.scratch);
        let quota = limits::processors(&self.cpu, &mut self.scratch);
        QUOTA.store(quota.unwrap_or(0), Ordering::Relaxed);
        let cpus = known();
        if FOLLOWED.load(Ordering::Relaxed) {
            arena::set_automatic(cpus.div_ceil(CPUS_PER_ARENA));
        }
        registry::set_orphans(ORPHANS_PER_CPU * cpus);
    }
}
