//! Channel: a file in which a living process shows its figures, and takes requests.
//!
//! ```text
//! control:PATH ───────────────┐
//! control_signal: handler ────┼─> OPEN ──> purge thread ──> PATH.PID: figures out, requests in (stats::live)
//! jemoxide.control, Rust ─────┘              │
//!                                            └─ its descriptor is how others find the file: /proc/PID/task/TID/fd
//! ```
//! G1  Closed unless somebody asked for it, and never open in a process with raised rights. One that is closed costs a
//!     look at one byte where the purge thread might be wanted.
//! G2  The file is made for the owner alone, through no symbolic link, and never mapped: cut off, overwritten or removed
//!     it does no harm (rules X1 and X2 of `sys::shared`). Nothing that others write into it is an address or a length.
//! G3  The file is held open by the purge thread alone, in its own table of descriptors, and there as long as the channel
//!     is open. Where the system has no such tables (before Linux 5.9), opening is refused.
//! G4  A forked child has no part in its parent's file: its own purge thread, which comes once the child allocates, makes one
//!     of its own.
//! G5  The handler of the signal takes no lock and makes no file: it says so to the purge thread, and starts it.
//! G6  The file goes when the process leaves through `exit`, and when the channel is closed. One that was killed leaves its
//!     last figures.
//! Lock: channel, rank 0; held while a file is made.

mod figures;
mod service;

pub(super) use service::Service;
use service::Shown;

use super::{boot, purger};
use crate::ds::text::Line;
use crate::options::{Options, PATH_MAX};
use crate::stats::live::FILE_BYTES;
use crate::sync::Mutex;
use crate::sys::shared::{self, Identity, SharedFile};
use crate::sys::{bare, process, signal};
use crate::thread::{self, passage::Passage};
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the longest name: the path, a dot, a number, the end.
const NAME: usize = PATH_MAX + 16;
/// Where the signal opens it if `control` does not say.
const DEFAULT_BASE: &[u8] = b"/tmp/jemoxide";
/// Signals that are answers to faults, that nobody can take, or that the C library keeps.
pub(super) const UNFIT: [c_int; 11] = [
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGKILL,
    libc::SIGSEGV,
    libc::SIGCHLD,
    libc::SIGSTOP,
    32,
    33,
];

/// Whether there is a file, or is to be one.
#[unsafe(link_section = ".data.jemoxide_start")]
static OPEN: AtomicBool = AtomicBool::new(false);
/// Whether what is needed besides the file is to be seen to: the thread, and the call at exit.
#[unsafe(link_section = ".data.jemoxide_start")]
static ARM_DUE: AtomicBool = AtomicBool::new(false);
static AT_EXIT: AtomicBool = AtomicBool::new(false);

struct State {
    base: [u8; PATH_MAX],
    base_len: usize,
    /// The name of the file that was made last, a C text; empty before.
    name: [u8; NAME],
    /// Which file that is. `None`: there is none.
    file: Option<Identity>,
    /// The process that made it.
    process: u32,
    /// Files made so far.
    made: u32,
}

static STATE: Mutex<State, 0> = Mutex::new(State {
    base: [0; PATH_MAX],
    base_len: 0,
    name: [0; NAME],
    file: None,
    process: 0,
    made: 0,
});

/// What is shown is put together here.
static SHOWN: Shown = Shown::new();

/// The purge thread's end of the channel.
///
/// # Safety
/// There is no other in this process.
pub(super) unsafe fn service() -> Service<'static> {
    // SAFETY: the caller's promise.
    Service::new(unsafe { &mut *SHOWN.place() })
}

/// Why it cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// The process has more rights than who started it.
    Rights,
    /// The path is too long, or no C text.
    Path,
    /// The system has no table of descriptors for a thread (G3).
    System,
    /// The file cannot be made.
    File,
}

impl Refused {
    /// In a few words, with the cure.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Rights => "not in a process with raised rights",
            Self::Path => "the path is too long; 200 bytes fit",
            Self::System => "it needs Linux 5.9 or later, or close_range allowed by the sandbox",
            Self::File => {
                "the file cannot be made; name a folder that exists and where this user may write"
            }
        }
    }
}

/// Does what the options say. Called once, by the boot.
pub(super) fn prepare(options: &Options) {
    if !options.control.is_empty() || options.control_signal != 0 {
        begin(options);
    }
}

#[cold]
#[inline(never)]
fn begin(options: &Options) {
    let base = match options.control {
        b"" => DEFAULT_BASE,
        base => base,
    };
    ARM_DUE.store(true, Ordering::Relaxed);
    let mut line = Line::new();
    if options.control_signal == 0 {
        let Err(why) = open(base) else { return };
        line.text("<jemoxide>: control:").bytes(base);
        line.text(" is not open: ").text(why.text());
    } else {
        let number = options.control_signal as c_int;
        let kept = may_open().and_then(|()| STATE.lock().keep(base));
        let why = match kept {
            Err(why) => why.text(),
            Ok(()) if UNFIT.contains(&number) => "it cannot be used; 10 is SIGUSR1, 12 SIGUSR2",
            Ok(()) if !signal::handle(number, on_signal) => {
                "the program handles it, or ignores it; choose another"
            }
            Ok(()) => return,
        };
        line.text("<jemoxide>: control_signal:")
            .decimal(options.control_signal);
        line.text(" has no effect: ").text(why);
    }
    process::write_error(line.text("\n").as_bytes());
}

