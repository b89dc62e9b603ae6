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
//!     of its own, with a name of its own ([`forget`]).
//! G5  The handler of the signal takes no lock and makes no file: it says so to the purge thread, and starts it.
//! G6  The file goes when the process leaves through `exit`, and when the channel is closed. One that was killed, or left by
//!     `_exit`, leaves its last figures; forked children's go sooner (rule N2 of `family`).
//! G7  Who wants another path has it, or keeps the channel that was open.
//! G8  What takes as long as a folder is, as looking for files that nobody keeps, is done outside the gate ([`arm`]).
//! G9  A file that others may read or write, by the file system's doing or somebody's, is not written.
//! Lock: channel, rank 0; held while a file is made.

mod family;
mod figures;
mod service;

pub(super) use service::Service;

use family::{Family, NAME, Name};
use service::Shown;

use super::{boot, purger};
use crate::ds::text::Line;
use crate::options::Options;
use crate::stats::live::FILE_BYTES;
use crate::sync::Mutex;
use crate::sys::shared::{self, Identity, SharedFile};
use crate::sys::{bare, process, signal};
use crate::thread::{self, CacheRef, passage::Passage};
use core::ffi::{CStr, c_char, c_int};
use core::sync::atomic::{AtomicBool, Ordering};

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
/// Whether what is needed besides the file is to be seen to: the thread, the call at exit, a sweep.
#[unsafe(link_section = ".data.jemoxide_start")]
static ARM_DUE: AtomicBool = AtomicBool::new(false);
/// Whether a file was to be made, ever: a child is to forget whose.
#[unsafe(link_section = ".data.jemoxide_start")]
static WAS_OPENED: AtomicBool = AtomicBool::new(false);
static AT_EXIT: AtomicBool = AtomicBool::new(false);

struct State {
    /// Where files are to be made.
    family: Family,
    /// The name of the file that was made last.
    name: Name,
    /// Which file that is. `None`: there is none.
    file: Option<Identity>,
    /// The process that made it.
    process: u32,
    /// Files made so far.
    made: u32,
    /// Whose files are to be swept (G8): the channel was closed, or left for another.
    left: Option<Family>,
}

