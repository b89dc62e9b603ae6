//! Address space and memory.

use super::bare;
use super::call::{auxiliary, ok, syscall};
use super::probe::probe;
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
    let addr = ok(result)?;
    probe!(jemoxide:map, addr, len);
    NonNull::new(ptr::with_exposed_provenance_mut(addr))
}

/// Maps `len` bytes of zeroed memory at `addr` and nowhere else. `false`: refused, or something is there.
pub(crate) fn map_at(addr: NonNull<u8>, len: usize) -> bool {
    let place = ANONYMOUS | libc::MAP_FIXED_NOREPLACE as usize;
    let addr = addr.as_ptr().expose_provenance();
    // SAFETY: a new private mapping where nothing is mapped.
    let result = unsafe {
        syscall(
            libc::SYS_mmap,
            [addr, len, READ_WRITE, place, usize::MAX, 0],
        )
    };
    match ok(result) {
        Some(mapped) if mapped == addr => {
            probe!(jemoxide:map, addr, len);
            true
        }
        Some(mapped) => {
            // An old kernel took the address for a hint.
            // SAFETY: the mapping just made.
            unsafe { syscall(libc::SYS_munmap, [mapped, len, 0, 0, 0, 0]) };
            false
        }
        None => false,
    }
}

/// Gives `len` bytes at `addr` back, addresses and all.
///
/// # Safety
/// The range is ours, of whole system pages, and nobody uses it from now on.
pub(crate) unsafe fn unmap(addr: NonNull<u8>, len: usize) -> bool {
    probe!(jemoxide:unmap, addr.addr().get(), len);
    // SAFETY: the caller's promise.
    ok(unsafe {
        syscall(
            libc::SYS_munmap,
            [addr.as_ptr().expose_provenance(), len, 0, 0, 0, 0],
        )
    })
    .is_some()
}

/// Lets everybody in the process read and write a range, or nobody. `false`: refused, nothing changed.
///
/// # Safety
/// The range is ours, of whole system pages; who uses it while nobody may gets a signal.
pub(crate) unsafe fn protect(addr: NonNull<u8>, len: usize, usable: bool) -> bool {
    let access = if usable {
        READ_WRITE
    } else {
        libc::PROT_NONE as usize
    };
    let addr = addr.as_ptr().expose_provenance();
    // SAFETY: the caller's promise; contents stay.
    ok(unsafe { syscall(libc::SYS_mprotect, [addr, len, access, 0, 0, 0]) }).is_some()
}

/// Advices of Linux 6.13.
const MADV_GUARD_INSTALL: usize = 102;
const MADV_GUARD_REMOVE: usize = 103;

/// Has whoever touches a range get a signal, and takes its memory. Unlike [`protect`] it leaves the mapping in one piece.
/// `false`: not supported, or refused; nothing changed.
///
/// # Safety
/// The range is ours, of whole system pages, nobody uses it, and its contents are of no use.
pub(crate) unsafe fn fence(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { advise(addr, len, MADV_GUARD_INSTALL) }
}

/// Undoes [`fence`]: the range reads zero. `false`: refused, nothing changed.
///
/// # Safety
/// The range is ours, and of whole system pages.
pub(crate) unsafe fn unfence(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise; where there is no fence, contents stay.
    unsafe { advise(addr, len, MADV_GUARD_REMOVE) }
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
    probe!(jemoxide:purge, addr.addr().get(), len, false);
    // SAFETY: the caller's promise.
    unsafe { advise(addr, len, libc::MADV_DONTNEED as usize) }
}

/// Lets the system take the memory of a range when it likes; until then the contents stay.
///
/// # Safety
/// As for [`purge`].
pub(crate) unsafe fn purge_lazy(addr: NonNull<u8>, len: usize) -> bool {
    probe!(jemoxide:purge, addr.addr().get(), len, true);
    // SAFETY: the caller's promise.
    unsafe { advise(addr, len, libc::MADV_FREE as usize) }
}

/// Notes in `pages`, a byte for each system page from `addr` on, which of them have memory: bit 0. `false`: not all are
/// mapped, or the system does not tell. Pages of zeros that were only read count too.
pub(crate) fn residence(addr: usize, pages: &mut [u8]) -> bool {
    let (len, notes) = (pages.len() * page_size(), pages.as_mut_ptr());
    // SAFETY: the kernel writes a byte for each page of the range, and touches nothing else of ours.
    let done = unsafe {
        let notes = notes.expose_provenance();
        syscall(libc::SYS_mincore, [addr, len, notes, 0, 0, 0])
    };
    ok(done).is_some()
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
    if cfg!(all(test, miri)) {
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
            let size = auxiliary(libc::AT_PAGESZ);
            let size = if size.is_power_of_two() { size } else { 4096 };
            PAGE_SIZE.store(size, Ordering::Relaxed);
            size
        }
        size => size,
    }
}

/// How the system hands out huge pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HugePolicy {
    /// Where they were asked for, or nobody knows.
    Advised = 1,
    /// To everyone, without being asked.
    Always,
    /// To nobody.
    Never,
}

/// How the system hands out huge pages; read once.
pub(crate) fn huge_policy() -> HugePolicy {
    #[unsafe(link_section = ".data.jemoxide_start")]
    static ANSWER: AtomicU8 = AtomicU8::new(0);
    use HugePolicy::{Advised, Always, Never};
    let known = ANSWER.load(Ordering::Relaxed);
    [Advised, Always, Never]
        .into_iter()
        .find(|&policy| policy as u8 == known)
        .unwrap_or_else(|| {
            let policy = read_huge_policy();
            ANSWER.store(policy as u8, Ordering::Relaxed);
            policy
        })
}

