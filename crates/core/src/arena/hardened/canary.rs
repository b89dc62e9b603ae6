//! Canaries: bytes beside objects that nobody may write, and bytes of free slots that read zero.
//!
//! ```text
//! slot    | object: what was asked for | 16 bytes of canary | zeros to the end |
//! free    | zeros                                                             |
//! large   ... zeros | 16 bytes of canary | object | canary, if there is room | guard page
//! ```
//! C1  No byte of a canary is 0: a text's end written one byte too far shows.
//! C2  A canary depends on a secret and on its address: what leaked of one tells nothing of another.

/// Bytes of a canary, where there is room.
pub(super) const BYTES: usize = 16;
/// Bytes that are looked at in one step.
const BLOCK: usize = 64;

/// A canary that stands at `addr`, its first byte lowest.
#[inline]
const fn pattern(secret: u64, addr: usize) -> u128 {
    let mixed = (secret ^ addr as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let first = mixed ^ mixed >> 32;
    let second = first.rotate_left(29) | 0x1010_1010_1010_1010;
    (second as u128) << 64 | (first | 0x0101_0101_0101_0101) as u128
}

/// Writes the canary into the first of `len` bytes at `start`; the others read zero already.
///
/// # Safety
/// The bytes are the caller's.
#[inline]
pub(super) unsafe fn write_behind(start: *mut u8, len: usize, secret: u64) {
    // SAFETY: the caller's promise.
    unsafe { write(start, len.min(BYTES), pattern(secret, start.addr())) };
}

/// Writes the canary into the last of the `len` bytes that end at `end`.
///
/// # Safety
/// As for [`write_behind`].
pub(super) unsafe fn write_before(end: *mut u8, len: usize, secret: u64) {
    let len = len.min(BYTES);
    // SAFETY: the caller's promise.
    unsafe { write(end.sub(len), len, pattern(secret, end.addr())) };
}

/// `N` bytes of a canary from byte `at` on, as they lie in memory.
#[inline(always)]
fn part<const N: usize>(pattern: u128, at: usize) -> [u8; N] {
    let bytes = (pattern >> (at * 8)).to_le_bytes();
    core::array::from_fn(|byte| bytes[byte % BYTES])
}

/// Writes two parts of a canary, which overlap where its `len` bytes are less than both.
///
/// # Safety
/// The `len` bytes at `start`, from `N` to [`BYTES`], are the caller's.
#[inline(always)]
unsafe fn write_parts<const N: usize>(start: *mut u8, len: usize, pattern: u128) {
    for at in [0, len - N] {
        // SAFETY: the caller's promise.
        unsafe {
            start
                .add(at)
                .cast::<[u8; N]>()
                .write_unaligned(part(pattern, at));
        }
    }
}

/// Whether both parts are as [`write_parts`] left them.
///
/// # Safety
/// The `len` bytes at `start`, from `N` to [`BYTES`], are mapped and readable.
#[inline(always)]
unsafe fn are_parts<const N: usize>(start: *const u8, len: usize, pattern: u128) -> bool {
    // SAFETY: the caller's promise.
    let read = |at: usize| unsafe { start.add(at).cast::<[u8; N]>().read_unaligned() };
    read(0) == part(pattern, 0) && read(len - N) == part(pattern, len - N)
}

/// # Safety
/// The `len` bytes at `start`, at most [`BYTES`], are the caller's.
#[inline]
unsafe fn write(start: *mut u8, len: usize, pattern: u128) {
    // SAFETY: the caller's promise.
    unsafe {
        if len >= 8 {
            write_parts::<8>(start, len, pattern);
        } else if len >= 4 {
            write_parts::<4>(start, len, pattern);
        } else if len >= 2 {
            write_parts::<2>(start, len, pattern);
        } else if len == 1 {
            write_parts::<1>(start, len, pattern);
        }
    }
}

/// # Safety
/// The `len` bytes at `start`, at most [`BYTES`], are mapped and readable.
#[inline]
unsafe fn is_written(start: *const u8, len: usize, pattern: u128) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if len >= 8 {
            are_parts::<8>(start, len, pattern)
        } else if len >= 4 {
            are_parts::<4>(start, len, pattern)
        } else if len >= 2 {
            are_parts::<2>(start, len, pattern)
        } else {
            len == 0 || are_parts::<1>(start, len, pattern)
        }
    }
}

