//! The same random calls put to jemalloc and to this library: what each answers must be the same.
//!
//! Addresses are each allocator's own affair; what is written down of an answer is whether it is null,
//! errno afterwards, the usable size, and whether contents were kept and zeroes were zero. Left out is
//! what jemoxide does better on purpose (errno of memalign and failed system calls, NULL and zero
//! sizes of the extended calls) and sizes above 32 KiB, where jemalloc 5.3.0 still rounds otherwise. At `hardening:off`, where
//! what has no bytes lends 8 of them, as there.

use std::ffi::{c_int, c_void};
use std::fmt::Write;

use jemoxide_testkit::naive::Random;
use jemoxide_testkit::{artifacts, child, door, original};

const TEST: &str = "the_same_calls_get_the_same_answers";
const CALLS: usize = 40_000;
/// Larger requests round differently from one jemalloc to the next.
const MAX_SIZE: usize = 32_768;
const LARGEST: usize = 7 << 60;
/// An errno that no call sets.
const MARK: c_int = 4242;

#[test]
fn the_same_calls_get_the_same_answers() {
    if child::rerun(TEST).is_none() {
        original::tell(&transcript(20));
        return;
    }
    let Some(jemalloc) = original::library() else {
        return;
    };
    let theirs = original::transcript(TEST, &jemalloc, "");
    let ours = original::transcript(TEST, &artifacts::library(), "hardening:off");
    assert!(theirs.len() > CALLS / 2, "most calls are written down");
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(ours, theirs, "left: this library; right: jemalloc");
    }
    assert_eq!(ours.len(), theirs.len());
}

/// A live block, and the byte it is filled with.
struct Block {
    ptr: *mut u8,
    usable: usize,
    byte: u8,
}

/// Makes random calls from `seed` and writes down all answers, one per line.
fn transcript(seed: u64) -> String {
    let mut scribe = Scribe::new(seed);
    for _ in 0..CALLS {
        scribe.step();
    }
    scribe.text
}

struct Scribe {
    text: String,
    random: Random,
    blocks: Vec<Block>,
    nallocx: unsafe extern "C" fn(usize, c_int) -> usize,
    mallocx: unsafe extern "C" fn(usize, c_int) -> *mut c_void,
    rallocx: unsafe extern "C" fn(*mut c_void, usize, c_int) -> *mut c_void,
    xallocx: unsafe extern "C" fn(*mut c_void, usize, usize, c_int) -> usize,
    sdallocx: unsafe extern "C" fn(*mut c_void, usize, c_int),
}

impl Scribe {
    fn new(seed: u64) -> Self {
        // SAFETY: the types are those of the C declarations.
        unsafe {
            Self {
                text: String::new(),
                random: Random::new(seed),
                blocks: Vec::new(),
                nallocx: door::function(c"nallocx"),
                mallocx: door::function(c"mallocx"),
                rallocx: door::function(c"rallocx"),
                xallocx: door::function(c"xallocx"),
                sdallocx: door::function(c"sdallocx"),
            }
        }
    }

