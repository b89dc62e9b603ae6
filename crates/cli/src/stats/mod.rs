//! `jemoxide stats PID|FILE`: the figures of a process, once.
//!
//! ```text
//! PID              live channel, asked for fresh figures
//! FILE             a channel's file (its process may have ended) | a report of report_dir | JSON of malloc_stats_print
//! ```

mod saved;
mod text;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jemoxide::stats::live::{self, Figures, ask};
use jemoxide::stats::report;

use crate::arguments::StatsArguments;
use crate::failure::Failure;
use crate::live::{Channel, Found, Silent, Subject, Waiting, find};
use crate::report::Unreadable;
use crate::screen::output::print;

pub(crate) use text::{arena_name, class_rows, sampling, time};

/// How long an answer is waited for: the look at each page of a heap of 100 GiB takes some seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where the process may have ended.
const FILE_PATIENCE: Duration = Duration::from_millis(1500);

/// Prints the figures.
pub(crate) fn show(arguments: &StatsArguments) -> Result<ExitCode, Failure> {
    let subject = Subject::of(&arguments.of);
    let told = match &subject {
        Subject::File(path) if !is_channel(path) => saved::show(path, arguments.json)?,
        _ => of_channel(&subject, arguments.json)?,
    };
    print(&told)?;
    Ok(ExitCode::SUCCESS)
}

fn of_channel(subject: &Subject, as_json: bool) -> Result<String, Failure> {
    let Found { channel, subject } = find(subject, Waiting::Briefly)?;
    let (figures, answered) = fresh(channel, &subject)?;
    if as_json {
        let mut json = text::json(&figures);
        json["answered"] = answered.into();
        return Ok(format!("{json}\n"));
    }
    Ok(text::screen(&subject.title(), &figures, answered))
}

/// The figures, and whether the process answered.
fn fresh(mut channel: Channel, subject: &Subject) -> Result<(Box<Figures>, bool), Failure> {
    let patience = match subject {
        Subject::Process(_) => PATIENCE,
        Subject::File(_) => FILE_PATIENCE,
    };
    let answer = channel
        .ask_and_wait(ask::RSS, patience)
        .and_then(|answer| match answer {
            Ok(figures) => Ok((figures, true)),
            Err(Silent) => channel.read().map(|figures| (figures, false)),
        });
    answer.map_err(|why| unreadable(subject, &why))
}

/// Why a channel cannot be read, for a person.
pub(crate) fn unreadable(subject: &Subject, why: &Unreadable) -> Failure {
    let title = subject.title();
    Failure::broken(match why {
        Unreadable::OtherLayout(layout) => format!(
            "{title} runs another version of the library than this command (layout {layout}, here {}). Use the jemoxide \
             command that came with it.",
            live::LAYOUT
        ),
        Unreadable::Truncated(_) => format!(
            "{title} has not written its figures: it is stopped, its disk is full, or somebody cut its file off. Try again."
        ),
        Unreadable::NotAReport | Unreadable::Missing => {
            format!("{title} has something else where its figures should be.")
        }
        Unreadable::Refused(why) => format!("the figures of {title} cannot be read: {why}."),
    })
}

/// Whether the file begins like a channel's, or cannot be opened, which `find` tells best.
fn is_channel(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else {
        return true;
    };
    let mut word = [0; 8];
    if file.read_exact(&mut word).is_err() {
        return false;
    }
    match u64::from_ne_bytes(word) {
        live::MAGIC => true,
        // One that its process has just made is all zeros.
        0 => file
            .metadata()
            .is_ok_and(|told| told.len() == live::FILE_BYTES as u64),
        _ => false,
    }
}

/// Whether the bytes begin like a report.
fn is_report(bytes: &[u8]) -> bool {
    bytes.starts_with(&report::MAGIC.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_told_by_its_magic_or_by_zeros_of_its_length() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let is_one = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).expect("writable");
            is_channel(file.path())
        };
        assert!(!is_one(b""));
        assert!(!is_one(b"short"));
        assert!(!is_one(&[0; 65_536]), "an image of a disk");
        assert!(is_one(&[0; live::FILE_BYTES]));
        assert!(is_one(&live::MAGIC.to_ne_bytes()));
        assert!(is_channel(Path::new("/no/such/file")));
    }
}
