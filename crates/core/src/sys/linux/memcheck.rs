//! Valgrind's memcheck, if the process runs under it: it is told which memory is an object.
//!
//! A request is a sequence of instructions that does nothing on a processor and that Valgrind recognises: the registers
//! rax (the address of six words) and rdx (what is answered where nobody listens) go in, rdx comes out.
//!
//! Source: `valgrind.h` and `memcheck.h` of Valgrind 3.19, whose numbers have not changed since 3.8.

use core::arch::asm;

const ALLOCATED: usize = 0x1301;
const FREED: usize = 0x1302;
const RESIZED: usize = 0x130b;
const ERRORS: usize = 0x1801;
/// Requests of memcheck's own: the letters MC, and a number.
const TOOL: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16;
const FORBID: usize = TOOL;
const FORGET: usize = TOOL + 1;
const ALLOW: usize = TOOL + 2;
const IS_ACCESSIBLE: usize = TOOL + 4;

/// Makes a request; `silence` is the answer where nobody listens.
#[inline]
fn request(silence: usize, number: usize, arguments: [usize; 4]) -> usize {
    if cfg!(all(test, miri)) {
        return silence;
    }
    let [a, b, c, d] = arguments;
    let words = [number, a, b, c, d, 0];
    let answer;
    // SAFETY: the rotations add up to whole turns, and the exchange is of a register with itself. Valgrind reads the words.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(),
            inlateout("rdx") silence => answer,
            options(nostack),
        );
    }
    answer
}

/// Whether memcheck looks. Other tools of Valgrind's do not answer.
pub(crate) fn is_watching() -> bool {
    let word = 0usize;
    let place = (&raw const word).expose_provenance();
    request(usize::MAX, IS_ACCESSIBLE, [place, size_of::<usize>(), 0, 0]) == 0
}

/// The `bytes` at `object` are one from now on, and read zero.
pub(crate) fn note_alloc(object: *mut u8, bytes: usize) {
    request(0, ALLOCATED, [object.expose_provenance(), bytes, 0, 1]);
}

/// The object is none any more.
pub(crate) fn note_dealloc(object: *mut u8) {
    request(0, FREED, [object.expose_provenance(), 0, 0, 0]);
}

/// The object has another length where it is; what was added reads zero.
pub(crate) fn note_resize(object: *mut u8, old: usize, new: usize) {
    let start = object.expose_provenance();
    request(0, RESIZED, [start, old, new, 0]);
    if new > old {
        request(0, ALLOW, [start + old, new - old, 0, 0]);
    }
}

/// What the `bytes` at `start` hold has no meaning.
pub(crate) fn forget(start: *mut u8, bytes: usize) {
    request(0, FORGET, [start.expose_provenance(), bytes, 0, 0]);
}

/// Nobody may touch the `bytes` at `start`, but for the objects there.
pub(crate) fn forbid(start: *mut u8, bytes: usize) {
    request(0, FORBID, [start.expose_provenance(), bytes, 0, 0]);
}

/// The `bytes` at `start` are memory like any other.
pub(crate) fn allow(start: *mut u8, bytes: usize) {
    request(0, ALLOW, [start.expose_provenance(), bytes, 0, 0]);
}

/// Has no error of the calling thread told until this is taken back, as often as it was said.
pub(crate) fn silence(is_silent: bool) {
    let more = if is_silent { 1 } else { usize::MAX };
    request(0, ERRORS, [more, 0, 0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_nobody_hears_answers_as_told() {
        assert_eq!(request(7, 0x1002, [0; 4]), 7);
        silence(true);
        silence(false);
    }
}
