//! Threshold: a dump when memory comes near its limit, before the kernel ends the process and nobody knows why.
//!
//! ```text
//! used │          ....x dump          x dump
//!  90% │─────────/────\──────────────/──────      one for each crossing, the next one after a fall below 15/16 of it
//!      └────────────────────────────────────
//! ```
//! L1  The limit is the least of the container's and the heap's own hard and soft ones; where there is none, nothing is
//!     ever dumped.
//! L2  Files are named `threshold.<process>.<number>.heap`; the oldest goes when a new one is whole, so while one is written there
//!     may be one more than were allowed. What a failed one left is removed, and the older ones stay.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::profile;

/// How often memory is looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// The part of the threshold below which the next crossing counts.
const REARM: (u64, u64) = (15, 16);

/// A share of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

impl Percent {
    /// 1 to 100. `None`: anything else.
    pub fn new(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    fn of(self, bytes: u64) -> u64 {
        (u128::from(bytes) * u128::from(self.0) / 100) as u64
    }
}

/// A watch on memory; ends when dropped.
pub struct Threshold {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Threshold {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Threshold")
    }
}

impl Drop for Threshold {
    fn drop(&mut self) {
        self.stop = None;
        // Its panic is no business of who drops it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Has a heap profile written into `folder` when memory passes `percent` of the limit; `keep` of them stay, at least one.
/// `tell` is given each file that was written, or why it could not be. Profiling must be on for it to show anything: see
/// `prof:true`.
///
/// # Errors
/// The folder is not there, or no thread can be had.
pub fn dump_at(
    percent: Percent,
    folder: &Path,
    keep: usize,
    mut tell: impl FnMut(Result<PathBuf, String>) + Send + 'static,
) -> io::Result<Threshold> {
    let folder = fs::canonicalize(folder)?;
    let (stop, stopped) = mpsc::channel::<()>();
    let mut files = Files::new(folder, keep);
    let mut crossing = Crossing::default();
    let body = move || {
        while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            let Some((used, limit)) = memory() else {
                continue;
            };
            if crossing.is_new(used, percent.of(limit)) {
                let file = files.next();
                let written = profile::dump(&file).map_err(|failed| failed.why);
                tell(files.settle(file, written));
            }
        }
    };
    let thread = thread::Builder::new()
        .name("jemoxide-dump".to_owned())
        .spawn(body)?;
    Ok(Threshold {
        stop: Some(stop),
        thread: Some(thread),
    })
}

/// Bytes used, and the limit with the least left (L1).
fn memory() -> Option<(u64, u64)> {
    let heap = jemoxide::limits();
    let container = jemoxide::api::container();
    let own = [heap.soft, heap.hard].map(|limit| (heap.used as u64, limit as u64));
    let outer = (container.memory_used, container.memory_limit.unwrap_or(0));
    let all = own.into_iter().chain([outer]);
    all.filter(|&(_, limit)| limit > 0)
        .min_by_key(|&(used, limit)| limit.saturating_sub(used))
}

/// Whether the threshold has been passed since memory was last well below it.
#[derive(Debug, Default)]
struct Crossing {
    is_above: bool,
}

impl Crossing {
    fn is_new(&mut self, used: u64, threshold: u64) -> bool {
        let was_above = self.is_above;
        let (part, whole) = REARM;
        let below = (u128::from(threshold) * u128::from(part) / u128::from(whole)) as u64;
        self.is_above = used >= if was_above { below } else { threshold };
        self.is_above && !was_above
    }
}

/// The files that were written (L2).
struct Files {
    folder: PathBuf,
    keep: usize,
    number: u64,
    there: VecDeque<PathBuf>,
}

impl Files {
    fn new(folder: PathBuf, keep: usize) -> Self {
        Self {
            folder,
            keep: keep.max(1),
            number: 0,
            there: VecDeque::new(),
        }
    }

    /// The name of the next one.
    fn next(&mut self) -> PathBuf {
        let name = format!("threshold.{}.{}.heap", std::process::id(), self.number);
        self.number += 1;
        self.folder.join(name)
    }

    /// Makes room once `file` was written; when it could not be, nothing else is lost.
    fn settle(&mut self, file: PathBuf, written: Result<(), String>) -> Result<PathBuf, String> {
        // Files that somebody else has taken are no concern, in both cases.
        if let Err(why) = written {
            let _ = fs::remove_file(file);
            return Err(why);
        }
        self.there.push_back(file.clone());
        while self.there.len() > self.keep {
            if let Some(oldest) = self.there.pop_front() {
                let _ = fs::remove_file(oldest);
            }
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_dump_for_each_crossing() {
        let mut crossing = Crossing::default();
        let seen = [50, 89, 90, 95, 88, 91, 84, 80, 92, 99];
        let new: Vec<_> = seen
            .iter()
            .filter(|&&used| crossing.is_new(used, 90))
            .collect();
        assert_eq!(new, [&90, &92], "88 is not well below 90, 80 is");
        assert_eq!(
            Percent::new(90).map(|percent| percent.of(u64::MAX)),
            Some(16602069666338596453)
        );
        assert!(Percent::new(0).is_none() && Percent::new(101).is_none());
    }

    #[test]
    fn the_oldest_file_makes_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = Files::new(folder.path().to_owned(), 2);
        for _ in 0..5 {
            let file = files.next();
            fs::write(&file, "x").expect("writable");
            files.settle(file, Ok(())).expect("written");
        }
        // Two that fail, one of them half written.
        for begun in [true, false] {
            let file = files.next();
            if begun {
                fs::write(&file, "x").expect("writable");
            }
            files
                .settle(file, Err("disk full".to_owned()))
                .expect_err("failed");
        }
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .expect("ours")
            .map(|entry| {
                entry
                    .expect("ours")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        left.sort();
        let name = |number| format!("threshold.{}.{number}.heap", std::process::id());
        assert_eq!(left, [name(3), name(4)]);
    }
}