/// Whether the `len` bytes at `start` are as [`write_behind`] left them.
///
/// # Safety
/// They are mapped and readable.
#[inline]
pub(super) unsafe fn is_whole_behind(start: *const u8, len: usize, secret: u64) -> bool {
    let (marked, pattern) = (len.min(BYTES), pattern(secret, start.addr()));
    // SAFETY: the caller's promise.
    unsafe { is_written(start, marked, pattern) && is_zero(start.add(marked), len - marked) }
}

/// Whether the `len` bytes that end at `end` are as [`write_before`] left them.
///
/// # Safety
/// As for [`is_whole_behind`].
pub(super) unsafe fn is_whole_before(end: *const u8, len: usize, secret: u64) -> bool {
    let (marked, pattern) = (len.min(BYTES), pattern(secret, end.addr()));
    // SAFETY: the caller's promise.
    unsafe { is_written(end.sub(marked), marked, pattern) && is_zero(end.sub(len), len - marked) }
}

/// Whether `len` bytes at `start` read zero.
///
/// # Safety
/// They are mapped and readable.
#[inline]
pub(super) unsafe fn is_zero(start: *const u8, len: usize) -> bool {
    // SAFETY: the caller's promise.
    let word = |at: usize| unsafe { start.add(at).cast::<u64>().read_unaligned() };
    let mut at = 0;
    while at + BLOCK <= len {
        // SAFETY: the caller's promise.
        let [a, b, c, d] = unsafe { start.add(at).cast::<[u128; BLOCK / 16]>().read_unaligned() };
        if a | b | c | d != 0 {
            return false;
        }
        at += BLOCK;
    }
    let mut sum = 0;
    while at + 8 <= len {
        sum |= word(at);
        at += 8;
    }
    if at < len {
        if len >= 8 {
            // Some of them once more.
            sum |= word(len - 8);
        } else {
            for at in at..len {
                // SAFETY: the caller's promise.
                sum |= u64::from(unsafe { start.add(at).read() });
            }
        }
    }
    sum == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_shows_and_no_byte_is_zero() {
        for len in [0, 1, 7, 8, 15, 16, 17, 64, 300] {
            let mut memory = [0u8; 400];
            let start = memory.as_mut_ptr().wrapping_add(3);
            // SAFETY: within the array.
            unsafe {
                write_behind(start, len, 7);
                assert!(is_whole_behind(start, len, 7));
                // Of one byte each 255th is the same by chance.
                assert!(len < BYTES || !is_whole_behind(start, len, 8), "C2");
                for at in 0..len {
                    let place = start.add(at);
                    let before = place.read();
                    assert!(at >= BYTES || before != 0, "C1");
                    place.write(before ^ 0x10);
                    assert!(!is_whole_behind(start, len, 7), "{len} {at}");
                    place.write(before);
                }
            }
        }
    }

    #[test]
    fn what_lies_before_is_looked_at_too() {
        let mut memory = [0u8; 400];
        let end = memory.as_mut_ptr().wrapping_add(333);
        // SAFETY: within the array.
        unsafe {
            write_before(end, 200, 1);
            assert!(is_whole_before(end, 200, 1));
            for back in [1, 16, 17, 200] {
                let place = end.sub(back);
                let before = place.read();
                place.write(before ^ 1);
                assert!(!is_whole_before(end, 200, 1), "{back}");
                place.write(before);
            }
            end.sub(201).write(1);
            assert!(is_whole_before(end, 200, 1));
        }
    }

    #[test]
    fn zeros_are_told_at_every_place() {
        let mut memory = [0u8; 700];
        for from in 0..9 {
            for len in [0, 1, 8, 255, 256, 257, 600] {
                let start = memory.as_mut_ptr().wrapping_add(from);
                // SAFETY: within the array.
                unsafe {
                    assert!(is_zero(start, len));
                    for at in 0..len {
                        start.add(at).write(1);
                        assert!(!is_zero(start, len));
                        start.add(at).write(0);
                    }
                }
            }
        }
    }
}
