//! Find: from a process's number, or a file, to its live channel.
//!
//! ```text
//! PID   /proc/PID/task/*/comm = jemoxide-purge ──> .../fd/* ──open──> the very file, whatever its name is here
//! FILE  ──open──> the file itself: for processes that this one cannot see, in another container
//! ```
//! P1  The descriptor of the process is opened, not a path: in a container the path means another place, and where
//!     somebody has put another file there, it is not the process's.
//! P2  Where the process writes heap profiles is a path: `/proc/PID/root` before it leads into its container. It is taken
//!     only if the channel's own path, seen the same way, is the file that the process has open.
//! P3  A process may have any file open, another user's as well, and this command may run as root: one of a process is taken
//!     only if it is the process's own user's, private (0600) and as long as a channel. It is looked at before it is opened,
//!     and opened for reading; `channel` tells when it is written.
//! P4  Whoever may not look into the process is told so, and a process without a channel how to open one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jemoxide::stats::live::FILE_BYTES;

use super::channel::{Channel, Keeper, again};
use crate::failure::Failure;

/// The name of the thread that has the channel open.
const THREAD: &str = "jemoxide-purge";
/// From one look for a channel to the next.
const PAUSE: Duration = Duration::from_millis(50);

/// Whose channel it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A process, by its number here.
    Process(u32),
    /// A file whose process may be anywhere.
    File(PathBuf),
}

impl Subject {
    /// What a person wrote: digits alone are a process.
    pub(crate) fn of(text: &Path) -> Self {
        let number = text.to_str().and_then(|text| text.parse().ok());
        number.map_or_else(|| Self::File(text.to_owned()), Self::Process)
    }

    /// What to call it, in at most a few words.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Process(pid) => {
                let name = fs::read_to_string(proc(*pid).join("comm")).unwrap_or_default();
                format!("{pid} {}", name.trim_end())
            }
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Whether the process is there, as far as can be told: one behind a file always is.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Process(pid) => is_running(*pid),
            Self::File(_) => true,
        }
    }
}

/// How long a channel that is not there yet is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting {
    /// Long enough for a process that has just been told to open it.
    Briefly,
    /// As long as the process is there, at most so long.
    AtMost(Duration),
}

/// A channel that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) subject: Subject,
    pub(crate) channel: Channel,
}

/// Finds the channel of `subject`.
pub(crate) fn find(subject: &Subject, waiting: Waiting) -> Result<Found, Failure> {
    let channel = match subject {
        Subject::Process(pid) => of_process(*pid, waiting)?,
        Subject::File(path) => of_file(path)?,
    };
    Ok(Found {
        subject: subject.clone(),
        channel,
    })
}

fn of_file(path: &Path) -> Result<Channel, Failure> {
    let file = open(path).map_err(|why| {
        let shown = path.display();
        Failure::misuse(match why.kind() {
            io::ErrorKind::NotFound => format!(
                "there is no file {shown}; say a process's number, or the file that its option control names, with a dot \
                 and its process id behind."
            ),
            io::ErrorKind::PermissionDenied => {
                format!("{shown} is another user's; run this as that user or as root.")
            }
            _ => format!("{shown} cannot be opened: {why}."),
        })
    })?;
    let mut dump = path.as_os_str().to_owned();
    dump.push(".heap");
    Ok(Channel::new(file, dump.into(), Keeper::Unseen))
}

fn of_process(pid: u32, waiting: Waiting) -> Result<Channel, Failure> {
    let most = match waiting {
        Waiting::Briefly => Duration::from_millis(500),
        Waiting::AtMost(most) => most,
    };
    let begun = Instant::now();
    loop {
        if !is_running(pid) {
            return Err(Failure::misuse(format!("there is no process {pid}.")));
        }
        match look(pid) {
            Ok(Some(channel)) => return Ok(channel),
            Ok(None) => {}
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Failure::misuse(format!(
                    "process {pid} does not belong to this user, or gave up its rights: run this as root (sudo)."
                )));
            }
            // It came or went while we looked.
            Err(_) => {}
        }
        if begun.elapsed() > most {
            return Err(Failure::misuse(how_to_open(pid)));
        }
        thread::sleep(PAUSE);
    }
}

/// Whether the process is there and not a mere entry that its parent has yet to read.
pub(super) fn is_running(pid: u32) -> bool {
    let told = fs::read_to_string(proc(pid).join("stat")).unwrap_or_default();
    let state = told
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim_start().chars().next());
    state.is_some_and(|state| !"ZXx".contains(state))
}

/// The channel that the process has open. `None`: it has none.
fn look(pid: u32) -> io::Result<Option<Channel>> {
    for task in fs::read_dir(proc(pid).join("task"))? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        if name.trim_end() != THREAD {
            continue;
        }
        for descriptor in fs::read_dir(task.join("fd"))? {
            let link = descriptor?.path();
            let Ok(name) = fs::read_link(&link) else {
                continue;
            };
            // Files of the system's that the thread reads now and then are no concern.
            if name.starts_with("/proc") || name.starts_with("/sys") {
                continue;
            }
            let Some(file) = own_file(pid, &link)? else {
                continue;
            };
            let dump = dump_path(pid, &name, &file);
            return Ok(Some(Channel::new(file, dump, Keeper::Process(pid))));
        }
    }
    Ok(None)
}

