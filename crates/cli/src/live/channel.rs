//! Channel: reads the figures, and puts requests into the mailbox.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use jemoxide::stats::live::{Figures, MAILBOX_AT, Mailbox};

use super::figures::{FIGURES_BYTES, Look, parse};
use crate::report::Unreadable;

/// How often, and how far apart, figures that are being written are looked at.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(2);
/// From one look for an answer to the next; the process looks for requests ten times a second.
const LOOK: Duration = Duration::from_millis(20);

/// An open channel.
#[derive(Debug)]
pub(crate) struct Channel {
    file: File,
    /// Where the process writes heap profiles that are asked for, as this command can reach it.
    pub(crate) dump: PathBuf,
    ticket: u64,
}

/// The process gave no answer in time.
#[derive(Debug)]
pub(crate) struct Silent;

impl Channel {
    /// The channel in `file`, which may be read and written.
    pub(crate) fn new(file: File, dump: PathBuf) -> Self {
        // Different from those of other commands on the same process, as far as chance goes.
        let ticket = fastrand::u64(1..u64::MAX / 2);
        Self { file, dump, ticket }
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
    /// when it has been dealt with. A request that was not yet dealt with is replaced.
    pub(crate) fn ask(&mut self, wanted: u64) -> Result<u64, Unreadable> {
        self.ticket += 1;
        let words = Mailbox::new(self.ticket, wanted).words();
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        self.file
            .write_all_at(&bytes, MAILBOX_AT as u64)
            .map_err(Unreadable::from)?;
        Ok(self.ticket)
    }

    /// Asks, and waits for the answer at most so long; the figures that came with it.
    pub(crate) fn ask_and_wait(
        &mut self,
        wanted: u64,
        most: Duration,
    ) -> Result<Result<Box<Figures>, Silent>, Unreadable> {
        let begun = Instant::now();
        let ticket = self.ask(wanted)?;
        loop {
            let figures = self.read()?;
            if figures.answered == ticket {
                return Ok(Ok(figures));
            }
            if begun.elapsed() > most {
                return Ok(Err(Silent));
            }
            thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::figures::tests::raw;
    use jemoxide::stats::live::{FILE_BYTES, MAILBOX_WORDS, ask};

    fn channel_of(bytes: &[u8]) -> Channel {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(FILE_BYTES as u64).expect("writable");
        file.write_all_at(bytes, 0).expect("writable");
        Channel::new(file, PathBuf::new())
    }

    #[test]
    fn a_request_lies_in_the_mailbox_and_silence_ends() {
        let mut channel = channel_of(&raw());
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
    fn figures_that_stay_half_written_are_given_up() {
        let mut bytes = raw();
        bytes[100] ^= 1;
        assert!(channel_of(&bytes).read().is_err());
        assert!(channel_of(&raw()).read().is_ok());
    }
}