    fn step(&mut self) {
        let size = match self.random.below(20) {
            0 => 0,
            1 => LARGEST + 1 + self.random.below(LARGEST / 8),
            _ => self.random.magnitude(MAX_SIZE),
        };
        // Any alignment up to 64 KiB, powers of two or not.
        let lg_align = self.random.below(17);
        let align = (1 << lg_align) + usize::from(self.random.one_in(8));
        let flags = c_int::try_from(lg_align).expect("small")
            | if self.random.one_in(3) { door::ZERO } else { 0 };
        set_errno(MARK);
        let name;
        // SAFETY: blocks come from `take`, so are live and given up here; the rest may be asked of any
        //         allocator, with any arguments.
        unsafe {
            match self.random.below(14) {
                0 | 1 => {
                    name = format!("malloc({size})");
                    self.fresh(&name, libc::malloc(size), false);
                }
                2 => {
                    let count = self.random.below(5);
                    name = format!("calloc({count}, {size})");
                    self.fresh(&name, libc::calloc(count, size / count.max(1)), true);
                }
                3 => {
                    let mut ptr = std::ptr::null_mut();
                    let code = libc::posix_memalign(&mut ptr, align, size);
                    self.fresh(
                        &format!("posix_memalign({align}, {size}) = {code}"),
                        ptr,
                        false,
                    );
                }
                4 => {
                    name = format!("aligned_alloc({align}, {size})");
                    self.fresh(&name, libc::aligned_alloc(align, size), false);
                }
                5 if size != 0 => {
                    name = format!("mallocx({size}, {flags:#x})");
                    self.fresh(&name, (self.mallocx)(size, flags), flags & door::ZERO != 0);
                }
                6 if size != 0 => {
                    let wanted = (self.nallocx)(size, flags);
                    self.line(&format!("nallocx({size}, {flags:#x}) = {wanted}"));
                }
                7 | 8 if size <= MAX_SIZE => {
                    let Some(old) = self.take() else { return };
                    let ptr = libc::realloc(old.ptr.cast(), size);
                    self.resized(
                        &format!("realloc({}, {size})", old.usable),
                        &old,
                        ptr,
                        size,
                        false,
                    );
                }
                9 if size != 0 && size <= MAX_SIZE => {
                    let Some(old) = self.take() else { return };
                    let ptr = (self.rallocx)(old.ptr.cast(), size, flags);
                    let name = format!("rallocx({}, {size}, {flags:#x})", old.usable);
                    self.resized(&name, &old, ptr, size, flags & door::ZERO != 0);
                }
                10 => {
                    let Some(block) = self.take() else { return };
                    // Large blocks may or may not grow; small ones have one answer.
                    if block.usable <= 14_336 {
                        let now = (self.xallocx)(block.ptr.cast(), size.max(1), 0, 0);
                        self.line(&format!("xallocx({}, {size}) = {now}", block.usable));
                    }
                    self.blocks.push(block);
                }
                11 => {
                    let Some(old) = self.take() else { return };
                    (self.sdallocx)(old.ptr.cast(), old.usable, 0);
                    self.line(&format!("sdallocx, errno {}", errno()));
                }
                _ => {
                    let Some(old) = self.take() else { return };
                    libc::free(old.ptr.cast());
                    self.line(&format!("free, errno {}", errno()));
                }
            }
        }
    }

    fn take(&mut self) -> Option<Block> {
        let at = self.random.below(self.blocks.len().max(1));
        (at < self.blocks.len()).then(|| self.blocks.swap_remove(at))
    }

    /// Writes down a call that made a block, and fills the block.
    ///
    /// # Safety
    /// - `ptr` is null or a live block that nobody else holds.
    unsafe fn fresh(&mut self, call: &str, ptr: *mut c_void, zeroed: bool) {
        let ptr: *mut u8 = ptr.cast();
        let byte = self.random.bits().to_ne_bytes()[0];
        let errno = errno();
        if ptr.is_null() {
            self.line(&format!("{call}: null, errno {errno}"));
            return;
        }
        // SAFETY: the block is live and ours up to its usable size.
        let (usable, is_zero) = unsafe {
            let usable = door::usable_size(ptr);
            let is_zero = zeroed && (0..usable).all(|at| *ptr.add(at) == 0);
            ptr.write_bytes(byte, usable);
            (usable, is_zero)
        };
        set_errno(errno);
        self.line(&format!(
            "{call}: {usable} bytes, zero: {is_zero}, errno {errno}"
        ));
        self.blocks.push(Block { ptr, usable, byte });
    }

    /// Writes down a call that resized `old`, and what became of its contents.
    ///
    /// # Safety
    /// - `ptr` is null or a live block that nobody else holds; `old` is no longer live.
    unsafe fn resized(
        &mut self,
        call: &str,
        old: &Block,
        ptr: *mut c_void,
        size: usize,
        zeroed: bool,
    ) {
        if ptr.is_null() {
            self.line(&format!("{call}: null, errno {}", errno()));
            return;
        }
        let ptr: *mut u8 = ptr.cast();
        let errno = errno();
        // SAFETY: the block is live and ours up to its usable size.
        unsafe {
            let usable = door::usable_size(ptr);
            let is_kept = (0..old.usable.min(size)).all(|at| *ptr.add(at) == old.byte);
            let is_zero = zeroed && (old.usable..usable).all(|at| *ptr.add(at) == 0);
            ptr.write_bytes(old.byte, usable);
            self.line(&format!(
                "{call}: {usable} bytes, kept: {is_kept}, zero: {is_zero}, errno {errno}"
            ));
            self.blocks.push(Block {
                ptr,
                usable,
                byte: old.byte,
            });
        }
    }

    /// Writes down an answer; errno is part of it where the caller caught it in time.
    fn line(&mut self, answer: &str) {
        writeln!(self.text, "{answer}").expect("strings take all text");
    }
}

fn errno() -> c_int {
    // SAFETY: the C library's own per-thread variable.
    unsafe { *libc::__errno_location() }
}

fn set_errno(value: c_int) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = value };
}
