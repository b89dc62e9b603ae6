//! Read: bytes of any supported form become a profile, or a message with its cure.
//!
//! ```text
//! bytes -- gzip? --> unpacked, within a bound --+
//!   |                                           v
//!   |- "heap_v2/"      heap_v2  + maps + details (ours)
//!   |- "heap profile:" classic  + maps
//!   |- text            collapsed
//!   `- else            pprof
//! ```
//! R1  No input makes it panic, loop, or take more memory than a small multiple of its (unpacked) size.
//! R2  Text is read strictly: a number cut in half must not become a smaller number.
//! R3  A message names the line, what was expected, and what to do.

mod classic;
mod collapsed;
mod details;
mod heap_v2;
mod lines;
mod maps;
mod pprof;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::model::Profile;

/// A profile, unpacked, is no longer than this; what is longer is refused. Fewer frames than bytes: numbers of 32 bits are
/// enough for them.
pub const UNPACKED_MAX: u64 = 512 << 20;

const GZIP: &[u8] = &[0x1f, 0x8b];

/// Why a profile cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    file: Option<PathBuf>,
    line: Option<usize>,
    what: String,
    cure: String,
}

impl Unreadable {
    fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            file: None,
            line: None,
            what: what.into(),
            cure: cure.into(),
        }
    }

    fn at(line: usize, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            ..Self::new(what, cure)
        }
    }

    /// The line that is wrong, from 1; `None`: the input as a whole.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The same, naming the file.
    pub fn in_file(self, file: &Path) -> Self {
        Self {
            file: Some(file.to_owned()),
            ..self
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(to, "{}", file.display())?;
        }
        match (self.line, &self.file) {
            (Some(line), Some(_)) => write!(to, ", line {line}: ")?,
            (Some(line), None) => write!(to, "line {line}: ")?,
            (None, Some(_)) => to.write_str(": ")?,
            (None, None) => {}
        }
        write!(to, "{}. {}", self.what, self.cure)
    }
}

impl std::error::Error for Unreadable {}

impl Profile {
    /// Reads a profile of any supported form.
    ///
    /// # Errors
    /// The input is of no known form, malformed, cut off, or longer than [`UNPACKED_MAX`] when unpacked.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.starts_with(GZIP) {
            return unpacked(&unpack(bytes)?);
        }
        unpacked(bytes)
    }

    /// Reads the profile in `file`; messages name it.
    ///
    /// # Errors
    /// As [`Profile::read`], and when the file cannot be read.
    pub fn read_file(file: &Path) -> Result<Self, Unreadable> {
        File::open(file)
            .map_err(|why| unread(&why))
            .and_then(Self::read_from)
            .map_err(|why| why.in_file(file))
    }

    /// Reads the profile that `source` has, to its end: for files that the caller opened with care.
    ///
    /// # Errors
    /// As [`Profile::read_file`].
    pub fn read_from(source: impl Read) -> Result<Self, Unreadable> {
        let mut bytes = Vec::new();
        source
            .take(UNPACKED_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|why| unread(&why))?;
        Self::read(&bytes)
    }
}

fn unread(why: &std::io::Error) -> Unreadable {
    Unreadable::new(format!("cannot be read: {why}"), "Is the path right?")
}

fn unpacked(bytes: &[u8]) -> Result<Profile, Unreadable> {
    if bytes.len() as u64 > UNPACKED_MAX {
        return Err(Unreadable::new(
            "longer than 512 MiB",
            "Take a dump with fewer stacks (a larger lg_prof_sample, a smaller prof_bt_max).",
        ));
    }
    if let Some(told) = other_form(bytes) {
        return Err(Unreadable::new(told, FORMS));
    }
    // The second: cut off within the first word.
    if bytes.starts_with(b"heap_v2/") || b"heap_v2/".starts_with(bytes) {
        heap_v2::read(bytes)
    } else if bytes.starts_with(b"heap profile:") {
        classic::read(bytes)
    } else if std::str::from_utf8(&bytes[..bytes.len().min(4096)]).map_or_else(
        |why| why.valid_up_to() + 4 > 4096,
        |text| !text.contains('\0'),
    ) {
        collapsed::read(bytes)
    } else {
        pprof::read(bytes)
    }
}

const FORMS: &str = "Wanted: a heap dump (heap_v2, from prof.dump, prof_final or `jemoxide run --profile`), pprof (.pb.gz), \
     or collapsed stacks (`main;work 4096`).";

/// What the input is when it is something else that people may take for a heap profile.
fn other_form(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 7] = [
        (b"\x7fELF", "this is a program, not a profile"),
        (
            b"PERFILE2",
            "this is a recording of perf, not a heap profile",
        ),
        (
            b"--- contention",
            "this is a profile of lock contention, not of the heap",
        ),
        (
            b"--- symbol",
            "this is a profile symbolised by pprof, which nobody else reads",
        ),
        (
            b"growth",
            "this is a heap growth profile, which tells nothing about frees",
        ),
        (b"{", "this is JSON, not a profile"),
        (b"PK\x03\x04", "this is a zip archive, not a profile"),
    ];
    if bytes.trim_ascii().is_empty() {
        return Some(
            "the file is empty, it has no stacks: the dump failed (disk full?), is still being written, or was made from a \
             profile with nothing in it",
        );
    }
    KNOWN
        .iter()
        .find(|(start, _)| bytes.starts_with(start))
        .map(|&(_, told)| told)
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut content = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes)
        .take(UNPACKED_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|why| {
            Unreadable::new(
                format!("the gzip data is cut off or damaged ({why})"),
                "Copy the file again, or take the profile again.",
            )
        })?;
    if content.len() as u64 > UNPACKED_MAX {
        return Err(Unreadable::new(
            "longer than 512 MiB when unpacked",
            "Take a profile with fewer stacks.",
        ));
    }
    Ok(content)
}
