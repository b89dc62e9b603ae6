//! Read: bytes of any supported form become a profile, or a message with its cure.
//!
//! ```text
//! bytes -- gzip? --> unpacked, within a bound --+
//!   |                                           v
//!   |- "heap_v2/"      heap_v2  + maps + details (ours)
//!   |- "heap profile:" classic  + maps
//!   |- "--- symbol"    symbolized: names, then one of these two
//!   |- text            collapsed
//!   `- else            pprof
//! ```
//! R1  No input makes it panic, loop, or take more memory than a few times its (unpacked) size, which is bounded.
//! R2  Text is read strictly: a number cut in half must not become a smaller number.
//! R3  A message names the line, what was expected, and what to do.

mod classic;
mod collapsed;
mod details;
mod heap_v2;
mod lines;
mod maps;
mod pprof;
mod symbolized;
mod wire;

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::model::Profile;

/// A profile, unpacked, is no longer than this; what is longer is refused. Fewer frames than bytes: numbers of 32 bits are
/// enough for them.
pub const UNPACKED_MAX: u64 = 512 << 20;
/// The same of a profile in pprof's form, whose bytes say more than those of a text.
const PPROF_MAX: u64 = 64 << 20;
/// So much tells which form it is.
const SNIFFED: usize = 4096;

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

    /// The same, of input behind so many other lines.
    fn behind(mut self, lines: usize) -> Self {
        self.line = self.line.map(|line| line + lines);
        self
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
    let cure = match why.kind() {
        ErrorKind::NotFound => "Is the path right?",
        ErrorKind::PermissionDenied => {
            "Read it as the user whose process wrote it: some dumps are for their owner alone."
        }
        ErrorKind::IsADirectory => "Name the files in it.",
        _ => "Copy it to another place, or take it again.",
    };
    Unreadable::new(format!("cannot be read: {why}"), cure)
}

fn unpacked(bytes: &[u8]) -> Result<Profile, Unreadable> {
    if let Some(told) = other_form(bytes) {
        return Err(Unreadable::new(told, FORMS));
    }
    let kind = Kind::of(bytes);
    if bytes.len() as u64 > kind.longest() {
        return Err(too_long(kind, ""));
    }
    match kind {
        Kind::HeapV2 => heap_v2::read(bytes),
        Kind::Classic => classic::read(bytes),
        Kind::Symbolized => symbolized::read(bytes),
        Kind::Collapsed => collapsed::read(bytes),
        Kind::Pprof => pprof::read(bytes),
    }
}

/// What bytes are, by their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    HeapV2,
    Classic,
    Symbolized,
    Collapsed,
    Pprof,
}

impl Kind {
    fn of(bytes: &[u8]) -> Self {
        let begins = |word: &[u8]| bytes.starts_with(word);
        // The second: cut off within the first word.
        if begins(b"heap_v2/") || b"heap_v2/".starts_with(bytes) {
            Self::HeapV2
        } else if begins(b"heap profile:") {
            Self::Classic
        } else if begins(symbolized::HEADING) {
            Self::Symbolized
        } else if is_text(&bytes[..bytes.len().min(SNIFFED)]) {
            Self::Collapsed
        } else {
            Self::Pprof
        }
    }

    /// Bytes, unpacked, at most.
    fn longest(self) -> u64 {
        match self {
            Self::Pprof => PPROF_MAX,
            _ => UNPACKED_MAX,
        }
    }
}

/// Whether it may be the beginning of lines that people could read. The first message of pprof's form has bytes that no
/// such line has.
fn is_text(start: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(start) {
        Ok(_) => true,
        // Cut within a character.
        Err(why) => start.len() == SNIFFED && why.error_len().is_none(),
    };
    let is_written = |&byte: &u8| byte >= b' ' || byte.is_ascii_whitespace();
    is_utf8 && start.iter().all(is_written)
}

