//! Traces: stacks of allocation and free, each kept once and named by a number.
//!
//! ```text
//! capture ──> frames ──> hash ──> | hash | frames ... | of a fixed table, within PROBES places of it ──> number of the place
//! ```
//! R1  A place is given once and never taken back; where there is none, a stack is not known: number 0.
//! R2  A place is written by whoever set its hash; who reads it meanwhile sees frames that are not there yet as 0.
//! No lock: what is shared are atomics, as stacks are taken on every operation where they are asked for.

use crate::ds::text::Line;
use crate::meta;
use crate::prof::unwind;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// Frames of a stack, at most.
pub(crate) const FRAMES: usize = 8;
/// Places, a power of two. The first is nobody's: its number means "not known".
const PLACES: usize = 1 << 14;
/// Places that a stack may be found at.
const PROBES: usize = 16;

/// A stack: return addresses, innermost first; 0 where there is none.
pub(super) type Stack = [usize; FRAMES];

/// The stack that is not known.
pub(super) const NONE: Stack = [0; FRAMES];

struct Place {
    hash: AtomicU64,
    frames: [AtomicUsize; FRAMES],
}

static TABLE: AtomicPtr<Place> = AtomicPtr::new(core::ptr::null_mut());
/// Frames that [`capture`] keeps; 0: no stacks.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// Has stacks of so many frames kept. Called once, by the boot; where there is no memory for the table none are.
pub(super) fn prepare(depth: usize) {
    if depth == 0 {
        return;
    }
    prepare_whole();
    if !TABLE.load(Ordering::Relaxed).is_null() {
        DEPTH.store(depth.min(FRAMES), Ordering::Relaxed);
    }
}

/// Has whole stacks kept for whoever asks for one ([`capture_whole`]). Called by the boot, as [`prepare`].
pub(super) fn prepare_whole() {
    if TABLE.load(Ordering::Relaxed).is_null() {
        if let Some(table) = meta::table(PLACES * size_of::<Place>()) {
            TABLE.store(table.as_ptr().cast(), Ordering::Relaxed);
        }
    }
}

fn place(number: usize) -> Option<&'static Place> {
    let table = TABLE.load(Ordering::Relaxed);
    if table.is_null() {
        return None;
    }
    // SAFETY: within the table, which stays for good, and all atomics.
    Some(unsafe { &*table.wrapping_add(number % PLACES) })
}

/// The number of the calling thread's stack, with as many frames as the level asks for; 0: it is not known, or none are kept.
#[inline]
pub(super) fn capture() -> u16 {
    match DEPTH.load(Ordering::Relaxed) {
        0 => 0,
        depth => take(depth),
    }
}

/// As [`capture`], with all its frames, whatever the level.
pub(super) fn capture_whole() -> u16 {
    take(FRAMES)
}

#[inline(never)]
fn take(depth: usize) -> u16 {
    let mut stack = NONE;
    unwind::capture(&mut stack[..depth]);
    keep(&stack)
}

fn keep(stack: &Stack) -> u16 {
    let mix = |hash: u64, &frame: &usize| {
        (hash ^ frame as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    };
    let hash = stack.iter().fold(7, mix) | 1;
    for probe in 0..PROBES {
        let number = (hash >> 20) as usize % (PLACES - PROBES) + 1 + probe;
        let Some(place) = place(number) else { break };
        let claim = place
            .hash
            .compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed);
        match claim {
            Ok(_) => {
                for (to, &from) in place.frames.iter().zip(stack) {
                    to.store(from, Ordering::Relaxed);
                }
                return number as u16;
            }
            Err(known) if known == hash => return number as u16,
            Err(_) => {}
        }
    }
    0
}

/// The stack with that number.
pub(super) fn stack(number: u16) -> Stack {
    let mut stack = NONE;
    if number != 0 {
        if let Some(place) = place(usize::from(number)) {
            for (to, from) in stack.iter_mut().zip(&place.frames) {
                *to = from.load(Ordering::Relaxed);
            }
        }
    }
    stack
}

/// Appends `what` and a stack, where it is known.
pub(super) fn write(line: &mut Line, what: &str, stack: &Stack) {
    if stack[0] != 0 {
        line.text(what);
        for &frame in stack.iter().take_while(|&&frame| frame != 0) {
            line.text(" ").hex(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::child::alone;

    #[test]
    fn a_stack_is_kept_once_and_found_by_its_number() {
        alone(|| {
            assert_eq!((keep(&[1; FRAMES]), capture()), (0, 0));
            prepare(FRAMES);
            let mut numbers = std::collections::BTreeMap::new();
            for frame in 1..3000 {
                let stack = [frame; FRAMES];
                let number = keep(&stack);
                assert!(number != 0 && keep(&stack) == number);
                assert!(numbers.insert(number, stack).is_none());
            }
            for (&number, kept) in &numbers {
                assert_eq!(&stack(number), kept);
            }
            let here = capture();
            assert!(here != 0 && stack(here)[0] != 0);
        });
    }

    #[test]
    fn a_full_table_knows_no_more() {
        alone(|| {
            prepare(1);
            let kept = (1..PLACES * 2).filter(|&frame| keep(&[frame; FRAMES]) != 0);
            let kept = kept.count();
            assert!(kept > PLACES / 2 && kept < PLACES, "{kept}");
        });
    }
}
