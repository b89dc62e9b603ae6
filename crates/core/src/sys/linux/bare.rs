//! The bare thread: one thread of our own that the C library knows nothing of.
//!
//! ```text
//! guard | stack, growing down | room below the thread pointer, our word in it | control block
//!                             ^ stack's top                                   ^ thread pointer
//! ```
//! The kernel is asked for it directly. So nothing is allocated, no lock of the C library or its loader is taken,
//! which makes it safe to start from any call into the allocator, a constructor's or a signal handler's included;
//! the C library keeps its shortcuts for programs with one thread; and a program whose threads all end does not
//! wait for ours.
//!
//! V1  One at a time; its memory is mapped once and used again.
//! V2  It runs our code only: no thread-local storage but the thread word, which says "past its end", and the
//!     first words of its control block. No call to the C library that sets `errno` or knows threads.
//! V3  All signals are blocked in it from its first instruction.
//! V4  It must not be running when it is started again.

use super::call::{ok, syscall};
use super::{memory, thread};
use core::arch::asm;
use core::ffi::CStr;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The deepest call of purging takes less than a quarter.
const STACK: usize = 64 << 10;
/// Above the thread pointer: what the processor and debuggers look for there.
const BLOCK: usize = 4 << 10;
/// Below the thread pointer, beyond our word.
const BELOW: usize = 4 << 10;

/// What makes it a thread of this process: the very flags that the C library asks for its own with, as some
/// sandboxes let no others pass.
const FLAGS: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;

/// Where the mapping starts; null before the first start.
static GROUND: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
/// Where the kernel writes its number, which nobody needs.
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// Its thread pointer; null before the first start.
static POINTER: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
/// Not 0 while the thread is there; the kernel clears it when the thread has left its stack.
static PRESENT: AtomicU32 = AtomicU32::new(0);

/// Whether the last one is still about to leave.
pub(crate) fn is_present() -> bool {
    // Acquire: pairs with the kernel's write when the stack is free.
    PRESENT.load(Ordering::Acquire) != 0
}

/// Starts the thread, which runs `entry` and ends with [`leave`]; the caller has blocked all signals and seen that
/// none is present. `false`: refused.
pub(crate) fn start(entry: extern "C" fn() -> !) -> bool {
    if is_present() {
        return false;
    }
    let below = thread::word_offset().unsigned_abs().next_multiple_of(64) + BELOW;
    // Below the stack, inaccessible: an overflow stops here.
    let guard = memory::page_size();
    let len = (guard + STACK + below + BLOCK).next_multiple_of(memory::page_size());
    let Some(ground) = ground(len, guard) else {
        return false;
    };
    let pointer = ground.as_ptr().wrapping_add(len - BLOCK);
    let stack = ground.as_ptr().wrapping_add(guard + STACK);
    // SAFETY: within the mapping, and no thread is there (V1, V4). Offset 0 is read as the block's own address,
    //         offset 16 by debuggers.
    unsafe {
        pointer.cast::<*mut u8>().write(pointer);
        pointer.cast::<*mut u8>().add(2).write(pointer);
        let word = pointer.wrapping_offset(thread::word_offset());
        word.cast::<*const u8>().write(thread::gone());
    }
    POINTER.store(pointer, Ordering::Relaxed);
    PRESENT.store(1, Ordering::Relaxed);
    // SAFETY: a stack and a control block that are nobody else's, and an entry that does not return.
    let started = ok(unsafe { clone(stack, pointer, entry) }).is_some();
    if !started {
        PRESENT.store(0, Ordering::Relaxed);
    }
    started
}

/// The mapping of `len` bytes, the first `guard` of them inaccessible.
fn ground(len: usize, guard: usize) -> Option<NonNull<u8>> {
    if let Some(known) = NonNull::new(GROUND.load(Ordering::Relaxed)) {
        return Some(known);
    }
    let ground = memory::map(len)?;
    let from = ground.as_ptr().expose_provenance();
    // SAFETY: our own fresh mapping. A refusal leaves the stack without a guard, which its size makes good.
    unsafe { syscall(libc::SYS_mprotect, [from, guard, 0, 0, 0, 0]) };
    GROUND.store(ground.as_ptr(), Ordering::Relaxed);
    Some(ground)
}

/// # Safety
/// `stack` is the end of memory that the thread may use as its stack, a multiple of 16; `pointer` its control block.
unsafe fn clone(stack: *mut u8, pointer: *mut u8, entry: extern "C" fn() -> !) -> isize {
    let result: isize;
    // SAFETY: the parent goes on behind the call as after any other; the child, on its own stack, calls `entry`.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") FLAGS as usize,
            in("rsi") stack,
            in("rdx") NUMBER.as_ptr(),
            in("r10") PRESENT.as_ptr(),
            in("r8") pointer,
            in("r9") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Makes the calling thread an ordinary one: who started it may run with real-time priority.
pub(crate) fn set_ordinary() {
    let priority: i32 = 0;
    let parameters = (&raw const priority).expose_provenance();
    // SAFETY: the kernel reads one number. It may refuse; then the priority stays.
    unsafe {
        syscall(
            libc::SYS_sched_setscheduler,
            [0, libc::SCHED_OTHER as usize, parameters, 0, 0, 0],
        )
    };
}

/// Gives the calling thread a table of descriptors of its own, an empty one: what it opens is not seen, closed or used
/// by mistake by a program that goes through the numbers, and keeps no file of the program's open. `false`: refused, or
/// not known before Linux 5.9; then the table is still the program's.
pub(crate) fn own_files() -> bool {
    const UNSHARE: usize = 1 << 1;
    // SAFETY: the table is unshared before anything is closed, in one step.
    let result = unsafe {
        syscall(
            libc::SYS_close_range,
            [0, u32::MAX as usize, UNSHARE, 0, 0, 0],
        )
    };
    ok(result).is_some()
}

/// Whether [`own_files`] can be done on this system.
pub(crate) fn can_own_files() -> bool {
    const NONE: usize = u32::MAX as usize;
    // SAFETY: there is no such descriptor to close.
    ok(unsafe { syscall(libc::SYS_close_range, [NONE, NONE, 0, 0, 0, 0]) }).is_some()
}

/// Names the calling thread, at most 15 bytes.
pub(crate) fn set_name(name: &CStr) {
    let name = name.as_ptr().expose_provenance();
    // SAFETY: the kernel reads the string.
    unsafe {
        syscall(
            libc::SYS_prctl,
            [libc::PR_SET_NAME as usize, name, 0, 0, 0, 0],
        )
    };
}

/// Ends the bare thread, which calls it.
pub(crate) fn leave() -> ! {
    loop {
        // SAFETY: ends the calling thread alone.
        unsafe { syscall(libc::SYS_exit, [0; 6]) };
    }
}

/// In a forked child, which has no such thread: forgets the parent's.
pub(crate) fn forget() {
    PRESENT.store(0, Ordering::Relaxed);
}

/// Whether the calling thread is the bare one.
pub(crate) fn is_current() -> bool {
    let pointer = POINTER.load(Ordering::Relaxed).addr();
    pointer != 0 && thread::identity() == pointer
}