/// Rule G5.
extern "C" fn on_signal(_: c_int) {
    OPEN.store(true, Ordering::Relaxed);
    purger::start();
    purger::hurry();
}

/// Whether the channel is open, or to be opened by the purge thread.
pub(super) fn is_open() -> bool {
    OPEN.load(Ordering::Relaxed)
}

/// There is nobody to serve it (G3).
pub(super) fn give_up() {
    OPEN.store(false, Ordering::Relaxed);
}

/// Has the purge thread started, where the channel is open, and the file removed at exit. May allocate from us; called
/// outside the gate.
#[inline]
pub(crate) fn arm() {
    if ARM_DUE.load(Ordering::Relaxed) && ARM_DUE.swap(false, Ordering::Relaxed) {
        arm_now();
    }
}

#[cold]
#[inline(never)]
fn arm_now() {
    if !AT_EXIT.swap(true, Ordering::Relaxed) && !process::at_exit(end) {
        AT_EXIT.store(false, Ordering::Relaxed);
    }
    if is_open() {
        purger::start();
        purger::hurry();
    }
}

extern "C" fn end() {
    let _passage = Passage::enter(thread::current().cache());
    close();
}

/// Opens the channel at `base`, the process's number and a dot behind it; one that was open elsewhere goes. Called inside a
/// passage; [`arm`] is to follow.
pub(crate) fn open(base: &[u8]) -> Result<(), Refused> {
    may_open()?;
    let mut state = STATE.lock();
    state.remove();
    let opened = state.keep(base).and_then(|()| state.make());
    OPEN.store(opened.is_ok(), Ordering::Relaxed);
    ARM_DUE.store(true, Ordering::Relaxed);
    opened
}

/// Closes the channel; the file goes. Called inside a passage.
pub(crate) fn close() {
    let mut state = STATE.lock();
    OPEN.store(false, Ordering::Relaxed);
    state.remove();
}

/// The name of the file, empty where there is none; the next channel's takes its place.
pub(super) fn name() -> *const c_char {
    let mut state = STATE.lock();
    if !is_open() || state.process != process::id() || state.file.is_none() {
        // A child's is made by its own thread (G4).
        state.name[0] = 0;
    }
    state.name.as_ptr().cast()
}

fn may_open() -> Result<(), Refused> {
    match () {
        () if process::has_raised_rights() => Err(Refused::Rights),
        () if !bare::can_own_files() => Err(Refused::System),
        () => Ok(()),
    }
}

impl State {
    /// Notes where files are to be made.
    fn keep(&mut self, base: &[u8]) -> Result<(), Refused> {
        let place = self.base.get_mut(..base.len()).ok_or(Refused::Path)?;
        if base.is_empty() || base.contains(&0) {
            return Err(Refused::Path);
        }
        place.copy_from_slice(base);
        self.base_len = base.len();
        Ok(())
    }

    /// Makes the file of this process.
    fn make(&mut self) -> Result<(), Refused> {
        let mut line = Line::new();
        line.bytes(&self.base[..self.base_len])
            .text(".")
            .decimal(process::id() as usize)
            .text("\0");
        let name = line.as_bytes();
        let place = self.name.get_mut(..name.len()).ok_or(Refused::Path)?;
        place.copy_from_slice(name);
        self.process = process::id();
        self.made = self.made.wrapping_add(1);
        self.file = self
            .c_name()
            .and_then(|name| SharedFile::create(name, FILE_BYTES)?.identity());
        self.file.map(|_| ()).ok_or(Refused::File)
    }

    /// Takes this process's file away.
    fn remove(&mut self) {
        let ours = self.process == process::id() && self.file.take().is_some();
        if let Some(name) = self.c_name().filter(|_| ours) {
            shared::remove(name);
        }
    }

    fn c_name(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.name).ok()
    }

    /// The file, opened for the purge thread; made where this process has none yet (G4, G5).
    fn open_file(&mut self) -> Option<SharedFile> {
        let known = self.file.filter(|_| self.process == process::id());
        let file = known.and_then(|known| SharedFile::open(self.c_name()?, known));
        if file.is_some() {
            return file;
        }
        // Also one that is not for us any more, as the process has another user now.
        self.make().ok()?;
        SharedFile::open(self.c_name()?, self.file?)
    }
}

/// Puts the file's name and `suffix` into `place`; bytes of both, 0 where there is no file.
fn name_with(suffix: &[u8], place: &mut [u8]) -> usize {
    let state = STATE.lock();
    let name = state.c_name().filter(|_| state.file.is_some());
    let parts = [name.map_or(&b""[..], CStr::to_bytes), suffix];
    let len = parts[0].len() + suffix.len();
    if parts[0].is_empty() || len > place.len() {
        return 0;
    }
    let bytes = parts.into_iter().flatten();
    for (to, &from) in place.iter_mut().zip(bytes) {
        *to = from;
    }
    len
}

/// The file for the purge thread, and its number among those that were made, unless it has that number already.
fn file_after(number: Option<u32>) -> Option<(SharedFile, u32)> {
    let mut state = STATE.lock();
    if number == Some(state.made) && state.process == process::id() {
        return None;
    }
    let file = state.open_file();
    if file.is_none() {
        // It cannot be had, now or later: nobody is to try ten times a second.
        give_up();
    }
    Some((file?, state.made))
}
