//! The process: its environment, its messages, its files, its end.

use super::call::{ok, syscall};
use core::ffi::{CStr, c_char};
use core::ptr::{self, NonNull};

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The value of an environment variable; `None` also in a process with raised rights.
pub(crate) fn environment(name: &[u8]) -> Option<&'static [u8]> {
    // SAFETY: reads the vector that the kernel gave the process.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return None;
    }
    // SAFETY: the C library's list, ended by null. We read it once, at the first allocation, when a
    // program that changes it in another thread would be in error itself.
    unsafe {
        let mut entry = environ;
        if entry.is_null() {
            return None;
        }
        while !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            if let Some(value) = text
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(b"="))
            {
                return Some(value);
            }
            entry = entry.add(1);
        }
    }
    None
}

/// Writes all of `text` to standard error, as far as it goes.
pub(crate) fn write_error(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: the kernel reads the slice.
        let written = unsafe {
            syscall(
                libc::SYS_write,
                [2, text.as_ptr().expose_provenance(), text.len(), 0, 0, 0],
            )
        };
        match ok(written) {
            Some(count) if count > 0 => text = &text[count.min(text.len())..],
            _ if written == -(libc::EINTR as isize) => {}
            _ => return,
        }
    }
}

/// Ends the process by SIGABRT.
pub(crate) fn abort() -> ! {
    // SAFETY: plain call.
    unsafe { libc::abort() }
}

/// Number of this process.
pub(crate) fn id() -> u32 {
    // SAFETY: plain call.
    unsafe { syscall(libc::SYS_getpid, [0; 6]) as u32 }
}

/// Puts a new file of `len` zero bytes at `path`, in place of what was there, and maps it shared. `None`: refused.
///
/// The bytes are reserved: a file system that fills up later cannot make a store to the mapping fail.
pub(crate) fn map_new_file(path: &CStr, len: usize) -> Option<NonNull<u8>> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let path = path.as_ptr().expose_provenance();
    // SAFETY: the path is a C string; the descriptor is closed before return; the mapping is new.
    unsafe {
        let at = libc::AT_FDCWD as usize;
        syscall(libc::SYS_unlinkat, [at, path, 0, 0, 0, 0]);
        let create = [at, path, flags as usize, 0o600, 0, 0];
        let file = ok(syscall(libc::SYS_openat, create))?;
        let reserved = ok(syscall(libc::SYS_fallocate, [file, 0, 0, len, 0, 0]));
        let mapped = reserved.and_then(|_| {
            let shared = libc::MAP_SHARED as usize;
            ok(syscall(libc::SYS_mmap, [0, len, access, shared, file, 0]))
        });
        syscall(libc::SYS_close, [file, 0, 0, 0, 0, 0]);
        NonNull::new(ptr::with_exposed_provenance_mut(mapped?))
    }
}

/// Runs `body` and puts `errno` back as it was.
pub(crate) fn keep_errno<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the C library's own per-thread word.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let result = body();
    // SAFETY: as above; same thread.
    unsafe { *errno = before };
    result
}
