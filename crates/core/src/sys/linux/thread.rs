//! The thread word, the call at a thread's end, the calls around a fork.
//!
//! The word is the only thread-local storage we have: 8 bytes, initial-exec, defined in assembly because
//! stable Rust has no `#[thread_local]`. Its first value is the address of [`UNSTARTED`], so the fast
//! paths need no test for a new thread. The symbol carries the version, so that two builds in one
//! process keep apart, and is hidden, so that none of them can be taken for the other's.

use super::call::syscall;
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};

/// Bins that look empty and full at once, all zero or counted below it, and 16 bytes more.
#[repr(C, align(64))]
pub(crate) struct EmptyBins(UnsafeCell<[u64; 86]>);

// SAFETY: whatever threads write there at once, it looks empty and full.
unsafe impl Sync for EmptyBins {}

/// What the word of a thread points at that has not allocated yet. Who is past its end has the same, a bin further: two
/// addresses suffice to tell them apart, and the memory of every process need not hold as many bins again.
#[unsafe(link_section = ".data.jemoxide_start")]
pub(crate) static UNSTARTED: EmptyBins = EmptyBins(UnsafeCell::new([0; 86]));

/// The word of a thread that is past its end.
pub(crate) fn gone() -> *mut u8 {
    (&raw const UNSTARTED)
        .cast_mut()
        .cast::<u8>()
        .wrapping_add(16)
}

/// The word's symbol.
macro_rules! word_symbol {
    () => {
        concat!(
            "jemoxide_thread_word_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}

global_asm!(
    ".pushsection .tdata,\"awT\",@progbits",
    ".p2align 3",
    concat!(".globl ", word_symbol!()),
    concat!(".hidden ", word_symbol!()),
    concat!(".type ", word_symbol!(), ",@object"),
    concat!(".size ", word_symbol!(), ", 8"),
    concat!(word_symbol!(), ":"),
    ".quad {unstarted}",
    ".popsection",
    unstarted = sym UNSTARTED,
);

/// Bytes from a thread's pointer to its word, less than 0. The same for all threads and all time, unlike the word: the
/// compiler may read it once for several operations, and before a loop.
#[inline(always)]
pub(crate) fn word_offset() -> isize {
    #[cfg(all(test, miri))]
    return (word_place().expose_provenance() - identity()).cast_signed();
    let offset: isize;
    // SAFETY: reads what the loader, or the linker, has filled in for good.
    unsafe {
        asm!(
            concat!("mov {0}, qword ptr [rip + ", word_symbol!(), "@GOTTPOFF]"),
            out(reg) offset,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    offset
}

/// The calling thread's word.
#[inline(always)]
pub(crate) fn word() -> *mut u8 {
    #[cfg(all(test, miri))]
    return super::interpreted::word();
    let word: *mut u8;
    // SAFETY: reads the thread's own word at its initial-exec offset.
    unsafe {
        asm!(
            "mov {word}, qword ptr fs:[{offset}]",
            offset = in(reg) word_offset(),
            word = lateout(reg) word,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    word
}

/// Sets the calling thread's word.
///
/// # Safety
/// `word` points at bins that stay valid until the word is set again or the thread ends.
pub(crate) unsafe fn set_word(word: *mut u8) {
    #[cfg(all(test, miri))]
    return super::interpreted::set_word(word);
    // SAFETY: writes the thread's own word; the caller vouches for the value.
    unsafe {
        asm!(
            "mov qword ptr fs:[{offset}], {word}",
            offset = in(reg) word_offset(),
            word = in(reg) word,
            options(nostack, preserves_flags),
        );
    }
}

/// A number that tells living threads apart: the thread's control block.
pub(crate) fn identity() -> usize {
    #[cfg(all(test, miri))]
    return super::interpreted::word_place().addr();
    let block: usize;
    // SAFETY: the first word of the control block is its own address.
    unsafe {
        asm!("mov {0}, qword ptr fs:[0]", out(reg) block, options(pure, readonly, nostack, preserves_flags));
    }
    block
}

/// A key whose value is handed to a function when its thread ends.
#[derive(Clone, Copy)]
pub(crate) struct ExitKey(u32);

impl ExitKey {
    /// Makes a key. `None`: the process has none left.
    pub(crate) fn create(at_exit: unsafe extern "C" fn(*mut c_void)) -> Option<Self> {
        let mut key: libc::pthread_key_t = 0;
        // SAFETY: plain call; the function takes what `set` stored.
        (unsafe { libc::pthread_key_create(&mut key, Some(at_exit)) } == 0).then_some(Self(key))
    }

    /// Arms the key for the calling thread. May allocate from us: call it with no lock held and the
    /// thread's cache in place. `false`: refused; the thread's end will go unnoticed.
    pub(crate) fn set(self, value: *mut u8) -> bool {
        // SAFETY: the key exists for good.
        unsafe { libc::pthread_setspecific(self.0, value.cast::<c_void>()) == 0 }
    }

    /// The number of the key, for keeping it in an atomic.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The key with a number that [`ExitKey::number`] gave.
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// Has the three functions called around every fork. May allocate from us. `false`: refused.
pub(crate) fn at_fork(
    before: unsafe extern "C" fn(),
    parent: unsafe extern "C" fn(),
    child: unsafe extern "C" fn(),
) -> bool {
    // SAFETY: plain call; the functions live as long as the program.
    let result: c_int = unsafe { libc::pthread_atfork(Some(before), Some(parent), Some(child)) };
    result == 0
}

/// Where the calling thread's word is; as long as the thread lives.
pub(crate) fn word_place() -> *mut *mut u8 {
    #[cfg(all(test, miri))]
    return super::interpreted::word_place();
    let place = identity().wrapping_add_signed(word_offset());
    core::ptr::with_exposed_provenance_mut(place)
}

/// Every other thread of the process passes a full memory barrier before this returns: what a thread stored before
/// it is seen by the caller, and what the caller stored before is seen by what the thread does afterwards. `false`:
/// the system cannot do that.
pub(crate) fn barrier_everywhere() -> bool {
    let command = |command: c_int| {
        // SAFETY: plain calls.
        let result = unsafe { syscall(libc::SYS_membarrier, [command as usize, 0, 0, 0, 0, 0]) };
        result == 0
    };
    // Registering is for once, and cheap from then on; a forked child need not know whether its parent did.
    command(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
        && command(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

/// Runs `body` while the calling thread takes no signal.
pub(crate) fn with_signals_blocked<R>(body: impl FnOnce() -> R) -> R {
    // The kernel's own set of 64, not the C library's, which leaves out those it needs itself.
    let (all, mut before) = (u64::MAX, 0u64);
    let bytes = size_of::<u64>();
    let set = |how: i32, to: *const u64, from: *mut u64| {
        let (to, from) = (to.expose_provenance(), from.expose_provenance());
        // SAFETY: the kernel reads the one set and writes the other, or neither where null.
        unsafe {
            syscall(
                libc::SYS_rt_sigprocmask,
                [how as usize, to, from, bytes, 0, 0],
            )
        };
    };
    set(libc::SIG_SETMASK, &raw const all, &raw mut before);
    let result = body();
    set(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut());
    result
}

/// Lets other threads run.
pub(crate) fn relax() {
    // SAFETY: plain call.
    unsafe { syscall(libc::SYS_sched_yield, [0; 6]) };
}
