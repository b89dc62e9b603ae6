//! Files that we write: opened, written and closed by raw calls; errors as the system's numbers.

use super::call::syscall;
use core::ffi::CStr;

/// An error number of the system's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Errno(pub(crate) i32);

/// What there is at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Nothing,
    File,
    /// A device, a pipe, a link, a folder.
    Other,
}

/// A file open for writing; closed when dropped.
pub(crate) struct Output {
    descriptor: usize,
}

const AT: usize = libc::AT_FDCWD as usize;

pub(super) fn checked(result: isize) -> Result<usize, Errno> {
    match result {
        -4095..0 => Err(Errno(-result as i32)),
        _ => Ok(result as usize),
    }
}

fn open(path: &CStr, flags: i32, mode: u32) -> Result<Output, Errno> {
    let flags = flags | libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC | libc::O_NOCTTY;
    let path = path.as_ptr().expose_provenance();
    let arguments = [AT, path, flags as usize, mode as usize, 0, 0];
    // SAFETY: the path is a C string.
    let descriptor = checked(unsafe { syscall(libc::SYS_openat, arguments) })?;
    Ok(Output { descriptor })
}

impl Output {
    /// Makes a file where there is none.
    pub(crate) fn create(path: &CStr, mode: u32) -> Result<Self, Errno> {
        open(path, libc::O_EXCL | libc::O_NOFOLLOW, mode)
    }

    /// Opens what is there, and empties it if it is a file; makes one where there is nothing.
    pub(crate) fn truncate(path: &CStr, mode: u32) -> Result<Self, Errno> {
        open(path, libc::O_TRUNC, mode)
    }

    /// Opens the file that is there, no link, and empties it.
    pub(crate) fn truncate_file(path: &CStr, mode: u32) -> Result<Self, Errno> {
        open(path, libc::O_TRUNC | libc::O_NOFOLLOW, mode)
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let (at, len) = (bytes.as_ptr().expose_provenance(), bytes.len());
            // SAFETY: the kernel reads the slice.
            let result = unsafe { syscall(libc::SYS_write, [self.descriptor, at, len, 0, 0, 0]) };
            match checked(result) {
                Ok(0) => return Err(Errno(libc::EIO)),
                Ok(count) => bytes = bytes.get(count..).unwrap_or(&[]),
                Err(Errno(libc::EINTR)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The number of its descriptor.
    pub(crate) fn number(&self) -> u64 {
        self.descriptor as u64
    }

    /// The file with a number that [`Output::number`] gave, and that nobody else closes.
    pub(crate) fn from_number(number: u64) -> Self {
        Self {
            descriptor: number as usize,
        }
    }

    /// Closes it; some file systems tell only then that there was no room.
    pub(crate) fn close(self) -> Result<(), Errno> {
        let descriptor = self.descriptor;
        core::mem::forget(self);
        // SAFETY: our own descriptor, which nobody else knows.
        let result = unsafe { syscall(libc::SYS_close, [descriptor, 0, 0, 0, 0, 0]) };
        match checked(result) {
            // It is closed all the same.
            Err(Errno(libc::EINTR)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: our own descriptor, which nobody else knows.
        unsafe { syscall(libc::SYS_close, [self.descriptor, 0, 0, 0, 0, 0]) };
    }
}

/// What there is at `path`.
pub(crate) fn kind_of(path: &CStr) -> Kind {
    match status(path, libc::AT_SYMLINK_NOFOLLOW) {
        None => Kind::Nothing,
        Some(status) if status.st_mode & libc::S_IFMT == libc::S_IFREG => Kind::File,
        Some(_) => Kind::Other,
    }
}

/// The number of the namespace that counts the numbers of processes.
pub(crate) fn process_namespace() -> Option<u64> {
    status(c"/proc/self/ns/pid", 0).map(|status| status.st_ino)
}

fn status(path: &CStr, flags: i32) -> Option<libc::stat> {
    // SAFETY: numbers, for which zeros are good.
    let mut status: libc::stat = unsafe { core::mem::zeroed() };
    let (path, place) = (path.as_ptr(), &raw mut status);
    let (path, place) = (path.expose_provenance(), place.expose_provenance());
    let arguments = [AT, path, place, flags as usize, 0, 0];
    // SAFETY: the kernel reads the path and writes the structure.
    let result = unsafe { syscall(libc::SYS_newfstatat, arguments) };
    checked(result).is_ok().then_some(status)
}

/// Puts the file at `from` where `to` says, in place of what is there.
pub(crate) fn rename(from: &CStr, to: &CStr) -> Result<(), Errno> {
    let (from, to) = (from.as_ptr(), to.as_ptr());
    let (from, to) = (from.expose_provenance(), to.expose_provenance());
    // SAFETY: the kernel reads both paths.
    checked(unsafe { syscall(libc::SYS_renameat, [AT, from, AT, to, 0, 0]) }).map(drop)
}

/// Takes the file at `path` away, if there is one.
pub(crate) fn remove(path: &CStr) {
    let path = path.as_ptr().expose_provenance();
    // SAFETY: the kernel reads the path.
    unsafe { syscall(libc::SYS_unlinkat, [AT, path, 0, 0, 0, 0]) };
}

impl Errno {
    /// What it says, and what to do about it; empty where the number has to do.
    pub(crate) const fn words(self) -> &'static str {
        match self.0 {
            libc::ENOSPC | libc::EDQUOT => "no space is left there",
            libc::EACCES | libc::EPERM => "writing there is not allowed",
            libc::EROFS => "the file system can only be read",
            libc::ENOENT => "the folder does not exist",
            libc::ENOTDIR => "a part of the path is not a folder",
            libc::EISDIR => "it is a folder",
            libc::ENAMETOOLONG => "the path is too long",
            libc::ELOOP => "the path has too many links",
            libc::EMFILE | libc::ENFILE => "too many files are open",
            libc::EFBIG => "files there may not become so large",
            libc::EIO => "the device failed",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::{env, format, fs};

    #[test]
    fn files_are_made_replaced_and_refused_with_a_reason() {
        let folder =
            env::temp_dir().join(format!("jemoxide-output-{}", super::super::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| CString::new(folder.join(name).to_str().unwrap()).unwrap();
        let (part, whole) = (path("part"), path("whole"));
        assert_eq!(kind_of(&part), Kind::Nothing);
        let mut output = Output::create(&part, 0o644).unwrap();
        output.write(b"some ").unwrap();
        output.write(b"text").unwrap();
        output.close().unwrap();
        assert_eq!(kind_of(&part), Kind::File);
        let again = Output::create(&part, 0o644).err().unwrap();
        assert_eq!(again, Errno(libc::EEXIST));
        fs::write(folder.join("whole"), "old").unwrap();
        rename(&part, &whole).unwrap();
        assert_eq!(fs::read(folder.join("whole")).unwrap(), b"some text");
        assert_eq!(kind_of(&part), Kind::Nothing);
        drop(Output::truncate(&whole, 0o644).unwrap());
        assert_eq!(fs::read(folder.join("whole")).unwrap(), b"");
        let missing = Output::create(&path("no/file"), 0o644).err().unwrap();
        assert_eq!(missing.words(), "the folder does not exist");
        assert_eq!(kind_of(&path("")), Kind::Other);
        let full = Output::truncate(c"/dev/full", 0o644).unwrap().write(b"x");
        assert_eq!(full.err().unwrap().words(), "no space is left there");
        remove(&whole);
        fs::remove_dir(&folder).unwrap();
        assert!(process_namespace().is_some());
    }
}
