//! Interrupted anywhere: a signal handler looks at the stack of whatever ran.

use super::programs::{self, Loaded};
use super::truth::{assert_same, compare};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::zeroed;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use std::vec;

/// Stacks that are looked at in each storm.
const WANTED: u32 = 60;

static SEEN: AtomicU32 = AtomicU32::new(0);
static DIFFERENT: AtomicU32 = AtomicU32::new(0);

/// The first stack that looked different, for the message.
struct First(UnsafeCell<Option<super::truth::Comparison>>);
// SAFETY: written by the one thread that takes the signals, read when it has ended.
unsafe impl Sync for First {}
static FIRST: First = First(UnsafeCell::new(None));

extern "C" fn compare_in_handler(_: c_int) {
    let comparison = compare();
    SEEN.fetch_add(1, Ordering::Relaxed);
    if !comparison.is_same() && DIFFERENT.fetch_add(1, Ordering::Relaxed) == 0 {
        // SAFETY: one thread takes the signals, and the handler is not interrupted by itself.
        unsafe { *FIRST.0.get() = Some(comparison) };
    }
}

/// Has `handler` called for `signal`, on the thread's other stack with that flag.
fn handle(signal: c_int, handler: extern "C" fn(c_int), flags: c_int) {
    // SAFETY: a zeroed action with a handler that takes the signal's number.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART | flags;
        assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
    }
}

/// Signals the thread that runs `body` until that returns, as it does soon after the word it gets is set: when enough was
/// seen.
fn under_fire(signal: c_int, body: impl FnOnce(&AtomicU32) + Send) {
    let (stop, is_done) = (AtomicU32::new(0), AtomicBool::new(false));
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(16 << 20);
        let victim = builder.spawn_scoped(scope, || {
            with_other_stack(signal, || {
                // SAFETY: plain call.
                sender.send(unsafe { libc::pthread_self() }).unwrap();
                body(&stop);
                is_done.store(true, Ordering::Release);
            });
        });
        let (victim, target) = (victim.unwrap(), receiver.recv().unwrap());
        while !is_done.load(Ordering::Acquire) {
            if SEEN.load(Ordering::Relaxed) >= WANTED {
                stop.store(1, Ordering::Relaxed);
            }
            // SAFETY: the thread is joined below only.
            unsafe { libc::pthread_kill(target, signal) };
            thread::sleep(Duration::from_micros(20));
        }
        victim.join().unwrap();
    });
}

/// Runs `body` with another stack of the thread's own for signals, and without `signal` from then on.
fn with_other_stack(signal: c_int, body: impl FnOnce()) {
    let mut other = vec![0u8; 256 << 10];
    let stack = libc::stack_t {
        ss_sp: other.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: other.len(),
    };
    // SAFETY: memory that outlives its use; the thread's former one comes back when the signal is blocked.
    unsafe {
        let (mut before, mut set): (libc::stack_t, libc::sigset_t) = zeroed();
        assert_eq!(libc::sigaltstack(&stack, &mut before), 0);
        body();
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
        assert_eq!(libc::sigaltstack(&before, ptr::null_mut()), 0);
    }
}

/// What the handler saw: enough, and nothing different.
fn judge() {
    let (seen, different) = (
        SEEN.swap(0, Ordering::Relaxed),
        DIFFERENT.swap(0, Ordering::Relaxed),
    );
    std::println!("{seen} stacks, {different} different");
    // SAFETY: the thread that wrote it has ended.
    if let Some(first) = unsafe { (*FIRST.0.get()).take() } {
        assert_same(&first);
    }
    assert!(seen >= WANTED);
}

type Spin = unsafe extern "C" fn(*const AtomicU32, u64) -> u64;

fn spin_of(loaded: &Loaded) -> Spin {
    // SAFETY: the type that the program declares.
    unsafe { core::mem::transmute::<*mut c_void, Spin>(loaded.symbol(c"spin")) }
}

#[test]
fn a_storm_of_signals_over_frames_of_c_and_cxx() {
    crate::sys::simulated::child::alone(|| {
        for (path, flags) in programs::frames()
            .iter()
            .zip([0, libc::SA_ONSTACK].iter().cycle())
        {
            handle(libc::SIGUSR1, compare_in_handler, *flags);
            let loaded = Loaded::open(path);
            let spin = spin_of(&loaded);
            under_fire(libc::SIGUSR1, |stop| {
                // SAFETY: runs until the word is set.
                unsafe { spin(stop, 7) };
            });
            judge();
        }
    });
}
