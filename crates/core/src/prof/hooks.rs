//! Hooks: functions of the application that unwind stacks, or are told of samples and dumps.
//!
//! They are called outside the fork gate with no lock held, and may allocate.
//! Source: the testkit's facts of `experimental.hooks.prof_*`.

use super::stack::DEPTH_MAX;
use super::unwind;
use core::ffi::{c_char, c_uint, c_void};
use core::ptr::{self, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicUsize, Ordering};

/// Fills `vec` with up to `max` return addresses, innermost first, and says at `len` how many.
pub(crate) type Backtrace = unsafe extern "C" fn(*mut *mut c_void, *mut c_uint, c_uint);
/// Is told of the path of a dump that was written.
pub(crate) type Dumped = unsafe extern "C" fn(*const c_char);
/// Is told of a sampled object: address, size asked for, stack and its length, usable size.
pub(crate) type Sampled =
    unsafe extern "C" fn(*const c_void, usize, *mut *mut c_void, c_uint, usize);
/// Is told of the end of a sampled object: address, usable size.
pub(crate) type Released = unsafe extern "C" fn(*const c_void, usize);

/// Which hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hook {
    Backtrace,
    Dumped,
    Sampled,
    Released,
}

static PLACES: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

impl Hook {
    fn place(self) -> &'static AtomicUsize {
        let [backtrace, dumped, sampled, released] = &PLACES;
        match self {
            Self::Backtrace => backtrace,
            Self::Dumped => dumped,
            Self::Sampled => sampled,
            Self::Released => released,
        }
    }

    /// The address of the function, 0 for none; there is always one that unwinds.
    pub(crate) fn get(self) -> usize {
        match self.place().load(Ordering::Relaxed) {
            0 if self == Self::Backtrace => own_unwinder(),
            function => function,
        }
    }

    /// Sets it. Whoever gives an address vouches that it is 0 or such a function.
    pub(crate) fn set(self, function: usize) {
        let is_own = self == Self::Backtrace && function == own_unwinder();
        let function = if is_own { 0 } else { function };
        self.place().store(function, Ordering::Relaxed);
    }

    fn pointer(self) -> *mut c_void {
        match self.place().load(Ordering::Relaxed) {
            0 => ptr::null_mut(),
            function => with_exposed_provenance_mut(function),
        }
    }
}

fn own_unwinder() -> usize {
    let unwinder: Backtrace = own_backtrace;
    (unwinder as *const c_void).expose_provenance()
}

/// Our own unwinder as a hook, for applications that ask for it.
///
/// # Safety
/// `vec` has room for `max` addresses, `len` may be written.
unsafe extern "C" fn own_backtrace(vec: *mut *mut c_void, len: *mut c_uint, max: c_uint) {
    let mut frames = [0; DEPTH_MAX];
    let most = frames.len().min(max as usize);
    let count = match frames.get_mut(..most) {
        Some(frames) => unwind::capture(frames),
        None => 0,
    };
    for (at, &frame) in frames.iter().take(count).enumerate() {
        // SAFETY: the caller's promise: below `max`.
        unsafe { vec.add(at).write(with_exposed_provenance_mut(frame)) };
    }
    // SAFETY: the caller's promise.
    unsafe { len.write(count as c_uint) };
}

/// Who unwinds in place of our own unwinder.
pub(crate) fn backtrace() -> Option<Backtrace> {
    // SAFETY: null, or such a function, as `set` was given.
    unsafe { core::mem::transmute(Hook::Backtrace.pointer()) }
}

/// Who is told of dumps.
pub(crate) fn dumped() -> Option<Dumped> {
    // SAFETY: as above.
    unsafe { core::mem::transmute(Hook::Dumped.pointer()) }
}

/// Who is told of samples.
pub(crate) fn sampled() -> Option<Sampled> {
    // SAFETY: as above.
    unsafe { core::mem::transmute(Hook::Sampled.pointer()) }
}

/// Who is told of their ends.
pub(crate) fn released() -> Option<Released> {
    // SAFETY: as above.
    unsafe { core::mem::transmute(Hook::Released.pointer()) }
}
