//! Boot: what the first call does before it is served.
//!
//! No constructor, no memory touched that is not needed. What may allocate from us (fork handlers, the exit key's
//! value, the call at exit) is called with no lock held.
//!
//! ```text
//! NEW ──first call──> booting ──fork handlers; inside the gate: options, arenas, exit key──> READY
//! ```
//! B1  Before the fork handlers are in place the boot changes nothing but its own state, and afterwards it runs inside
//!     the gate. So a forked child finds the boot done, or not begun: what says otherwise names another process, and
//!     the child begins anew.
//! B2  A call that comes from within the boot is served without a cache.

use super::options::{self, News, Origin};
use super::{
    channel, container, fork, hardening, limit, modes, profiling, purger, report, stats_print,
    tcache, upkeep,
};
use crate::arena::{depot, manual};
use crate::extent::{DirtyBound, HEAP};
use crate::meta;
use crate::options::{Dss, Options, ZeroRealloc};
use crate::sync::mutex;
use crate::sys::{clock, process, thread as system};
use crate::thread::{CacheRef, passage::Passage, registry};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The boot has not begun, or is done; any other state is the number of the process that a thread is booting.
const NEW: u32 = 0;
const READY: u32 = u32::MAX;

#[unsafe(link_section = ".data.jemoxide_start")]
static STATE: AtomicU32 = AtomicU32::new(NEW);
/// The thread that boots.
#[unsafe(link_section = ".data.jemoxide_start")]
static BOOTER: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".data.jemoxide_start")]
static FORK_HANDLERS: AtomicBool = AtomicBool::new(false);
#[unsafe(link_section = ".data.jemoxide_start")]
static ZERO_REALLOC: AtomicU8 = AtomicU8::new(ZeroRealloc::Free as u8);

/// When the boot was.
#[unsafe(link_section = ".data.jemoxide_start")]
static BOOTED_NS: AtomicU64 = AtomicU64::new(0);

/// Calls of `realloc(ptr, 0)` so far.
static ZERO_REALLOCS: AtomicUsize = AtomicUsize::new(0);

/// The options that the process started with: written by the boot, only read from then on.
struct Kept(UnsafeCell<Options>);

// SAFETY: the writer is the boot, before READY is there to be seen.
unsafe impl Sync for Kept {}

/// Written only where something was said: few processes touch its page.
static OPTIONS: Kept = Kept(UnsafeCell::new(Options::DEFAULT));

/// The options that the process started with. Called in a slow path: the boot is over.
pub(super) fn options() -> &'static Options {
    // SAFETY: written before the boot was over.
    unsafe { &*OPTIONS.0.get() }
}

