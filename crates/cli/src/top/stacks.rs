//! Stacks: from a dump that the process wrote to its hottest stacks, beside the watch.
//!
//! K1  A thread of its own reads and symbolises: debug information of a large program takes seconds.
//! K2  The dump was written for us: it is removed once it has been read.
//! K3  Its path belongs to the process, which may put anything there, and this command may run as root: only a regular file
//!     of the user who keeps the channel is read and removed, no link is followed, and no pipe waited for.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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
    owner: Option<u32>,
    root: PathBuf,
    told: (Sender<Picture>, Receiver<Picture>),
    is_busy: bool,
}

impl Stacks {
    pub(super) fn new(subject: &Subject, dump: PathBuf) -> Self {
        let (root, kept) = match subject {
            Subject::Process(pid) => (
                PathBuf::from(format!("/proc/{pid}/root")),
                PathBuf::from(format!("/proc/{pid}")),
            ),
            Subject::File(path) => (PathBuf::from("/"), path.clone()),
        };
        let owner = fs::symlink_metadata(kept).ok().map(|told| told.uid());
        Self {
            dump,
            owner,
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
        let owner = self.owner;
        let body = move || {
            // Who has left does not want to know.
            let _ = teller.send(picture(&dump, owner, root));
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

fn picture(dump: &Path, owner: Option<u32>, root: PathBuf) -> Picture {
    let read = open(dump, owner)
        .map_err(|why| format!("{}: {why}", dump.display()))
        .and_then(|file| {
            let read = Profile::read_from(&file).map_err(|why| why.in_file(dump).to_string());
            remove(dump, &file);
            read
        });
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
            why_not: Some(why),
        },
    }
}

/// Rule K3.
fn open(dump: &Path, owner: Option<u32>) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(dump)?;
    let told = file.metadata()?;
    if !told.is_file() || Some(told.uid()) != owner {
        return Err(io::Error::other("not a file of the process's user"));
    }
    Ok(file)
}

/// Removes `dump` if it is still the file that was read. What cannot be removed is written over by the next one.
fn remove(dump: &Path, read: &File) {
    let of = |told: fs::Metadata| (told.dev(), told.ino());
    let there = fs::symlink_metadata(dump).ok().map(of);
    if there.is_some() && there == read.metadata().ok().map(of) {
        let _ = fs::remove_file(dump);
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
        let owner = Some(fs::metadata(&dump).expect("there").uid());
        let picture = picture(&dump, owner, "/".into());
        assert_eq!(picture.total, 4106.0);
        assert_eq!(picture.stacks[0].frames, ["large", "main"]);
        assert!(!dump.exists());
        let none = super::picture(&dump, owner, "/".into());
        assert!(none.stacks.is_empty() && none.why_not.is_some());
    }

    #[test]
    fn links_pipes_and_files_of_others_are_neither_read_nor_removed() {
        let folder = tempfile::tempdir().expect("a directory");
        let (file, dump) = (folder.path().join("precious"), folder.path().join("x.heap"));
        fs::write(&file, "main 10\n").expect("writable");
        let owner = fs::metadata(&file).expect("there").uid();
        std::os::unix::fs::symlink(&file, &dump).expect("writable");
        let is_refused = |dump: &Path, owner| {
            let told = picture(dump, Some(owner), "/".into());
            told.why_not.is_some() && fs::symlink_metadata(dump).is_ok()
        };
        assert!(is_refused(&dump, owner), "a link");
        assert!(is_refused(&file, owner ^ 1), "another's");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo").success());
        assert!(is_refused(&pipe, owner), "a pipe");
        assert!(file.exists());
    }
}
