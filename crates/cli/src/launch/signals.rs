//! Signals: what the command does about them while a child runs.
//!
//! | signal | who gets it | we |
//! | --- | --- | --- |
//! | SIGINT, SIGQUIT | the terminal sends them to both of us | let the child decide, stay to report |
//! | SIGTERM, SIGHUP | sent to us alone | pass them on, stay to report |
//!
//! Handlers, not `SIG_IGN`: an ignored signal stays ignored across exec and the child must have the
//! default. A signal that was ignored before us (`nohup`) is left so, for both.
//!
//! G1  `CHILD` holds a process that has not been reaped, or 0: a signal never hits a stranger that got
//!     the same number.
//! G2  A signal that comes before the child exists is kept in `EARLY` and passed on at its start.

use std::sync::atomic::{AtomicI32, Ordering};

static CHILD: AtomicI32 = AtomicI32::new(0);
static EARLY: AtomicI32 = AtomicI32::new(0);
static INTERRUPT: AtomicI32 = AtomicI32::new(0);

/// Installs the handlers; later calls change nothing.
pub(super) fn prepare() {
    for signal in [libc::SIGINT, libc::SIGQUIT] {
        handle(signal, stay);
    }
    for signal in [libc::SIGTERM, libc::SIGHUP] {
        handle(signal, pass_on);
    }
}

/// From now on signals go to `child`.
pub(super) fn child_started(child: i32) {
    // SeqCst: with the handler's, one of the two sees the other's store (rule G2).
    CHILD.store(child, Ordering::SeqCst);
    let early = EARLY.swap(0, Ordering::SeqCst);
    if early != 0 {
        send(child, early);
    }
}

/// The child has ended and is about to be reaped (rule G1).
pub(super) fn child_ended() {
    CHILD.store(0, Ordering::SeqCst);
}

/// A signal that asks us, not the child, to stop: one that no child was there to take, or an interrupt,
/// which concerns whatever would be started next.
pub(super) fn asked_to_stop() -> Option<i32> {
    let first =
        |signal: &AtomicI32| Some(signal.load(Ordering::SeqCst)).filter(|&signal| signal != 0);
    first(&EARLY).or_else(|| first(&INTERRUPT))
}

extern "C" fn stay(signal: libc::c_int) {
    INTERRUPT.store(signal, Ordering::SeqCst);
}

extern "C" fn pass_on(signal: libc::c_int) {
    let child = CHILD.load(Ordering::SeqCst);
    if child != 0 {
        send(child, signal);
        return;
    }
    EARLY.store(signal, Ordering::SeqCst);
    let child = CHILD.load(Ordering::SeqCst);
    if child != 0 && EARLY.swap(0, Ordering::SeqCst) != 0 {
        send(child, signal);
    }
}

fn send(child: i32, signal: libc::c_int) {
    // SAFETY: `kill` takes numbers only and may be called from a handler.
    unsafe { libc::kill(child, signal) };
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: all-zero is a valid `sigaction`, and the calls read or fill exactly that structure. The
    // handlers use atomics and `kill` only, which POSIX allows in a handler; `kill` may change errno,
    // which matters to no caller here: every interrupted call is one of ours and retries on EINTR.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut old);
        if old.sa_sigaction == libc::SIG_IGN {
            return;
        }
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = handler as *const () as libc::sighandler_t;
        new.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&mut new.sa_mask);
        libc::sigaction(signal, &new, std::ptr::null_mut());
    }
}
