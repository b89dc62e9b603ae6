//! Signals: a handler of our own, only where the options ask for one.
//!
//! The kernel is asked directly: the C library's `sigaction` would be one more symbol that every process pays for.

use super::call::{ok, syscall};
use core::arch::{asm, global_asm};
use core::ffi::c_int;
use core::ptr;

/// What the kernel takes, and gives.
#[repr(C)]
struct Action {
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

/// Has `handler` called on signal `number`, on the thread that takes it; calls that it interrupts go on. `false`: the
/// program has a handler there, or ignores the signal, or the system refuses.
pub(crate) fn handle(number: c_int, handler: extern "C" fn(c_int)) -> bool {
    let mut before = Action {
        handler: usize::MAX,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    let wanted = Action {
        handler: handler as usize,
        flags: (libc::SA_RESTART | libc::SA_ONSTACK) as u64 | RESTORER,
        restorer: restorer(),
        // All: what it does is short.
        mask: u64::MAX,
    };
    set(number, ptr::null(), &raw mut before)
        && before.handler == libc::SIG_DFL
        && set(number, &raw const wanted, ptr::null_mut())
}

fn set(number: c_int, to: *const Action, from: *mut Action) -> bool {
    let arguments = [
        number as usize,
        to.expose_provenance(),
        from.expose_provenance(),
        size_of::<u64>(),
        0,
        0,
    ];
    // SAFETY: the kernel reads the one and writes the other, or neither where null; the handler and the way back are
    //         functions of ours, which stay.
    ok(unsafe { syscall(libc::SYS_rt_sigaction, arguments) }).is_some()
}
