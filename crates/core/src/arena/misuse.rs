//! What is said when the application errs, before the process ends.
//!
//! One line: what was done, to which pointer, and what to do about it.

use crate::ds::text::Line;
use crate::sys::process;

/// An application's error that a slow path has recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// The pointer is nobody's here.
    Foreign,
    /// The object was free already.
    DoubleFree,
    /// The pointer lies within an object, not at its start.
    Interior,
    /// The size or alignment given with a free is not the object's.
    WrongSize,
}

impl Misuse {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Foreign => (
                "invalid pointer: not from this allocator",
                "free it with the allocator that made it; it may also be long freed, or on the stack",
            ),
            Self::DoubleFree => (
                "double free: the object is free already",
                "look for a second owner of the pointer",
            ),
            Self::Interior => (
                "invalid pointer: not the start of an allocation",
                "pass the address that the allocation returned",
            ),
            Self::WrongSize => (
                "wrong size or alignment given with a free",
                "pass what the allocation was asked for; in C++ a missing virtual destructor does this",
            ),
        }
    }
}

/// Says what was done to `ptr` and aborts.
#[cold]
pub(crate) fn report(misuse: Misuse, ptr: *const u8) -> ! {
    let (what, cure) = misuse.words();
    let mut line = Line::new();
    line.text("<jemoxide>: ")
        .text(what)
        .text(": ")
        .hex(ptr.addr());
    line.text(" (").text(cure).text(")\n");
    process::write_error(line.as_bytes());
    process::abort()
}
