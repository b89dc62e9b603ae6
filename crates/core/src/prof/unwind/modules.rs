//! The modules that stacks led through, remembered: which is at an address, and whether it is still the same.
//!
//! ```text
//! name   | serial 55 | lasting 1 | slot 8 |     0: nobody, 1: being written
//! slot   | name | where the code is | where the tables are | fingerprint ...      128 bytes, 256 of them
//! ```
//! Nobody tells us when the program loads or unloads a module, and the loader's lock may be held by the very thread that
//! is being looked at. So a module is looked for when a stack leads to it, and looked at again whenever it is used.
//!
//! N1  A name is given once: what was remembered of a module under its name can never be taken for another's.
//! N2  A slot is written by whoever put "being written" in place of its name, and read between two looks at the name.
//! N3  A module that may be unloaded is recognised by its fingerprint once in every walk, before anything remembered of it
//!     is believed. A thread whose stack leads through a module keeps it loaded; any other address is nonsense, and
//!     nothing worse than a wrong frame comes of it.
//! N4  Nobody waits: who cannot have a slot does without.

use super::elf::Module;
use super::loader;
use super::maps;
use super::table::Tables;
use crate::sys::image;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

const LG_SLOTS: u32 = 8;
const SLOTS: usize = 1 << LG_SLOTS;
const WORDS: usize = size_of::<Module>() / 8;

/// Names a module as it was when it was found; never given again (N1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Name(u64);

impl Name {
    const NOBODY: u64 = 0;
    const BEING_WRITTEN: u64 = 1;
    const LASTING: u64 = 1 << LG_SLOTS;

    /// The name kept as that number.
    pub(super) fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    fn slot(self) -> usize {
        self.0 as usize % SLOTS
    }

    /// Whether the module is never unloaded.
    pub(super) fn is_lasting(self) -> bool {
        self.0 & Self::LASTING != 0
    }
}

struct Slot {
    name: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// Beyond this many slots nobody has been: looking for an address stops there.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Names given so far.
static SERIAL: AtomicU64 = AtomicU64::new(0);
static MODULES: [Slot; SLOTS] = [const {
    Slot {
        name: AtomicU64::new(Name::NOBODY),
        words: [const { AtomicU64::new(0) }; WORDS],
    }
}; SLOTS];

/// Whether the name is still somebody's.
#[inline]
pub(super) fn is_known(name: Name) -> bool {
    // Acquire: pairs with the Release in `remember`.
    MODULES[name.slot()].name.load(Ordering::Acquire) == name.0
}

/// The module of that name.
pub(super) fn get(name: Name) -> Option<Module> {
    let slot = MODULES.get(name.slot())?;
    let (found, module) = read(slot)?;
    (found == name).then_some(module)
}

/// Forgets a module that is no longer itself.
pub(super) fn forget(name: Name) {
    let slot = &MODULES[name.slot()].name;
    // Relaxed: a slot without a name has no contents.
    let _ = slot.compare_exchange(name.0, Name::NOBODY, Ordering::Relaxed, Ordering::Relaxed);
}

/// The remembered module that has code at `pc`.
pub(super) fn remembered(pc: usize) -> Option<(Name, Module)> {
    let used = USED.load(Ordering::Relaxed);
    MODULES
        .iter()
        .take(used)
        .filter_map(read)
        .find(|(_, module)| module.has_code_at(pc))
}

/// Looks for the module that has code at `pc` in the process, and remembers it if there is a slot.
#[cold]
pub(super) fn find(pc: usize) -> Option<(Option<Name>, Module)> {
    let at = |base: usize| {
        Module::at(base, &mut Tables::fleeting()).filter(|module| module.has_code_at(pc))
    };
    let (told, is_lasting) = match loader::find(pc) {
        Some(found) => {
            let found = found?;
            (found.bases.into_iter().find_map(at), found.is_lasting)
        }
        None => (None, false),
    };
    // Also where the loader's answer leads to no header: a program with holes that is not moved.
    let module = told.or_else(|| at(maps::find(pc)?))?;
    let name = remember(&module, is_lasting || is_part_of_us(&module));
    Some((name, module))
}

/// Whether a module stays because the process could not go on without it.
fn is_part_of_us(module: &Module) -> bool {
    let landmarks = image::landmarks();
    let is_inside = |place: usize| place != 0 && (module.start..module.end).contains(&place);
    // What runs is there as long as it runs, and longer does nobody remember.
    let own = (find as fn(usize) -> Option<(Option<Name>, Module)>) as usize;
    let image::Landmarks {
        program,
        loader,
        vdso,
        library,
        ..
    } = landmarks;
    [program, loader, vdso, library, own]
        .into_iter()
        .any(is_inside)
}

/// Puts `module` into a slot, a free one if there is.
fn remember(module: &Module, is_lasting: bool) -> Option<Name> {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed) + 1;
    let is_free = |slot: &&Slot| slot.name.load(Ordering::Relaxed) == Name::NOBODY;
    let free = MODULES.iter().position(|slot| is_free(&slot));
    let index = free.unwrap_or(serial as usize % SLOTS);
    let slot = MODULES.get(index)?;
    let before = slot.name.load(Ordering::Relaxed);
    if before == Name::BEING_WRITTEN {
        return None;
    }
    // Acquire: the stores that follow stay behind; Relaxed: another one was faster (N2, N4).
    slot.name
        .compare_exchange(
            before,
            Name::BEING_WRITTEN,
            Ordering::Acquire,
            Ordering::Relaxed,
        )
        .ok()?;
    // Release: pairs with the fence in `read`, which then sees that the name has gone.
    fence(Ordering::Release);
    for (word, value) in slot.words.iter().zip(to_words(module)) {
        word.store(value, Ordering::Relaxed);
    }
    let lasting = if is_lasting { Name::LASTING } else { 0 };
    let name = Name(serial << (LG_SLOTS + 1) | lasting | index as u64);
    // Release: pairs with the Acquire in `read` and `is_known`.
    slot.name.store(name.0, Ordering::Release);
    USED.fetch_max(index + 1, Ordering::Relaxed);
    Some(name)
}

