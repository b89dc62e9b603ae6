//! The process's own memory, where it is not known to be mapped, and what the kernel tells of what is mapped where.
//!
//! ```text
//! is_readable   a system call that copies a set of signals in and then refuses: EFAULT, or EINVAL
//! copy          process_vm_readv on ourselves: all of it, or nothing and no fault
//! load          one plain load; for what is known to be readable
//! ```
//! The first two fault inside the kernel, which knows how to; nothing here can raise a signal. A page that is
//! readable may be unmapped by another thread before a load comes: only `copy` is safe from that, unless a filter of system
//! calls forbids it to the process; it then probes and loads.

use super::call::{auxiliary, syscall};
use super::files::File;
use super::process;
use core::arch::asm;
use core::sync::atomic::{AtomicU8, Ordering};

/// What can be asked by memory address.
const UNKNOWN: u8 = 0;
const PROBING: u8 = 1;
const COPYING: u8 = 2;

/// Whether [`is_readable`] tells the truth; asked of the kernel once.
static WAY: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Copies the bytes at `addr` of this process to `into`. `false`: not all of them are readable.
pub(crate) fn copy(addr: usize, into: &mut [u8]) -> bool {
    let len = into.len();
    let local = [into.as_mut_ptr().expose_provenance(), len];
    let remote = [addr, len];
    let own = process::id() as usize;
    let (local, remote) = (
        (&raw const local).expose_provenance(),
        (&raw const remote).expose_provenance(),
    );
    // SAFETY: the kernel writes at most the bytes of the slice; the other side is read, or found unreadable.
    let copied = unsafe { syscall(libc::SYS_process_vm_readv, [own, local, 1, remote, 1, 0]) };
    let is_forbidden = [libc::EPERM, libc::ENOSYS].contains(&(-copied as i32));
    copied == len as isize || is_forbidden && load_probed(addr, into)
}

/// As [`copy`], where that is forbidden: each word is probed, and loaded.
#[cold]
fn load_probed(addr: usize, into: &mut [u8]) -> bool {
    const WORD: usize = size_of::<usize>();
    let (mut place, mut word) = (usize::MAX, [0; WORD]);
    for (offset, byte) in into.iter_mut().enumerate() {
        let at = addr.wrapping_add(offset);
        if place != at & !(WORD - 1) {
            place = at & !(WORD - 1);
            if !is_readable(place) {
                return false;
            }
            // SAFETY: the kernel has just read the word.
            word = unsafe { load(place) }.to_ne_bytes();
        }
        let Some(&read) = word.get(at & (WORD - 1)) else {
            return false;
        };
        *byte = read;
    }
    true
}

/// The word at `addr`, by way of the kernel.
pub(crate) fn copy_word(addr: usize) -> Option<usize> {
    let mut bytes = [0; size_of::<usize>()];
    copy(addr, &mut bytes).then(|| usize::from_ne_bytes(bytes))
}

/// Whether the word at `addr`, a multiple of 8, can be read. Always `false` where nothing cheap can tell (an emulator,
/// a system call forbidden): [`copy`] may then do.
pub(crate) fn is_readable(addr: usize) -> bool {
    // Relaxed: a number that every thread finds the same.
    let way = match WAY.load(Ordering::Relaxed) {
        UNKNOWN => {
            // An address that no process has: whoever calls it readable does not look.
            const KERNELS: usize = usize::MAX << 31;
            let tells = probe(KERNELS) == -(libc::EFAULT as isize);
            let local = 0usize;
            let tells = tells && answers_readable(probe((&raw const local).expose_provenance()));
            let way = if tells { PROBING } else { COPYING };
            WAY.store(way, Ordering::Relaxed);
            way
        }
        way => way,
    };
    way == PROBING && answers_readable(probe(addr))
}

/// Has the kernel read a set of signals at `addr`, and then refuse to do anything with it.
fn probe(addr: usize) -> isize {
    const NOTHING_TO_DO: usize = usize::MAX;
    let arguments = [NOTHING_TO_DO, addr, 0, size_of::<u64>(), 0, 0];
    // SAFETY: there is no such way to change the mask, so it stays as it is.
    unsafe { syscall(libc::SYS_rt_sigprocmask, arguments) }
}

fn answers_readable(result: isize) -> bool {
    result == -(libc::EINVAL as isize)
}

