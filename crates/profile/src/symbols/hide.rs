//! Hide: frames that say nothing about who allocated.
//!
//! ```text
//! stack, innermost first    malloc | alloc::alloc::alloc | RawVec::grow_one | Vec::push | load_table | main
//! Fold::Allocator           ------------------------------ ^ first shown
//! Fold::StandardLibrary     ----------------------------------------------------------- ^ first shown
//! ```
//! H1  Only frames at the inner end are hidden, one after the other: the first that is no allocator's ends it.
//! H2  At least one frame stays.
//! H3  A method is the standard library's when its type is, behind any `&`, `[` or `dyn`, and its trait as well: a trait of
//!     the program's on `Vec` is the program's.
//!
//! Names of jemalloc's helpers: `surface/prof_format.md` section 7.

use crate::model::{Function, Location, Profile, Stack};

/// How much is hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fold {
    /// Nothing.
    Nothing,
    /// The allocator, and what languages put between it and their users.
    #[default]
    Allocator,
    /// Also containers and strings of the standard libraries of Rust and C++.
    StandardLibrary,
}

/// Files that are allocators and nothing else.
const LIBRARIES: [&str; 5] = [
    "libjemoxide",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
    "libsnmalloc",
];

/// Whole names.
const NAMES: [&str; 53] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
    "mallocx",
    "rallocx",
    "xallocx",
    "smallocx",
    "batch_alloc",
    "malloc_default",
    "je_malloc_default",
    "do_rallocx",
    "newImpl",
    "fallbackNewImpl",
    "imalloc",
    "imalloc_body",
    "imalloc_sample",
    "irallocx_prof",
    "irallocx_prof_sample",
    "iralloct_realign",
    "prof_alloc_prep",
    "prof_alloc_prep.constprop.0",
    "prof_backtrace_impl",
    "je_prof_backtrace",
    "je_prof_tctx_create",
    "prof_tctx_create",
    "prof_backtrace",
    "prof_backtrace_impl.constprop.0",
    "handleOOM",
    "cfree",
    "free",
    "__rust_alloc",
    "__rust_alloc_zeroed",
    "__rust_realloc",
    "__rdl_alloc",
    "__rdl_alloc_zeroed",
    "__rdl_realloc",
    "__rg_alloc",
    "__rg_alloc_zeroed",
    "__rg_realloc",
    "__rustc::__rust_alloc",
    "__rustc::__rust_alloc_zeroed",
    "__rustc::__rust_realloc",
    "__rustc::__rg_alloc",
    "__rustc::__rg_alloc_zeroed",
    "__rustc::__rg_realloc",
    "__rustc::__rdl_alloc",
    "exchange_malloc",
];

/// Beginnings of names, after an opening `<` if there is one.
const BEGINNINGS: [&str; 20] = [
    "operator new",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "__libc_memalign",
    "je_",
    "_rjem_je_",
    "_rjem_",
    "jemoxide::",
    "jemoxide_capi::",
    "alloc::alloc::",
    "core::alloc::",
    "std::alloc::",
    "tikv_jemallocator::",
    "jemallocator::",
    "mimalloc::",
    "snmalloc",
    "alloc::boxed::box_new",
    "alloc::boxed::Box<T>::new",
    "<alloc::alloc::Global",
];

/// The same for standard libraries.
const STANDARD: [&str; 10] = [
    "alloc::",
    "core::",
    "std::",
    "hashbrown::",
    "__gnu_cxx::",
    "void std::",
    "bool std::",
    "char* std::",
    "__rustc::",
    "& std::",
];

impl Profile {
    /// Hides frames at the inner end of every stack; called again, the last call counts. Names decide, so symbolise
    /// before.
    pub fn hide_allocator(&mut self, fold: Fold) {
        let hidden: Vec<Hidden> = self
            .locations
            .iter()
            .map(|location| self.hidden_of(location, fold))
            .collect();
        for stack in &mut self.stacks {
            hide(stack, &hidden);
        }
    }

    fn hidden_of(&self, location: &Location, fold: Fold) -> Hidden {
        if fold == Fold::Nothing {
            return Hidden::Calls(0);
        }
        let in_library = location.module.is_some_and(|id| {
            let name = self.module(id).name();
            LIBRARIES.iter().any(|library| name.starts_with(library))
        });
        let calls = &location.calls;
        let hidden = calls
            .iter()
            .take_while(|call| in_library || is_hidden(self.function(call.function), fold))
            .count();
        if (calls.is_empty() && in_library) || (!calls.is_empty() && hidden == calls.len()) {
            Hidden::Whole
        } else {
            Hidden::Calls(hidden as u32)
        }
    }
}

