//! By processor: threads whose arena is that of the processor they run on, as the option `percpu_arena` asks.
//!
//! ```text
//! percpu   processors that we may use, in order:  0 1 2 3     arenas 0 1 2 3
//! phycpu   the second half are twins of the first:  0 1 2 3     arenas 0 1 0 1
//! ```
//! V1  Ranks are those of the affinity mask at the boot; a processor that comes later has the arena of its number.
//! V2  A thread looks where it runs when its cache has run dry. It may run elsewhere a moment later, which costs
//!     locality and nothing else.
//! V3  Beyond [`ARENAS_MAX`] processors share arenas.
//! Source: jemalloc(3) `opt.percpu_arena`.

use super::{ARENAS_MAX, ArenaIndex};
use crate::sys::cpu;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// Processors whose ranks are known.
const RANKED: usize = 1024;

/// Arenas of processors; 0: threads keep theirs.
#[unsafe(link_section = ".data.jemoxide_start")]
static COUNT: AtomicUsize = AtomicUsize::new(0);
static RANKS: [AtomicU8; RANKED] = [const { AtomicU8::new(0) }; RANKED];

/// Has threads follow their processors; with `twins` two of them share an arena. Answers how many arenas that makes.
#[cold]
pub(crate) fn prepare(twins: bool) -> usize {
    let usable = cpu::usable();
    let count = if twins { usable.div_ceil(2) } else { usable };
    let mut rank = 0;
    cpu::each_usable(|number| {
        let arena = if rank < count { rank } else { rank - count };
        if let Some(slot) = RANKS.get(number) {
            slot.store((arena % ARENAS_MAX) as u8, Ordering::Relaxed);
        }
        rank += 1;
    });
    COUNT.store(count.min(ARENAS_MAX), Ordering::Relaxed);
    count
}

/// Whether threads follow their processors.
#[inline]
pub(crate) fn is_on() -> bool {
    COUNT.load(Ordering::Relaxed) != 0
}

/// The arena of the processor that the calling thread runs on.
#[cold]
pub(crate) fn here() -> ArenaIndex {
    let count = COUNT.load(Ordering::Relaxed).max(1);
    let number = cpu::current();
    let rank = RANKS
        .get(number)
        .map_or(number, |rank| rank.load(Ordering::Relaxed) as usize);
    ArenaIndex::new(rank % count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::child::alone;

    #[test]
    fn a_pinned_thread_is_where_it_was_put() {
        alone(|| {
            assert!(!is_on());
            let mut usable = std::vec::Vec::new();
            cpu::each_usable(|number| usable.push(number));
            assert_eq!(usable.len(), cpu::usable());
            for twins in [false, true] {
                let count = prepare(twins);
                assert_eq!(
                    count,
                    if twins {
                        usable.len().div_ceil(2)
                    } else {
                        usable.len()
                    }
                );
                for (rank, &number) in usable.iter().enumerate() {
                    // SAFETY: a set of one processor that the process may use.
                    let pinned = unsafe {
                        let mut set: libc::cpu_set_t = core::mem::zeroed();
                        libc::CPU_SET(number, &mut set);
                        libc::sched_setaffinity(0, size_of_val(&set), &set)
                    };
                    assert_eq!(pinned, 0);
                    assert_eq!(cpu::current(), number);
                    let expected = if rank < count { rank } else { rank - count };
                    assert_eq!(here().index(), expected % ARENAS_MAX);
                }
            }
        });
    }
}
