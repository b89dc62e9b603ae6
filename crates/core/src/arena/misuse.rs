//! What is said when the application errs, and what happens then.
//!
//! ```text
//! a slow path sees it:  report ──> waits (the operation goes on without it)
//! the thread leaves the gate, holding no lock:  deliver ──> no callback: the line on standard error, abort
//!                                                      └──> callback(line); it returns: the program goes on
//! ```
//! One line: what was done, to which pointer, what is known of the object there, and what to do about it.
//!
//! U1  Nobody but [`Fault::deliver`] ends the process or calls the application, and it runs outside the gate with no lock held: a
//!     handler of SIGABRT, and the callback, may use the allocator.
//!     The purge thread leaves it to the application's threads: it has none of the process's files.
//! U2  Whoever reports leaves the object in question as it was, and does nothing else with the pointer.
//! U3  A fault is told once, by the thread that came upon it; of more than [`ROOM`] that wait at a time the first ones are told.
//! U4  The list is locked inside the gate only, so that it is open in a forked child, who forgets what others came upon.
//! U5  An access that the system refuses is told in the signal's handler, and by the callback only where the thread was
//!     outside the allocator; what it may do is then what the code may that was interrupted. The signal follows in any case.
//! Lock: faults that wait, rank 6, taken under any other.
//! Source of the callback: jemalloc(3), `experimental.hooks.safety_check_abort`.

use super::hardened::{self, About};
use super::whereabouts::{self, Whereabouts};
use crate::ds::text::Line;
use crate::sync::Mutex;
use crate::sys::thread as system;
use crate::sys::{bare, process};
use core::ffi::{CStr, c_char};
use core::mem::transmute;
use core::ptr::with_exposed_provenance;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Faults that wait at most.
const ROOM: usize = 8;
/// Stands for any thread of the application's.
const ANYBODY: usize = 0;

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
    /// The object was made by one family of functions and is freed by another.
    WrongDoor,
    /// Bytes behind the object were written.
    Overflow,
    /// Bytes before the object were written.
    Underflow,
    /// Bytes of a free object were written.
    WriteAfterFree,
    /// Bytes of a free slot beside an object were written.
    BesideFree,
    /// A guard, or an object of no bytes, was touched.
    OutOfBounds,
    /// Pages of a freed object were touched.
    UseAfterFree,
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
            Self::WrongDoor => (
                "wrong deallocation function: the object was made by another family",
                "malloc goes with free, new with delete, new[] with delete[]; where a library has a C++ runtime built in: hardening_families:false",
            ),
            Self::Overflow => (
                "overflow: bytes behind the object were written",
                "look for a write beyond its size, or before the start of the object behind it",
            ),
            Self::Underflow => (
                "underflow: bytes before the object were written",
                "look for an index below 0, or a write beyond the object before it",
            ),
            Self::WriteAfterFree => (
                "write after free: bytes of a free object were written",
                "look for a pointer that outlives its object, or a write beyond a neighbour",
            ),
            Self::BesideFree => (
                "overflow or write after free: bytes of a free slot beside an object were written",
                "look for a write beyond a neighbour's size, or a pointer that outlives its object",
            ),
            Self::OutOfBounds => (
                "out of bounds: a guard beside an object, or an object of no bytes, was touched",
                "look at the index, or at the length that is read or written",
            ),
            Self::UseAfterFree => (
                "use after free: a freed object was touched",
                "look for a pointer that outlives its object",
            ),
        }
    }
}

/// An error that waits to be told.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// The thread that came upon it; 0: the purge thread, for which any other tells.
    thread: usize,
    misuse: Misuse,
    addr: usize,
    about: Option<About>,
    /// Where the address lies, if no more is known.
    whereabouts: Option<Whereabouts>,
}

impl Fault {
    /// Tells it: ends the process, or calls the application. Called outside the gate, no lock held.
    pub(crate) fn deliver(&self) {
        let mut line = Line::new();
        self.write(&mut line);
        if !tell(&mut line) {
            process::write_error(line.as_bytes());
            process::abort();
        }
    }

    fn write(&self, line: &mut Line) {
        let (what, cure) = self.misuse.words();
        line.text("<jemoxide>: ").text(what).text(": ");
        line.hex(self.addr);
        if let Some(about) = &self.about {
            about.write(line);
        } else if let Some(whereabouts) = &self.whereabouts {
            whereabouts.write(line);
        }
        line.text(" (").text(cure).text(")\n");
    }
}

/// Faults that wait, first come first.
struct Waiting {
    faults: [Option<Fault>; ROOM],
}

impl Waiting {
    /// The first fault that the thread `own` is to tell, which waits no longer.
    fn next_of(&mut self, own: usize) -> Option<Fault> {
        let is_its = |fault: &Fault| fault.thread == own || fault.thread == ANYBODY;
        let place = self
            .faults
            .iter_mut()
            .find(|place| place.as_ref().is_some_and(is_its));
        let fault = place.and_then(Option::take);
        ANY.store(self.faults.iter().any(Option::is_some), Ordering::Relaxed);
        fault
    }
}

