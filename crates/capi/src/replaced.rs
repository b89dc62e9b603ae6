//! Replaced: operators of C++ that the program has in place of ours, and what the others do then.
//!
//! ```text
//! new[] ──────────────────> new                      delete[] ─────────────────────> delete
//! nothrow new[] ─> new[] ──> new                      sized or nothrow delete[] ─> delete[] ──> delete
//! nothrow new ────────────> new, null if it throws    sized or nothrow delete ─────> delete      with an alignment likewise
//! ```
//! C++ lets a program replace some of its operators and says of each of the others to which it leads. An object that came from
//! the program's `new`, which may have put a header before it, then goes back by its `delete`, whatever form was called.
//!
//! M1  A form leads to the first one on its way that the program has replaced, and serves by itself where there is none.
//! M2  Where they are replaced is looked up once, at the first call of a form that leads to others. Until then, and for good
//!     where one is replaced, [`bound`] is 0: the compare with it stands where the fast paths compare the size in any case.
//! M3  A program that is linked statically tells at link time; elsewhere the modules are looked through that it was started with,
//!     as a relocation for each form would cost every process that has no C++ at all (`build.rs` binds our own references to
//!     our own operators). No lock of the loader's is taken: whoever calls may be waited for by a constructor that holds it.
//!     Only where that cannot be done (our own module was loaded later) the loader is asked after all.
//! Source: ISO C++, [new.delete.single] and [new.delete.array], "Default behavior".

use crate::unwinding;
use core::ffi::{CStr, c_void};
use core::mem::transmute;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use jemoxide_core::api;

/// The forms that others lead to.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(crate) enum Form {
    New,
    NewArray,
    NewAligned,
    NewArrayAligned,
    Delete,
    DeleteArray,
    DeleteAligned,
    DeleteArrayAligned,
}

const FORMS: usize = 8;

/// Names of the forms, by their numbers.
const NAMES: [&CStr; FORMS] = [
    c"_Znwm",
    c"_Znam",
    c"_ZnwmSt11align_val_t",
    c"_ZnamSt11align_val_t",
    c"_ZdlPv",
    c"_ZdaPv",
    c"_ZdlPvSt11align_val_t",
    c"_ZdaPvSt11align_val_t",
];

/// Addresses of the program's own forms; 0: the form is ours.
static OWN: [AtomicUsize; FORMS] = [const { AtomicUsize::new(0) }; FORMS];
/// It is known which those are.
static KNOWN: AtomicBool = AtomicBool::new(false);
/// See [`bound`].
#[unsafe(link_section = ".data.jemoxide_start")]
static BOUND: AtomicUsize = AtomicUsize::new(0);

/// Bytes below which a form that leads to others may serve at once (M2); at most one more than [`api::FAST_MAX`].
#[inline(always)]
pub(crate) fn bound() -> usize {
    BOUND.load(Ordering::Relaxed)
}

/// Whether a form that leads to others may serve at once, whatever the size.
#[inline(always)]
pub(crate) fn is_none() -> bool {
    bound() != 0
}

/// The first of `way` that the program has replaced.
fn first(way: &[Form]) -> Option<*const c_void> {
    // Acquire: pairs with the Release in `look`.
    if !KNOWN.load(Ordering::Acquire) {
        look();
    }
    way.iter()
        .map(|&form| OWN[form as usize].load(Ordering::Relaxed))
        .find(|&own| own != 0)
        .map(core::ptr::with_exposed_provenance)
}

/// Looks up which forms are the program's. Several threads may do so at a time: they find the same.
#[cold]
fn look() {
    let (linked, ours) = (unwinding::linked_forms(), unwinding::own_forms());
    let loaded = api::first_defined(&NAMES)
        .unwrap_or_else(|| NAMES.map(|name| unwinding::find_first(name).expose_provenance()));
    let mut bound = api::FAST_MAX + 1;
    for (((linked, loaded), ours), own) in linked.iter().zip(loaded).zip(ours).zip(&OWN) {
        let found = [linked.expose_provenance(), loaded]
            .into_iter()
            .find(|&found| found != 0 && found != ours.addr());
        if let Some(found) = found {
            own.store(found, Ordering::Relaxed);
            bound = 0;
        }
    }
    // Release: pairs with the Acquire in `first`.
    KNOWN.store(true, Ordering::Release);
    BOUND.store(bound, Ordering::Relaxed);
}

/// The program's own function that a throwing form leads to: the last of `way`, or one before it. Null: the form serves.
#[cold]
pub(crate) fn thrower(way: &[Form]) -> *const c_void {
    first(way).unwrap_or(core::ptr::null())
}

/// An object of the program's own, for a form that does not throw; null where that threw. `None`: the form serves.
#[cold]
#[inline(never)]
pub(crate) fn alloc(way: &[Form], size: usize, align: usize) -> Option<*mut c_void> {
    // One that takes no alignment does not look at it.
    first(way).map(|own| unwinding::call_new(own, size, align))
}

/// Gives `ptr` to the program's own. `false`: the form serves.
///
/// # Safety
/// `ptr` is null or an object that came by the forms in `way`, or theirs, at that alignment, and that nobody uses from now on.
#[cold]
#[inline(never)]
pub(crate) unsafe fn dealloc(way: &[Form], ptr: *mut c_void, align: usize) -> bool {
    type Delete = unsafe extern "C" fn(*mut c_void, usize);
    let Some(own) = first(way) else { return false };
    // SAFETY: an operator delete of the program's; one that takes no alignment does not look at it. The caller's promise.
    unsafe { transmute::<*const c_void, Delete>(own)(ptr, align) };
    true
}
