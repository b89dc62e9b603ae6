//! Reading: whole values and lines out of files, through a buffer of fixed size.
//!
//! E1  A value counts only when the file was read to its end: a number cut off is another number.
//! E2  A line longer than the buffer is skipped, and so is one that could not be read to its end.
#![deny(unsafe_code)]

use crate::sys::files::File;
use core::ffi::CStr;

/// Longest line that is understood.
pub(super) const LINE_MAX: usize = 2048;

/// Where texts lie while they are looked at.
pub(super) type Scratch = [u8; LINE_MAX];

/// Reads all of `file`, which holds a short value. `None`: it cannot be read, or is too long (E1).
pub(super) fn value(mut file: File, scratch: &mut Scratch) -> Option<&[u8]> {
    let mut len = 0;
    loop {
        match file.read(scratch.get_mut(len..)?)? {
            0 if len < scratch.len() => return scratch.get(..len),
            0 => return None,
            count => len += count,
        }
    }
}

/// The lines of a file, one after the other.
pub(super) struct Lines<'a> {
    file: Option<File>,
    scratch: &'a mut Scratch,
    /// What was read and not yet handed out.
    from: usize,
    to: usize,
    /// The line under way is too long.
    skips: bool,
}

impl<'a> Lines<'a> {
    /// Those of the file at `path`. `None`: it cannot be opened.
    pub(super) fn of(path: &CStr, scratch: &'a mut Scratch) -> Option<Self> {
        Some(Self::in_file(File::open(path)?, scratch))
    }

    pub(super) fn in_file(file: File, scratch: &'a mut Scratch) -> Self {
        Self {
            file: Some(file),
            scratch,
            from: 0,
            to: 0,
            skips: false,
        }
    }

    /// The next line, without its end.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        loop {
            let rest = self.scratch.get(self.from..self.to)?;
            if let Some(len) = rest.iter().position(|&byte| byte == b'\n') {
                let (from, skips) = (self.from, self.skips);
                self.from += len + 1;
                self.skips = false;
                if skips {
                    continue;
                }
                return self.scratch.get(from..from + len);
            }
            let line = self.from..self.to;
            self.scratch.copy_within(line.clone(), 0);
            (self.from, self.to) = (0, line.len());
            if self.to == self.scratch.len() {
                (self.to, self.skips) = (0, true);
            }
            match self.file.as_mut()?.read(self.scratch.get_mut(self.to..)?) {
                Some(0) => {
                    self.file = None;
                    // The last line may lack its end.
                    let len = core::mem::take(&mut self.to);
                    return self.scratch.get(..len).filter(|_| len > 0 && !self.skips);
                }
                Some(count) => self.to += count,
                None => {
                    self.file = None;
                    return None;
                }
            }
        }
    }
}