/// The word at `addr`, whatever it means to whoever wrote it.
///
/// # Safety
/// The 8 bytes at `addr` are mapped and readable.
#[inline(always)]
pub(crate) unsafe fn load(addr: usize) -> usize {
    // SAFETY: the caller's promise.
    #[cfg(all(test, miri))]
    return unsafe { core::ptr::with_exposed_provenance::<usize>(addr).read() };
    let word;
    // SAFETY: the caller's promise. An instruction of our own: the word is another function's, of no type here.
    unsafe {
        asm!("mov {0}, qword ptr [{1}]", out(reg) word, in(reg) addr, options(readonly, nostack, preserves_flags));
    }
    word
}

/// The kernel's list of what is mapped, as text.
pub(crate) fn maps() -> Option<File> {
    File::open(c"/proc/self/maps")
}

/// Reads the bytes at `offset` of the file that the process was started from. `false`: they cannot be read.
pub(crate) fn read_program(offset: u64, into: &mut [u8]) -> bool {
    File::open(c"/proc/self/exe").is_some_and(|file| file.read_at(offset, into))
}

/// Addresses in what a process has from its start to its end; 0 where there is none.
pub(crate) struct Landmarks {
    /// The program headers of the executable, and how many there are.
    pub program: usize,
    pub program_headers: usize,
    /// The loader's first byte.
    pub loader: usize,
    /// The first byte of the kernel's own library.
    pub vdso: usize,
    /// A function of the C library.
    pub library: usize,
}

/// Those of this process.
pub(crate) fn landmarks() -> Landmarks {
    Landmarks {
        program: auxiliary(libc::AT_PHDR),
        program_headers: auxiliary(libc::AT_PHNUM),
        loader: auxiliary(libc::AT_BASE),
        vdso: auxiliary(libc::AT_SYSINFO_EHDR),
        library: libc::getauxval as *const () as usize,
    }
}

/// Where the dynamic section of this module is, 0 if it has none.
pub(crate) fn own_dynamic() -> usize {
    #[cfg(all(test, miri))]
    return 0;
    let dynamic: usize;
    // SAFETY: loads the address of a symbol that the linker defines where there is such a section, else zero.
    unsafe {
        asm!(
            ".weak _DYNAMIC",
            ".hidden _DYNAMIC",
            "mov {0}, qword ptr [rip + _DYNAMIC@GOTPCREL]",
            out(reg) dynamic,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    dynamic
}

/// Whether this module has the C door in it: the exported functions of `libjemoxide`.
pub(crate) fn has_c_door() -> bool {
    #[cfg(all(test, miri))]
    return false;
    let door: usize;
    // SAFETY: loads the address of a symbol of this module, zero where it has none.
    unsafe {
        asm!(
            ".weak jemoxide_c_door",
            ".hidden jemoxide_c_door",
            "mov {0}, qword ptr [rip + jemoxide_c_door@GOTPCREL]",
            out(reg) door,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    door != 0
}

#[cfg(test)]
mod tests {
    use super::super::memory;
    use super::*;

    #[test]
    fn what_is_not_readable_is_found_so_without_a_fault() {
        let page = memory::page_size();
        let block = memory::map(3 * page).unwrap().as_ptr().expose_provenance();
        // SAFETY: pages of our own; one loses its rights, one its address.
        unsafe {
            syscall(libc::SYS_mprotect, [block, page, 0, 0, 0, 0]);
            syscall(libc::SYS_munmap, [block + 2 * page, page, 0, 0, 0, 0]);
        }
        let inside = block + page;
        assert!(is_readable(inside) && copy_word(inside) == Some(0));
        for outside in [block, block + 2 * page, 8, usize::MAX - 7, 1 << 60] {
            assert!(!is_readable(outside), "{outside:x}");
            assert_eq!(copy_word(outside), None, "{outside:x}");
        }
        let mut across = [0; 16];
        assert!(!copy(block + 2 * page - 8, &mut across));
        assert!(!load_probed(block + 2 * page - 8, &mut across));
    }

    #[test]
    fn loading_what_was_probed_gives_what_copying_does() {
        let text: [u8; 40] = core::array::from_fn(|at| at as u8);
        let at = text.as_ptr().expose_provenance();
        for (start, len) in [(0, 40), (3, 8), (7, 1), (13, 20)] {
            let (mut copied, mut loaded) = ([0; 40], [0; 40]);
            assert!(copy(at + start, &mut copied[..len]));
            assert!(load_probed(at + start, &mut loaded[..len]));
            assert_eq!(copied, loaded);
            assert_eq!(copied[..len], text[start..start + len]);
        }
    }

    #[test]
    fn landmarks_lie_where_something_is() {
        let landmarks = landmarks();
        for place in [landmarks.program, landmarks.loader, landmarks.vdso] {
            assert!(place == 0 || copy_word(place).is_some());
        }
        assert!(landmarks.program != 0 && landmarks.library != 0);
    }
}
