//! Files that the kernel writes: opened, read and closed within one call.

use super::call::{ok, syscall};
use core::ffi::CStr;

/// A file open for reading; closed when dropped.
pub(crate) struct File {
    descriptor: usize,
}

impl File {
    /// Opens the file at `path`. `None`: not there, or not for us.
    pub(crate) fn open(path: &CStr) -> Option<Self> {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
        let arguments = [
            libc::AT_FDCWD as usize,
            path.as_ptr().expose_provenance(),
            flags as usize,
            0,
            0,
            0,
        ];
        // SAFETY: the path is a C string.
        let descriptor = ok(unsafe { syscall(libc::SYS_openat, arguments) })?;
        Some(Self { descriptor })
    }

    /// Reads what comes next into `buffer`: so many bytes, 0 at the end. `None`: it cannot be read.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let (at, len) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
        loop {
            // SAFETY: the kernel writes at most the bytes of the buffer.
            let result = unsafe { syscall(libc::SYS_read, [self.descriptor, at, len, 0, 0, 0]) };
            if result != -(libc::EINTR as isize) {
                return ok(result).map(|count| count.min(len));
            }
        }
    }
}

impl File {
    /// Fills `buffer` from `offset` on. `false`: the file ends before, or cannot be read.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let (at, len) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
        let arguments = [self.descriptor, at, len, offset as usize, 0, 0];
        // SAFETY: the kernel writes at most the bytes of the buffer.
        ok(unsafe { syscall(libc::SYS_pread64, arguments) }) == Some(len)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: our own descriptor, which nobody else knows.
        unsafe { syscall(libc::SYS_close, [self.descriptor, 0, 0, 0, 0, 0]) };
    }
}
