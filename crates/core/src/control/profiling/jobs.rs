//! Jobs: what mallctl and Rust ask of the profiler that has to wait until the caller has left the gate.

use super::dump::{self, desk};
use super::file::{File, Origin};
use super::{arm, inside, names, want_exit};
use crate::control::mallctl::Refusal;
use crate::prof::desk::{Desk, PATH};
use crate::prof::{self, Info, LogText, RecentText};
use crate::sync::Mutex;
use crate::sys::output::Errno;
use crate::sys::process;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::with_exposed_provenance_mut;

/// Takes a piece of text: what it was given with it, and a C text.
pub(crate) type Writer = unsafe extern "C" fn(*mut c_void, *const c_char);

/// What is to be done. Addresses are numbers here; whoever makes a job vouches for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// The profiler was started: what is wanted at exit is registered.
    Arm,
    /// A profile at the C text with that address; 0: at a name of its own.
    Dump(usize),
    /// All samples are forgotten; from now on they are taken at that rate.
    Reset(Option<u32>),
    /// A log of lives is begun, to be written to the C text with that address; 0: to a name of its own.
    StartLog(usize),
    StopLog,
    /// The last samples as JSON, to the [`Writer`] with the first address, with the second for its first argument.
    Recents(usize, usize),
}

/// Where the log that is on goes.
struct Target {
    bytes: [u8; PATH],
    len: usize,
}

static LOG: Mutex<Target, 0> = Mutex::new(Target {
    bytes: [0; PATH],
    len: 0,
});

/// Does it. Called outside the gate, no lock held.
pub(crate) fn run(job: Job) -> Result<(), Refusal> {
    match job {
        Job::Arm => {
            arm();
            Ok(())
        }
        Job::Dump(0) if !names::has_prefix() => Err(Refusal::Failed),
        Job::Dump(0) => answer(dump::write(super::Trigger::Request).map(drop)),
        Job::Dump(path) => answer(dump::write_to(text(path), u64::MAX).map(drop)),
        Job::Reset(lg_sample) => reset(lg_sample),
        Job::StartLog(path) => start_log(path),
        Job::StopLog => stop_log(),
        Job::Recents(writer, word) => recents(writer, word),
    }
}

/// Writes a profile to `path`, of at most so many bytes, or to a name of its own: what mallctl cannot tell, with the reason.
pub(crate) fn dump_to(path: Option<(&[u8], u64)>) -> Result<(), Errno> {
    match path {
        Some((path, most)) => dump::write_to(path, most).map(drop),
        None if !names::has_prefix() => Err(Errno(libc::ENOENT)),
        None => dump::write(super::Trigger::Request).map(drop),
    }
}

/// Writes a profile to `path` for the live channel. Called outside the gate, by the purge thread. `false`: it could not be
/// written.
pub(crate) fn dump_for_channel(path: &[u8]) -> bool {
    dump::write_for_channel(path).is_ok()
}

fn answer(result: Result<(), Errno>) -> Result<(), Refusal> {
    result.map_err(|_| Refusal::Failed)
}

/// The C text at `address`.
fn text(address: usize) -> &'static [u8] {
    let text = with_exposed_provenance_mut::<c_char>(address);
    // SAFETY: whoever made the job vouches for a C text, which stays until the call returns.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

fn reset(lg_sample: Option<u32>) -> Result<(), Refusal> {
    // A dump that is under way would find nothing left.
    let _desk = desk().ok_or(Refusal::Failed)?;
    inside(|| prof::begin_reset(lg_sample));
    while inside(prof::clear_some) {}
    Ok(())
}

fn start_log(path: usize) -> Result<(), Refusal> {
    let mut desk = desk().ok_or(Refusal::Failed)?;
    if !inside(prof::is_logging) {
        // A fork may have cut the writing of the last one short.
        while inside(prof::drop_entry) {}
    }
    let target = desk.parts().1;
    match path {
        0 if inside(prof::is_logging) => return Err(Refusal::Failed),
        0 => names::log(target),
        path => {
            target.clear();
            target.bytes(text(path));
        }
    }
    inside(|| {
        if !prof::start_log() {
            return Err(Refusal::Failed);
        }
        let mut log = LOG.lock();
        let bytes = target.as_bytes();
        log.len = bytes.len().min(PATH);
        for (to, &from) in log.bytes.iter_mut().zip(bytes) {
            *to = from;
        }
        Ok(())
    })?;
    drop(desk);
    want_exit();
    arm();
    Ok(())
}

fn stop_log() -> Result<(), Refusal> {
    let mut desk = desk().ok_or(Refusal::Failed)?;
    let duration_ns = inside(prof::stop_log).ok_or(Refusal::Failed)?;
    let written = write_log(&mut desk, duration_ns);
    while inside(prof::drop_entry) {}
    answer(written)
}

/// Writes the log at the end of the process, and says why if it cannot.
pub(super) fn end_log() {
    let Some(mut desk) = desk() else {
        process::write_error(
            b"<jemoxide>: no log of lives: exit was called by a function that takes text of the profiler's\n",
        );
        return;
    };
    let Some(duration_ns) = inside(prof::stop_log) else {
        return;
    };
    let written = write_log(&mut desk, duration_ns);
    while inside(prof::drop_entry) {}
    if let Err(error) = written {
        let line = dump::complaint("log of lives", error, desk.parts().1);
        drop(desk);
        if let Some(line) = line {
            process::write_error(line.as_bytes());
        }
    }
}

fn write_log(desk: &mut Desk, duration_ns: u64) -> Result<(), Errno> {
    let (sheet, target, part) = desk.parts();
    target.clear();
    inside(|| {
        let log = LOG.lock();
        target.bytes(log.bytes.get(..log.len).unwrap_or(&[]));
    });
    let mut origin = Origin::Given;
    if target.as_bytes().is_empty() {
        // Begun by the option.
        names::log(target);
        origin = Origin::Own;
    }
    let mut file = File::begin(target, part, origin, u64::MAX)?;
    let mut text = LogText::begin(Info {
        duration_ns,
        version: env!("CARGO_PKG_VERSION"),
        is_fine: prof::is_fine(),
        process: process::id(),
    });
    sheet.clear();
    let mut written = Ok(());
    while written.is_ok() && inside(|| text.fill(sheet)) {
        if sheet.is_full() {
            written = file.write(sheet);
        }
    }
    let written = written.and_then(|()| file.write(sheet));
    file.end(written, target, part)
}

fn recents(writer: usize, word: usize) -> Result<(), Refusal> {
    let mut desk = desk().ok_or(Refusal::Failed)?;
    let (sheet, ..) = desk.parts();
    let word = with_exposed_provenance_mut::<c_void>(word);
    let writer = with_exposed_provenance_mut::<c_void>(writer);
    // SAFETY: null, or a function of that type: whoever made the job vouches for it.
    let writer = unsafe { core::mem::transmute::<*mut c_void, Option<Writer>>(writer) };
    let mut text = RecentText::begin();
    loop {
        let more = inside(|| text.fill(sheet));
        if sheet.is_full() || !more {
            sheet.text("\0");
            let piece = CStr::from_bytes_until_nul(sheet.as_bytes()).unwrap_or(c"");
            match writer {
                // SAFETY: as above; a C text.
                Some(writer) => unsafe { writer(word, piece.as_ptr()) },
                None => process::write_error(piece.to_bytes()),
            }
            sheet.clear();
        }
        if !more {
            return Ok(());
        }
    }
}
