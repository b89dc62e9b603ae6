//! Request: where the caller wants the old value, and where the new one is.
//!
//! ```text
//! old, old_len   both there: the value is wanted          rule Q1
//! new, new_len   `new` there: a value is to be written    rule Q2
//! ```
//! Q1  A wrong length at `old_len` gets as much of the value as fits, that many as the length, and a refusal.
//! Q2  A wrong `new_len` is refused, and nothing is read from `new`.
//! Q3  All of it absent asks whether there is such a key.
//! Source: jemalloc(3) `mallctl`.

use core::ffi::{CStr, c_char, c_int};
use core::ptr;

/// Why a call came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// There is no such name, or what it is about is not built in.
    Absent,
    /// A length or a value is wrong.
    Invalid,
    /// What may only be read was to be written, or the other way round.
    Forbidden,
    /// It could not be done.
    Failed,
    /// There is no more of it.
    Exhausted,
}

impl Refusal {
    /// The error number that says so.
    pub(crate) const fn code(self) -> c_int {
        match self {
            Self::Absent => libc::ENOENT,
            Self::Invalid => libc::EINVAL,
            Self::Forbidden => libc::EPERM,
            Self::Failed => libc::EFAULT,
            Self::Exhausted => libc::EAGAIN,
        }
    }
}

/// Types that travel through a request, as bytes.
///
/// # Safety
/// Any bytes are a value of the type, and none of its bytes is padding.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: integers, and pointers that are numbers here.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: as above.
unsafe impl Plain for usize {}
// SAFETY: as above.
unsafe impl Plain for isize {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above; a pair of counts.
unsafe impl Plain for [u64; 2] {}
// SAFETY: as above; addresses of a structure of two.
unsafe impl Plain for [usize; 2] {}
// SAFETY: as above; of three.
unsafe impl Plain for [usize; 3] {}
// SAFETY: as above.
unsafe impl Plain for *const c_char {}

/// The four arguments of a call.
pub(crate) struct Request {
    old: *mut u8,
    old_len: *mut usize,
    new: *const u8,
    new_len: usize,
}

impl Request {
    /// A request as the caller put it.
    ///
    /// # Safety
    /// `old_len` is null or may be read and written, `old` is null or may be written for so many bytes, `new` is null
    /// or may be read for `new_len` bytes; all until the request is gone.
    pub(crate) const unsafe fn new(
        old: *mut u8,
        old_len: *mut usize,
        new: *const u8,
        new_len: usize,
    ) -> Self {
        Self {
            old,
            old_len,
            new,
            new_len,
        }
    }

    /// Refuses a value to be written.
    pub(super) fn only_reads(&self) -> Result<(), Refusal> {
        let writes = !self.new.is_null() || self.new_len != 0;
        if writes {
            Err(Refusal::Forbidden)
        } else {
            Ok(())
        }
    }

    /// Refuses a place for the old value.
    pub(super) fn only_writes(&self) -> Result<(), Refusal> {
        let reads = !self.old.is_null() || !self.old_len.is_null();
        if reads {
            Err(Refusal::Forbidden)
        } else {
            Ok(())
        }
    }

    /// Whether there is a value to be written.
    pub(super) fn writes(&self) -> bool {
        !self.new.is_null()
    }

    /// Whether the old value is wanted.
    pub(super) fn reads(&self) -> bool {
        !self.old.is_null() && !self.old_len.is_null()
    }

    /// Gives `value` to the caller, if it is wanted (Q1).
    pub(super) fn give<T: Plain>(&mut self, value: T) -> Result<(), Refusal> {
        if !self.reads() {
            return Ok(());
        }
        // SAFETY: `new`'s promise: the length, and room for so many bytes. The value's bytes are all there.
        unsafe {
            let room = self.old_len.read_unaligned();
            let fits = room.min(size_of::<T>());
            ptr::copy_nonoverlapping((&raw const value).cast(), self.old, fits);
            if room != size_of::<T>() {
                self.old_len.write_unaligned(fits);
                return Err(Refusal::Invalid);
            }
        }
        Ok(())
    }

    /// Refuses a call that does not want the old value, or has another length for it; the length says 0 then.
    pub(super) fn must_read<T: Plain>(&mut self) -> Result<(), Refusal> {
        if self.reads_exactly::<T>() {
            return Ok(());
        }
        if !self.old_len.is_null() {
            // SAFETY: `new`'s promise.
            unsafe { self.old_len.write_unaligned(0) };
        }
        Err(Refusal::Invalid)
    }

