//! Time.

use super::call::syscall;

/// Nanoseconds since the machine started, as fine as the kernel's tick (1-10 ms).
#[cfg_attr(test, expect(dead_code, reason = "tests turn a clock by hand"))]
pub(crate) fn now_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

/// Nanoseconds since the machine started, exactly; costs a tenth of a microsecond.
#[cfg_attr(test, expect(dead_code, reason = "tests turn a clock by hand"))]
pub(crate) fn fine_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Seconds since 1970, as the machine's clock is set.
#[cfg_attr(test, expect(dead_code, reason = "tests turn a clock by hand"))]
pub(crate) fn unix_seconds() -> u64 {
    read(libc::CLOCK_REALTIME_COARSE) / 1_000_000_000
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills the structure.
    unsafe {
        syscall(
            libc::SYS_clock_gettime,
            [
                clock as usize,
                (&raw mut time).expose_provenance(),
                0,
                0,
                0,
                0,
            ],
        )
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
