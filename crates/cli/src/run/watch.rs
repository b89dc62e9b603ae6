//! Watch: what the system says about a child's memory while it lives.
//!
//! A thread looks at the resident set forty times a second, and at the list of mappings when it has grown: the highest
//! such list is kept. Reading a list takes the child's time too, so looks are at least twenty times as far apart as
//! the last one took.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jemoxide::stats::maps::{Content, Maps};

const PERIOD: Duration = Duration::from_millis(25);
const REST: u32 = 20;

/// A child's memory by mappings. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) rss: u64,
    pub(crate) stacks: u64,
    pub(crate) files: u64,
}

/// A watch that goes on until it is ended.
pub(crate) struct Watch {
    _stop: Sender<()>,
    thread: JoinHandle<Option<View>>,
}

impl Watch {
    /// Begins to watch process `pid`. `None`: no thread to be had.
    pub(crate) fn start(pid: u32) -> Option<Self> {
        let (_stop, stopped) = mpsc::channel::<()>();
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let body = move || {
            let mut highest: Option<View> = None;
            let mut pause = PERIOD;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                let known = highest.map_or(0, |view| view.rss);
                let grown = is_started(&folder) && resident(&folder) > known;
                if let Some(view) = grown.then(|| view(&folder)).flatten() {
                    if view.rss > known {
                        highest = Some(view);
                    }
                }
                pause = PERIOD.max(begun.elapsed() * REST);
            }
            highest
        };
        let thread = thread::Builder::new().spawn(body).ok()?;
        Some(Self { _stop, thread })
    }

    /// Ends it; the highest view there was.
    pub(crate) fn end(self) -> Option<View> {
        let Self { _stop, thread } = self;
        drop(_stop);
        thread.join().ok().flatten()
    }
}

/// Whether the process runs its own program: before that it is a copy of this one.
fn is_started(folder: &std::path::Path) -> bool {
    let program = |folder: &std::path::Path| fs::read_link(folder.join("exe")).ok();
    let theirs = program(folder);
    theirs.is_some() && theirs != program(std::path::Path::new("/proc/self"))
}

/// Bytes resident, by the system's short list; 0: it does not tell.
fn resident(folder: &std::path::Path) -> u64 {
    let text = fs::read_to_string(folder.join("statm")).unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    // SAFETY: a question without arguments in memory.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0u64).saturating_mul(page.max(0) as u64)
}

fn view(folder: &std::path::Path) -> Option<View> {
    let text = fs::read(folder.join("smaps")).ok()?;
    let mut maps = Maps::new();
    let mut view = View::default();
    let mut add = |mapping: &jemoxide::stats::maps::Mapping| {
        view.rss = view.rss.saturating_add(mapping.rss);
        let part = match mapping.content {
            Content::File => &mut view.files,
            Content::FirstStack | Content::Guarded => &mut view.stacks,
            // The heap may lie in any of these.
            Content::BehindFile | Content::Anonymous => return,
        };
        *part = part.saturating_add(mapping.rss);
    };
    maps.feed(&text, &mut add);
    maps.finish(&mut add);
    (view.rss > 0).then_some(view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_living_process_is_seen() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .expect("starts");
        let folder = PathBuf::from(format!("/proc/{}", child.id()));
        while !is_started(&folder) {
            thread::yield_now();
        }
        // Its program has begun, but may not have touched a page of its files yet.
        let seen = (0..6000).find_map(|_| {
            thread::sleep(Duration::from_millis(5));
            view(&folder).filter(|seen| seen.files > 0)
        });
        child.kill().expect("ours");
        child.wait().expect("ours");
        let seen = seen.expect("readable");
        assert!(seen.rss >= seen.files + seen.stacks, "{seen:?}");
        assert_eq!(view(&folder), None);
    }

    #[test]
    fn a_watch_ends_when_it_is_told_to() {
        let watch = Watch::start(u32::MAX).expect("a thread");
        assert_eq!(watch.end(), None);
    }
}
