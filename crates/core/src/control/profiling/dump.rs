//! A profile is written: the books, the maps of the process, the details.

use super::file::{File, Origin};
use super::{inside, names};
use crate::arena::{ArenaIndex, automatic, bin, depot, explicit};
use crate::control::boot;
use crate::ds::text::Line;
use crate::prof::desk::{Desk, PATH, PathText, Sheet};
use crate::prof::dump::{Dump, Found, SlabFigures};
use crate::prof::{self, hooks};
use crate::size::{PAGE, SMALL_CLASSES, size_of_class, slab_pages, slab_slots};
use crate::sync::Mutex;
use crate::sys::files;
use crate::sys::output::Errno;
use crate::sys::{bare, clock, futex, process};
use crate::thread::{passage, registry};
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering};

/// From one look at a desk that somebody has to the next.
const WAIT_NS: u64 = 1_000_000;
/// Where there is no desk at the process's end.
const NOT_AT_EXIT: &[u8] =
    b"<jemoxide>: no heap profile at exit: exit was called by a function that takes text of the profiler's\n";

/// What the purge thread has to tell.
static KEPT: Mutex<Line, 0> = Mutex::new(Line::new());
static IS_KEPT: AtomicBool = AtomicBool::new(false);
/// [`tell_others`] has done so.
static OTHERS_TOLD: AtomicBool = AtomicBool::new(false);

/// Why a profile is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trigger {
    /// So many bytes were allocated.
    Interval,
    /// Somebody asked for it.
    Request,
    /// A signal switched sampling off.
    Signal,
    /// More memory is mapped than ever.
    NewHigh,
    /// The process ends.
    Exit,
}

/// The desk, once nobody else has it. `None`: who has it cannot go on, as the calling thread is forking, or has it itself and
/// runs the application's code.
pub(super) fn desk() -> Option<Desk> {
    loop {
        if let Some(desk) = free_desk() {
            return Some(desk);
        }
        if Desk::is_own() || passage::is_closer() {
            return None;
        }
        futex::pause(WAIT_NS);
    }
}

/// The desk. `None`: somebody has it.
pub(super) fn free_desk() -> Option<Desk> {
    let desk = Desk::take()?;
    // A fork may have cut a reset short.
    while inside(prof::clear_some) {}
    Some(desk)
}

/// Writes a profile with a name of its own. One that nobody asked for says why it could not be written, and ends the
/// process if the option `abort` says so.
pub(super) fn write(trigger: Trigger) -> Result<Found, Errno> {
    match desk() {
        Some(desk) => write_at(desk, trigger),
        None => {
            if trigger == Trigger::Exit {
                process::write_error(NOT_AT_EXIT);
            }
            Err(Errno(libc::EDEADLK))
        }
    }
}

/// The same, of who has the desk.
pub(super) fn write_at(mut desk: Desk, trigger: Trigger) -> Result<Found, Errno> {
    names::profile(desk.parts().1, trigger);
    let result = write_target(&mut desk, Origin::Own, u64::MAX);
    if let (Err(error), true) = (result, trigger != Trigger::Request) {
        let line = complaint("heap profile", error, desk.parts().1);
        // Telling may run the application's code.
        drop(desk);
        if let Some(line) = line {
            tell(line);
        }
        return Err(error);
    }
    finish(desk, result.is_ok());
    result
}

/// Writes a profile of at most `most` bytes to `path`.
pub(super) fn write_to(path: &[u8], most: u64) -> Result<Found, Errno> {
    let mut desk = desk().ok_or(Errno(libc::EDEADLK))?;
    let target = desk.parts().1;
    target.clear();
    target.bytes(path);
    let result = write_target(&mut desk, Origin::Given, most);
    finish(desk, result.is_ok());
    result
}

/// As [`write_to`], for the live channel: the application's hook is not told, as the purge thread runs no code but ours; nobody
/// else may read the file, and no link is followed.
pub(super) fn write_for_channel(path: &[u8]) -> Result<Found, Errno> {
    let mut desk = desk().ok_or(Errno(libc::EDEADLK))?;
    let target = desk.parts().1;
    target.clear();
    target.bytes(path);
    write_target(&mut desk, Origin::Channel, u64::MAX)
}

/// Leaves the desk, and tells the application's hook.
fn finish(desk: Desk, is_written: bool) {
    // The application's code is for its own threads.
    let is_told = is_written && !bare::is_current();
    match hooks::dumped().filter(|_| is_told) {
        Some(dumped) => tell_dumped(desk, dumped),
        None => drop(desk),
    }
    if boot::options().prof.details {
        tell_others();
    }
}

/// Says, once, that a call path has more tags than are told apart.
#[cold]
fn tell_others() {
    let is_ours = bare::is_current() && process::has_message_function();
    if is_ours || !inside(prof::take_others) || OTHERS_TOLD.swap(true, Ordering::Relaxed) {
        return;
    }
    let mut line = Line::new();
    line.text("<jemoxide>: a call path has more than ")
        .decimal(prof::TAGS_APART)
        .text(" tags: what comes with others counts as tag ")
        .decimal(usize::from(prof::OTHER_TAGS))
        .text("\n");
    process::write_error(line.as_bytes());
}

