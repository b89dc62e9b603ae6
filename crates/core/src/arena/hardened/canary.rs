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

/// A canary that stands at `addr`, as two words.
const fn pattern(secret: u64, addr: usize) -> [u64; 2] {
    let mixed = (secret ^ addr as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let first = mixed ^ mixed >> 32;
    [
        first | 0x0101_0101_0101_0101,
        first.rotate_left(29) | 0x1010_1010_1010_1010,
    ]
}

/// Writes the canary into the first of `len` bytes at `start`; the others read zero already.
///
/// # Safety
/// The bytes are the caller's.
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

/// # Safety
/// The `len` bytes at `start`, at most [`BYTES`], are the caller's.
unsafe fn write(start: *mut u8, len: usize, pattern: [u64; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        if len == BYTES {
            start.cast::<[u64; 2]>().write_unaligned(pattern);
        } else {
            for at in 0..len {
                start.add(at).write(byte(pattern, at));
            }
        }
    }
}

const fn byte(pattern: [u64; 2], at: usize) -> u8 {
    (pattern[at / 8 % 2] >> (at % 8 * 8)) as u8
}

/// Whether the `len` bytes at `start` are as [`write_behind`] left them.
///
/// # Safety
/// They are mapped and readable.
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

/// # Safety
/// The `len` bytes at `start`, at most [`BYTES`], are mapped and readable.
unsafe fn is_written(start: *const u8, len: usize, pattern: [u64; 2]) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if len == BYTES {
            start.cast::<[u64; 2]>().read_unaligned() == pattern
        } else {
            (0..len).all(|at| start.add(at).read() == byte(pattern, at))
        }
    }
}

/// Whether `len` bytes at `start` read zero.
///
/// # Safety
/// They are mapped and readable.
pub(super) unsafe fn is_zero(start: *const u8, len: usize) -> bool {
    /// Read between two looks at the sum.
    const STRIDE: usize = 256;
    let mut at = 0;
    while at < len {
        let end = len.min(at + STRIDE);
        let mut sum = 0;
        while at < end && (start.addr() + at) % 8 != 0 {
            // SAFETY: the caller's promise.
            sum |= u64::from(unsafe { start.add(at).read() });
            at += 1;
        }
        while at + 8 <= end {
            // SAFETY: the caller's promise; aligned by the loop before.
            sum |= unsafe { start.add(at).cast::<u64>().read() };
            at += 8;
        }
        while at < end {
            // SAFETY: the caller's promise.
            sum |= u64::from(unsafe { start.add(at).read() });
            at += 1;
        }
        if sum != 0 {
            return false;
        }
    }
    true
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
