//! Stacks: from a dump that the process wrote to its hottest stacks, beside the watch.
//!
//! K1  A thread of its own reads and symbolises: debug information of a large program takes seconds.
//! K2  The dump was written for us: it is removed once it has been read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use jemoxide_profile::symbols::{Fold, Options, symbolize};
use jemoxide_profile::{Measure, Profile};

use crate::live::Subject;

/// Stacks that are kept.
const MOST: usize = 100;

/// A stack, and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HotStack {
    /// Estimated live bytes.
    pub(super) bytes: f64,
    /// Estimated live objects.
    pub(super) objects: f64,
    /// Functions, the one that allocates first.
    pub(super) frames: Vec<String>,
}

/// What a dump showed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picture {
    /// The hottest first.
    pub(super) stacks: Vec<HotStack>,
    /// Estimated live bytes of all stacks.
    pub(super) total: f64,
    /// Where it could not be read: why.
    pub(super) why_not: Option<String>,
}

/// The reader of dumps.
pub(super) struct Stacks {
    dump: PathBuf,
    root: PathBuf,
    told: (Sender<Picture>, Receiver<Picture>),
    is_busy: bool,
}

impl Stacks {
    pub(super) fn new(subject: &Subject, dump: PathBuf) -> Self {
        let root = match subject {
            Subject::Process(pid) => PathBuf::from(format!("/proc/{pid}/root")),
            Subject::File(_) => PathBuf::from("/"),
        };
        Self {
            dump,
            root,
            told: mpsc::channel(),
            is_busy: false,
        }
    }

    /// Whether a dump is being read.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins to read the dump, which is there.
    pub(super) fn read(&mut self) {
        let (dump, root, teller) = (self.dump.clone(), self.root.clone(), self.told.0.clone());
        let body = move || {
            // Who has left does not want to know.
            let _ = teller.send(picture(&dump, root));
        };
        self.is_busy = thread::Builder::new().spawn(body).is_ok();
    }

    /// What was read, once.
    pub(super) fn take(&mut self) -> Option<Picture> {
        let picture = self.told.1.try_recv().ok()?;
        self.is_busy = false;
        Some(picture)
    }
}

fn picture(dump: &Path, root: PathBuf) -> Picture {
    let read = Profile::read_file(dump);
    let _ = fs::remove_file(dump);
    match read {
        Ok(mut profile) => {
            let options = Options {
                root,
                ..Options::default()
            };
            symbolize(&mut profile, &options, &mut |_| {});
            profile.hide_allocator(Fold::Allocator);
            hottest(&profile)
        }
        Err(why) => Picture {
            stacks: Vec::new(),
            total: 0.0,
            why_not: Some(why.to_string()),
        },
    }
}

fn hottest(profile: &Profile) -> Picture {
    let mut stacks: Vec<_> = profile
        .stacks()
        .iter()
        .filter(|stack| stack.live.bytes > 0.0)
        .collect();
    stacks.sort_by(|a, b| b.live.bytes.total_cmp(&a.live.bytes));
    stacks.truncate(MOST);
    let told = |stack: &&jemoxide_profile::Stack| HotStack {
        bytes: stack.live.bytes,
        objects: stack.live.objects,
        frames: profile
            .frames(stack)
            .map(|frame| frame.name().into_owned())
            .collect(),
    };
    Picture {
        stacks: stacks.iter().map(told).collect(),
        total: profile.total(Measure::Live).bytes,
        why_not: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_come_first_and_a_dump_that_was_read_is_gone() {
        let folder = tempfile::tempdir().expect("a directory");
        let dump = folder.path().join("x.heap");
        fs::write(&dump, "main;small 10\nmain;large 4096\n").expect("writable");
        let picture = picture(&dump, "/".into());
        assert_eq!(picture.total, 4106.0);
        assert_eq!(picture.stacks[0].frames, ["large", "main"]);
        assert!(!dump.exists());
        let none = super::picture(&dump, "/".into());
        assert!(none.stacks.is_empty() && none.why_not.is_some());
    }
}