static STATE: Mutex<State, 0> = Mutex::new(State {
    family: Family::NONE,
    name: [0; NAME],
    file: None,
    process: 0,
    made: 0,
    left: None,
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
    /// The path is relative, and nobody knows to what.
    Folder,
    /// The system has no table of descriptors for a thread (G3).
    System,
    /// The file cannot be made.
    File,
    /// The file system lets others at it (G9).
    Public,
}

impl Refused {
    /// In a few words, with the cure.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Rights => "not in a process with raised rights",
            Self::Path => {
                "the path is too long; 200 bytes fit, with the current folder before one that does not begin with /"
            }
            Self::Folder => "the current folder cannot be told; begin the path with /",
            Self::System => "it needs Linux 5.9 or later, or close_range allowed by the sandbox",
            Self::File => {
                "the file cannot be made; name a folder that exists and where this user may write"
            }
            Self::Public => {
                "the file system there keeps no file for its owner alone; name a folder on another"
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
    if options.control_signal == 0 {
        // What there is to be told has been told.
        let _ = open_or_tell(base);
        return;
    }
    let number = options.control_signal as c_int;
    let family = may_open().and_then(|()| Family::at(base));
    let why = match family {
        Err(why) => why.text(),
        Ok(_) if UNFIT.contains(&number) => "it cannot be used; 10 is SIGUSR1, 12 SIGUSR2",
        Ok(family) => {
            STATE.lock().family = family;
            if signal::handle(number, on_signal) {
                return;
            }
            "the program handles it, or ignores it; choose another"
        }
    };
    let mut line = Line::new();
    line.text("<jemoxide>: control_signal:")
        .decimal(options.control_signal);
    line.text(" has no effect: ").text(why).text("\n");
    process::write_error(line.as_bytes());
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

/// Has the purge thread started, where the channel is open, and the file removed at exit; sweeps what a channel that is closed
/// has left. May allocate from us; called outside the gate.
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
    sweep_left();
}

extern "C" fn end() {
    inside(close);
    sweep_left();
}

fn inside<R>(body: impl FnOnce() -> R) -> R {
    let _passage = Passage::enter(thread::current().cache());
    body()
}

/// Rule G8.
fn sweep_left() {
    if let Some(family) = inside(|| STATE.lock().left.take()) {
        sweep(&family);
    }
}

/// Takes away what ended children of `family` left. Called outside the gate.
fn sweep(family: &Family) {
    debug_assert!(
        !thread::current().cache().is_some_and(CacheRef::is_inside),
        "G8"
    );
    family.sweep();
}

/// Opens the channel at `base`, the process's number and a dot behind it; one that was open elsewhere goes, and stays where
/// this one cannot be opened (G7). Called inside a passage; [`arm`] is to follow.
pub(crate) fn open(base: &[u8]) -> Result<(), Refused> {
    may_open()?;
    let family = Family::at(base)?;
    STATE.lock().move_to(family)?;
    OPEN.store(true, Ordering::Relaxed);
    ARM_DUE.store(true, Ordering::Relaxed);
    Ok(())
}

/// The same for who hears no more than a number: a line on standard error says why it was not opened.
pub(crate) fn open_or_tell(base: &[u8]) -> Result<(), Refused> {
    open(base).inspect_err(|why| {
        let mut line = Line::new();
        line.text("<jemoxide>: control:").bytes(base);
        line.text(" is not open: ").text(why.text());
        if is_open() {
            line.text(" (the channel stays open where it was)");
        }
        process::write_error(line.text("\n").as_bytes());
    })
}

/// Closes the channel; the file goes. Called inside a passage; [`arm`] is to follow.
pub(crate) fn close() {
    let mut state = STATE.lock();
    OPEN.store(false, Ordering::Relaxed);
    state.remove();
    state.leave_family();
    state.family.close();
    ARM_DUE.store(true, Ordering::Relaxed);
}

/// In a forked child: the parent's file is not its own (G4), even if both are process 1, each of its namespace; nor is its
/// channel, open or given up, which a signal may open again.
pub(super) fn forget() {
    if WAS_OPENED.load(Ordering::Relaxed) {
        let mut state = STATE.lock();
        state.file = None;
        state.process = 0;
        state.family.inherit();
    }
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
    /// Has this process's file at `family` (G7).
    fn move_to(&mut self, mut family: Family) -> Result<(), Refused> {
        let own = process::id();
        family.open(own);
        let name = family.name(own);
        if self.process == own && self.name == name && self.open_known().is_some() {
            return Ok(());
        }
        let file = made(&name)?;
        if self.name != name {
            self.remove();
            self.leave_family();
        }
        self.family = family;
        self.note(name, file);
        Ok(())
    }

    /// What this process's children left is to be swept, if it has opened the channel (N2 of `family`).
    fn leave_family(&mut self) {
        if self.family.is_of(process::id()) {
            self.left = Some(self.family);
        }
    }

    /// Makes the file of this process: of one that the signal found, or of a forked child (G4, G5).
    fn make(&mut self) -> Result<(), Refused> {
        let own = process::id();
        self.family.open(own);
        let name = self.family.name(own);
        let file = made(&name);
        self.file = None;
        self.note(name, file?);
        Ok(())
    }

    fn note(&mut self, name: Name, file: Identity) {
        self.name = name;
        self.file = Some(file);
        self.process = process::id();
        self.made = self.made.wrapping_add(1);
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

    /// The file of this process that was made, opened again.
    fn open_known(&self) -> Option<SharedFile> {
        let known = self.file.filter(|_| self.process == process::id())?;
        SharedFile::open(self.c_name()?, known).filter(SharedFile::is_private)
    }

    /// The file, opened for the purge thread; made where this process has none yet (G4, G5).
    fn open_file(&mut self) -> Option<SharedFile> {
        if let Some(file) = self.open_known() {
            return Some(file);
        }
        // Also one that is not for us any more, as the process has another user now, or not for us alone (G9).
        self.make().ok()?;
        self.open_known()
    }
}

/// Makes the file `name`, in place of what was there.
fn made(name: &Name) -> Result<Identity, Refused> {
    WAS_OPENED.store(true, Ordering::Relaxed);
    let name = CStr::from_bytes_until_nul(name).map_err(|_| Refused::Path)?;
    let file = SharedFile::create(name, FILE_BYTES).ok_or(Refused::File)?;
    if !file.is_private() {
        shared::remove(name);
        return Err(Refused::Public);
    }
    file.identity().ok_or(Refused::File)
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

/// The file for the purge thread, its number among those that were made, and whose files are to be swept, unless it has that
/// number already.
fn file_after(number: Option<u32>) -> Option<(SharedFile, u32, Option<Family>)> {
    let mut state = STATE.lock();
    if number == Some(state.made) && state.process == process::id() {
        return None;
    }
    let file = state.open_file();
    if file.is_none() {
        // It cannot be had, now or later: nobody is to try ten times a second.
        give_up();
    }
    let is_child = !state.family.is_of(process::id());
    Some((file?, state.made, is_child.then_some(state.family)))
}
