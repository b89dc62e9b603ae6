//! What a program may have done when it misuses memory, in place of its end.

use crate::arena::misuse;
use crate::control::hardening;

use super::slow;

pub use crate::arena::misuse::MisuseCallback;

/// Registers the function that is called when misuse is found (a double free, a wrong pointer, an overflow, ...), with the line
/// that standard error gets otherwise; `None`: the line is printed and the process aborts, as without a call of this.
///
/// It is called in the thread that came upon the misuse, in the middle of the call it made, with no lock of the allocator held:
/// it may allocate. When it returns, that call does nothing: what was to be freed stays as it is, null comes out of a resize.
/// Memory may be damaged by then: use it to note what happened, or in tests.
///
/// As `experimental.hooks.safety_check_abort`, which takes a C function.
pub fn set_misuse_callback(callback: Option<MisuseCallback>) {
    slow::enter(|_| misuse::set_callback(callback));
}

/// Looks at all objects of the hardened arena, live and free, and tells what was written where nobody may: bytes beside an object,
/// and bytes of freed ones. Nothing is looked at below `hardening:strong`.
///
/// The same is done when the process leaves through `exit`.
pub fn check_heap() {
    slow::enter(|_| hardening::look());
}