/// What of a location is hidden when all within it is.
#[derive(Clone, Copy)]
enum Hidden {
    Whole,
    /// So many of its innermost functions.
    Calls(u32),
}

fn hide(stack: &mut Stack, hidden: &[Hidden]) {
    stack.hidden_locations = 0;
    stack.hidden_calls = 0;
    // Rule H2.
    let Some((_, inner)) = stack.frames.split_last() else {
        return;
    };
    for id in inner.iter().chain(stack.frames.last()) {
        match hidden[id.0 as usize] {
            Hidden::Whole if (stack.hidden_locations as usize) < inner.len() => {
                stack.hidden_locations += 1;
            }
            Hidden::Whole => return,
            Hidden::Calls(calls) => {
                stack.hidden_calls = calls;
                return;
            }
        }
    }
}

fn is_hidden(function: &Function, fold: Fold) -> bool {
    let name: &str = &function.name;
    let bare = name.strip_prefix('<').unwrap_or(name);
    let is_allocators = NAMES.contains(&name)
        || BEGINNINGS
            .iter()
            .any(|start| bare.starts_with(start) || name.starts_with(start));
    is_allocators || (fold == Fold::StandardLibrary && is_standard(name))
}

/// Rule H3.
fn is_standard(name: &str) -> bool {
    let is_of_it = |text: &str| STANDARD.iter().any(|start| text.starts_with(start));
    let Some(inside) = name.strip_prefix('<') else {
        return is_of_it(name);
    };
    let mut receiver = inside;
    while let Some(rest) = ["&", "mut ", "dyn ", "["]
        .iter()
        .find_map(|mark| receiver.strip_prefix(mark))
    {
        receiver = rest;
    }
    let (receiver_ends, implemented) = qualified(inside);
    let is_slice = inside.starts_with('[') && inside[..receiver_ends].ends_with(']');
    let is_text = &inside[..receiver_ends] == "str";
    match implemented {
        // Methods of `str` and slices themselves: nobody else can add any.
        None => is_text || is_slice || is_of_it(receiver),
        Some(implemented) => {
            // `<T as ...>`: for all types, which only who owns the trait can do.
            let of_all =
                receiver_ends == 1 && inside.starts_with(|each: char| each.is_ascii_uppercase());
            is_of_it(implemented)
                && (of_all || is_text || is_of_it(receiver) || is_primitive(receiver))
        }
    }
}

/// Of what stands behind the first `<`: where the type ends, and the trait if there is one.
fn qualified(inside: &str) -> (usize, Option<&str>) {
    let mut depth = 0_usize;
    let mut last = ' ';
    for (at, each) in inside.char_indices() {
        match each {
            '<' | '(' | '[' => depth += 1,
            '>' if last == '-' => {}
            '>' if depth == 0 => return (at, None),
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => {
                if let Some(implemented) = inside[at..].strip_prefix(" as ") {
                    return (at, Some(implemented));
                }
            }
            _ => {}
        }
        last = each;
    }
    (inside.len(), None)
}

/// `str`, `u8` and the like, behind `&` or `[`.
fn is_primitive(receiver: &str) -> bool {
    let end = receiver
        .find(|each: char| !each.is_ascii_alphanumeric() && each != '_' && each != ':')
        .unwrap_or(receiver.len());
    let word = &receiver[..end];
    !word.contains("::") && word.starts_with(|each: char| each.is_ascii_lowercase())
        || word.len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_the_standard_library_are_known_behind_any_receiver() {
        for name in [
            "<&mut alloc::string::String as core::fmt::Write>::write_str",
            "<&mut dyn core::fmt::Write as core::fmt::Write>::write_str",
            "<str>::repeat",
            "<[u8]>::to_vec",
            "<[alloc::string::String]>::concat::<str>",
            "<str as alloc::string::ToString>::to_string",
            "<[u8] as alloc::borrow::ToOwned>::to_owned",
            "<T as alloc::string::ToString>::to_string",
            "<alloc::vec::Vec<T,A> as core::iter::Extend<T>>::extend",
            "<alloc::vec::Vec<fn(u8) -> u8>>::push",
            "alloc::str::<impl str>::repeat",
            "std::vector<int, std::allocator<int> >::push_back(int const&)",
        ] {
            assert!(is_standard(name), "{name}");
        }
        for name in [
            "main",
            "<app::Store as core::fmt::Display>::fmt",
            "<&app::Store as core::fmt::Display>::fmt",
            "<[app::Entry] as app::Sort>::sort",
            "<str as app::Words>::words",
            "<alloc::vec::Vec<u8> as app::Words>::words",
            "<app::Store>::load",
            "<strange::Thing>::make",
            "<T as app::Words>::words",
            "<",
            "<[",
            "",
        ] {
            assert!(!is_standard(name), "{name}");
        }
    }
}
