//! The signal of a refused access, for whoever looks at its address before the program does.
//!
//! ```text
//! access refused ──> handle ──> look(address) ──> the handler that was there before, as the system would have called it
//!                                            └──> none: back to what the system does by itself; the access is tried again
//! ```
//! F1  What was there before sees no difference: it runs on the stack it asked for, with the signals held back that it asked
//!     for, once where it asked for that, and with the system's own record of the access.
//! F2  Where nothing was there, the process ends by the same signal, at the same access.
//! F3  A handler that the program installs later takes this one's place: it is not asked for again.
//! Nothing is locked and nothing allocated; `errno` stays.

use super::call::syscall;
use super::process;
use super::signal::{Action, replace};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What looks at the address; 0: nobody.
static LOOK: AtomicUsize = AtomicUsize::new(0);

/// What was there before.
struct Before(UnsafeCell<Action>);

// SAFETY: written once, before the handler is in force.
unsafe impl Sync for Before {}

static BEFORE: Before = Before(UnsafeCell::new(Action::DEFAULT));

type Full = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
type Short = extern "C" fn(c_int);

/// How a former handler was to be called that ours keeps to (F1): on which stack, with its own signal held back or not, and
/// whether calls go on that it interrupted.
const KEPT: c_int = libc::SA_ONSTACK | libc::SA_NODEFER | libc::SA_RESTART;

/// Has `look` called with the address of an access that the system refuses, in the thread that tried it and in a signal
/// handler: it may do what such a handler may. Then follows what the program had there (F1), or its end (F2). `false`: the
/// system refuses, or another thread has set a handler of its own meanwhile, which stays. Called once in the process.
pub(crate) fn on_refused_access(look: fn(usize)) -> bool {
    let handler: Full = handle;
    let Some(before) = replace(libc::SIGSEGV, None) else {
        return false;
    };
    let (flags, mask) = match before.handler() {
        // The stack may be what there was too little of.
        libc::SIG_DFL | libc::SIG_IGN => (libc::SA_ONSTACK, 0),
        _ => (before.flags() & KEPT, before.mask()),
    };
    // SAFETY: there is one caller; the handler is not in force yet.
    unsafe { *BEFORE.0.get() = before };
    LOOK.store(look as usize, Ordering::Relaxed);
    let wanted = Action::new(handler as usize, flags | libc::SA_SIGINFO, mask);
    match replace(libc::SIGSEGV, Some(&wanted)) {
        Some(displaced) if displaced != before => {
            // Another thread has just set its own: that one is the program's wish, and stays.
            replace(libc::SIGSEGV, Some(&displaced));
            false
        }
        displaced => displaced.is_some(),
    }
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives a handler what it asked for; the former action was written before this one was in force, and
    //         `look` before that.
    unsafe {
        let is_sent = (*info).si_code <= 0;
        if !is_sent {
            let look = ptr::with_exposed_provenance(LOOK.load(Ordering::Relaxed));
            transmute::<*const (), fn(usize)>(look)((*info).si_addr().addr());
        }
        let before = &*BEFORE.0.get();
        let handler = ptr::with_exposed_provenance(before.handler());
        match before.handler() {
            libc::SIG_IGN if is_sent => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                replace(signal, Some(&Action::DEFAULT));
                if is_sent {
                    // Held back until this returns.
                    let (process, thread) = (process::id() as usize, process::thread_id());
                    let arguments = [process, thread, signal as usize, 0, 0, 0];
                    syscall(libc::SYS_tgkill, arguments);
                }
            }
            _ => {
                if before.flags() & libc::SA_RESETHAND != 0 {
                    replace(signal, Some(&Action::DEFAULT));
                }
                if before.flags() & libc::SA_SIGINFO != 0 {
                    transmute::<*const (), Full>(handler)(signal, info, context);
                } else {
                    transmute::<*const (), Short>(handler)(signal);
                }
            }
        }
    }
}
