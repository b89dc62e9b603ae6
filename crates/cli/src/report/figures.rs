//! Figures: one report file, read and checked.
//!
//! The layout is [`Report`]'s: 64-bit numbers in this machine's byte order and nothing else, so the
//! file is read number by number, without reinterpreting memory.
//!
//! F1  Length, magic and layout are checked before anything else is looked at.
//! F2  A reading counts when the sequence number is even, and the same before and after (rule R1 of
//!     the layout). A process killed in the middle of a write leaves it odd for ever: after a few
//!     tries the figures are taken as they are, and marked as unsettled.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{offset_of, size_of};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use jemoxide::RssReport;
use jemoxide::size::CLASSES;
use jemoxide::stats::report::{LAYOUT, MAGIC, Report, Snapshot};

/// Bytes of a report file that are read.
pub(crate) const REPORT_BYTES: usize = size_of::<Report>();

const WORD_BYTES: usize = 8;
const SEQUENCE_AT: usize = 2 * WORD_BYTES;
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(1);

// The reading order below is the order of the fields.
const _: () = {
    assert!(offset_of!(Report, magic) == 0);
    assert!(offset_of!(Report, layout) == WORD_BYTES);
    assert!(offset_of!(Report, sequence) == SEQUENCE_AT);
    assert!(offset_of!(Report, peak) == 6 * WORD_BYTES);
    assert!(size_of::<Snapshot>() == (14 + CLASSES) * WORD_BYTES);
    assert!(size_of::<RssReport>() == 22 * WORD_BYTES);
    assert!(REPORT_BYTES == 6 * WORD_BYTES + 2 * size_of::<Snapshot>() + size_of::<RssReport>());
};

/// A report that was read.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) report: Report,
    /// Rule F2.
    pub(crate) settled: bool,
}

/// Why a file gives no figures.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// There is no such file.
    Missing,
    /// Shorter than a report; its length.
    Truncated(usize),
    /// It does not begin like a report.
    NotAReport,
    /// Written by another version of the library; the layout's number.
    OtherLayout(u64),
    /// The system refused.
    Refused(io::Error),
}

impl Figures {
    /// Reads the report at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Unreadable> {
        // NONBLOCK, NOFOLLOW: a report is a plain file; anything else must not make us wait or wander.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(Unreadable::from)?;
        if !file.metadata()?.is_file() {
            return Err(Unreadable::NotAReport);
        }
        let mut tries = TRIES;
        loop {
            let report = parse(&content(&file)?)?;
            let mut sequence = [0; WORD_BYTES];
            file.read_exact_at(&mut sequence, SEQUENCE_AT as u64)?;
            let settled =
                report.sequence % 2 == 0 && report.sequence == u64::from_ne_bytes(sequence);
            tries -= 1;
            if settled || tries == 0 {
                return Ok(Self { report, settled });
            }
            thread::sleep(PAUSE);
        }
    }
}

/// The report in `bytes` (rule F1).
pub(crate) fn parse(bytes: &[u8]) -> Result<Report, Unreadable> {
    let mut words = Words::of(bytes);
    if words.next()? != MAGIC {
        return Err(Unreadable::NotAReport);
    }
    let layout = words.next()?;
    if layout != LAYOUT {
        return Err(Unreadable::OtherLayout(layout));
    }
    Ok(Report {
        magic: MAGIC,
        layout,
        sequence: words.next()?,
        pid: words.next()?,
        exited: words.next()?,
        counting: words.next()?,
        peak: snapshot(&mut words)?,
        now: snapshot(&mut words)?,
        rss: rss(&mut words)?,
    })
}

/// The next words as books.
pub(crate) fn snapshot(words: &mut Words<'_>) -> Result<Snapshot, Unreadable> {
    let mut snapshot = Snapshot {
        allocated: words.next()?,
        active: words.next()?,
        dirty: words.next()?,
        muzzy: words.next()?,
        retained: words.next()?,
        metadata: words.next()?,
        internal_slack: words.next()?,
        free_slots: words.next()?,
        hollow: words.next()?,
        thread_caches: words.next()?,
        depot: words.next()?,
        run_cache: words.next()?,
        allocations: words.next()?,
        frees: words.next()?,
        class_bytes: [0; CLASSES],
    };
    for bytes in &mut snapshot.class_bytes {
        *bytes = words.next()?;
    }
    Ok(snapshot)
}

/// The next words as the resident set, line by line.
pub(crate) fn rss(words: &mut Words<'_>) -> Result<RssReport, Unreadable> {
    Ok(RssReport {
        rss: words.next()?,
        live: words.next()?,
        internal_slack: words.next()?,
        free_slots: words.next()?,
        thread_caches: words.next()?,
        depot: words.next()?,
        run_cache: words.next()?,
        dirty: words.next()?,
        muzzy: words.next()?,
        huge_rounding: words.next()?,
        arenas: words.next()?,
        metadata: words.next()?,
        stacks: words.next()?,
        files: words.next()?,
        other: words.next()?,
        unexplained: words.next()? as i64,
        live_untouched: words.next()?,
        slots_untouched: words.next()?,
        retained: words.next()?,
        swapped: words.next()?,
        is_measured: words.next()?,
        is_divided: words.next()?,
    })
}

fn content(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; REPORT_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Bytes, read word by word.
pub(crate) struct Words<'a> {
    bytes: &'a [u8],
    length: usize,
}