static WAITING: Mutex<Waiting, 6> = Mutex::new(Waiting {
    faults: [None; ROOM],
});
#[unsafe(link_section = ".data.jemoxide_start")]
static ANY: AtomicBool = AtomicBool::new(false);
/// The application's function that is called in place of the end, and whether it is one of Rust's; 0: none.
static CALLBACK: AtomicUsize = AtomicUsize::new(0);
static IS_RUST: AtomicBool = AtomicBool::new(false);

/// What a program may have called in place of its end when it misuses memory: it is given the line that is told otherwise,
/// and may return.
pub type MisuseCallback = fn(&CStr);

type CCallback = unsafe extern "C" fn(*const c_char);

/// Has `callback` called in place of the process's end; `None`: it ends.
pub(crate) fn set_callback(callback: Option<MisuseCallback>) {
    store(callback.map_or(0, |callback| callback as usize), true);
}

/// As [`set_callback`], the address of a C function with one argument; 0: none.
pub(crate) fn set_c_callback(function: usize) {
    store(function, false);
}

fn store(function: usize, is_rust: bool) {
    // None for an instant: what is called is never taken for the other kind.
    CALLBACK.store(0, Ordering::Relaxed);
    IS_RUST.store(is_rust, Ordering::Relaxed);
    // Release: pairs with the Acquire in `tell`.
    CALLBACK.store(function, Ordering::Release);
}

/// Gives `line` to the application's function. `false`: there is none.
fn tell(line: &mut Line) -> bool {
    // Acquire: pairs with the Release in `store`.
    let function = CALLBACK.load(Ordering::Acquire);
    if function == 0 {
        return false;
    }
    line.text("\0");
    let text = CStr::from_bytes_until_nul(line.as_bytes()).unwrap_or(c"");
    let function = with_exposed_provenance::<()>(function);
    // SAFETY: not null, and of the kind that was set: `set_callback` was given a function, and the caller of
    //         `set_c_callback` answers for its own.
    process::keep_errno(|| unsafe {
        if IS_RUST.load(Ordering::Relaxed) {
            transmute::<*const (), MisuseCallback>(function)(text);
        } else {
            transmute::<*const (), CCallback>(function)(text.as_ptr());
        }
    });
    true
}

/// Notes what was done to `ptr`; it is told when the thread leaves the gate (U1). May be called with locks held.
#[cold]
#[inline(never)]
pub(crate) fn report(misuse: Misuse, ptr: *const u8) {
    let thread = if bare::is_current() {
        ANYBODY
    } else {
        system::identity()
    };
    let about = hardened::about(ptr);
    let fault = Fault {
        thread,
        misuse,
        addr: ptr.addr(),
        about,
        whereabouts: match about {
            Some(_) => None,
            None => whereabouts::of(ptr),
        },
    };
    let mut waiting = WAITING.lock();
    if let Some(place) = waiting.faults.iter_mut().find(|place| place.is_none()) {
        *place = Some(fault);
    }
    // Release: pairs with the Acquire in `is_any`.
    ANY.store(true, Ordering::Release);
}

/// Tells of an access of `addr` that the system has refused, if that is one of ours: the application's callback, if it
/// `may_call` one, or else standard error, whatever takes our messages otherwise, as that may be no function for a signal
/// handler. The process goes on to end by the signal. Called in its handler: takes no lock.
pub(crate) fn tell_refused(addr: usize, may_call: bool) {
    if let Some((misuse, about)) = hardened::explain(addr) {
        let mut line = Line::new();
        Fault {
            thread: ANYBODY,
            misuse,
            addr,
            about,
            whereabouts: None,
        }
        .write(&mut line);
        if !may_call || !tell(&mut line) {
            process::write_to_error(line.as_bytes());
        }
    }
}

/// Whether a fault waits to be told.
#[inline(always)]
pub(crate) fn is_any() -> bool {
    // Acquire: pairs with the Release in `report`.
    ANY.load(Ordering::Acquire)
}

/// The first fault that the calling thread is to tell, which waits no longer. Called inside the gate, no lock held (U4).
#[cold]
#[inline(never)]
pub(crate) fn next() -> Option<Fault> {
    if bare::is_current() {
        return None;
    }
    WAITING.lock().next_of(system::identity())
}

/// In a forked child: what other threads came upon is the parent's to tell (U4).
pub(crate) fn forget_others() {
    if is_any() {
        let own = system::identity();
        let mut waiting = WAITING.lock();
        for place in &mut waiting.faults {
            *place = place.take().filter(|fault| fault.thread == own);
        }
        ANY.store(
            waiting.faults.iter().any(Option::is_some),
            Ordering::Relaxed,
        );
    }
}
