//! Empty: objects of no bytes, which nobody can read or write.
//!
//! ```text
//! 64 KiB of addresses without memory  | place 0 | place 1 | ...            | place 4095 |      16 bytes a place
//! a bit each                            1         0                          0                1: handed out
//! ```
//! Z1  A live object's address is no other's, and a multiple of 16, or of what was asked for, up to a page.
//! Z2  An access ends by a signal: the addresses are mapped, so that nobody else is there, and nobody may touch them.
//! Z3  A bit changes by one atomic operation: no lock, and of two frees one loses.
//! Z4  What finds no place here, as all are taken, the alignment is beyond a page or the system refuses, is served as an
//!     object of one byte.
//! The addresses are asked for with the first object. They go round: one that was freed is not soon handed out again.

use super::misuse::Misuse;
use crate::size::{PAGE, QUANTUM};
use crate::sys::memory;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

const PLACES: usize = 4096;
const WORDS: usize = PLACES / WORD;
/// Places of a word.
const WORD: usize = u64::BITS as usize;
const SPAN: usize = PLACES * QUANTUM;

/// Whether objects of no bytes are served here; the boot says so.
#[unsafe(link_section = ".data.jemoxide_start")]
static WANTED: AtomicBool = AtomicBool::new(false);
/// Where the places are; 0: nowhere yet.
#[unsafe(link_section = ".data.jemoxide_start")]
static BASE: AtomicUsize = AtomicUsize::new(0);
/// The word that is looked at first.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static TAKEN: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

/// Says whether objects of no bytes are to be served here. Called by the boot.
pub(crate) fn want(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
}

/// An object of no bytes at a multiple of `align`, a power of two. `None`: it is for others to serve (Z4).
pub(crate) fn alloc(align: usize) -> Option<*mut u8> {
    if !WANTED.load(Ordering::Relaxed) || align > PAGE {
        return None;
    }
    let base = base()?;
    let place = claim((align / QUANTUM).max(1))?;
    Some(ptr::with_exposed_provenance_mut(base + place * QUANTUM))
}

/// Frees the object at `ptr`. `None`: it is none of these.
pub(crate) fn dealloc(ptr: *mut u8) -> Option<Result<(), Misuse>> {
    Some(place_of(ptr)?.and_then(|place| {
        let (word, bit) = bit_of(place);
        match word.fetch_and(!bit, Ordering::Relaxed) & bit {
            0 => Err(Misuse::DoubleFree),
            _ => Ok(()),
        }
    }))
}

/// Bytes of the object at `ptr`, or what is wrong with the pointer. `None`: it is none of these.
pub(crate) fn inspect(ptr: *const u8) -> Option<Result<usize, Misuse>> {
    Some(place_of(ptr)?.and_then(|place| {
        let (word, bit) = bit_of(place);
        match word.load(Ordering::Relaxed) & bit {
            0 => Err(Misuse::DoubleFree),
            _ => Ok(0),
        }
    }))
}

/// The place at `ptr`. `None`: it does not lie here.
fn place_of(ptr: *const u8) -> Option<Result<usize, Misuse>> {
    let base = BASE.load(Ordering::Relaxed);
    let offset = ptr.addr().wrapping_sub(base);
    if base == 0 || offset >= SPAN {
        return None;
    }
    Some(match offset % QUANTUM {
        0 => Ok(offset / QUANTUM),
        _ => Err(Misuse::Interior),
    })
}

fn bit_of(place: usize) -> (&'static AtomicU64, u64) {
    (&TAKEN[place / WORD % WORDS], 1 << (place % WORD))
}

/// Where the places are (Z2). `None`: the system refuses them.
fn base() -> Option<usize> {
    let known = BASE.load(Ordering::Relaxed);
    if known != 0 {
        return Some(known);
    }
    let len = SPAN.next_multiple_of(memory::page_size());
    let addr = memory::map(len)?;
    // SAFETY: just mapped; nobody knows it.
    if !unsafe { memory::protect(addr, len, false) } {
        give_back(addr, len);
        return None;
    }
    let fresh = addr.as_ptr().expose_provenance();
    match BASE.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Some(fresh),
        Err(others) => {
            give_back(addr, len);
            Some(others)
        }
    }
}

/// Gives addresses back that nobody got to know.
fn give_back(addr: NonNull<u8>, len: usize) {
    // SAFETY: just mapped. Refused, they stay unused.
    let _ = unsafe { memory::unmap(addr, len) };
}

/// Takes a place whose number is a multiple of `step`, a power of two.
fn claim(step: usize) -> Option<usize> {
    let words = step.div_ceil(WORD);
    let fits = (0..WORD)
        .step_by(step.min(WORD))
        .fold(0, |bits, at| bits | 1_u64 << at);
    let first = NEXT.load(Ordering::Relaxed) / words * words;
    for at in (0..WORDS).step_by(words) {
        let number = (first + at) % WORDS;
        let word = &TAKEN[number];
        loop {
            let open = !word.load(Ordering::Relaxed) & fits;
            if open == 0 {
                break;
            }
            let bit = open & open.wrapping_neg();
            if word.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
                NEXT.store(number + 1, Ordering::Relaxed);
                return Some(number * WORD + bit.trailing_zeros() as usize);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::child::alone;
    use crate::sys::simulated::dice::Dice;
    use crate::sys::simulated::memory::refuse;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn prepared() {
        want(true);
    }

    #[test]
    fn live_objects_have_addresses_of_their_own_at_what_was_asked_for() {
        alone(|| {
            prepared();
            let mut dice = Dice::new(7);
            let (mut live, mut all) = (Vec::new(), BTreeSet::new());
            for _ in 0..20_000 {
                if dice.below(5) < 3 {
                    let align = 1 << dice.below(13);
                    let Some(object) = alloc(align) else { continue };
                    assert_eq!(object.addr() % align.max(QUANTUM), 0, "Z1");
                    assert!(all.insert(object), "Z1");
                    assert_eq!(inspect(object), Some(Ok(0)));
                    live.push(object);
                } else if !live.is_empty() {
                    let object = live.swap_remove(dice.below(live.len()));
                    assert_eq!(dealloc(object), Some(Ok(())));
                    assert_eq!(dealloc(object), Some(Err(Misuse::DoubleFree)), "Z3");
                    all.remove(&object);
                }
            }
        });
    }

    #[test]
    fn what_finds_no_place_is_for_others() {
        alone(|| {
            prepared();
            let all: Vec<_> = (0..PLACES).map(|_| alloc(1).unwrap()).collect();
            assert_eq!((alloc(1), alloc(2 * PAGE)), (None, None), "Z4");
            assert_eq!(dealloc(all[5].wrapping_add(1)), Some(Err(Misuse::Interior)));
            assert_eq!(dealloc(all[5]), Some(Ok(())));
            assert_eq!(alloc(1), Some(all[5]));
            assert_eq!(dealloc((&raw const all).cast_mut().cast()), None);
            assert_eq!(inspect(ptr::null()), None);
        });
    }

    #[test]
    fn nothing_is_lost_where_the_system_refuses() {
        alone(|| {
            prepared();
            for call in 0..2 {
                refuse(call, 1);
                assert_eq!(alloc(1), None);
            }
            refuse(0, 0);
            assert!(alloc(1).is_some());
            want(false);
            assert_eq!(alloc(1), None);
        });
    }
}
