//! Channel: reads the figures, and puts requests into the mailbox.
//!
//! ```text
//! read only ──> figures whole? ──> process there? ──> the same inode again, for writing ──> mailbox
//! ```
//! W1  A file is written only after its figures were found whole in a file of a channel's length: a path or a process may
//!     name anything, and this command may run as root.
//! W2  It is written only while somebody keeps it: a process that is known by its number must be there; one that is not must
//!     have written new figures since the file was opened. It does so once a second at least.
//! W3  The inode that was read is the one that is written: `/proc/self/fd` leads from the open file, no path is looked up.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use jemoxide::stats::live::{FILE_BYTES, Figures, MAILBOX_AT, Mailbox};

use super::figures::{FIGURES_BYTES, Look, parse};
use super::find::is_running;
use crate::report::Unreadable;

/// How often, and how far apart, figures that are being written are looked at.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(2);
/// From one look for an answer to the next; the process looks for requests ten times a second.
const LOOK: Duration = Duration::from_millis(20);

/// Who keeps the file (rule W2).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keeper {
    /// A process that this one sees.
    Process(u32),
    /// A process that may be in another container, or gone.
    Unseen,
}

/// An open channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Open for reading alone.
    file: File,
    /// The same file for writing, once a request was made.
    mailbox: Option<File>,
    keeper: Keeper,
    /// The first sequence number that was read.
    first: Option<u64>,
    /// Where the process writes heap profiles that are asked for, as this command can reach it.
    pub(crate) dump: PathBuf,
    ticket: u64,
}

/// The process gave no answer in time.
#[derive(Debug)]
pub(crate) struct Silent;

impl Channel {
    /// The channel in `file`, which is open for reading.
    pub(crate) fn new(file: File, dump: PathBuf, keeper: Keeper) -> Self {
        // Different from those of other commands on the same process, as far as chance goes.
        let ticket = fastrand::u64(1..u64::MAX / 2);
        Self {
            file,
            mailbox: None,
            keeper,
            first: None,
            dump,
            ticket,
        }
    }

    /// The figures of this moment.
    pub(crate) fn read(&self) -> Result<Box<Figures>, Unreadable> {
        let mut bytes = vec![0; FIGURES_BYTES];
        for _ in 0..TRIES {
            let filled = self.file.read_at(&mut bytes, 0).map_err(Unreadable::from)?;
            match parse(&bytes[..filled]) {
                Look::Whole(figures) => return Ok(figures),
                Look::Wrong(why) => return Err(why),
                Look::Changing => thread::sleep(PAUSE),
            }
        }
        Err(Unreadable::Truncated(0))
    }

    /// Asks for `wanted` (bits of [`jemoxide::stats::live::ask`]); answers the ticket, which the figures have in `answered`
    /// when it has been dealt with. A request that was not yet dealt with is replaced. `None`: nobody is known to keep the
    /// file, and nothing was written (rule W2).
    pub(crate) fn ask(&mut self, wanted: u64) -> Result<Option<u64>, Unreadable> {
        let figures = self.read()?;
        let first = *self.first.get_or_insert(figures.sequence);
        let is_kept = match self.keeper {
            Keeper::Process(pid) => is_running(pid),
            Keeper::Unseen => figures.sequence != first,
        };
        if !is_kept {
            return Ok(None);
        }
        let told = self.file.metadata().map_err(Unreadable::from)?;
        if !told.is_file() || told.len() != FILE_BYTES as u64 {
            return Err(Unreadable::NotAReport);
        }
        self.ticket += 1;
        let words = Mailbox::new(self.ticket, wanted).words();
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        let mailbox = match &mut self.mailbox {
            Some(mailbox) => mailbox,
            none => none.insert(again(&self.file, true).map_err(Unreadable::from)?),
        };
        mailbox
            .write_all_at(&bytes, MAILBOX_AT as u64)
            .map_err(Unreadable::from)?;
        Ok(Some(self.ticket))
    }

