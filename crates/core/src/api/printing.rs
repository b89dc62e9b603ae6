//! Statistics in full, as text for people or as JSON.

use super::slow;
use crate::control::stats_print::{self, Messages};
use crate::stats::print::{Letters, Sink};
use core::ffi::{CStr, c_char, c_void};

/// A C function that takes text: it is called with its own pointer and a C string, again and again.
pub type WriteCallback = unsafe extern "C" fn(opaque: *mut c_void, text: *const c_char);

struct Callback {
    write: WriteCallback,
    opaque: *mut c_void,
}

impl Sink for Callback {
    fn take(&mut self, piece: &[u8]) {
        // SAFETY: the promise of `print_to`; a piece ends in a zero byte.
        unsafe { (self.write)(self.opaque, piece.as_ptr().cast()) };
    }
}

/// Prints statistics as of now to `write`, or to where messages go. `letters`: a C string of `J` for JSON, and `g`,
/// `m`, `d`, `a`, `b`, `l`, `x`, `e`, `h` for parts to be left out; null for none. `malloc_stats_print` of the C door.
///
/// # Safety
/// `write` may be called with `opaque` and C strings until this returns; `letters` is null or a C string.
pub unsafe fn print_to(write: Option<WriteCallback>, opaque: *mut c_void, letters: *const c_char) {
    let letters = if letters.is_null() {
        Letters::NONE
    } else {
        // SAFETY: the caller's promise.
        Letters::of(unsafe { CStr::from_ptr(letters) }.to_bytes())
    };
    print_with(letters, |letters| match write {
        Some(write) => stats_print::print(&mut Callback { write, opaque }, letters),
        None => stats_print::print(&mut Messages, letters),
    });
}

struct Pieces<F>(F);

impl<F: FnMut(&str)> Sink for Pieces<F> {
    fn take(&mut self, piece: &[u8]) {
        let (_, text) = piece.split_last().unwrap_or((&0, piece));
        for part in text.utf8_chunks() {
            (self.0)(part.valid());
        }
    }
}

/// Prints statistics as of now, piece by piece: as JSON where `letters` has a `J`, else as text, without the parts that
/// other letters name (see jemalloc(3) `malloc_stats_print`). `each` may allocate.
///
/// ```
/// let mut text = String::new();
/// jemoxide::stats_print("J", |piece| text.push_str(piece));
/// assert!(text.starts_with("{\"jemalloc\":{\"version\":"));
/// ```
pub fn stats_print(letters: &str, each: impl FnMut(&str)) {
    let mut pieces = Pieces(each);
    print_with(Letters::of(letters.as_bytes()), |letters| {
        stats_print::print(&mut pieces, letters);
    });
}

fn print_with(letters: Letters, print: impl FnOnce(Letters)) {
    // Starts the calling thread, if it has not allocated yet.
    slow::enter(|_| ());
    print(letters);
}