    /// Whether the old value is wanted, with the length that it has.
    pub(super) fn reads_exactly<T: Plain>(&self) -> bool {
        // SAFETY: `new`'s promise.
        self.reads() && unsafe { self.old_len.read_unaligned() } == size_of::<T>()
    }

    /// Where the old value points: the caller's own room, for a key that fills it. `None`: it is not wanted.
    pub(super) fn take_place(&mut self) -> Result<Option<*mut u8>, Refusal> {
        if !self.reads() {
            return Ok(None);
        }
        self.must_read::<*const c_char>()?;
        // SAFETY: `new`'s promise; a pointer's bytes.
        let room = unsafe { self.old.cast::<*mut u8>().read_unaligned() };
        if room.is_null() {
            return Err(Refusal::Invalid);
        }
        Ok(Some(room))
    }

    /// Where the old value is wanted, for whoever gives it later.
    pub(super) const fn old_place(&self) -> *mut u8 {
        self.old
    }

    /// The structure to be written, if there is one (Q2).
    ///
    /// # Safety
    /// The caller's bytes are such a structure.
    pub(super) unsafe fn take_struct<T: Copy>(&self) -> Result<Option<T>, Refusal> {
        if !self.writes() {
            return Ok(None);
        }
        if self.new_len != size_of::<T>() {
            return Err(Refusal::Invalid);
        }
        // SAFETY: `new`'s promise: so many bytes; the caller's.
        Ok(Some(unsafe { self.new.cast::<T>().read_unaligned() }))
    }

    /// Answers each address to be written by `N` numbers at the place of the old value, side by side. Refused, with
    /// nothing written, unless there is one address at least and at most `most`, and room for exactly so many answers.
    pub(super) fn answer_each<const N: usize>(
        &mut self,
        most: usize,
        mut answer: impl FnMut(*const u8) -> [usize; N],
    ) -> Result<(), Refusal> {
        if !self.reads() || !self.writes() {
            return Err(Refusal::Invalid);
        }
        let (count, rest) = (
            self.new_len / size_of::<*const u8>(),
            self.new_len % size_of::<*const u8>(),
        );
        // SAFETY: `new`'s promise: the length may be read.
        let room = unsafe { self.old_len.read_unaligned() };
        let wanted = count.checked_mul(size_of::<[usize; N]>());
        if count == 0 || count > most || rest != 0 || wanted != Some(room) {
            return Err(Refusal::Invalid);
        }
        let (addresses, answers) = (self.new.cast::<*const u8>(), self.old.cast::<[usize; N]>());
        for at in 0..count {
            // SAFETY: `new`'s promise: so many addresses, which any bytes are, and room for as many answers.
            unsafe {
                let address = addresses.add(at).read_unaligned();
                answers.add(at).write_unaligned(answer(address));
            }
        }
        Ok(())
    }

    /// Gives a switch.
    pub(super) fn give_bool(&mut self, value: bool) -> Result<(), Refusal> {
        self.give(u8::from(value))
    }

    /// Gives a text that stays.
    pub(super) fn give_text(&mut self, text: &'static CStr) -> Result<(), Refusal> {
        self.give(text.as_ptr())
    }

    /// The value to be written, if there is one (Q2).
    pub(super) fn take<T: Plain>(&self) -> Result<Option<T>, Refusal> {
        if !self.writes() {
            return Ok(None);
        }
        if self.new_len != size_of::<T>() {
            return Err(Refusal::Invalid);
        }
        // SAFETY: `new`'s promise: so many bytes; any bytes are such a value.
        Ok(Some(unsafe { self.new.cast::<T>().read_unaligned() }))
    }

    /// The switch to be written, if there is one.
    pub(super) fn take_bool(&self) -> Result<Option<bool>, Refusal> {
        Ok(self.take::<u8>()?.map(|byte| byte != 0))
    }

    /// The text to be written, if there is one: `Some(None)` for null.
    ///
    /// # Safety
    /// The caller's pointer, where not null, is to a C string.
    pub(super) unsafe fn take_text(&self) -> Result<Option<Option<&[u8]>>, Refusal> {
        let Some(text) = self.take::<*const c_char>()? else {
            return Ok(None);
        };
        // SAFETY: the caller's promise.
        Ok(Some(
            (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes()),
        ))
    }
}
