//! What Miri runs in place of instructions of ours: it knows no assembly, and of the kernel only what the C library and
//! the standard library ask it for. Unit tests only.
//!
//! ```text
//! system call ──> memory: an allocation of the standard library's      futex, yield, write: the standard library's
//!                 anything else: refused as unknown, which every caller must survive
//! thread word ──> a thread-local of the standard library
//! ```
//! J1  A mapping is one allocation. It is freed when every byte of it was unmapped, in whatever pieces: an access to a
//!     piece that is gone is noticed only then.
//! J2  A purge writes zeros; memory cannot be mapped at a given address, moved or made inaccessible.
//! J3  An address is exposed where the kernel would get it: Miri lets us make a pointer of it again.

use super::thread::UNSTARTED;
use core::cell::Cell;
use core::ptr;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Length, and how many bytes of it are unmapped, of every mapping by its address (J1).
static MAPPINGS: Mutex<BTreeMap<usize, (usize, usize)>> = Mutex::new(BTreeMap::new());

std::thread_local! {
    static WORD: Cell<*mut u8> = const { Cell::new((&raw const UNSTARTED).cast_mut().cast()) };
}

/// The calling thread's word.
pub(super) fn word() -> *mut u8 {
    WORD.get()
}

pub(super) fn set_word(word: *mut u8) {
    WORD.set(word);
}

/// Where the word is: it also tells living threads apart.
pub(super) fn word_place() -> *mut *mut u8 {
    WORD.with(Cell::as_ptr)
}

/// Answers system call `number` as Linux does, as far as tests need it.
pub(super) fn syscall(number: i64, arguments: [usize; 6]) -> isize {
    const DONE: isize = 0;
    const NO_MEMORY: isize = -(libc::ENOMEM as isize);
    const UNKNOWN: isize = -(libc::ENOSYS as isize);
    let [a, b, c, d, ..] = arguments;
    match number {
        libc::SYS_mmap if a == 0 => map(b).map_or(NO_MEMORY, usize::cast_signed),
        libc::SYS_mmap | libc::SYS_mremap => NO_MEMORY,
        libc::SYS_munmap => {
            unmap(a, b);
            DONE
        }
        libc::SYS_madvise if a == 0 => -(libc::EINVAL as isize),
        libc::SYS_madvise => {
            if c == libc::MADV_DONTNEED as usize {
                // SAFETY: whoever purges a range has it, and needs nothing that is there.
                unsafe { ptr::with_exposed_provenance_mut::<u8>(a).write_bytes(0, b) };
            }
            DONE
        }
        libc::SYS_mprotect => DONE,
        libc::SYS_futex => {
            let (word, time) = (
                ptr::with_exposed_provenance::<u32>(a),
                ptr::with_exposed_provenance::<libc::timespec>(d),
            );
            // SAFETY: as of the call that this one stands for.
            unsafe { libc::syscall(number, word, b as i32, c as u32, time) as isize }
        }
        libc::SYS_sched_yield => {
            std::thread::yield_now();
            DONE
        }
        libc::SYS_write => {
            // SAFETY: as of the call that this one stands for.
            unsafe { libc::write(a as i32, ptr::with_exposed_provenance(b), c) }
        }
        libc::SYS_getpid => std::process::id() as isize,
        libc::SYS_gettid => word_place().addr().cast_signed(),
        _ => UNKNOWN,
    }
}

/// The page's size; nothing else is there.
pub(super) fn auxiliary(name: libc::c_ulong) -> usize {
    if name == libc::AT_PAGESZ { 4096 } else { 0 }
}

/// Mappings lie at multiples of 2 MiB where they are as long: how the system places them is up to it.
fn layout(len: usize) -> Option<Layout> {
    let align = if len < 2 << 20 { 4096 } else { 2 << 20 };
    Layout::from_size_align(len, align).ok()
}

fn map(len: usize) -> Option<usize> {
    /// Address space that tests ask for to be refused it.
    const TOO_LARGE: usize = 1 << 32;
    if len == 0 || len >= TOO_LARGE {
        return None;
    }
    // SAFETY: not of size zero.
    let addr = unsafe { alloc_zeroed(layout(len)?) }.expose_provenance();
    MAPPINGS.lock().unwrap().insert(addr, (len, 0));
    Some(addr)
}

fn unmap(addr: usize, len: usize) {
    let mappings = &mut *MAPPINGS.lock().unwrap();
    let end = addr + len;
    mappings.retain(|&start, (size, gone)| {
        *gone += end.min(start + *size).saturating_sub(addr.max(start));
        assert!(*gone <= *size, "unmapped twice: {len} bytes at {addr:#x}");
        let stays = gone < size;
        if !stays {
            let layout = layout(*size).unwrap();
            // SAFETY: the allocation of `map`, all of which is given up.
            unsafe { dealloc(ptr::with_exposed_provenance_mut(start), layout) };
        }
        stays
    });
}
