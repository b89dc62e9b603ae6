//! Shared files: what other processes read and write too, by their own calls.
//!
//! X1  Never mapped: a mapping dies by SIGBUS when somebody cuts the file off. Reads and writes that find less than they
//!     want answer so.
//! X2  Made anew, for the owner alone, through no symbolic link; opened again only if it is the file that was made.
//! X3  Who has it open may hold it, which the kernel ends with the process. So others can tell whether it is anybody's, also
//!     one whose number they do not know. Who holds it looks then whether somebody took it away before.

use super::call::{ok, syscall};
use super::output::{Errno, checked};
use core::ffi::CStr;

/// Which file it is, for as long as it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// To read and write. NONBLOCK: something else that was put there must not make us wait.
const PLAIN: i32 = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;

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
        Self::open_as(path, PLAIN | more).ok()
    }

    fn open_as(path: &CStr, flags: i32) -> Result<Self, Errno> {
        let (at, path) = (libc::AT_FDCWD as usize, path.as_ptr().expose_provenance());
        let arguments = [at, path, (flags | libc::O_CLOEXEC) as usize, 0o600, 0, 0];
        // SAFETY: the path is a C string.
        let descriptor = checked(unsafe { syscall(libc::SYS_openat, arguments) })?;
        Ok(Self { descriptor })
    }

    /// Holds it until it is closed (X3). `false`: somebody else does, or the file system cannot tell.
    pub(crate) fn hold(&self) -> bool {
        let how = (libc::LOCK_EX | libc::LOCK_NB) as usize;
        // SAFETY: our own descriptor.
        ok(unsafe { syscall(libc::SYS_flock, [self.descriptor, how, 0, 0, 0, 0]) }).is_some()
    }

    /// Whether it was taken away: no name leads to it.
    pub(crate) fn is_removed(&self) -> bool {
        self.told().is_some_and(|told| told.st_nlink == 0)
    }

    /// Which file it is. `None`: the system does not tell.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.told().map(|told| Identity {
            device: told.st_dev,
            inode: told.st_ino,
        })
    }

    /// Whether it is an ordinary file of the user who acts, and nobody else may read or write it.
    pub(crate) fn is_private(&self) -> bool {
        // SAFETY: plain call.
        let user = unsafe { syscall(libc::SYS_geteuid, [0; 6]) };
        self.told().is_some_and(|told| {
            told.st_mode & (libc::S_IFMT | 0o077) == libc::S_IFREG && told.st_uid as isize == user
        })
    }

    fn told(&self) -> Option<libc::stat> {
        // SAFETY: all zeros is such a structure: numbers.
        let mut told: libc::stat = unsafe { core::mem::zeroed() };
        let place = (&raw mut told).expose_provenance();
        // SAFETY: the kernel fills the structure, which is its own on this system.
        ok(unsafe { syscall(libc::SYS_fstat, [self.descriptor, place, 0, 0, 0, 0]) })?;
        Some(told)
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

/// Hands the names in the folder at `path` to `body`, in no order. What comes or goes meanwhile may be left out.
pub(crate) fn for_names(path: &CStr, mut body: impl FnMut(&[u8])) {
    let Ok(folder) = SharedFile::open_as(path, libc::O_RDONLY | libc::O_DIRECTORY) else {
        return;
    };
    let mut bytes = [0u8; 2048];
    loop {
        let (at, len) = (bytes.as_mut_ptr().expose_provenance(), bytes.len());
        let arguments = [folder.descriptor, at, len, 0, 0, 0];
        // SAFETY: the kernel writes at most as many bytes.
        let filled = ok(unsafe { syscall(libc::SYS_getdents64, arguments) });
        let Some(mut rest) = bytes
            .get(..filled.unwrap_or(0))
            .filter(|all| !all.is_empty())
        else {
            return;
        };
        // linux_dirent64: inode, offset (8 bytes each), length of the record (2), type (1), name.
        while let Some(&[low, high]) = rest.get(16..18) {
            let len = usize::from(u16::from_ne_bytes([low, high]));
            let name = rest
                .get(19..len)
                .and_then(|name| name.split(|&byte| byte == 0).next());
            let Some(name) = name else { break };
            body(name);
            rest = rest.get(len..).unwrap_or(&[]);
        }
    }
}

/// Takes away what is at `path`, if it may.
pub(crate) fn remove(path: &CStr) {
    let (at, path) = (libc::AT_FDCWD as usize, path.as_ptr().expose_provenance());
    // SAFETY: the path is a C string.
    unsafe { syscall(libc::SYS_unlinkat, [at, path, 0, 0, 0, 0]) };
}

/// Takes away what is at `path`, if it may, and nobody holds the file at `owner` (X3): that may be the same, or be gone.
pub(crate) fn remove_unless_held(path: &CStr, owner: &CStr) {
    // Held until it is done: who made it comes later, and sees that it is gone.
    let file = SharedFile::open_as(owner, PLAIN);
    let is_nobodys = match &file {
        Ok(file) => file.hold(),
        Err(why) => *why == Errno(libc::ENOENT),
    };
    if is_nobodys {
        remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::string::String;
    use std::vec::Vec;
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
        assert!(file.is_private());
        for more in [0o640, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(more)).unwrap();
            assert!(!file.is_private(), "{more:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
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

    #[test]
    fn what_somebody_holds_stays() {
        let (path, name) = place("held");
        let (with, more) = place("with");
        let file = SharedFile::create(&name, 64).unwrap();
        let holder = SharedFile::open(&name, file.identity().unwrap()).unwrap();
        fs::write(&with, "").unwrap();
        assert!(holder.hold() && !file.hold(), "one holds it");
        remove_unless_held(&more, &name);
        remove_unless_held(&name, &name);
        assert!(path.exists() && with.exists() && !file.is_removed(), "X3");
        drop(holder);
        remove_unless_held(&more, &name);
        assert!(path.exists() && !with.exists());
        remove_unless_held(&name, &name);
        assert!(!path.exists() && file.is_removed() && file.hold());
        fs::write(&with, "").unwrap();
        remove_unless_held(&more, &name);
        assert!(!with.exists(), "nobody holds what is not there");
        // What cannot be opened may be held.
        symlink("/etc/passwd", &path).unwrap();
        fs::write(&with, "").unwrap();
        remove_unless_held(&more, &name);
        assert!(with.exists());
        fs::remove_file(path).unwrap();
        fs::remove_file(with).unwrap();
    }

    #[test]
    fn all_names_of_a_folder_are_handed_out() {
        let (folder, name) = place("names");
        fs::create_dir_all(&folder).unwrap();
        // More than one piece of the list holds.
        let mut made: Vec<_> = (0..200).map(|n| format!("{n:->60}")).collect();
        for name in &made {
            fs::write(folder.join(name), "").unwrap();
        }
        let mut seen = Vec::new();
        for_names(&name, |name| {
            if name != b"." && name != b".." {
                seen.push(String::from_utf8(name.to_vec()).unwrap());
            }
        });
        made.sort();
        seen.sort();
        assert_eq!(seen, made);
        fs::remove_dir_all(&folder).unwrap();
        for_names(&name, |name| panic!("{name:?} in a folder that is gone"));
    }
}
