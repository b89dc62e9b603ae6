//! Desk: where the profiler puts its text together, a sheet at a time.
//!
//! X1  Who has the desk is the only one that dumps, resets, or writes a log or the recent samples. It is had outside the
//!     fork gate, as what is written may wait for the system; so no lock of ours stands for it.
//! X2  A forked child forgets whose it was.
//! X3  It knows its owner: a thread that has it already, and comes back by code of the application's, must not wait for it.
//! The sheet is a fixed part of the library's memory that a process without profiles never touches.

use crate::ds::text::Line;
use crate::sys::output::Errno;
use crate::sys::thread;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a sheet.
const ROOM: usize = 64 << 10;
/// Bytes that one step of a writer may add.
const STEP: usize = 16 << 10;
/// Bytes of the longest path.
pub(crate) const PATH: usize = 4096;

/// The identity of the thread that has it; 0: nobody.
static OWNER: AtomicUsize = AtomicUsize::new(0);
static PLACE: Place = Place(UnsafeCell::new(Things {
    sheet: Sheet {
        bytes: [0; ROOM],
        len: 0,
    },
    target: PathText::new(),
    part: PathText::new(),
}));

/// What lies on the desk: the sheet, where the file goes, and the name that it has until it is whole.
struct Things {
    sheet: Sheet,
    target: PathText,
    part: PathText,
}

struct Place(UnsafeCell<Things>);

// SAFETY: who has the desk uses it (X1).
unsafe impl Sync for Place {}

/// That the desk is the caller's.
pub(crate) struct Desk(());

impl Desk {
    /// Takes the desk, its sheet empty. `None`: somebody has it.
    pub(crate) fn take() -> Option<Self> {
        // Acquire: pairs with the Release in `drop`.
        OWNER
            .compare_exchange(0, thread::identity(), Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        let mut desk = Self(());
        desk.sheet().clear();
        Some(desk)
    }

    /// Whether the calling thread has it (X3).
    pub(crate) fn is_own() -> bool {
        OWNER.load(Ordering::Relaxed) == thread::identity()
    }

    /// Its sheet.
    pub(crate) fn sheet(&mut self) -> &mut Sheet {
        self.parts().0
    }

    /// Its sheet, the path of the file, and the path that it has until it is whole.
    pub(crate) fn parts(&mut self) -> (&mut Sheet, &mut PathText, &mut PathText) {
        // SAFETY: there is one desk (X1), and it is borrowed mutably.
        let things = unsafe { &mut *PLACE.0.get() };
        (&mut things.sheet, &mut things.target, &mut things.part)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        OWNER.store(0, Ordering::Release);
    }
}

/// In a forked child (X2): nobody has it.
pub(crate) fn forget() {
    OWNER.store(0, Ordering::Relaxed);
}

/// A path put together.
pub(crate) struct PathText {
    bytes: [u8; PATH],
    len: usize,
    is_cut: bool,
}

impl PathText {
    const fn new() -> Self {
        Self {
            bytes: [0; PATH],
            len: 0,
            is_cut: false,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.is_cut = false;
    }

    /// Appends bytes; a path that becomes too long is none.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for &byte in bytes {
            match self.bytes.get_mut(self.len) {
                Some(place) if self.len + 1 < PATH => {
                    *place = byte;
                    self.len += 1;
                }
                _ => self.is_cut = true,
            }
        }
        if let Some(end) = self.bytes.get_mut(self.len) {
            *end = 0;
        }
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn decimal(&mut self, number: u64) -> &mut Self {
        let mut digits = Line::new();
        digits.decimal(number as usize);
        self.bytes(digits.as_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// As a C text.
    pub(crate) fn as_c_str(&self) -> Result<&CStr, Errno> {
        match CStr::from_bytes_until_nul(&self.bytes) {
            Ok(path) if !self.is_cut => Ok(path),
            _ => Err(Errno(libc::ENAMETOOLONG)),
        }
    }
}

/// Text put together.
pub(crate) struct Sheet {
    bytes: [u8; ROOM],
    len: usize,
}

impl Sheet {
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Whether a step of a writer might not find room.
    pub(crate) fn is_full(&self) -> bool {
        self.len > ROOM - STEP
    }

    /// The room that is left, for a reader to fill from the start, and how that is told.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let len = self.len;
        self.bytes.get_mut(len..).unwrap_or_default()
    }

    /// `count` bytes of [`Sheet::room`] were filled.
    pub(crate) fn extend(&mut self, count: usize) {
        self.len = (self.len + count).min(ROOM);
    }

    /// Appends bytes; what finds no room is left out.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let room = self.room();
        let count = bytes.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        self.extend(count);
        self
    }

    /// Appends text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Appends a number in decimal.
    pub(crate) fn decimal(&mut self, number: u64) -> &mut Self {
        self.digits(number, 10)
    }

    /// Appends a number in hexadecimal with `0x`.
    pub(crate) fn hex(&mut self, number: usize) -> &mut Self {
        self.text("0x").digits(number as u64, 16)
    }

    fn digits(&mut self, mut number: u64, base: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = match (number % base) as u8 {
                value @ 0..=9 => b'0' + value,
                value => b'a' - 10 + value,
            };
            at -= 1;
            number /= base;
            if number == 0 {
                break;
            }
        }
        let (_, tail) = digits.split_at(at);
        self.bytes(tail)
    }

    /// Appends text as JSON has it.
    pub(crate) fn quoted(&mut self, text: &[u8]) -> &mut Self {
        self.text("\"");
        for &byte in text {
            match byte {
                b'"' | b'\\' => self.bytes(&[b'\\', byte]),
                b' '..=b'~' => self.bytes(&[byte]),
                _ => self.text("?"),
            };
        }
        self.text("\"")
    }
}
