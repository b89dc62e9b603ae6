//! Settings and figures by name, for Rust.
//!
//! ```
//! use jemoxide::mallctl;
//!
//! # fn main() -> Result<(), mallctl::Error> {
//! // Figures are those of the last epoch; a write begins the next.
//! mallctl::write("epoch", 1u64)?;
//! let active: usize = mallctl::read("stats.active")?;
//! println!("{active} bytes in pages that hold objects");
//!
//! // Idle pages leave sooner than by default.
//! mallctl::write("arenas.dirty_decay_ms", 2_000isize)?;
//! assert_eq!(mallctl::read::<isize>("arena.0.dirty_decay_ms")?, 2_000);
//!
//! // What was kept for the next allocations goes back now.
//! mallctl::call("arena.0.purge")?;
//! # Ok(())
//! # }
//! ```
//!
//! docs/COMPAT.md lists the names. The C door has the same by `mallctl`, `mallctlnametomib` and `mallctlbymib`.

use super::slow;
use super::{Flags, alloc_with};
use crate::control::mallctl::{self as tree, Access, Batch, Due, Found, Kind, Refusal, Request};
use crate::control::{channel, profiling, purger};
use core::ffi::{CStr, c_char, c_int};
use core::{fmt, ptr, slice};

/// Why a call came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no such name, or what it is about is not built in (`ENOENT`).
    Absent,
    /// The value, or its type, is wrong (`EINVAL`).
    Invalid,
    /// What may only be read was to be written, or the other way round (`EPERM`).
    Forbidden,
    /// It could not be done (`EFAULT`).
    Failed,
    /// There is no more of it (`EAGAIN`).
    Exhausted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no such name, or what it is about is not built in",
            Self::Invalid => "wrong value, or wrong type of value",
            Self::Forbidden => "this name does not let its value be read, or not be written",
            Self::Failed => "could not be done",
            Self::Exhausted => "there is no more of it",
        })
    }
}

impl core::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Absent => Self::Absent,
            Refusal::Invalid => Self::Invalid,
            Refusal::Forbidden => Self::Forbidden,
            Refusal::Failed => Self::Failed,
            Refusal::Exhausted => Self::Exhausted,
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Types of values: `bool`, `u32` (`unsigned`), `u64`, `i64`, `usize` (`size_t`), `isize` (`ssize_t`), and
/// `&'static CStr` for texts. A name takes its own type only.
pub trait Value: sealed::Sealed + Copy {
    /// As it travels.
    #[doc(hidden)]
    type Raw: Copy + Default;
    #[doc(hidden)]
    fn fits(kind: &'static str) -> bool;
    #[doc(hidden)]
    fn from_raw(raw: Self::Raw) -> Self;
    #[doc(hidden)]
    fn into_raw(self) -> Self::Raw;
}

macro_rules! number {
    ($($type:ty: $kind:literal),*) => {$(
        impl sealed::Sealed for $type {}
        impl Value for $type {
            type Raw = Self;
            fn fits(kind: &'static str) -> bool {
                kind == $kind
            }
            fn from_raw(raw: Self) -> Self {
                raw
            }
            fn into_raw(self) -> Self {
                self
            }
        }
    )*};
}

number! { u32: "unsigned", u64: "uint64_t", i64: "int64_t", usize: "size_t", isize: "ssize_t" }

impl sealed::Sealed for bool {}

impl Value for bool {
    type Raw = u8;
    fn fits(kind: &'static str) -> bool {
        kind == "bool"
    }
    fn from_raw(raw: u8) -> Self {
        raw != 0
    }
    fn into_raw(self) -> u8 {
        u8::from(self)
    }
}

impl sealed::Sealed for &'static CStr {}

impl Value for &'static CStr {
    /// The address.
    type Raw = usize;
    fn fits(kind: &'static str) -> bool {
        kind == "text"
    }
    fn from_raw(raw: usize) -> Self {
        match ptr::with_exposed_provenance::<c_char>(raw) {
            text if text.is_null() => c"",
            // SAFETY: texts that keys give stay.
            text => unsafe { CStr::from_ptr(text) },
        }
    }
    fn into_raw(self) -> usize {
        self.as_ptr().expose_provenance()
    }
}

const fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::U32 => "unsigned",
        Kind::U64 => "uint64_t",
        Kind::I64 => "int64_t",
        Kind::Size => "size_t",
        Kind::Signed => "ssize_t",
        Kind::Text => "text",
        Kind::Other | Kind::None => "none",
    }
}

/// The value of `name`.
pub fn read<T: Value>(name: &str) -> Result<T, Error> {
    let mut raw = T::Raw::default();
    let mut len = size_of::<T::Raw>();
    let found = find::<T>(name)?;
    // SAFETY: room for a value of the key's type, and its length.
    let request = unsafe { Request::new((&raw mut raw).cast(), &mut len, ptr::null(), 0) };
    settle(found, request)?;
    Ok(T::from_raw(raw))
}

