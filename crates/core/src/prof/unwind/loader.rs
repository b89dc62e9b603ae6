//! Asking the C library's loader who is at an address: glibc's `_dl_find_object`, from 2.35 on.
//!
//! It takes no lock and may be called in a signal handler, also while the thread is inside `dlopen`. Linking to it would
//! ask for that version of the C library in every process; it is looked up in the library's own table of symbols instead,
//! once.
//!
//! B1  What was there when the loader had started the program is never unloaded: the loader's list begins with it, and what
//!     `dlopen` loads comes behind. The part of the list up to the loader's own entry never changes, and may be walked; a module
//!     of the start that stands behind that entry, as some do, counts as one that may go.
//!
//! B2  Of a module with holes between its segments the loader tells the one segment that has the address, not the module.
//!     Such a module is found by how far it was moved, which is where it begins where its file counts from 0.
//!
//! Source: glibc manual, "Dynamic Linker Introspection"; `struct dl_find_object` in `<dlfcn.h>`, `struct link_map` in `<link.h>`.

use super::elf;
use super::maps;
use super::table::Tables;
use crate::sys::image;
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What the loader knows of an address.
#[repr(C)]
#[derive(Default)]
struct Answer {
    flags: u64,
    start: usize,
    end: usize,
    entry: usize,
    tables: usize,
    reserved: [u64; 7],
}

type Find = unsafe extern "C" fn(*mut c_void, *mut Answer) -> c_int;

const UNKNOWN: usize = 0;
const ABSENT: usize = 1;
/// The function's address, or one of the above.
static FIND: AtomicUsize = AtomicUsize::new(UNKNOWN);
/// The loader's entry for itself; 0 until it is known.
static OWN_ENTRY: AtomicUsize = AtomicUsize::new(0);

/// A module as the loader describes it.
pub(super) struct Found {
    /// Where its ELF header may be: at the first byte of the piece around the address, or where address 0 was moved (B2).
    pub bases: [usize; 2],
    /// Whether it stays for good (B1).
    pub is_lasting: bool,
}

/// The module that has `pc`, `None` where none has. The outer `None`: this loader cannot be asked.
pub(super) fn find(pc: usize) -> Option<Option<Found>> {
    let find = function()?;
    let Some(answer) = ask(find, pc) else {
        return Some(None);
    };
    Some(Some(Found {
        bases: [answer.start, moved(answer.entry)],
        is_lasting: is_from_the_start(find, answer.entry),
    }))
}

fn function() -> Option<Find> {
    // Relaxed: an address that every thread finds the same.
    let address = match FIND.load(Ordering::Relaxed) {
        UNKNOWN => {
            let address = look_up().unwrap_or(ABSENT);
            FIND.store(address, Ordering::Relaxed);
            address
        }
        address => address,
    };
    // SAFETY: a function of that name in the C library is glibc's; not null.
    (address != ABSENT).then(|| unsafe { core::mem::transmute::<usize, Find>(address) })
}

/// Looks the function up in the C library.
#[cold]
fn look_up() -> Option<usize> {
    let library = maps::find(image::landmarks().library)?;
    let mut tables = Tables::fleeting();
    let exports = elf::exports(library, &mut tables)?;
    let function = exports.function(b"_dl_find_object", &mut tables)?;
    (!function.is_chosen).then_some(function.address)
}

fn ask(find: Find, pc: usize) -> Option<Answer> {
    let mut answer = Answer::default();
    // SAFETY: the function looks `pc` up, and writes the answer, whose layout is fixed.
    let failed = unsafe { find(ptr::without_provenance_mut(pc), &raw mut answer) } != 0;
    (!failed).then_some(answer)
}

/// How far the module with the loader's entry `entry` was moved: its first word.
fn moved(entry: usize) -> usize {
    // SAFETY: the loader has just named the entry, whose module has code that is running: it stays meanwhile.
    unsafe { image::load(entry) }
}

/// Whether the loader's entry `entry` belongs to what the program started with.
fn is_from_the_start(find: Find, entry: usize) -> bool {
    const ENTRIES_MAX: usize = 4096;
    const PREVIOUS: usize = 32;
    let mut seen = match OWN_ENTRY.load(Ordering::Relaxed) {
        0 => {
            let own = ask(find, image::landmarks().loader).map_or(0, |answer| answer.entry);
            OWN_ENTRY.store(own, Ordering::Relaxed);
            own
        }
        own => own,
    };
    for _ in 0..ENTRIES_MAX {
        if seen == 0 || seen == entry {
            break;
        }
        // SAFETY: an entry of that part of the list, which stays as it is (B1); its fifth word links to the one before.
        seen = unsafe { image::load(seen + PREVIOUS) };
    }
    seen != 0
}
