//! Probes: places in the code that a tracer can stop at, by name (USDT).
//!
//! ```text
//! code       | cmp semaphore, 0 | jne ─> | nop |                                a tracer puts its trap over the nop
//! .note.stapsdt  | where the nop is | where the semaphore is | provider, name | "8@%rdi 8@%rsi": where the arguments are
//! ```
//! The note is in the file alone, not in memory; `readelf -n`, `perf list sdt`, bpftrace and SystemTap read it. A tracer
//! counts the semaphore up while it looks, so that nobody else makes the arguments.
//!
//! T1  The semaphores lie with what the first allocation of a process writes to: reading them touches no page more.
//! T2  Probes stand on slow paths only.
//!
//! Source: systemtap wiki, "UserSpaceProbeImplementation"; `<sys/sdt.h>`.

/// Tells a tracer that is looking: `probe!(provider:name, arguments...)`, words. They are made only for a tracer.
macro_rules! probe {
    ($provider:ident : $name:ident, $a:expr $(,)?) => {
        $crate::sys::probe!(@ $provider, $name, "8@{0}", $a)
    };
    ($provider:ident : $name:ident, $a:expr, $b:expr $(,)?) => {
        $crate::sys::probe!(@ $provider, $name, "8@{0} 8@{1}", $a, $b)
    };
    ($provider:ident : $name:ident, $a:expr, $b:expr, $c:expr $(,)?) => {
        $crate::sys::probe!(@ $provider, $name, "8@{0} 8@{1} 8@{2}", $a, $b, $c)
    };
    (@ $provider:ident, $name:ident, $places:literal, $($argument:expr),+) => {{
        use core::sync::atomic::AtomicU16;
        #[unsafe(link_section = ".data.jemoxide_start")]
        static SEMAPHORE: AtomicU16 = AtomicU16::new(0);
        // SAFETY: our own word. Volatile: others write to it, unseen by the compiler.
        if unsafe { core::ptr::read_volatile(SEMAPHORE.as_ptr()) } != 0 {
            // SAFETY: an instruction that does nothing, and a note about it that is not loaded.
            unsafe {
                core::arch::asm!(
                    "990: nop",
                    ".pushsection .note.stapsdt,\"\",@note",
                    ".balign 4",
                    ".4byte 992f - 991f, 994f - 993f, 3",
                    "991: .asciz \"stapsdt\"",
                    "992: .balign 4",
                    "993: .8byte 990b",
                    ".8byte _.stapsdt.base",
                    ".8byte {semaphore}",
                    concat!(".asciz \"", stringify!($provider), "\""),
                    concat!(".asciz \"", stringify!($name), "\""),
                    concat!(".asciz \"", $places, "\""),
                    "994: .balign 4",
                    ".popsection",
                    // By it, tools see how far a file was moved after the note was written. Kept (R), though no code refers to it.
                    ".ifndef _.stapsdt.base",
                    ".pushsection .stapsdt.base,\"aGR\",@progbits,.stapsdt.base,comdat",
                    ".weak _.stapsdt.base",
                    ".hidden _.stapsdt.base",
                    "_.stapsdt.base: .space 1",
                    ".size _.stapsdt.base, 1",
                    ".popsection",
                    ".endif",
                    $(in(reg) $argument as usize,)+
                    semaphore = sym SEMAPHORE,
                    options(att_syntax, readonly, nostack, preserves_flags),
                );
            }
        }
    }};
}

pub(crate) use probe;
