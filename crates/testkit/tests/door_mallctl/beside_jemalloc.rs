//! The same calls put to jemalloc and to this library get the same codes and lengths (rule W3).

use std::ffi::{CStr, c_char};
use std::fmt::Write;

use jemoxide_testkit::control::{Answer, Control};
use jemoxide_testkit::{artifacts, child, facts, original};

use crate::row::{condition, first, size_of_type};

/// What 5.3.0 dies of: a pointer that is not its own, hooks that are null, a cache that there is not, nothing at all.
const DEADLY: [&str; 8] = [
    "arenas.lookup",
    "arenas.create",
    "experimental.arenas_create_ext",
    "experimental.batch_alloc",
    "arena.<i>.extent_hooks",
    "tcache.create",
    "tcache.flush",
    "tcache.destroy",
];

/// Differences that docs/COMPAT.md has a note for, as beginnings of lines.
const KNOWN: [&str; 1] = [
    // `EFAULT` in Debian's, `EINVAL` from 5.3.1 on.
    "thread.prof.name new 8",
];

/// Names whole, cut short, with odd indexes, and beyond the last.
const NAMES: [&str; 56] = [
    "",
    ".",
    "..",
    "version",
    "version.",
    ".version",
    "version..",
    "Version",
    "versio",
    "arenas",
    "arenas.",
    "arenas..page",
    "arenas.page",
    "arenas.page.x",
    "arena",
    "arena.",
    "arena.0",
    "arena. 0",
    "arena.+0",
    "arena.-0",
    "arena.0x",
    "arena.x",
    "arena.-1",
    "arena.00",
    "arena.4096",
    "arena.4097",
    "arena.4098",
    "arena.99999999999999999999",
    "arena.0.purge",
    "arena. \t0.purge",
    "arena.4096.purge",
    "arena.4097.purge",
    "arena.4095.purge",
    "arena.0.nothing",
    "arena.0.initialized",
    "arena.4096.initialized",
    "arena.4097.initialized",
    "arena.4096.dirty_decay_ms",
    "arena.4097.dirty_decay_ms",
    "arenas.bin.35.size",
    "arenas.bin.37.size",
    "arenas.bin.-0.size",
    "arenas.lextent.195.size",
    "arenas.lextent.197.size",
    "stats.arenas.0.pdirty",
    "stats.arenas.4096.pdirty",
    "stats.arenas.4097.pdirty",
    "stats.arenas.4095.pdirty",
    "stats.arenas.0.bins.35.curregs",
    "stats.arenas.0.bins.37.curregs",
    "stats.arenas.0.bins.x.curregs",
    "stats",
    "stats.arenas",
    "stats.arenas.0",
    "stats.arenas.0.bins",
    "stats.arenas.0.bins.0",
];

