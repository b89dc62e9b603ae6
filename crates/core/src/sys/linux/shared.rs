//! Shared files: what other processes read and write too, by their own calls.
//!
//! X1  Never mapped: a mapping dies by SIGBUS when somebody cuts the file off. Reads and writes that find less than they
//!     want answer so.
//! X2  Made anew, for the owner alone, through no symbolic link; opened again only if it is the file that was made.

use super::call::{ok, syscall};
use core::ffi::CStr;

/// Which file it is, for as long as it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// An open shared file; closed when dropped.
pub(crate) struct SharedFile {
    descriptor: usize,
}

impl SharedFile {
    /// Puts a new file of `len` zero bytes at `path`, in place of what was there (X2). `None`: refused.
    pub(crate) fn create(path: &CStr, len: usize) -> Option<Self> {
        remove(path);
        let file = Self::open_with(path, libc::O_CREAT | libc::O_EXCL)?;
        // SAFETY: our own descriptor. The bytes are reserved; where a file system cannot, writing makes them.
        unsafe { syscall(libc::SYS_fallocate, [file.descriptor, 0, 0, len, 0, 0]) };
        Some(file)
    }

    /// Opens the file at `path` again. `None`: it is not the one with that identity, or not for us.
    pub(crate) fn open(path: &CStr, identity: Identity) -> Option<Self> {
        Self::open_with(path, 0).filter(|file| file.identity() == Some(identity))
    }

    fn open_with(path: &CStr, more: i32) -> Option<Self> {
        // NONBLOCK: something else that was put there must not make us wait.
        let flags =
            libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let (at, path) = (libc::AT_FDCWD as usize, path.as_ptr().expose_provenance());
        let arguments = [at, path, (flags | more) as usize, 0o600, 0, 0];
        // SAFETY: the path is a C string.
        let descriptor = ok(unsafe { syscall(libc::SYS_openat, arguments) })?;
        Some(Self { descriptor })
    }

    /// Which file it is. `None`: the system does not tell.
    pub(crate) fn identity(&self) -> Option<Identity> {
        // SAFETY: all zeros is such a structure: numbers.
        let mut told: libc::stat = unsafe { core::mem::zeroed() };
        let place = (&raw mut told).expose_provenance();
        // SAFETY: the kernel fills the structure, which is its own on this system.
        ok(unsafe { syscall(libc::SYS_fstat, [self.descriptor, place, 0, 0, 0, 0]) })?;
        Some(Identity {
            device: told.st_dev,
            inode: told.st_ino,
        })
    }

    /// Writes `bytes` at `offset`. `false`: not all of them.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: usize) -> bool {
        let (at, len) = (bytes.as_ptr().expose_provenance(), bytes.len());
        let arguments = [self.descriptor, at, len, offset, 0, 0];
        // SAFETY: the kernel reads the slice.
        ok(unsafe { syscall(libc::SYS_pwrite64, arguments) }) == Some(len)
    }

    /// Reads as many words as there are at `offset`. `false`: there are fewer.
    pub(crate) fn read_words_at(&self, words: &mut [u64], offset: usize) -> bool {
        let (at, len) = (words.as_mut_ptr().expose_provenance(), size_of_val(words));
        let arguments = [self.descriptor, at, len, offset, 0, 0];
        // SAFETY: the kernel writes at most the bytes of the slice, and any bytes are words.
        ok(unsafe { syscall(libc::SYS_pread64, arguments) }) == Some(len)
    }
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        // SAFETY: our own descriptor, which nobody else knows.
        unsafe { syscall(libc::SYS_close, [self.descriptor, 0, 0, 0, 0, 0]) };
    }
}

/// Takes away what is at `path`, if it may.
pub(crate) fn remove(path: &CStr) {
    let (at, path) = (libc::AT_FDCWD as usize, path.as_ptr().expose_provenance());
    // SAFETY: the path is a C string.
    unsafe { syscall(libc::SYS_unlinkat, [at, path, 0, 0, 0, 0]) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::{env, format, fs};

    fn place(name: &str) -> (PathBuf, CString) {
        let path = env::temp_dir().join(format!("jemoxide-shared-{name}-{}", std::process::id()));
        let text = CString::new(path.to_str().unwrap()).unwrap();
        (path, text)
    }

    #[test]
    fn a_file_cut_off_reads_short_and_is_written_again() {
        let (path, name) = place("cut");
        let file = SharedFile::create(&name, 4096).unwrap();
        assert!(file.write_at(&[1; 16], 4080));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "for the owner alone");
        let mut words = [0; 2];
        assert!(file.read_words_at(&mut words, 4080) && words == [u64::from_ne_bytes([1; 8]); 2]);
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        assert!(!file.read_words_at(&mut words, 4080), "X1");
        assert!(file.write_at(&[2; 16], 4080) && file.read_words_at(&mut words, 4080));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn no_link_is_followed_and_no_other_file_taken_for_ours() {
        let (path, name) = place("link");
        let (victim, _) = place("victim");
        fs::write(&victim, "theirs").unwrap();
        symlink(&victim, &path).unwrap();
        let file = SharedFile::create(&name, 64).unwrap();
        let identity = file.identity().unwrap();
        assert!(file.write_at(&[3; 64], 0));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "theirs");
        assert!(SharedFile::open(&name, identity).is_some());
        fs::rename(&victim, &path).unwrap();
        assert!(SharedFile::open(&name, identity).is_none(), "another file");
        remove(&name);
        symlink("/etc/passwd", &path).unwrap();
        assert!(SharedFile::open(&name, identity).is_none(), "a link");
        remove(&name);
        assert!(!path.exists());
    }
}
