//! The floors of the source: what a file of the allocator may name.
//!
//! ```text
//!  api 9 > control 8 > stats 7 > thread 6 > arena 5 > extent 4, prof 4 > meta 3
//!        > sync 2, ds 2 > sys 1 > size 0, options 0
//! ```
//! F1  A path into the crate (`crate::`, `self::`, `super::`, in code, imports and macros) leads to
//!     the own module or to a lower floor: never up, never to a sibling. Tests obey too.
//! F2  `cfg(target_...)` stands in `sys/` alone.
//! F3  Numbers, statistics and option parsing hold no `unsafe`.
//! F4  `std` and `alloc` are named by tests only.
//!
//! Sources are parsed, not searched: a comment or a string cannot break a rule, nor hide one.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use jemoxide_testkit::artifacts;
use syn::Item;

mod reader;

use reader::{Reader, is_for_tests};

/// Top-level modules of the crate and the floors they stand on.
const FLOORS: [(&str, u32); 13] = [
    ("api", 9),
    ("control", 8),
    ("stats", 7),
    ("thread", 6),
    ("arena", 5),
    ("extent", 4),
    ("prof", 4),
    ("meta", 3),
    ("sync", 2),
    ("ds", 2),
    ("sys", 1),
    ("size", 0),
    ("options", 0),
];

/// Folders and files that hold no `unsafe` (rule F3).
const WITHOUT_UNSAFE: [&str; 4] = ["size/", "stats/", "options.rs", "control/options/"];

#[test]
fn every_source_keeps_the_floors() {
    let root = artifacts::workspace().join("crates/core/src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    assert!(sources.len() > 10, "no sources found in {}", root.display());
    let complaints = complaints(&sources);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_broken_rule_is_noticed() {
    let bad = |path: &str, text: &str| {
        let found = complaints(&[(path.to_owned(), text.to_owned())]);
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
    };
    bad("arena/bin.rs", "use crate::thread::cache;");
    bad(
        "arena/bin.rs",
        "use crate::{size::PAGE, api::alloc as door};",
    );
    bad("arena/mod.rs", "fn f() { crate::stats::count(); }");
    bad("arena/deep/x.rs", "use super::super::super::control::boot;");
    bad("extent/x.rs", "use crate::prof::sampler;");
    bad(
        "ds/x.rs",
        "mod inner { fn f() -> crate::sync::Mutex { super::g() } }",
    );
    bad(
        "meta/x.rs",
        "macro_rules! m { () => { $crate::extent::HEAP.get() } }",
    );
    bad(
        "meta/x.rs",
        "fn f() { assert!(crate::extent::is_ready()); }",
    );
    bad(
        "meta/x.rs",
        "#[cfg(test)] mod tests { use crate::arena::bin; }",
    );
    bad("sys/x.rs", "use crate::Jemoxide;");
    bad("size/x.rs", "use crate::*;");
    bad("options.rs", "use crate::sys::process;");
    bad(
        "arena/x.rs",
        "#[cfg(all(not(test), target_os = \"linux\"))] fn f() {}",
    );
    bad(
        "arena/x.rs",
        "fn f() -> bool { cfg!(target_pointer_width = \"64\") }",
    );
    bad("stats/x.rs", "fn f(p: *const u8) -> u8 { unsafe { *p } }");
    bad("control/options/mod.rs", "unsafe fn f() {}");
    bad("thread/x.rs", "use std::vec::Vec;");
    bad(
        "thread/x.rs",
        "fn f() -> usize { ::alloc::vec::Vec::<u8>::new().len() }",
    );
    bad(
        "thread/x.rs",
        "#[cfg(not(test))] fn f() { std::process::abort() }",
    );
    bad(
        "thread/x.rs",
        "macro_rules! m { () => { std::process::abort() } }",
    );
    bad("lib.rs", "extern crate alloc;");
}

#[test]
fn what_the_rules_allow_is_let_through() {
    let good = |path: &str, text: &str| {
        let found = complaints(&[(path.to_owned(), text.to_owned())]);
        assert_eq!(found, [""; 0], "{path}: {text}");
    };
    good(
        "arena/bin.rs",
        "use crate::{size::PAGE, extent::{page_map, HEAP}}; use super::slab;",
    );
    good(
        "arena/bin.rs",
        "mod tests { use super::super::slab; use super::*; }",
    );
    good(
        "arena/bin.rs",
        "// crate::thread\nconst TEXT: &str = \"crate::thread, unsafe, std::x\";",
    );
    good(
        "sys/linux/x.rs",
        "#[cfg(target_arch = \"x86_64\")] fn f() {}",
    );
    good(
        "size/x.rs",
        "#![deny(unsafe_code)] use core::alloc::Layout;",
    );
    good(
        "sync/x.rs",
        "#[cfg(test)] mod tests { extern crate std; use std::vec::Vec; }",
    );
    good(
        "sync/x.rs",
        "#[cfg(any(test, loom))] fn f() { std::thread::yield_now() }",
    );
    good("api/mod.rs", "mod alloc; pub use alloc::Jemoxide;");
    good(
        "lib.rs",
        "mod api; pub use api::Jemoxide; #[cfg(test)] extern crate std;",
    );
    let tests_elsewhere = [
        ("meta/mod.rs", "#[cfg(test)] mod model;"),
        ("meta/model.rs", "use std::vec::Vec;"),
    ];
    let sources = tests_elsewhere.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(complaints(&sources), [""; 0]);
}

/// Reads every Rust file below `folder`, named by its path from `root`.
fn collect(root: &Path, folder: &Path, sources: &mut Vec<(String, String)>) {
    let entries = fs::read_dir(folder).expect("the sources are readable");
    for path in entries.map(|entry| entry.expect("readable").path()) {
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root");
            let text = fs::read_to_string(&path).expect("readable");
            sources.push((name.to_string_lossy().into_owned(), text));
        }
    }
    sources.sort();
}

/// Checks every rule over `sources`; one line per breach.
fn complaints(sources: &[(String, String)]) -> Vec<String> {
    let parsed: Vec<_> = sources
        .iter()
        .map(|(path, text)| {
            let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
            (path, text, module_of(path), file)
        })
        .collect();
    let mut test_modules = HashSet::new();
    for (_, _, module, file) in &parsed {
        find_test_modules(module, &file.items, &mut test_modules);
    }
    let mut found = Vec::new();
    for (path, text, module, file) in parsed {
        let is_test = (1..=module.len()).any(|depth| test_modules.contains(&module[..depth]));
        Reader::new(path, module, is_test, &mut found).read(&file, text);
    }
    found
}

/// `arena/deep/x.rs` is module `[arena, deep, x]`, `arena/mod.rs` is `[arena]`, `lib.rs` is `[]`.
fn module_of(path: &str) -> Vec<String> {
    let stem = path.strip_suffix(".rs").expect("a Rust file");
    let mut module: Vec<_> = stem.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

/// Collects modules in files of their own that only tests compile.
fn find_test_modules(module: &[String], items: &[Item], out: &mut HashSet<Vec<String>>) {
    for item in items {
        if let Item::Mod(child) = item {
            let path = [module, &[child.ident.to_string()]].concat();
            if is_for_tests(&child.attrs) {
                out.insert(path);
            } else if let Some((_, items)) = &child.content {
                find_test_modules(&path, items, out);
            }
        }
    }
}