/// Has `transcript` made by `test` on jemalloc and on this library, with these options, and compares.
pub(crate) fn compare(test: &str, options: &str, transcript: impl FnOnce() -> String) {
    if child::rerun(test).is_none() {
        original::tell(&transcript());
        return;
    }
    let Some(jemalloc) = original::library() else {
        return;
    };
    let theirs = original::transcript(test, &jemalloc, options);
    let ours = original::transcript(test, &artifacts::library(), options);
    assert!(theirs.len() > 20, "{theirs:?}");
    assert_eq!(theirs.len(), ours.len());
    let differences: Vec<_> = theirs
        .iter()
        .zip(&ours)
        .filter(|(theirs, ours)| theirs != ours)
        .filter(|(_, ours)| !KNOWN.iter().any(|known| ours.starts_with(known)))
        .map(|(theirs, ours)| format!("theirs: {theirs}\n  ours: {ours}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// How names are read.
pub(crate) fn names() -> String {
    let control = Control::find();
    let mut text = String::new();
    for name in NAMES {
        for room in [0, 1, 2, 7] {
            let mib = control.mib(name, room).map(|mib| mib.len());
            writeln!(text, "{name:?} mib of {room}: {mib:?}").unwrap();
        }
        let answer = control.call(name, None, None);
        writeln!(text, "{name:?}: {}", answer.code).unwrap();
        if let Ok(mib) = control.mib(name, 7) {
            let answer = control.call_by_mib(&mib, None, None);
            writeln!(text, "{name:?} by mib: {}", answer.code).unwrap();
        }
    }
    for mib in [&[][..], &[999]] {
        let answer = control.call_by_mib(mib, None, None);
        writeln!(text, "{mib:?}: {}", answer.code).unwrap();
    }
    text
}

/// What every row answers to lengths, and some to values.
pub(crate) fn codes() -> String {
    let control = Control::find();
    let mut text = String::new();
    lengths(&control, &mut text);
    values(&control, &mut text);
    text
}

fn lengths(control: &Control, text: &mut String) {
    let absent = facts::mallctl_absent();
    let table = facts::mallctl();
    for row in table.rows() {
        let (name, kind) = (row.get("name"), row.get("type"));
        let is_old = row.get("since") == "5.3.0" && row.get("last_in") != "5.3.0";
        // What Debian's build has and this one has not, and lets a thread without a cache come after it.
        let is_deadly = DEADLY.contains(&name);
        let is_built = condition(row).is_none_or(|switch| switch.ends_with(".prof"));
        if !is_old || is_deadly || absent.contains(&name) || !is_built {
            continue;
        }
        let full = first(name);
        let size = size_of_type(kind).unwrap_or(8);
        let new = [0; 16];
        let mut note = |what: &str, answer: &Answer| {
            let line = format!("{name} {what}: {} {}", answer.code, answer.len);
            writeln!(text, "{line}").unwrap();
        };
        note("nothing", &control.call(&full, None, None));
        for len in [0, 1, 4, 7, 8, 9, 64] {
            note(&format!("old {len}"), &control.call(&full, Some(len), None));
        }
        for len in [0, 2, 3, 5, 9, 16] {
            let new = &new[..len];
            note(&format!("new {len}"), &control.call(&full, None, Some(new)));
            let both = control.call(&full, Some(size), Some(new));
            note(&format!("old {size}, new {len}"), &both);
        }
    }
}

fn values(control: &Control, text: &mut String) {
    for (name, values) in [
        (
            "arena.0.dirty_decay_ms",
            &[-2i64, -1, 0, 1000, i64::MAX, 10_000][..],
        ),
        ("arena.0.muzzy_decay_ms", &[-2, -1, 0, 500, i64::MIN, 0]),
        ("arenas.dirty_decay_ms", &[-2, -1, 0, i64::MAX, 10_000]),
        // It divides by 0 there.
        ("max_background_threads", &[1, 2, 4, 5, -1]),
    ] {
        for value in values {
            let answer = control.call(name, Some(8), Some(&value.to_ne_bytes()));
            writeln!(text, "{name} {value}: {answer:?}").unwrap();
            let answer = control.call(name, Some(7), Some(&value.to_ne_bytes()));
            writeln!(text, "{name} {value}, short: {answer:?}").unwrap();
        }
    }
    for (value, old) in [(0, 1), (0, 1), (1, 1), (1, 0), (0, 0), (1, 1)] {
        let name = "thread.tcache.enabled";
        let answer = control.call(name, Some(old), Some(&[value]));
        writeln!(text, "{name} {value}: {answer:?}").unwrap();
        let answer = control.call("thread.tcache.flush", None, None);
        writeln!(text, "flush: {answer:?}").unwrap();
        let answer = control.call("thread.tcache.flush", Some(1), None);
        writeln!(text, "flush, read: {answer:?}").unwrap();
    }
    for value in [u32::MAX, 0, 100_000, 4096] {
        let answer = control.call("thread.arena", Some(4), Some(&value.to_ne_bytes()));
        writeln!(text, "thread.arena {value}: {answer:?}").unwrap();
    }
    for (name, old, new) in [
        ("epoch", 8, 8),
        ("epoch", 7, 8),
        ("epoch", 8, 0),
        ("epoch", 8, 7),
    ] {
        let answer = control.call(name, Some(old), Some(&[0; 8][..new]));
        writeln!(text, "{name} {old} {new}: {answer:?}").unwrap();
    }
    for text_of in [
        c"primary",
        c"secondary",
        c"Primary",
        c"",
        c"disabled",
        c"secondary",
    ] {
        let address = text_of.as_ptr().expose_provenance();
        for name in ["arena.0.dss", "arena.4096.dss"] {
            let answer = control.call(name, Some(8), Some(&address.to_ne_bytes()));
            let old = usize::from_ne_bytes(answer.bytes[..8].try_into().unwrap());
            let old = if answer.code == 0 {
                let old = std::ptr::with_exposed_provenance::<c_char>(old);
                // SAFETY: the key gives a text.
                unsafe { CStr::from_ptr(old) }.to_str().unwrap()
            } else {
                ""
            };
            writeln!(text, "{name} {text_of:?}: {} {old}", answer.code).unwrap();
        }
    }
}

/// What the rows of the profiler answer where it is on, and nothing is sampled.
pub(crate) fn codes_of_profilers() -> String {
    let control = Control::find();
    let table = facts::mallctl();
    let mut text = String::new();
    for row in table.rows() {
        let name = row.get("name");
        let is_old = row.get("since") == "5.3.0" && row.get("last_in") != "5.3.0";
        // No prefix at all ends a process of Debian's, and logs are files.
        let is_apart = name == "prof.prefix" || name.starts_with("prof.log_");
        if !is_old || !name.contains("prof") || is_apart {
            continue;
        }
        let full = first(name);
        let size = size_of_type(row.get("type")).unwrap_or(16);
        let new = [0; 24];
        let mut note = |what: &str, answer: &Answer| {
            let line = format!("{name} {what}: {} {}", answer.code, answer.len);
            writeln!(text, "{line}").unwrap();
        };
        note("nothing", &control.call(&full, None, None));
        for len in [0, 1, 4, 7, 8, 9, 16, 64] {
            note(&format!("old {len}"), &control.call(&full, Some(len), None));
        }
        // Addresses of functions that are null would be called.
        let is_called = name == "experimental.prof_recent.alloc_dump";
        for len in [0, 1, 2, 7, 8, 9, 16]
            .into_iter()
            .filter(|&len| !is_called || len != 16)
        {
            let new = &new[..len];
            note(&format!("new {len}"), &control.call(&full, None, Some(new)));
            let both = control.call(&full, Some(size), Some(new));
            note(&format!("old {size}, new {len}"), &both);
        }
    }
    text
}
