//! Sleeping on a word.

use super::call::syscall;
use core::sync::atomic::AtomicU32;

/// Sleeps while `word` holds `value`, until woken. May return early.
pub(crate) fn wait(word: &AtomicU32, value: u32) {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives as long as the borrow; no time-out.
    unsafe {
        syscall(
            libc::SYS_futex,
            [
                word.as_ptr().expose_provenance(),
                operation as usize,
                value as usize,
                0,
                0,
                0,
            ],
        )
    };
}

/// As [`wait`], for `ns` nanoseconds at most.
pub(crate) fn wait_for(word: &AtomicU32, value: u32, ns: u64) {
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let time = libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: the word lives as long as the borrow; the kernel reads the time.
    unsafe {
        syscall(
            libc::SYS_futex,
            [
                word.as_ptr().expose_provenance(),
                operation as usize,
                value as usize,
                (&raw const time).expose_provenance(),
                0,
                0,
            ],
        )
    };
}

/// Sleeps for `ns` nanoseconds, or somewhat longer.
pub(crate) fn pause(ns: u64) {
    let time = libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    };
    let time = (&raw const time).expose_provenance();
    // SAFETY: the kernel reads the time.
    unsafe { syscall(libc::SYS_nanosleep, [time, 0, 0, 0, 0, 0]) };
}

/// Wakes up to `count` sleepers of `word`.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: only the address is used.
    unsafe {
        syscall(
            libc::SYS_futex,
            [
                word.as_ptr().expose_provenance(),
                operation as usize,
                count as usize,
                0,
                0,
                0,
            ],
        )
    };
}
