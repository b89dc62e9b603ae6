//! Hide: frames that say nothing about who allocated.
//!
//! ```text
//! stack, innermost first    malloc | alloc::alloc::alloc | RawVec::grow_one | Vec::push | load_table | main
//! Fold::Allocator           ------------------------------ ^ first shown
//! Fold::StandardLibrary     ----------------------------------------------------------- ^ first shown
//! ```
//! H1  Only frames at the inner end are hidden, one after the other: the first that is no allocator's ends it.
//! H2  At least one frame stays.
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
    is_allocators
        || (fold == Fold::StandardLibrary && STANDARD.iter().any(|start| bare.starts_with(start)))
}
