//! Control: mallctl of this very process, called by name and by mib.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

use crate::door;

type ByName =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *const c_void, usize) -> c_int;
type ToMib = unsafe extern "C" fn(*const c_char, *mut usize, *mut usize) -> c_int;
type ByMib = unsafe extern "C" fn(
    *const usize,
    usize,
    *mut c_void,
    *mut usize,
    *const c_void,
    usize,
) -> c_int;

/// Bytes of an [`Answer`] that no call wrote.
pub const UNTOUCHED: u8 = 0xa5;

/// The three functions of this process.
pub struct Control {
    by_name: ByName,
    to_mib: ToMib,
    by_mib: ByMib,
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 0, or the error number.
    pub code: c_int,
    /// What the length became, in bytes.
    pub len: usize,
    /// The old value, and [`UNTOUCHED`] behind it.
    pub bytes: [u8; 64],
}

impl Control {
    /// Finds the functions in this process.
    pub fn find() -> Self {
        // SAFETY: the types are those of the C declarations.
        unsafe {
            Self {
                by_name: door::function(c"mallctl"),
                to_mib: door::function(c"mallctlnametomib"),
                by_mib: door::function(c"mallctlbymib"),
            }
        }
    }

    /// The numbers of `name`, as many as `room` allows; or the error number.
    pub fn mib(&self, name: &str, room: usize) -> Result<Vec<usize>, c_int> {
        let name = CString::new(name).unwrap();
        let mut mib = [usize::MAX; 16];
        let mut len = room;
        // SAFETY: a C string, and room for so many numbers.
        match unsafe { (self.to_mib)(name.as_ptr(), mib.as_mut_ptr(), &mut len) } {
            0 => {
                assert!(len <= room);
                Ok(mib[..len].to_vec())
            }
            code => Err(code),
        }
    }

    /// Calls `name`, with room for an old value of so many bytes, and with a new value.
    pub fn call(&self, name: &str, old: Option<usize>, new: Option<&[u8]>) -> Answer {
        let name = CString::new(name).unwrap();
        answer(old, new, |old, len, new, new_len| {
            // SAFETY: a C string; room and bytes as the lengths say.
            unsafe { (self.by_name)(name.as_ptr(), old, len, new, new_len) }
        })
    }

    /// [`call`](Self::call) by numbers.
    pub fn call_by_mib(&self, mib: &[usize], old: Option<usize>, new: Option<&[u8]>) -> Answer {
        answer(old, new, |old, len, new, new_len| {
            // SAFETY: so many numbers; room and bytes as the lengths say.
            unsafe { (self.by_mib)(mib.as_ptr(), mib.len(), old, len, new, new_len) }
        })
    }

    /// Puts `new`, words, to the numbers of `mib`, with `room` bytes of `old` for the answer; the code, and what the
    /// length became.
    pub fn query(
        &self,
        mib: &[usize],
        new: &[usize],
        old: &mut [usize],
        room: usize,
    ) -> (c_int, usize) {
        assert!(room <= size_of_val(old));
        let mut len = room;
        // SAFETY: so many numbers; room as was asserted, and as many bytes as the words have.
        let code = unsafe {
            (self.by_mib)(
                mib.as_ptr(),
                mib.len(),
                old.as_mut_ptr().cast(),
                &mut len,
                new.as_ptr().cast(),
                size_of_val(new),
            )
        };
        (code, len)
    }

    /// Whether the switch that `name` reads as is on; panics if it is none.
    pub fn is_on(&self, name: &str) -> bool {
        let answer = self.call(name, Some(1), None);
        assert_eq!((answer.code, answer.len), (0, 1), "{name}");
        answer.bytes[0] == 1
    }
}

fn answer(
    old: Option<usize>,
    new: Option<&[u8]>,
    call: impl FnOnce(*mut c_void, *mut usize, *const c_void, usize) -> c_int,
) -> Answer {
    let mut bytes = [UNTOUCHED; 64];
    let mut len = old.unwrap_or(usize::MAX);
    let (place, len_at) = match old {
        Some(_) => (bytes.as_mut_ptr().cast(), &raw mut len),
        None => (null_mut(), null_mut()),
    };
    let (value, value_len) = new.map_or((null(), 0), |new| (new.as_ptr().cast(), new.len()));
    let code = call(place, len_at, value, value_len);
    Answer { code, len, bytes }
}
