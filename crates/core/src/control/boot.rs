//! Boot: what the first call does before it is served.
//!
//! No constructor, no memory touched that is not needed. The parts that may allocate from us (fork
//! handlers, the exit key's value) come after the first thread has its cache, with no lock held.
//!
//! ```text
//! NEW ──first call──> BUSY ──options, arenas, exit key──> READY
//! ```

use super::{fork, options, report, upkeep};
use crate::arena;
use crate::extent::HEAP;
use crate::meta;
use crate::options::{Dss, Options, ZeroRealloc};
use crate::sys::{cpu, process, thread as system};
use crate::thread::{CacheRef, passage::Passage, registry};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

const NEW: u8 = 0;
const BUSY: u8 = 1;
const READY: u8 = 2;

/// Processors that share an arena and a depot shard: about a last-level cache.
const CPUS_PER_ARENA: usize = 8;

static STATE: AtomicU8 = AtomicU8::new(NEW);
static FORK_HANDLERS: AtomicBool = AtomicBool::new(false);
static ZERO_REALLOC: AtomicU8 = AtomicU8::new(ZeroRealloc::Free as u8);

/// Boots, or waits until another thread has.
fn ensure() {
    // Acquire: pairs with the Release below, for everything the boot set up.
    while STATE.load(Ordering::Acquire) != READY {
        if STATE
            .compare_exchange(NEW, BUSY, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            let abort = boot();
            STATE.store(READY, Ordering::Release);
            if abort {
                process::abort();
            }
        }
        system::relax();
    }
}

/// Does what is to be done once. `true`: the options ask for the process to end.
fn boot() -> bool {
    let (options, abort) = read_options();
    let cpus = cpu::usable();
    arena::set_automatic(match options.narenas {
        0 => cpus.div_ceil(CPUS_PER_ARENA),
        count => count,
    });
    HEAP.set_dss(options.dss);
    meta::allow_break(options.dss != Dss::Disabled);
    upkeep::set_ageing(options.dirty_decay_ms >= 0);
    HEAP.set_decay_ms(options.dirty_decay_ms, options.muzzy_decay_ms);
    ZERO_REALLOC.store(options.zero_realloc as u8, Ordering::Relaxed);
    registry::prepare(2 * cpus, options.count);
    report::prepare(&options);
    abort
}

/// The options, and whether they ask for the process to end.
fn read_options() -> (Options, bool) {
    let mut options = Options::DEFAULT;
    let mut complaints = false;
    for name in ["MALLOC_CONF", "JEMOXIDE_CONF"] {
        if let Some(text) = process::environment(name.as_bytes()) {
            options::apply(&mut options, text, |line| {
                complaints = true;
                process::write_error(line);
            });
        }
    }
    (options, complaints && options.abort_conf)
}

/// Gives the calling thread, which has none, a cache. `None`: out of memory.
#[cold]
pub(crate) fn start_thread() -> Option<CacheRef> {
    process::keep_errno(|| {
        ensure();
        let cache = {
            let _passage = Passage::enter(None);
            registry::start()
        }?;
        registry::arm(cache);
        if !FORK_HANDLERS.swap(true, Ordering::Relaxed) && !fork::install() {
            FORK_HANDLERS.store(false, Ordering::Relaxed);
        }
        Some(cache)
    })
}

/// What `realloc(ptr, 0)` does.
pub(crate) fn zero_realloc() -> ZeroRealloc {
    match ZERO_REALLOC.load(Ordering::Relaxed) {
        0 => ZeroRealloc::Alloc,
        1 => ZeroRealloc::Free,
        _ => ZeroRealloc::Abort,
    }
}