fn too_long(kind: Kind, when: &str) -> Unreadable {
    let most = kind.longest() >> 20;
    Unreadable::new(
        format!("longer than {most} MiB{when}"),
        "Take a profile with fewer stacks (a larger lg_prof_sample, a smaller prof_bt_max).",
    )
}

/// The error where a builder takes no more stacks.
fn too_many() -> Unreadable {
    Unreadable::new(
        format!("it has more than {} stacks", crate::build::STACKS_MAX),
        "Take a profile with fewer stacks (a larger lg_prof_sample, a smaller prof_bt_max).",
    )
}

const FORMS: &str = "Wanted: a heap dump (heap_v2, from prof.dump, prof_final or `jemoxide run --profile`), pprof (.pb.gz), \
     or collapsed stacks (`main;work 4096`).";

/// What the input is when it is something else that people may take for a heap profile.
fn other_form(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 13] = [
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
            b"growth",
            "this is a heap growth profile, which tells nothing about frees",
        ),
        // Names of closures begin with `{` as well.
        (b"{\"", "this is JSON, not a profile"),
        (b"{\n", "this is JSON, not a profile"),
        (b"[{", "this is JSON, not a profile"),
        (b"PK\x03\x04", "this is a zip archive, not a profile"),
        (
            b"(\xb5/\xfd",
            "this is packed with zstd; unpack it first (zstd -d)",
        ),
        (
            b"\xfd7zXZ\0",
            "this is packed with xz; unpack it first (xz -d)",
        ),
        (
            b"BZh",
            "this is packed with bzip2; unpack it first (bunzip2)",
        ),
        (
            b"<!DOCTYPE",
            "this is a page, not a profile: perhaps an error's, or one that `jemoxide flame` made",
        ),
        (b"<svg", "this is a picture, not a profile"),
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
    let mut packed = flate2::read::MultiGzDecoder::new(bytes);
    let mut content = Vec::new();
    let mut unpack = |up_to: u64, content: &mut Vec<u8>| {
        let more = up_to.saturating_sub(content.len() as u64);
        packed
            .by_ref()
            .take(more)
            .read_to_end(content)
            .map_err(|why| {
                Unreadable::new(
                    format!("the gzip data is cut off or damaged ({why})"),
                    "Copy the file again, or take the profile again.",
                )
            })
    };
    unpack(SNIFFED as u64, &mut content)?;
    let kind = Kind::of(&content);
    unpack(kind.longest() + 1, &mut content)?;
    if content.len() as u64 > kind.longest() {
        return Err(too_long(kind, " when unpacked"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_told_by_the_beginning() {
        for (bytes, kind) in [
            (&b"heap_v2/524288\n"[..], Kind::HeapV2),
            (b"hea", Kind::HeapV2),
            (b"heap profile: 1", Kind::Classic),
            (b"--- symbol\n", Kind::Symbolized),
            (b"main;work 12\n", Kind::Collapsed),
            ("\tmäin 1\r\n".as_bytes(), Kind::Collapsed),
            (b"\x0a\x04\x08\x01\x10\x02", Kind::Pprof),
            (b"main\xff 1", Kind::Pprof),
        ] {
            assert_eq!(Kind::of(bytes), kind, "{bytes:?}");
        }
        // A character across the end of what is looked at.
        let mut long = vec![b'x'; SNIFFED - 1];
        long.extend("é 1\n".bytes());
        assert_eq!(Kind::of(&long), Kind::Collapsed);
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_form() {
        let why = unpacked(&vec![0; PPROF_MAX as usize + 1]).expect_err("too long");
        assert!(why.to_string().contains("longer than 64 MiB"), "{why}");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..PPROF_MAX >> 20 {
            std::io::Write::write_all(&mut packer, &vec![0; 1 << 20]).expect("memory");
        }
        std::io::Write::write_all(&mut packer, b"x").expect("memory");
        let packed = packer.finish().expect("memory");
        let why = Profile::read(&packed).expect_err("too long");
        assert!(why.to_string().contains("64 MiB when unpacked"), "{why}");
    }
}