    /// Asks, and waits for the answer at most so long; the figures that came with it.
    pub(crate) fn ask_and_wait(
        &mut self,
        wanted: u64,
        most: Duration,
    ) -> Result<Result<Box<Figures>, Silent>, Unreadable> {
        let begun = Instant::now();
        let mut asked = None;
        loop {
            if asked.is_none() {
                asked = self.ask(wanted)?;
            }
            let figures = self.read()?;
            if asked == Some(figures.answered) {
                return Ok(Ok(figures));
            }
            if begun.elapsed() > most {
                return Ok(Err(Silent));
            }
            thread::sleep(LOOK);
        }
    }
}

/// Opens the file behind `file` once more (rule W3), whatever its path is now.
pub(super) fn again(file: &File, for_writing: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(for_writing)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::figures::tests::{moved, raw};
    use jemoxide::stats::live::{MAILBOX_WORDS, ask};

    /// A channel's file, and the channel of this process in it.
    fn channel_of(bytes: &[u8], keeper: Keeper) -> (tempfile::NamedTempFile, Channel) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(FILE_BYTES as u64).expect("writable");
        file.as_file().write_all_at(bytes, 0).expect("writable");
        let read_only = File::open(file.path()).expect("readable");
        (file, Channel::new(read_only, PathBuf::new(), keeper))
    }

    const OWN: fn() -> Keeper = || Keeper::Process(std::process::id());

    #[test]
    fn a_request_lies_in_the_mailbox_and_silence_ends() {
        let (_file, mut channel) = channel_of(&raw(), OWN());
        let outcome = channel.ask_and_wait(ask::RSS, Duration::ZERO);
        assert!(matches!(outcome, Ok(Err(Silent))));
        let mut bytes = [0; MAILBOX_WORDS * 8];
        channel
            .file
            .read_exact_at(&mut bytes, MAILBOX_AT as u64)
            .expect("written");
        let mut words = [0; MAILBOX_WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().expect("eight"));
        }
        let found = Mailbox::of_words(&words).expect("whole");
        assert_eq!((found.ticket, found.wanted), (channel.ticket, ask::RSS));
    }

    #[test]
    fn what_is_no_channel_or_has_no_process_is_never_written() {
        let gone = Keeper::Process(u32::MAX);
        for (bytes, keeper) in [
            (vec![], OWN()),
            (vec![b'x'; FILE_BYTES], OWN()),
            (raw(), gone),
            (raw(), Keeper::Unseen),
        ] {
            let (file, mut channel) = channel_of(&bytes, keeper);
            let before = std::fs::read(file.path()).expect("readable");
            let outcome = channel.ask_and_wait(ask::RSS, Duration::ZERO);
            assert!(!matches!(outcome, Ok(Ok(_))));
            assert_eq!(std::fs::read(file.path()).expect("readable"), before);
        }
        // Whole figures in a file of another length.
        let (file, mut channel) = channel_of(&raw(), OWN());
        file.as_file().set_len(40_000).expect("writable");
        let before = std::fs::read(file.path()).expect("readable");
        assert!(channel.ask(ask::RSS).is_err());
        assert_eq!(std::fs::read(file.path()).expect("readable"), before);
    }

    #[test]
    fn a_file_whose_process_is_not_seen_is_asked_once_its_figures_move() {
        let (file, mut channel) = channel_of(&raw(), Keeper::Unseen);
        assert!(matches!(channel.ask(ask::RSS), Ok(None)));
        file.as_file().write_all_at(&moved(), 0).expect("writable");
        assert!(matches!(channel.ask(ask::RSS), Ok(Some(_))));
    }

    #[test]
    fn figures_that_stay_half_written_are_given_up() {
        let mut bytes = raw();
        bytes[100] ^= 1;
        assert!(channel_of(&bytes, OWN()).1.read().is_err());
        assert!(channel_of(&raw(), OWN()).1.read().is_ok());
    }
}