/// Sets `name` to `value`.
pub fn write<T: Value>(name: &str, value: T) -> Result<(), Error> {
    let raw = value.into_raw();
    let found = find::<T>(name)?;
    // SAFETY: a value of the key's type; texts are C strings.
    let request = unsafe {
        let (new, len) = ((&raw const raw).cast(), size_of::<T::Raw>());
        Request::new(ptr::null_mut(), ptr::null_mut(), new, len)
    };
    settle(found, request)
}

/// Does what `name` stands for, where it has no value: `arena.<i>.purge`, `thread.idle`.
pub fn call(name: &str) -> Result<(), Error> {
    let found = tree::by_name(name.as_bytes())?;
    if found.kind() != Kind::None || found.access() == Access::Write {
        return Err(Error::Forbidden);
    }
    // SAFETY: nothing is to be read or written.
    let request = unsafe { Request::new(ptr::null_mut(), ptr::null_mut(), ptr::null(), 0) };
    settle(found, request)
}

fn find<T: Value>(name: &str) -> Result<Found, Error> {
    let found = tree::by_name(name.as_bytes())?;
    match found.kind() {
        Kind::None if found.access() == Access::Deed => Err(Error::Forbidden),
        // What is not built in says so itself.
        Kind::None => Ok(found),
        kind if T::fits(name_of(kind)) => Ok(found),
        _ => Err(Error::Invalid),
    }
}

fn settle(found: Found, request: Request) -> Result<(), Error> {
    Ok(serve(found, request)?)
}

/// Has the key answer, and does what is due then.
fn serve(found: Found, request: Request) -> Result<(), Refusal> {
    let (result, due) = slow::enter(|own| tree::answer(found, request, own));
    match due {
        Due::Nothing => {}
        Due::Start => purger::start(),
        Due::Channel => channel::arm(),
        Due::Leave => purger::wait_until_gone(),
        // SAFETY: the promise of whoever made the request.
        Due::Batch(batch) if result.is_ok() => unsafe { alloc_batch(batch) },
        Due::Batch(_) => {}
        Due::Profile(job) if result.is_ok() => return profiling::run(job),
        Due::Profile(_) => {}
    }
    result
}

/// Makes many objects of one size, and tells how many.
///
/// # Safety
/// The batch's places may be written.
unsafe fn alloc_batch(batch: Batch) {
    let flags = Flags::new(batch.flags);
    let mut filled = 0;
    while filled < batch.count {
        let object = alloc_with(batch.size, flags);
        if object.is_null() {
            break;
        }
        // SAFETY: the caller's promise; below the count.
        unsafe { batch.objects.add(filled).write_unaligned(object) };
        filled += 1;
    }
    // SAFETY: the caller's promise.
    unsafe { batch.filled.write_unaligned(filled) };
}

fn code(result: Result<(), Refusal>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(refusal) => refusal.code(),
    }
}

/// `mallctl` of the C door: 0 or an error number.
///
/// # Safety
/// `name` is null or a C string; `old_len` is null or may be read and written, `old` is null or has room for so many
/// bytes; `new` is null or has `new_len` bytes, which are a value of the key's type.
pub unsafe fn by_name(
    name: *const c_char,
    old: *mut u8,
    old_len: *mut usize,
    new: *const u8,
    new_len: usize,
) -> c_int {
    if name.is_null() {
        return Refusal::Absent.code();
    }
    // SAFETY: the caller's promise.
    let (name, request) = unsafe {
        (
            CStr::from_ptr(name).to_bytes(),
            Request::new(old, old_len, new, new_len),
        )
    };
    code(tree::by_name(name).and_then(|found| serve(found, request)))
}

/// `mallctlnametomib` of the C door.
///
/// # Safety
/// `name` is null or a C string; `mib_len` is null or may be read and written, `mib` is null or has room for so many
/// numbers.
pub unsafe fn name_to_mib(name: *const c_char, mib: *mut usize, mib_len: *mut usize) -> c_int {
    if name.is_null() || mib_len.is_null() {
        return Refusal::Invalid.code();
    }
    let mut numbers = [0; tree::DEPTH_MAX];
    // SAFETY: the caller's promise.
    unsafe {
        let room = if mib.is_null() { 0 } else { mib_len.read() };
        let room = room.min(numbers.len());
        match tree::mib_of(CStr::from_ptr(name).to_bytes(), &mut numbers[..room]) {
            Ok(len) => {
                ptr::copy_nonoverlapping(numbers.as_ptr(), mib, len);
                mib_len.write(len);
                0
            }
            Err(refusal) => refusal.code(),
        }
    }
}

/// `mallctlbymib` of the C door.
///
/// # Safety
/// `mib` is null or has `mib_len` numbers; else as for [`by_name`].
pub unsafe fn by_mib(
    mib: *const usize,
    mib_len: usize,
    old: *mut u8,
    old_len: *mut usize,
    new: *const u8,
    new_len: usize,
) -> c_int {
    if mib.is_null() || mib_len > tree::DEPTH_MAX {
        return Refusal::Absent.code();
    }
    // SAFETY: the caller's promise.
    let (mib, request) = unsafe {
        (
            slice::from_raw_parts(mib, mib_len),
            Request::new(old, old_len, new, new_len),
        )
    };
    code(tree::by_mib(mib).and_then(|found| serve(found, request)))
}