/// Texts of the sources that have one, as far as programs may ask for them.
struct Texts(UnsafeCell<[Option<&'static [u8]>; ASKED.len()]>);

// SAFETY: as for `Kept`.
unsafe impl Sync for Texts {}

static TEXTS: Texts = Texts(UnsafeCell::new([None; ASKED.len()]));
/// The sources that programs may ask for.
const ASKED: [Origin; 4] = [
    Origin::Variable,
    Origin::Link,
    Origin::MallocConf,
    Origin::Harder,
];

/// What the source `origin` said, with a zero byte behind it. Called in a slow path: the boot is over.
pub(super) fn text_of(origin: Origin) -> Option<&'static [u8]> {
    let at = ASKED.iter().position(|&asked| asked == origin)?;
    // SAFETY: written before the boot was over.
    unsafe { *(*TEXTS.0.get()).get(at)? }
}

/// Boots, or waits until another thread has. `false`: the calling thread is in the middle of it (B2).
fn ensure() -> bool {
    let process = process::id();
    let mut begun = NEW;
    loop {
        // Acquire: pairs with the Release in `begin`, for everything the boot set up. The first touch of these pages is
        // a write: were it a read, each would fault twice.
        match STATE.compare_exchange(begun, process, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => {
                begin();
                return true;
            }
            Err(READY) => return true,
            Err(booting) if booting == process => {
                if BOOTER.load(Ordering::Relaxed) == system::identity() {
                    return false;
                }
                system::relax();
            }
            // Rule B1.
            Err(before_fork) => begun = before_fork,
        }
    }
}

fn begin() {
    BOOTER.store(system::identity(), Ordering::Relaxed);
    // Whatever the flag says: a child of a booting process may have it, but not the handlers.
    FORK_HANDLERS.store(fork::install(), Ordering::Relaxed);
    let abort = {
        let _passage = Passage::enter(None);
        let abort = boot();
        STATE.store(READY, Ordering::Release);
        abort
    };
    if abort {
        process::abort();
    }
}

/// Has the handlers called around forks. Where the system refuses, the start of the next thread tries again.
fn install_fork_handlers() {
    if !FORK_HANDLERS.swap(true, Ordering::Relaxed) && !fork::install() {
        FORK_HANDLERS.store(false, Ordering::Relaxed);
    }
}

/// Does what is to be done once. `true`: the options ask for the process to end.
fn boot() -> bool {
    let sources = options::gather();
    if sources.iter().all(|(_, text)| text.is_none()) {
        // In place: a copy would call the C library.
        prepare(&Options::DEFAULT);
        return false;
    }
    // SAFETY: the boot, which there is one of; nobody reads before it is over.
    let texts = unsafe { &mut *TEXTS.0.get() };
    for (place, asked) in texts.iter_mut().zip(ASKED) {
        let source = sources.iter().find(|(origin, _)| *origin == asked);
        *place = source.and_then(|&(_, text)| text);
    }
    let mut options = Options::DEFAULT;
    let wrong = read_options(&mut options, &sources);
    hardening::amend(&mut options);
    if options != Options::DEFAULT {
        // SAFETY: the boot, which there is one of; nobody reads before it is over.
        unsafe { *OPTIONS.0.get() = options };
    }
    let ends = prepare(&options);
    wrong && options.abort_conf || ends
}

/// Has everybody take over the options. `true`: there was something to warn of, and the options ask for the end then.
fn prepare(options: &Options) -> bool {
    BOOTED_NS.store(clock::now_ns(), Ordering::Relaxed);
    let orphans = container::prepare(options);
    HEAP.prepare(options.dss, options.dirty_decay_ms, options.muzzy_decay_ms);
    HEAP.set_adaptive(options.decay_adaptive);
    HEAP.set_dirty_bound(DirtyBound::of(options.dirty_max, options.dirty_share));
    HEAP.prepare_huge(options);
    if !options.retain {
        manual::set_retain(false);
    }
    meta::allow_break(options.dss != Dss::Disabled);
    meta::set_huge(options.metadata_thp);
    depot::set_floor(options.cache_max);
    upkeep::set_decay_ms(options.dirty_decay_ms);
    purger::prepare(options);
    let warned = limit::prepare(options, process::write_error);
    ZERO_REALLOC.store(options.zero_realloc as u8, Ordering::Relaxed);
    modes::prepare(options);
    hardening::prepare(options);
    mutex::set_spins(options.mutex_max_spin);
    tcache::prepare(options);
    registry::prepare(orphans, modes::watch_all(options), !options.tcache);
    report::prepare(options);
    stats_print::prepare(options);
    channel::prepare(options);
    let contradicts = profiling::prepare(options);
    warned && options.abort || contradicts && options.abort_conf
}

/// Reads the options. `true`: something in them is wrong.
#[cold]
#[inline(never)]
fn read_options(options: &mut Options, sources: &[(Origin, Option<&'static [u8]>)]) -> bool {
    let mut wrong = false;
    let mut pass = |options: &mut Options, confirm: bool, tell: fn(&[u8])| {
        for &(origin, text) in sources {
            let Some(text) = text else { continue };
            if confirm {
                for part in [
                    b"<jemoxide>: ",
                    origin.name().as_bytes(),
                    b": ",
                    text,
                    b"\n",
                ] {
                    tell(part);
                }
            }
            options::apply(options, origin, text, &mut |_, news| match news {
                News::Taken(_, pair) if confirm => {
                    for part in [b"<jemoxide>: -- ", pair, b"\n"] {
                        tell(part);
                    }
                }
                News::Taken(..) => {}
                News::Unheard(line) => tell(line),
                News::Wrong(line) => {
                    wrong = true;
                    tell(line);
                }
            });
        }
    };
    // A first look in silence: where `confirm_conf` stands does not matter.
    let mut look = *options;
    pass(&mut look, false, |_| {});
    pass(options, look.confirm_conf, process::write_error);
    wrong
}

/// Gives the calling thread, which has none, a cache. `None`: out of memory, or the thread is booting.
#[cold]
pub(crate) fn start_thread() -> Option<CacheRef> {
    process::keep_errno(|| {
        if !ensure() {
            return None;
        }
        let cache = {
            let _passage = Passage::enter(None);
            container::processors::note_start();
            registry::start()
        }?;
        registry::arm(cache);
        install_fork_handlers();
        report::arm();
        stats_print::arm();
        hardening::arm();
        channel::arm();
        profiling::arm();
        Some(cache)
    })
}

/// Nanoseconds since the boot, as fine as the kernel's tick.
pub(super) fn uptime_ns() -> u64 {
    clock::now_ns().saturating_sub(BOOTED_NS.load(Ordering::Relaxed))
}

/// Calls of `realloc(ptr, 0)` so far.
pub(super) fn zero_reallocs() -> usize {
    ZERO_REALLOCS.load(Ordering::Relaxed)
}

/// What `realloc(ptr, 0)`, which the caller is about to do, does.
pub(crate) fn zero_realloc() -> ZeroRealloc {
    ZERO_REALLOCS.fetch_add(1, Ordering::Relaxed);
    match ZERO_REALLOC.load(Ordering::Relaxed) {
        0 => ZeroRealloc::Free,
        1 => ZeroRealloc::Alloc,
        _ => ZeroRealloc::Abort,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::child::alone;
    use crate::thread;

    #[test]
    fn a_child_forked_from_a_booting_process_boots_by_itself() {
        alone(|| {
            STATE.store(process::id() + 1, Ordering::Relaxed);
            assert!(start_thread().is_some(), "B1");
            assert_eq!(STATE.load(Ordering::Relaxed), READY);
        });
    }

    #[test]
    fn a_call_from_within_the_boot_finds_no_cache() {
        alone(|| {
            STATE.store(process::id(), Ordering::Relaxed);
            BOOTER.store(system::identity(), Ordering::Relaxed);
            assert!(start_thread().is_none(), "B2");
            assert!(thread::current().cache().is_none());
        });
    }
}