/// Tells the hook of a dump. Apart, for the sake of its frame.
#[cold]
#[inline(never)]
fn tell_dumped(mut desk: Desk, dumped: hooks::Dumped) {
    // A copy: the hook may ask for a dump.
    let mut copy = [0; PATH];
    for (to, &from) in copy.iter_mut().zip(desk.parts().1.as_bytes()) {
        *to = from;
    }
    drop(desk);
    if let Ok(path) = CStr::from_bytes_until_nul(&copy) {
        // SAFETY: `prof_dump` was given such a function; a C text.
        process::keep_errno(|| unsafe { dumped(path.as_ptr()) });
    }
}

/// Tells why there is no profile, and ends the process if the option `abort` says so. The purge thread, which runs no code but
/// ours, leaves it to the next tick of another where the application takes messages itself.
fn tell(line: Line) {
    if bare::is_current() && process::has_message_function() {
        inside(|| *KEPT.lock() = line);
        IS_KEPT.store(true, Ordering::Relaxed);
        return;
    }
    process::write_error(line.as_bytes());
    if boot::options().abort {
        process::abort();
    }
}

/// Whether the purge thread left something to tell.
#[inline]
pub(super) fn has_kept() -> bool {
    IS_KEPT.load(Ordering::Relaxed)
}

/// Tells it.
pub(super) fn tell_kept() {
    if IS_KEPT.swap(false, Ordering::Relaxed) {
        tell(inside(|| {
            core::mem::replace(&mut *KEPT.lock(), Line::new())
        }));
    }
}

/// In a forked child: it is the parent's to tell.
pub(super) fn forget_kept() {
    IS_KEPT.store(false, Ordering::Relaxed);
}

/// What is to be told of a profile or another text that could not be written to `target`. `None`: nothing, it is left to
/// another process.
pub(super) fn complaint(what: &str, error: Errno, target: &PathText) -> Option<Line> {
    if error == Errno(libc::ECANCELED) {
        return None;
    }
    let mut line = Line::new();
    line.text("<jemoxide>: no ").text(what).text(" at ");
    line.bytes(target.as_bytes()).text(": ");
    match error.words() {
        "" => line.text("error ").decimal(error.0 as usize),
        words => line.text(words),
    };
    line.text(" (prof_prefix says where profiles go)\n");
    Some(line)
}

/// Writes a profile of at most `most` bytes to the desk's target.
fn write_target(desk: &mut Desk, origin: Origin, most: u64) -> Result<Found, Errno> {
    let (sheet, target, part) = desk.parts();
    let mut file = File::begin(target, part, origin, most)?;
    let prof = &boot::options().prof;
    let mut dump = inside(|| Dump::begin(prof.unbias));
    dump.sort();
    sheet.clear();
    let mut written = books(&mut dump, sheet, &mut file).and_then(|()| maps(sheet, &mut file));
    if prof.details && written.is_ok() {
        written = details(&mut dump, sheet, &mut file);
    }
    let found = dump.found();
    inside(|| dump.end());
    if written.is_ok() {
        written = file.write(sheet);
    }
    file.end(written, target, part)?;
    Ok(found)
}

fn books(dump: &mut Dump, sheet: &mut Sheet, file: &mut File) -> Result<(), Errno> {
    while inside(|| dump.fill(sheet)) {
        make_room(sheet, file)?;
    }
    Ok(())
}

/// The process's maps, as they are.
fn maps(sheet: &mut Sheet, file: &mut File) -> Result<(), Errno> {
    let id = process::id() as usize;
    let open = |thread: bool| {
        let mut path = Line::new();
        path.text("/proc/").decimal(id);
        if thread {
            path.text("/task/").decimal(id);
        }
        path.text("/maps\0");
        files::File::open(CStr::from_bytes_with_nul(path.as_bytes()).ok()?)
    };
    let Some(mut maps) = open(true).or_else(|| open(false)) else {
        return Ok(());
    };
    make_room(sheet, file)?;
    sheet.text("\nMAPPED_LIBRARIES:\n");
    loop {
        make_room(sheet, file)?;
        match maps.read(sheet.room()) {
            Some(count) if count > 0 => sheet.extend(count),
            _ => return Ok(()),
        }
    }
}

fn details(dump: &mut Dump, sheet: &mut Sheet, file: &mut File) -> Result<(), Errno> {
    let slabs = inside(slab_figures);
    let now = clock::unix_seconds();
    make_room(sheet, file)?;
    while inside(|| dump.fill_details(sheet, &slabs, now)) {
        make_room(sheet, file)?;
    }
    Ok(())
}

fn make_room(sheet: &mut Sheet, file: &mut File) -> Result<(), Errno> {
    if sheet.is_full() {
        file.write(sheet)
    } else {
        Ok(())
    }
}

/// What the slabs of automatic arenas hold: slots that wait in caches count as free, as nobody has them.
fn slab_figures() -> [SlabFigures; SMALL_CLASSES] {
    core::array::from_fn(|class| {
        let mut slabs = 0;
        for arena in 0..automatic() {
            slabs += bin::figures(class, ArenaIndex::new(arena)).curslabs;
        }
        let cached = depot::kept(class) + registry::held(class) + explicit::held(class);
        let objects = bin::taken(class).saturating_sub(cached);
        let usable = size_of_class(class);
        SlabFigures {
            usable,
            objects,
            slabs,
            slab_bytes: slabs * slab_pages(class) * PAGE,
            free_bytes: (slabs * slab_slots(class)).saturating_sub(objects) * usable,
        }
    })
}
