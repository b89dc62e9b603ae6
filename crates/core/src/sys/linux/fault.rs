//! The signal of a refused access, for whoever looks at its address before the program does.

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

/// Has `look` called with the address of an access that the system refuses, in the thread that tried it and in a signal
/// handler: it may do what such a handler may. What the program had there before is called then; where that is nothing, the
/// process ends as it would have. A handler that the program installs later takes this one's place. `false`: the system
/// refuses. Called once, by the boot.
pub(crate) fn on_refused_access(look: fn(usize)) -> bool {
    let handler: Full = handle;
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    let Some(before) = replace(libc::SIGSEGV, None) else {
        return false;
    };
    // SAFETY: the boot, which there is one of; the handler is not in force yet.
    unsafe { *BEFORE.0.get() = before };
    LOOK.store(look as usize, Ordering::Relaxed);
    replace(
        libc::SIGSEGV,
        Some(&Action::new(handler as usize, flags, 0)),
    )
    .is_some()
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
                // The access is tried again, and ends the process as without us.
                replace(signal, Some(&Action::DEFAULT));
                if is_sent {
                    let (process, thread) = (process::id() as usize, process::thread_id());
                    let arguments = [process, thread, signal as usize, 0, 0, 0];
                    syscall(libc::SYS_tgkill, arguments);
                }
            }
            _ if before.has(libc::SA_SIGINFO) => {
                transmute::<*const (), Full>(handler)(signal, info, context);
            }
            _ => transmute::<*const (), Short>(handler)(signal),
        }
    }
}
