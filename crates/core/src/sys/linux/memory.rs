//! Address space and memory.

use super::bare;
use super::call::{ok, syscall};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;
const ANONYMOUS: usize = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;

/// Maps `len` bytes of zeroed memory, readable and writable, at a multiple of the system's page.
pub(crate) fn map(len: usize) -> Option<NonNull<u8>> {
    // SAFETY: a new private mapping touches no memory that exists.
    let result = unsafe {
        syscall(
            libc::SYS_mmap,
            [0, len, READ_WRITE, ANONYMOUS, usize::MAX, 0],
        )
    };
    NonNull::new(ptr::with_exposed_provenance_mut(ok(result)?))
}

/// Gives `len` bytes at `addr` back, addresses and all.
///
/// # Safety
/// The range is ours, of whole system pages, and nobody uses it from now on.
pub(crate) unsafe fn unmap(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    ok(unsafe {
        syscall(
            libc::SYS_munmap,
            [addr.as_ptr().expose_provenance(), len, 0, 0, 0, 0],
        )
    })
    .is_some()
}

/// # Safety
/// The range is ours and the advice loses nothing that anybody needs.
unsafe fn advise(addr: NonNull<u8>, len: usize, advice: usize) -> bool {
    let addr = addr.as_ptr().expose_provenance();
    // SAFETY: the caller's promise.
    ok(unsafe { syscall(libc::SYS_madvise, [addr, len, advice, 0, 0, 0]) }).is_some()
}

/// Takes the memory of a range, keeping its addresses; it reads zero afterwards. `false`: refused, nothing changed.
///
/// # Safety
/// The range is ours, of whole system pages, and its contents are of no use.
pub(crate) unsafe fn purge(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { advise(addr, len, libc::MADV_DONTNEED as usize) }
}

/// Lets the system take the memory of a range when it likes; until then the contents stay.
///
/// # Safety
/// As for [`purge`].
pub(crate) unsafe fn purge_lazy(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { advise(addr, len, libc::MADV_FREE as usize) }
}

/// Faults a whole range in at once. `false`: not supported or no memory; the range is as before or partly populated.
///
/// # Safety
/// The range is ours and mapped.
pub(crate) unsafe fn populate(addr: NonNull<u8>, len: usize) -> bool {
    const MADV_POPULATE_WRITE: usize = 23;
    // SAFETY: the caller's promise; contents stay.
    unsafe { advise(addr, len, MADV_POPULATE_WRITE) }
}

/// Says whether huge pages may back a range.
///
/// # Safety
/// The range is ours and mapped.
pub(crate) unsafe fn allow_huge(addr: NonNull<u8>, len: usize, allowed: bool) -> bool {
    let advice = if allowed {
        libc::MADV_HUGEPAGE
    } else {
        libc::MADV_NOHUGEPAGE
    };
    // SAFETY: the caller's promise; contents stay.
    unsafe { advise(addr, len, advice as usize) }
}

/// Moves the pages of `from` to `to` without copying; `from` stays mapped and reads zero.
/// `false`: refused, nothing moved.
///
/// In two steps, by way of a place that the system chooses: a move to a given address unmaps what is there before it
/// looks at what is to come, so a refusal would leave a hole. The first step refuses without harm; the second moves
/// what is one mapping by then, and should it fail all the same, the contents are copied.
///
/// # Safety
/// Both ranges are ours, mapped, of `len` bytes in whole system pages, and disjoint; what `to` held is of no use.
pub(crate) unsafe fn relocate(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> bool {
    let away = (libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP) as usize;
    let there = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
    let (from, goal) = (
        from.as_ptr().expose_provenance(),
        to.as_ptr().expose_provenance(),
    );
    // SAFETY: the caller's promise; what is at `from` afterwards reads zero.
    let moved = unsafe { syscall(libc::SYS_mremap, [from, len, len, away, 0, 0]) };
    let Some(between) = ok(moved) else {
        return false;
    };
    // SAFETY: `between` is ours since the step before; `to` is given up by the caller.
    if ok(unsafe { syscall(libc::SYS_mremap, [between, len, len, there, goal, 0]) }).is_none() {
        let place = ANONYMOUS | libc::MAP_FIXED_NOREPLACE as usize;
        // SAFETY: fills the hole if there is one, and touches nothing where there is none; then `to` is mapped,
        //         and `between` still holds the contents.
        unsafe {
            syscall(
                libc::SYS_mmap,
                [goal, len, READ_WRITE, place, usize::MAX, 0],
            );
            let contents = ptr::with_exposed_provenance::<u8>(between);
            to.as_ptr().copy_from_nonoverlapping(contents, len);
            syscall(libc::SYS_munmap, [between, len, 0, 0, 0, 0]);
        }
    }
    true
}

/// Extends the data segment by `len` bytes and returns its old end. The bytes read zero.
///
/// Goes through the C library, whose own allocator may use the same segment; hence not from the bare thread.
pub(crate) fn extend_break(len: usize) -> Option<NonNull<u8>> {
    if bare::is_current() {
        return None;
    }
    let increment = isize::try_from(len).ok()?;
    // SAFETY: plain call; the old `errno` is put back, as a refusal here is not yet a failure.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let end = libc::sbrk(increment);
        *errno = before;
        if end.addr() == usize::MAX {
            None
        } else {
            NonNull::new(end.cast())
        }
    }
}

/// Bytes of the system's page, a power of two.
pub(crate) fn page_size() -> usize {
    #[unsafe(link_section = ".data.jemoxide_start")]
    static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);
    match PAGE_SIZE.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: reads the vector that the kernel gave the process.
            let size = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
            let size = if size.is_power_of_two() { size } else { 4096 };
            PAGE_SIZE.store(size, Ordering::Relaxed);
            size
        }
        size => size,
    }
}

/// Whether the system backs fresh mappings by huge pages without being asked; read once.
pub(crate) fn huge_by_default() -> bool {
    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;
    #[unsafe(link_section = ".data.jemoxide_start")]
    static ANSWER: AtomicU8 = AtomicU8::new(UNKNOWN);
    match ANSWER.load(Ordering::Relaxed) {
        UNKNOWN => {
            let answer = read_huge_by_default();
            ANSWER.store(if answer { YES } else { NO }, Ordering::Relaxed);
            answer
        }
        answer => answer == YES,
    }
}

fn read_huge_by_default() -> bool {
    let path = c"/sys/kernel/mm/transparent_hugepage/enabled"
        .as_ptr()
        .expose_provenance();
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
    // The file reads "[always] madvise never", with the brackets around what holds.
    let mut text = [0u8; 8];
    // SAFETY: the path is a C string; the kernel fills the array at most; the descriptor is closed.
    unsafe {
        let at = libc::AT_FDCWD as usize;
        let Some(file) = ok(syscall(libc::SYS_openat, [at, path, flags, 0, 0, 0])) else {
            return false;
        };
        let buffer = text.as_mut_ptr().expose_provenance();
        syscall(libc::SYS_read, [file, buffer, text.len(), 0, 0, 0]);
        syscall(libc::SYS_close, [file, 0, 0, 0, 0, 0]);
    }
    text == *b"[always]"
}
