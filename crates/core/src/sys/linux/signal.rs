//! Signals: a handler of our own, only where the options ask for one.
//!
//! The kernel is asked directly: the C library's `sigaction` would be one more symbol that every process pays for.

use super::call::{ok, syscall};
use core::arch::{asm, global_asm};
use core::ffi::c_int;
use core::ptr;

/// What is done about a signal, as the kernel takes it, and gives.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Action {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// The kernel's flag for a way back of the caller's own, which it demands on this system.
const RESTORER: u64 = 0x0400_0000;

/// The symbol of the way back, which carries the version: two builds in one program keep apart.
macro_rules! way_back {
    () => {
        concat!(
            "jemoxide_signal_return_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}

// The way back from a handler. These very bytes tell debuggers and unwinders that the frame is a signal's.
global_asm!(
    ".pushsection .text,\"ax\",@progbits",
    ".p2align 4",
    "nop",
    concat!(".globl ", way_back!()),
    concat!(".hidden ", way_back!()),
    concat!(".type ", way_back!(), ",@function"),
    concat!(way_back!(), ":"),
    "mov rax, 15",
    "syscall",
    concat!(".size ", way_back!(), ", . - ", way_back!()),
    ".popsection",
);

/// Address of the way back.
fn restorer() -> usize {
    let address: usize;
    // SAFETY: an address within this library.
    unsafe {
        asm!(
            concat!("lea {0}, [rip + ", way_back!(), "]"),
            out(reg) address,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    address
}

impl Action {
    /// Nothing of the program's.
    pub(super) const DEFAULT: Self = Self {
        handler: libc::SIG_DFL,
        flags: 0,
        restorer: 0,
        mask: 0,
    };

    /// The function at `handler` is called, by these flags, while the signals of `mask` are held back.
    pub(super) fn new(handler: usize, flags: c_int, mask: u64) -> Self {
        Self {
            handler,
            flags: flags as u64 | RESTORER,
            restorer: restorer(),
            mask,
        }
    }

    pub(super) fn handler(&self) -> usize {
        self.handler
    }

    /// The flags that a program gives, not the kernel's own.
    pub(super) fn flags(&self) -> c_int {
        (self.flags & !RESTORER) as u32 as c_int
    }

    /// The signals that are held back meanwhile.
    pub(super) fn mask(&self) -> u64 {
        self.mask
    }
}

/// Has `handler` called on signal `number`, on the thread that takes it; calls that it interrupts go on. `false`: the
/// program has a handler there, or ignores the signal, or the system refuses.
pub(crate) fn handle(number: c_int, handler: extern "C" fn(c_int)) -> bool {
    // All are held back: what it does is short.
    let wanted = Action::new(
        handler as usize,
        libc::SA_RESTART | libc::SA_ONSTACK,
        u64::MAX,
    );
    replace(number, None).is_some_and(|before| before.handler == libc::SIG_DFL)
        && replace(number, Some(&wanted)).is_some()
}

/// What was done about signal `number`; from now on `to` is, if there is one. `None`: the system refuses.
pub(super) fn replace(number: c_int, to: Option<&Action>) -> Option<Action> {
    let mut before = Action::DEFAULT;
    let arguments = [
        number as usize,
        to.map_or(0, |to| ptr::from_ref(to).expose_provenance()),
        (&raw mut before).expose_provenance(),
        size_of::<u64>(),
        0,
        0,
    ];
    // SAFETY: the kernel reads the one, if there is one, and writes the other; handler and way back stay.
    ok(unsafe { syscall(libc::SYS_rt_sigaction, arguments) })?;
    Some(before)
}