/// What is in a slot (N2).
fn read(slot: &Slot) -> Option<(Name, Module)> {
    // Acquire: pairs with the Release in `remember`.
    let name = slot.name.load(Ordering::Acquire);
    if name == Name::NOBODY || name == Name::BEING_WRITTEN {
        return None;
    }
    let mut words = [0; WORDS];
    for (value, word) in words.iter_mut().zip(&slot.words) {
        *value = word.load(Ordering::Relaxed);
    }
    // Acquire: pairs with the fence in `remember`: a word of the next module comes with the loss of the name.
    fence(Ordering::Acquire);
    let is_same = slot.name.load(Ordering::Relaxed) == name;
    is_same.then(|| (Name(name), of_words(&words)))
}

fn to_words(module: &Module) -> [u64; WORDS] {
    [
        module.start as u64,
        module.end as u64,
        module.text as u64,
        module.text_end as u64,
        module.tables as u64,
        module.list as u64,
        module.functions as u64,
        module.frames as u64,
        module.frames_end as u64,
        module.segment as u64,
        module.segment_end as u64,
        module.identity as u64,
        module.identity_len as u64,
        module.fingerprint,
    ]
}

fn of_words(words: &[u64; WORDS]) -> Module {
    let [
        start,
        end,
        text,
        text_end,
        tables,
        list,
        functions,
        frames,
        frames_end,
        segment,
        segment_end,
        identity,
        identity_len,
        fingerprint,
    ] = *words;
    Module {
        start: start as usize,
        end: end as usize,
        text: text as usize,
        text_end: text_end as usize,
        tables: tables as usize,
        list: list as usize,
        functions: functions as usize,
        frames: frames as usize,
        frames_end: frames_end as usize,
        segment: segment as usize,
        segment_end: segment_end as usize,
        identity: identity as usize,
        identity_len: identity_len as usize,
        fingerprint,
    }
}