impl<'a> Words<'a> {
    /// All of them are ahead.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            length: bytes.len(),
        }
    }

    /// The next word; [`Unreadable::Truncated`] at the end.
    pub(crate) fn next(&mut self) -> Result<u64, Unreadable> {
        let (word, rest) = self
            .bytes
            .split_first_chunk::<WORD_BYTES>()
            .ok_or(Unreadable::Truncated(self.length))?;
        self.bytes = rest;
        Ok(u64::from_ne_bytes(*word))
    }
}

impl From<io::Error> for Unreadable {
    fn from(why: io::Error) -> Self {
        match why.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ if why.raw_os_error() == Some(libc::ELOOP) => Self::NotAReport,
            _ => Self::Refused(why),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use jemoxide::stats::rss::Part;

    /// A report as bytes, each field a different number.
    pub(crate) fn raw() -> Vec<u8> {
        let words = (0..REPORT_BYTES / WORD_BYTES).map(|index| match index {
            0 => MAGIC,
            1 => LAYOUT,
            index => 1000 + 2 * index as u64,
        });
        words.flat_map(u64::to_ne_bytes).collect()
    }

    fn with_word(mut bytes: Vec<u8>, index: usize, word: u64) -> Vec<u8> {
        bytes[index * WORD_BYTES..][..WORD_BYTES].copy_from_slice(&word.to_ne_bytes());
        bytes
    }

    fn word_at(offset: usize) -> u64 {
        1000 + 2 * (offset / WORD_BYTES) as u64
    }

    #[test]
    fn every_field_is_read_from_its_place() {
        let report = parse(&raw()).expect("good");
        assert_eq!(report.sequence, word_at(offset_of!(Report, sequence)));
        assert_eq!(report.pid, word_at(offset_of!(Report, pid)));
        assert_eq!(report.exited, word_at(offset_of!(Report, exited)));
        assert_eq!(report.counting, word_at(offset_of!(Report, counting)));
        for (snapshot, at) in [
            (&report.peak, offset_of!(Report, peak)),
            (&report.now, offset_of!(Report, now)),
        ] {
            assert_eq!(
                snapshot.allocated,
                word_at(at + offset_of!(Snapshot, allocated))
            );
            assert_eq!(snapshot.active, word_at(at + offset_of!(Snapshot, active)));
            assert_eq!(snapshot.dirty, word_at(at + offset_of!(Snapshot, dirty)));
            assert_eq!(snapshot.muzzy, word_at(at + offset_of!(Snapshot, muzzy)));
            assert_eq!(
                snapshot.retained,
                word_at(at + offset_of!(Snapshot, retained))
            );
            assert_eq!(
                snapshot.metadata,
                word_at(at + offset_of!(Snapshot, metadata))
            );
            assert_eq!(
                snapshot.allocations,
                word_at(at + offset_of!(Snapshot, allocations))
            );
            assert_eq!(snapshot.frees, word_at(at + offset_of!(Snapshot, frees)));
            let first = at + offset_of!(Snapshot, class_bytes);
            assert_eq!(snapshot.class_bytes[0], word_at(first));
            assert_eq!(
                snapshot.class_bytes[CLASSES - 1],
                word_at(first + (CLASSES - 1) * 8)
            );
            let run_cache = word_at(at + offset_of!(Snapshot, run_cache));
            assert_eq!(snapshot.run_cache, run_cache);
        }
        // The record's own order, which JSON has too.
        let first = word_at(offset_of!(Report, rss));
        let report = report.rss;
        assert_eq!(report.rss, first);
        for (index, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(
                report.bytes(part),
                first + 2 * (index as u64 + 1),
                "{part:?}"
            );
        }
        let swapped = first + word_at(offset_of!(RssReport, swapped)) - 1000;
        assert_eq!((report.swapped, report.is_divided), (swapped, swapped + 4));
    }

    #[test]
    fn truncated_reports_are_refused_at_every_length() {
        let whole = raw();
        for length in 0..whole.len() {
            match parse(&whole[..length]) {
                Err(Unreadable::Truncated(found)) => assert_eq!(found, length),
                other => panic!("{length} bytes: {other:?}"),
            }
        }
    }

    #[test]
    fn wrong_magic_and_wrong_layout_are_told_apart() {
        assert!(matches!(
            parse(&with_word(raw(), 0, MAGIC ^ 1)),
            Err(Unreadable::NotAReport)
        ));
        assert!(matches!(
            parse(&with_word(raw(), 1, 77)),
            Err(Unreadable::OtherLayout(77))
        ));
        // Another layout may be shorter: its number matters more than the length.
        assert!(matches!(
            parse(&with_word(raw(), 1, 77)[..16]),
            Err(Unreadable::OtherLayout(77))
        ));
    }

    #[test]
    fn a_file_longer_than_a_report_is_read_and_an_odd_one_is_unsettled() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("1");
        let mut bytes = raw();
        bytes.resize(3 * 4096, 7);
        std::fs::write(&path, &bytes).expect("writable");
        assert!(Figures::read(&path).expect("good").settled);
        std::fs::write(&path, with_word(bytes, 2, 7)).expect("writable");
        assert!(!Figures::read(&path).expect("good").settled);
    }

    #[test]
    fn what_is_no_plain_file_is_no_report() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path();
        assert!(matches!(
            Figures::read(&path.join("none")),
            Err(Unreadable::Missing)
        ));
        assert!(matches!(Figures::read(path), Err(Unreadable::NotAReport)));
        std::fs::write(path.join("real"), raw()).expect("writable");
        std::os::unix::fs::symlink(path.join("real"), path.join("link")).expect("a link");
        assert!(matches!(
            Figures::read(&path.join("link")),
            Err(Unreadable::NotAReport)
        ));
    }
}
