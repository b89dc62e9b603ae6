//! Scope: whose function a name leads to, among the modules that the program was started with.
//!
//! ```text
//! program's dynamic section ──> loader's list
//!     program ─> preloaded ─> needed, level by level ─> ... ─> the loader itself ─> ... | loaded later, in any order
//!     ──────── the order in which names are looked up ────────────────────────────────  |
//! ```
//! `dlsym` answers that, too, but waits for the loader's lock, which a thread holds while it runs the constructors of a library
//! that it loads: if one of these waits for the thread that asks, both wait for good. So the list is read as a debugger
//! reads it, with no lock at all.
//!
//! C1  The list is followed up to our own module, and never beyond the loader's entry: that part of it never changes (rule B1
//!     of [`loader`](super::loader)), and is read in place, as the loader did that bound the program to it. Of two modules that
//!     define a name the first one's is bound to it; what lies behind our own is not asked, nor what came later, whether all may
//!     see it (`RTLD_GLOBAL`) or not.
//! C2  If our own module is not in that part, or the list is nowhere to be found (a program linked without `DT_DEBUG`), nothing
//!     is known: whoever asks has to ask the loader.
//! C3  A library that stands for another one (`DT_FILTER`, `DT_AUXILIARY`) comes later in the list than names are looked up in
//!     it; one that has operators of C++ is not known.
//!
//! Source: `struct r_debug` and `struct link_map` in `<link.h>`, of glibc and of musl alike; System V ABI, "Shared Object
//! Dependencies".

use super::elf;
use super::exports::{Dynamic, Exports, Function};
use super::table::Tables;
use crate::sys::image;
use core::ffi::CStr;

const ENTRIES_MAX: usize = 4096;

/// The functions that `names` lead to: of each the first that a module defines from the program on, up to our own; 0 where
/// that is none. `None`: it cannot be told (C2). Takes no lock.
#[doc(hidden)]
#[cold]
pub fn first_defined<const N: usize>(names: &[&CStr; N]) -> Option<[usize; N]> {
    let mut functions = [None; N];
    follow(names, &mut functions)?;
    Some(functions.map(|function| function.map_or(0, address_of)))
}

/// Follows the list. `None`: it does not lead to our own module.
fn follow<const N: usize>(names: &[&CStr; N], functions: &mut [Option<Function>; N]) -> Option<()> {
    let own = image::own_dynamic();
    let (mut entry, loader) = list()?;
    for _ in 0..ENTRIES_MAX {
        let mut tables = Tables::lasting();
        let [moved, dynamic, next] = entry_at(entry, &mut tables)?;
        let exports = (dynamic != 0).then(|| Exports::at(dynamic, moved, &mut tables));
        if let Some(exports) = exports.flatten() {
            for (function, name) in functions.iter_mut().zip(names) {
                if function.is_none() {
                    *function = exports.function(name.to_bytes(), &mut tables);
                }
            }
        }
        if dynamic == own {
            return Some(());
        }
        if next == 0 || moved == loader {
            break;
        }
        entry = next;
    }
    None
}

/// The first entry of the loader's list, and how far the loader was moved.
fn list() -> Option<(usize, usize)> {
    let mut tables = Tables::lasting();
    let dynamic = elf::dynamic_of_program(&mut tables)?;
    let told = Dynamic::at(dynamic, &mut tables)?.debug;
    if told == 0 {
        return None;
    }
    // struct r_debug: version, first entry, two more, where the loader is; a word each.
    let [first, loader] = [8, 32].map(|at| tables.u64(told.wrapping_add(at)));
    Some((first? as usize, loader? as usize)).filter(|&(first, _)| first != 0)
}

/// How far the module of an entry was moved, where its dynamic section is, and the next entry.
fn entry_at(entry: usize, tables: &mut Tables) -> Option<[usize; 3]> {
    // struct link_map: how far, name, dynamic section, next, previous; a word each.
    let [moved, dynamic, next] = [0, 16, 24].map(|at| tables.u64(entry.wrapping_add(at)));
    Some([moved? as usize, dynamic? as usize, next? as usize])
}

fn address_of(function: Function) -> usize {
    if !function.is_chosen {
        return function.address;
    }
    type Choose = extern "C" fn() -> usize;
    // SAFETY: the module says that this is such a function (`STT_GNU_IFUNC`), and is not unloaded (C1).
    unsafe { core::mem::transmute::<usize, Choose>(function.address)() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_begins_with_the_program_and_leads_to_the_loader() {
        let mut tables = Tables::lasting();
        let (mut entry, loader) = list().unwrap();
        assert_eq!(loader, image::landmarks().loader);
        let [_, dynamic, _] = entry_at(entry, &mut tables).unwrap();
        assert_eq!(elf::dynamic_of_program(&mut tables), Some(dynamic));
        assert_eq!(image::own_dynamic(), dynamic, "this test is the program");
        let moved = |entry| entry_at(entry, &mut Tables::lasting()).unwrap()[0];
        while moved(entry) != loader {
            entry = entry_at(entry, &mut tables).unwrap()[2];
            assert_ne!(entry, 0);
        }
    }

    #[test]
    fn names_of_others_are_not_the_programs() {
        // The program calls the first, and defines neither.
        let found = first_defined(&[c"getauxval", c"no_such_function"]);
        assert_eq!(found, Some([0; 2]));
    }
}
