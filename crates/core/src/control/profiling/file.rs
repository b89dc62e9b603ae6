//! A file that appears whole, or not at all.
//!
//! ```text
//! create <folder>/.jemoxide.<namespace>.<process>.<target's name>.part ── write ── rename to the target
//!                                                                         └ fails: removed; what was at the target stays as it was
//! ```
//! W1  What is at the target and no plain file (a device, a pipe, a link) is written to as it is, if the application named
//!     it. Names of our own, and those that come by the live channel, are easy to foresee: what is there is replaced, and no
//!     link is followed.
//! W2  Written to as it is is also a plain file in a folder where nothing may be made.
//! W3  A file that would become longer than its bound is given up as soon as that is known.
//! W4  A forked child closes what its parent was writing, and leaves the rest to it.
//! Nothing is forced onto the disk: what this guards against is the end of the process, not of the machine.

use crate::prof::desk::{PathText, Sheet};
use crate::sys::output::{self, Errno, Kind, Output};
use crate::sys::process;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the target's name that are in the part's, at most: the last ones.
const NAME: usize = 128;

/// Where the name of a file comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The application gave it.
    Given,
    /// The profiler put it together.
    Own,
    /// It came by the live channel: the file is for the owner alone.
    Channel,
}

impl Origin {
    const fn mode(self) -> u32 {
        match self {
            Self::Channel => 0o600,
            Self::Given | Self::Own => 0o644,
        }
    }
}

/// The descriptor that is open, plus one.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// A file under way.
pub(super) struct File {
    output: Output,
    is_apart: bool,
    process: u32,
    /// Bytes that may still be written (W3).
    left: u64,
}

impl File {
    /// Begins a file of at most `most` bytes that is to be at `target`; `part` is room for the name of its beginnings.
    pub(super) fn begin(
        target: &PathText,
        part: &mut PathText,
        origin: Origin,
        most: u64,
    ) -> Result<Self, Errno> {
        let path = target.as_c_str()?;
        let kind = output::kind_of(path);
        let mode = origin.mode();
        let mut is_apart = kind != Kind::Other || origin != Origin::Given;
        let output = if is_apart {
            let (folder, name) = split(target.as_bytes());
            let name = name.get(name.len().saturating_sub(NAME)..).unwrap_or(&[]);
            part.clear();
            part.bytes(folder)
                .text(".jemoxide.")
                .decimal(output::process_namespace().unwrap_or(0))
                .text(".")
                .decimal(u64::from(process::id()))
                .text(".")
                .bytes(name)
                .text(".part");
            let apart = part.as_c_str()?;
            // Of a process with this number that came to a bad end.
            output::remove(apart);
            match Output::create(apart, mode) {
                Err(Errno(libc::EACCES | libc::EPERM)) if kind == Kind::File => {
                    is_apart = false;
                    Output::truncate_file(path, mode)?
                }
                made => made?,
            }
        } else {
            Output::truncate(path, mode)?
        };
        OPEN.store(output.number() + 1, Ordering::Relaxed);
        Ok(Self {
            output,
            is_apart,
            process: process::id(),
            left: most,
        })
    }

    /// Writes a sheet, and empties it.
    pub(super) fn write(&mut self, sheet: &mut Sheet) -> Result<(), Errno> {
        if process::id() != self.process {
            // Rule W4: a handler of a signal forked, and its child came back here.
            return Err(Errno(libc::ECANCELED));
        }
        let left = self.left.checked_sub(sheet.as_bytes().len() as u64);
        let result = match left {
            Some(_) => self.output.write(sheet.as_bytes()),
            None => Err(Errno(libc::EFBIG)),
        };
        self.left = left.unwrap_or(0);
        sheet.clear();
        result
    }

    /// Ends it; `written` says whether all of it is there.
    pub(super) fn end(
        self,
        written: Result<(), Errno>,
        target: &PathText,
        part: &PathText,
    ) -> Result<(), Errno> {
        OPEN.store(0, Ordering::Relaxed);
        let Self {
            output,
            is_apart,
            process,
            ..
        } = self;
        let mut result = written.and(output.close());
        if is_apart && process == process::id() {
            let (part, target) = (part.as_c_str()?, target.as_c_str()?);
            result = result.and_then(|()| output::rename(part, target));
            if result.is_err() {
                output::remove(part);
            }
        }
        result
    }
}

/// In a forked child (W4).
pub(super) fn forget() {
    if let Some(number) = OPEN.swap(0, Ordering::Relaxed).checked_sub(1) {
        drop(Output::from_number(number));
    }
}

/// The folder of a path, with the slash behind it, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    path.split_at_checked(slash.map_or(0, |slash| slash + 1))
        .unwrap_or((path, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_what_is_before_the_last_slash() {
        let path = |whole| split(whole);
        assert_eq!(path(b"/a/b.heap"), (&b"/a/"[..], &b"b.heap"[..]));
        assert_eq!(path(b"b.heap"), (&b""[..], &b"b.heap"[..]));
        assert_eq!(path(b"/b"), (&b"/"[..], &b"b"[..]));
    }
}
