//! Raw system calls: no `errno`, no cancellation point, nothing an interposer could catch.

use core::arch::asm;

/// Calls the kernel; a result in `-4095..0` is a negated error number.
///
/// # Safety
/// As the system call `number` demands of its arguments.
pub(super) unsafe fn syscall(number: i64, arguments: [usize; 6]) -> isize {
    #[cfg(all(test, miri))]
    return super::interpreted::syscall(number, arguments);
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the instruction clobbers rcx and r11 only; what the call does to memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// An entry of the vector that the kernel gave the process; 0 where there is none. `errno` stays.
pub(super) fn auxiliary(name: libc::c_ulong) -> usize {
    #[cfg(all(test, miri))]
    return super::interpreted::auxiliary(name);
    // SAFETY: only reads the vector; the calling thread's own number, which is set where there is no such entry.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let value = libc::getauxval(name) as usize;
        *errno = before;
        value
    }
}

/// The value of a successful call.
pub(super) fn ok(result: isize) -> Option<usize> {
    if (-4095..0).contains(&result) {
        None
    } else {
        Some(result as usize)
    }
}