/// Whether the system backs fresh mappings by huge pages without being asked.
pub(crate) fn huge_by_default() -> bool {
    huge_policy() == HugePolicy::Always
}

fn read_huge_policy() -> HugePolicy {
    let path = c"/sys/kernel/mm/transparent_hugepage/enabled"
        .as_ptr()
        .expose_provenance();
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as usize;
    let mut text = [0u8; 24];
    // SAFETY: the path is a C string; the kernel fills the array at most; the descriptor is closed.
    unsafe {
        let at = libc::AT_FDCWD as usize;
        let Some(file) = ok(syscall(libc::SYS_openat, [at, path, flags, 0, 0, 0])) else {
            return HugePolicy::Advised;
        };
        let buffer = text.as_mut_ptr().expose_provenance();
        syscall(libc::SYS_read, [file, buffer, text.len(), 0, 0, 0]);
        syscall(libc::SYS_close, [file, 0, 0, 0, 0, 0]);
    }
    policy_of(&text)
}

/// What a text like "[always] madvise never" says, with the brackets around what holds.
fn policy_of(text: &[u8; 24]) -> HugePolicy {
    if text.starts_with(b"[always]") {
        HugePolicy::Always
    } else if text.windows(7).any(|word| word == b"[never]") {
        HugePolicy::Never
    } else {
        HugePolicy::Advised
    }
}

/// Advice of Linux 6.1.
const MADV_COLLAPSE: usize = 25;

/// Backs a huge page's worth of memory by one. `false`: refused, nothing changed.
///
/// Pages without memory get some. A kernel that cannot do it at once is told that it may, and does it in its time.
///
/// # Safety
/// The range is ours, of whole huge pages, and mapped.
pub(crate) unsafe fn collapse(addr: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's promise; contents stay.
    unsafe {
        if !knows_collapse() {
            return advise(addr, len, libc::MADV_HUGEPAGE as usize);
        }
        // What was kept from having huge pages has to be allowed them; afterwards it is one mapping with its
        // neighbours again, and what is faulted in after a purge comes in small pages.
        let avoided = huge_by_default();
        if avoided {
            advise(addr, len, libc::MADV_HUGEPAGE as usize);
        }
        let done = advise(addr, len, MADV_COLLAPSE);
        if avoided {
            advise(addr, len, libc::MADV_NOHUGEPAGE as usize);
        }
        done
    }
}

/// Makes the huge page that a range of free pages is a part of small pages, so that a purge of the range really gives
/// its memory back: the system keeps a huge page whole, in the cgroup's books too, until memory is short.
///
/// # Safety
/// The range is ours, of whole system pages, and its contents are of no use.
pub(crate) unsafe fn split(addr: NonNull<u8>, len: usize) {
    // SAFETY: the caller's promise. To free a part lazily is what splits; refused, memory comes back later.
    unsafe {
        if !knows_collapse() {
            advise(addr, len, libc::MADV_NOHUGEPAGE as usize);
        }
        advise(addr, len, libc::MADV_FREE as usize);
    }
}

/// Whether the kernel can collapse on request. It looks at the advice before the range, which is empty.
fn knows_collapse() -> bool {
    // SAFETY: no page is concerned.
    ok(unsafe { syscall(libc::SYS_madvise, [0, 0, MADV_COLLAPSE, 0, 0, 0]) }).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_what_stands_in_brackets() {
        for (text, policy) in [
            ("[always] madvise never\n", HugePolicy::Always),
            ("always [madvise] never\n", HugePolicy::Advised),
            ("always madvise [never]\n", HugePolicy::Never),
            ("", HugePolicy::Advised),
            ("always inherit", HugePolicy::Advised),
        ] {
            let mut padded = [0; 24];
            padded[..text.len()].copy_from_slice(text.as_bytes());
            assert_eq!(policy_of(&padded), policy, "{text}");
        }
    }

    #[test]
    fn a_collapse_keeps_what_is_there_and_a_split_gives_up_what_is_not_needed() {
        const HUGE: usize = 2 << 20;
        let addr = map(2 * HUGE).unwrap();
        let skip = addr.addr().get().wrapping_neg() & (HUGE - 1);
        // SAFETY: a mapping of this test's own; inside it.
        unsafe {
            let huge = addr.add(skip);
            huge.as_ptr().write_bytes(7, HUGE / 2);
            // Refused where the machine has no huge pages: contents are kept all the same.
            let done = collapse(huge, HUGE);
            for at in (0..HUGE).step_by(512) {
                let expected = if at < HUGE / 2 { 7 } else { 0 };
                assert_eq!(huge.as_ptr().add(at).read(), expected, "{done}");
            }
            if done && knows_collapse() {
                let mut pages = std::vec![0; HUGE / page_size()];
                assert!(residence(huge.addr().get(), &mut pages));
                assert!(pages.iter().all(|&page| page & 1 != 0));
            }
            split(huge, HUGE / 4);
            assert!(purge(huge, HUGE / 4));
            assert_eq!(huge.as_ptr().read(), 0);
            assert_eq!(huge.as_ptr().add(HUGE / 4).read(), 7);
            unmap(addr, 2 * HUGE);
        }
    }
}