/// Rule P3.
fn own_file(pid: u32, link: &Path) -> io::Result<Option<File>> {
    // A mere handle: nothing happens to what is behind it, be it a device or a pipe.
    let handle = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(link)?;
    let (told, owner) = (handle.metadata()?, fs::metadata(proc(pid))?.uid());
    let is_channels = told.is_file()
        && told.uid() == owner
        && told.mode() & 0o7777 == 0o600
        && told.size() == FILE_BYTES as u64;
    is_channels.then(|| again(&handle, false)).transpose()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

/// Rule P2.
fn dump_path(pid: u32, name: &Path, file: &File) -> PathBuf {
    let inside = proc(pid)
        .join("root")
        .join(name.strip_prefix("/").unwrap_or(name));
    let is_same = |path: &Path| {
        let (there, here) = (fs::symlink_metadata(path).ok(), file.metadata().ok());
        let of = |told: fs::Metadata| (told.dev(), told.ino());
        there.is_some() && there.map(of) == here.map(of)
    };
    let base = if is_same(&inside) {
        inside
    } else {
        name.to_owned()
    };
    let mut path = base.into_os_string();
    path.push(".heap");
    path.into()
}

/// Rule P4.
fn how_to_open(pid: u32) -> String {
    let maps = fs::read_to_string(proc(pid).join("maps")).unwrap_or_default();
    let environment = fs::read(proc(pid).join("environ")).unwrap_or_default();
    let options = environment
        .split(|&byte| byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .filter_map(|entry| {
            let (name, value) = entry.split_once('=')?;
            ["JEMOXIDE_CONF", "MALLOC_CONF", "_RJEM_MALLOC_CONF"]
                .contains(&name)
                .then_some(value)
        })
        .flat_map(|value| value.split(','));
    let signal = options
        .filter_map(|option| option.strip_prefix("control_signal:"))
        .next_back()
        .filter(|&number| number != "0");
    if let Some(number) = signal {
        return format!(
            "process {pid} opens its live channel on signal {number}: kill -{number} {pid}, then try again."
        );
    }
    let is_on_it = maps.contains("libjemoxide");
    let start = if is_on_it {
        "Start it with JEMOXIDE_CONF=control:/tmp/jemoxide"
    } else {
        "If it is on jemoxide at all, start it with JEMOXIDE_CONF=control:/tmp/jemoxide"
    };
    format!(
        "process {pid} has no live channel open. {start}, or with control_signal:12 to open it when kill -12 asks for it; \
         or let the program call jemoxide::open_channel, or write a path to jemoxide.control by mallctl. To start a \
         program and watch it: jemoxide top --run PROGRAM."
    )
}

fn proc(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_process_and_anything_else_a_file() {
        assert_eq!(Subject::of(Path::new("4711")), Subject::Process(4711));
        let file = |text: &str| Subject::File(text.into());
        assert_eq!(Subject::of(Path::new("/tmp/x.12")), file("/tmp/x.12"));
        assert_eq!(Subject::of(Path::new("-3")), file("-3"));
    }

    #[test]
    fn a_processs_file_is_taken_only_when_it_is_like_a_channels() {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::PermissionsExt;
        let pid = std::process::id();
        let file = tempfile::tempfile().expect("a file");
        let link = proc(pid).join(format!("fd/{}", file.as_raw_fd()));
        let is_taken = || own_file(pid, &link).expect("readable").is_some();
        file.set_permissions(fs::Permissions::from_mode(0o600))
            .expect("ours");
        file.set_len(40_000).expect("writable");
        assert!(!is_taken(), "another length");
        file.set_len(FILE_BYTES as u64).expect("writable");
        assert!(is_taken());
        file.set_permissions(fs::Permissions::from_mode(0o644))
            .expect("ours");
        assert!(!is_taken(), "others may read it");
        let null = File::open("/dev/null").expect("there");
        let link = proc(pid).join(format!("fd/{}", null.as_raw_fd()));
        assert!(own_file(pid, &link).expect("readable").is_none());
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let tell = |subject: Subject| {
            find(&subject, Waiting::Briefly)
                .expect_err("none there")
                .message()
                .to_owned()
        };
        let own = tell(Subject::Process(std::process::id()));
        assert!(
            own.contains("no live channel") && own.contains("control:"),
            "{own}"
        );
        let none = tell(Subject::Process(u32::MAX));
        assert!(none.contains("no process"), "{none}");
        let none = tell(Subject::File("/no/such.1".into()));
        assert!(none.contains("there is no file"), "{none}");
    }
}
