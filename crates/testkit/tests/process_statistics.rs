//! Statistics: true by a program's own books, and printed in jemalloc's schema.
//!
//! S1  Every path of `facts/stats_json.tsv` is in the JSON with its type, unless the build or the run has nothing of the
//!     kind, which the table says; and nothing else is.
//! S2  The text has the table's sections in their order, and the headings of Debian's jemalloc.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::Path;

use jemoxide_testkit::child::{Outcome, Run};
use jemoxide_testkit::{artifacts, compiler, facts};
use serde_json::Value;

/// Where Debian's package puts jemalloc; `JEMALLOC` in the environment names another place.
const JEMALLOC: &str = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";

fn books(case: &str, options: &str) {
    let flags = ["-pthread"];
    let Some(program) = compiler::c("process/statistics.c", "statistics", &flags) else {
        return;
    };
    let outcome = Run::new(program)
        .arg(case)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "done\n", "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
}

#[test]
fn figures_agree_with_the_books_of_a_program_with_caches() {
    books("cached", "background_thread:false");
    books("cached", "background_thread:false,narenas:3");
}

#[test]
fn figures_agree_with_the_books_of_a_program_without_caches() {
    books("direct", "background_thread:false");
    books(
        "direct",
        "background_thread:false,narenas:3,dirty_decay_ms:-1",
    );
}

#[test]
fn figures_of_each_arena_agree_with_the_books_of_a_program() {
    let flags = ["-pthread", "-fno-builtin"];
    let Some(program) = compiler::c("process/arena_books.c", "arena_books", &flags) else {
        return;
    };
    for case in ["direct", "mixed"] {
        let outcome = Run::new(&program)
            .arg(case)
            .preload(artifacts::library())
            .env("MALLOC_CONF", "narenas:3,background_thread:false")
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "done\n", "{case}: {outcome}");
        assert_eq!(outcome.stderr, "", "{case}: {outcome}");
    }
}

#[test]
fn a_program_defragments_by_what_it_is_told_of_slabs() {
    let Some(program) = compiler::c("process/defragment.c", "defragment", &[]) else {
        return;
    };
    for options in ["background_thread:false", "narenas:3"] {
        let outcome = Run::new(&program)
            .preload(artifacts::library())
            .env("MALLOC_CONF", options)
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "done\n", "{outcome}");
    }
}

fn prepare(library: &Path, case: &str, letters: Option<&str>, options: &str) -> Option<Run> {
    let flags = ["-pthread"];
    let program = compiler::c("process/stats_print.c", "stats_print", &flags)?;
    Some(
        Run::new(program)
            .arg(case)
            .args(letters)
            .preload(library)
            .env("MALLOC_CONF", options),
    )
}

fn print(case: &str, letters: Option<&str>, options: &str) -> Option<Outcome> {
    Some(prepare(&artifacts::library(), case, letters, options)?.run())
}

fn text_of(case: &str, letters: Option<&str>, options: &str) -> Option<String> {
    let outcome = print(case, letters, options)?.expect_success();
    assert_eq!(outcome.stderr, "", "{outcome}");
    Some(outcome.stdout)
}

/// Every path of a value and the types met there; arrays' items and arenas' and locks' names stand for each other.
fn paths(path: &str, value: &Value, found: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let kind = match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let below = match path {
                    "jemalloc" if key == "stats.arenas" => format!("{path}[\"{key}\"]"),
                    "jemalloc[\"stats.arenas\"]" => format!("{path}.<arena>"),
                    "jemalloc.stats.mutexes" => format!("{path}.<global_mutex>"),
                    "jemalloc[\"stats.arenas\"].<arena>.mutexes" => {
                        format!("{path}.<arena_mutex>")
                    }
                    "" => key.clone(),
                    _ => format!("{path}.{key}"),
                };
                paths(&below, value, found);
            }
            "object"
        }
        Value::Array(items) => {
            for item in items {
                paths(&format!("{path}[]"), item, found);
            }
            return;
        }
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Number(number) if number.is_u64() => "unsigned",
        Value::Number(number) if number.is_i64() => "signed",
        other => panic!("{path}: {other}"),
    };
    found.entry(path.to_owned()).or_default().insert(kind);
}

fn is_of(kinds: &BTreeSet<&str>, wanted: &str) -> bool {
    kinds.iter().all(|&kind| match wanted {
        "unsigned" | "size" | "uint64" | "uint32" => kind == "unsigned",
        "ssize" | "int64" => matches!(kind, "unsigned" | "signed"),
        other => kind == other,
    })
}

/// Whether the row tells of what this build, or this run, has nothing of.
fn is_excused(path: &str, note: &str, config: &Value) -> bool {
    let off = |switch: &str| config[switch] == Value::Bool(false);
    let prof = path.contains(".prof");
    let absent = include_str!("../facts/mallctl_absent.txt");
    let key = path.strip_prefix("jemalloc.opt.");
    (note.contains("--enable-prof") || prof) && off("prof")
        || note.contains("--enable-fill") && off("fill")
        || note.contains("--enable-utrace") && off("utrace")
        || note.contains("--enable-xmalloc") && off("xmalloc")
        || note.starts_with("only when set")
        || key.is_some_and(|key| absent.lines().any(|line| line == format!("opt.{key}")))
}

#[test]
fn tables_tell_of_samples_where_they_are_counted_by_class() {
    let words = [
        "prof_live_requested",
        "prof_live_count",
        "prof_accum_requested",
        "prof_accum_count",
    ];
    for (options, tables) in [
        ("prof:true,prof_stats:true,lg_prof_sample:0", 2),
        ("prof:true", 0),
    ] {
        let Some(text) = text_of("write", Some("a"), options) else {
            return;
        };
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let headings = lines.iter().enumerate();
        let headings = headings.filter(|(_, heading)| heading.contains(&"prof_live_count"));
        let mut found = 0;
        for (at, heading) in headings {
            found += 1;
            let first = heading.iter().position(|&word| word == words[0]).unwrap();
            assert_eq!(heading[first..first + 4], words);
            // As many columns as there are titles behind the table's own.
            let mut rows = lines[at + 1..].iter();
            let row = rows
                .find(|row| row[0] != "---")
                .expect("something is allocated");
            assert_eq!(row.len(), heading.len() - 1, "{row:?}");
        }
        assert_eq!(found, tables, "{text}");
    }
}

#[test]
fn json_has_the_schema_of_the_table_row_by_row() {
    // Samples by class are told of all arenas together.
    let options = "background_thread:false,narenas:2,prof:true,prof_stats:true";
    let Some(text) = text_of("write", Some("J"), options) else {
        return;
    };
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    assert!(!text.ends_with('\n'));
    let mut found = BTreeMap::new();
    paths("", &json, &mut found);
    let root = &json["jemalloc"];
    let mut known = BTreeSet::from(["jemalloc[\"stats.arenas\"].<arena>".to_owned()]);
    let table = facts::stats();
    for row in table.rows().filter(|row| row.get("kind") == "json") {
        let (path, note) = (row.get("path_or_name"), row.get("note"));
        known.insert(path.to_owned());
        let path = match path {
            "jemalloc[\"stats.arenas\"].merged" | "jemalloc[\"stats.arenas\"].<arena index>" => {
                "jemalloc[\"stats.arenas\"].<arena>"
            }
            "jemalloc[\"stats.arenas\"].destroyed" => continue,
            path => path,
        };
        match found.get(path) {
            Some(kinds) => assert!(
                is_of(kinds, row.get("type_or_columns")),
                "{path}: {kinds:?}"
            ),
            None => assert!(
                !row.get("last_in").is_empty() || is_excused(path, note, &root["config"]),
                "missing: {path}"
            ),
        }
        // Locks are named by the note.
        let locks = |object: &Value| -> BTreeSet<String> {
            object.as_object().unwrap().keys().cloned().collect()
        };
        if let Some(names) = note.strip_prefix("keys: ") {
            let names = names.replace(", dev", "").replace(['[', ']'], "");
            let names: BTreeSet<_> = names.split(' ').map(str::to_owned).collect();
            let there = if path.contains("global") {
                locks(&root["stats"]["mutexes"])
            } else {
                locks(&root["stats.arenas"]["merged"]["mutexes"])
            };
            assert_eq!(there, names, "{path}");
        }
    }
    let is_folder = |path: &str| {
        let below = [format!("{path}."), format!("{path}[")];
        known
            .iter()
            .any(|row| below.iter().any(|below| row.starts_with(below)))
    };
    for (path, kinds) in found.iter().filter(|(path, _)| !path.is_empty()) {
        let folder = kinds.contains("object") && is_folder(path);
        assert!(folder || known.contains(path), "not in the table: {path}");
    }
    for (array, len) in [("bins", 36), ("lextents", 196), ("extents", 199)] {
        for arena in ["merged", "0", "1"] {
            let items = root["stats.arenas"][arena][array].as_array();
            assert_eq!(items.map(Vec::len), Some(len), "{arena} {array}");
        }
    }
    check_values(root);
}

/// Some values, by what the program did and by what they have to do with each other.
fn check_values(root: &Value) {
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value}"));
    assert_eq!(root["opt"]["narenas"], 2);
    assert_eq!(root["arenas"]["page"], 4096);
    assert_eq!(root["arenas"]["bin"][7]["size"], 112);
    let merged = &root["stats.arenas"]["merged"];
    let bytes = number(&merged["small"]["allocated"]) + number(&merged["large"]["allocated"]);
    assert_eq!(number(&root["stats"]["allocated"]), bytes);
    // Half of 200 objects of i * i * 20 + 1 bytes.
    let kept: u64 = (1..200).step_by(2).map(|i| i * i * 20 + 1).sum();
    assert!((kept..kept * 2).contains(&bytes), "{bytes} of {kept}");
    assert_eq!(root["stats.arenas"]["0"]["name"], "auto_0");
    let live: u64 = (merged["lextents"].as_array().unwrap().iter())
        .map(|class| number(&class["curlextents"]))
        .sum();
    let large = (1..200u64).step_by(2).filter(|i| i * i * 20 + 1 > 14336);
    assert!(live >= large.count() as u64);
}

#[test]
fn arenas_made_by_request_are_told_alive_and_destroyed() {
    let json = |letters: &str| -> Option<Value> {
        let text = text_of("destroyed", Some(letters), "narenas:1")?;
        Some(serde_json::from_str(&text).expect("it is JSON"))
    };
    let Some(all) = json("J") else { return };
    let arenas = &all["jemalloc"]["stats.arenas"];
    let keys = |value: &Value| {
        let fields = value.as_object().unwrap();
        fields.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(arenas), ["0", "2", "destroyed", "merged"]);
    assert_eq!(arenas["2"]["name"], "kept");
    assert_eq!(arenas["destroyed"]["small"]["nmalloc"], 100);
    assert_eq!(arenas["destroyed"]["small"]["ndalloc"], 100);
    assert_eq!(arenas["destroyed"]["large"]["nmalloc"], 1);
    assert_eq!(arenas["destroyed"]["small"]["allocated"], 0);
    assert_eq!(arenas["2"]["small"]["nmalloc"], 7);
    assert_eq!(arenas["2"]["bins"][7]["curregs"], 7);
    assert_eq!(arenas["2"]["bins"][7]["curslabs"], 1);
    let sum = |part: &str| arenas[part]["pactive"].as_u64().unwrap();
    assert_eq!(sum("merged"), sum("0") + sum("2"));
    let without = json("Jd").unwrap();
    assert_eq!(
        keys(&without["jemalloc"]["stats.arenas"]),
        ["0", "2", "merged"]
    );
    let text = text_of("destroyed", None, "narenas:1").unwrap();
    assert!(text.contains("\nDestroyed arenas stats:\n") && text.contains("\nname: kept\n"));
}

#[test]
fn letters_leave_parts_out() {
    let json = |letters: &str| -> Option<Value> {
        let text = text_of("write", Some(&format!("J{letters}")), "narenas:2")?;
        Some(serde_json::from_str(&text).expect("it is JSON"))
    };
    let Some(all) = json("") else { return };
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let arena = |json: &Value| keys(&json["jemalloc"]["stats.arenas"]["0"]);
    assert_eq!(keys(&all["jemalloc"]["stats.arenas"]), ["0", "1", "merged"]);
    let general = json("g").unwrap();
    assert_eq!(keys(&general["jemalloc"]), ["stats", "stats.arenas"]);
    let merged = json("a").unwrap();
    assert_eq!(keys(&merged["jemalloc"]["stats.arenas"]), ["merged"]);
    let single = json("m").unwrap();
    assert_eq!(keys(&single["jemalloc"]["stats.arenas"]), ["0", "1"]);
    assert!(
        json("mda").unwrap()["jemalloc"]
            .get("stats.arenas")
            .is_none()
    );
    for (letter, key) in [
        ("b", "bins"),
        ("l", "lextents"),
        ("e", "extents"),
        ("h", "hpa_shard"),
        ("x", "mutexes"),
    ] {
        let without = json(letter).unwrap();
        assert!(arena(&all).contains(&key.to_owned()));
        assert!(!arena(&without).contains(&key.to_owned()), "{letter}");
        assert_eq!(arena(&without).len(), arena(&all).len() - 1, "{letter}");
    }
    let without = json("x").unwrap();
    assert!(without["jemalloc"]["stats"].get("mutexes").is_none());
    let bins = &without["jemalloc"]["stats.arenas"]["0"]["bins"];
    assert!(bins[0].get("mutex").is_none());
    // Letters that mean nothing, and none at all.
    assert!(
        text_of("write", Some("?"), "")
            .unwrap()
            .starts_with("___ Begin")
    );
    let text = text_of("write", Some("gmdablxeh"), "").unwrap();
    assert_eq!(text.lines().count(), 5, "{text}");
}

/// What the text must have of a section's row, in order: its columns, or the words of its lines.
fn words(row: facts::Row<'_>) -> Vec<String> {
    let (number, title) = row.get("path_or_name").split_once(' ').expect("a number");
    let columns = row.get("type_or_columns");
    let (columns, _) = columns.split_once("; rows").unwrap_or((columns, ""));
    let list = match number {
        // Of builds with profiling.
        "06" => "",
        "02" | "03" | "04" | "05" => title,
        "08" => "Allocated|active|metadata|n_thp|edata|rtree|resident|mapped|retained|pinned",
        "09" => "Count of realloc(non-null-ptr, 0) calls",
        "10" => "Background threads|num_runs|run_interval",
        // The first column is that of names and has no title.
        "11" => columns.trim_start_matches("name | "),
        "12" => "Merged arenas stats:",
        "17" => "n_lock_ops|max_n_thds",
        "21" => {
            "Bytes in small extent cache|hits|misses|dalloc without flush|dalloc with flush|overfills"
        }
        "24" => "In full slabs|npageslabs|nactive|ndirty|nretained|In empty slabs",
        _ => columns,
    };
    let list = match number {
        "14" | "18" | "19" | "20" => list.replacen(": ", ":|", 1),
        _ => list.to_owned(),
    };
    let words = list.split('|').map(|word| match word.trim() {
        "(blank)" | "mutex columns" => "",
        optional if optional.starts_with('[') || optional.ends_with(']') => "",
        "prof_live_count" | "prof_accum_requested" => "",
        word => word.split(" (").next().unwrap(),
    });
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn text_has_the_sections_of_the_table_in_order() {
    let Some(text) = text_of("write", None, "narenas:2") else {
        return;
    };
    let mut rest = &text[..];
    let table = facts::stats();
    let mut sections = 0;
    for row in table.rows().filter(|row| row.get("kind") == "text") {
        for word in words(row) {
            let at = rest
                .find(&word)
                .unwrap_or_else(|| panic!("{}: no {word:?} in\n{rest}", row.get("path_or_name")));
            rest = &rest[at + word.len()..];
        }
        sections += 1;
    }
    assert_eq!(sections, 26);
    // Rows of nothing are one line.
    assert!(text.contains("\n                     ---\n"));
    assert!(!text.contains("---\n                     ---\n"));
}

/// Lines without figures: what is left are sections and columns.
fn skeleton(text: &str) -> Vec<String> {
    let words = |line: &str| {
        let line: String = line
            .chars()
            .map(|letter| if letter.is_ascii_digit() { ' ' } else { letter })
            .collect();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let lines = text.lines().map(words);
    let mut lines: Vec<_> = lines
        .filter(|line| line.chars().any(char::is_alphabetic))
        .filter(|line| !line.starts_with("opt.") && !line.starts_with("config."))
        .filter(|line| !line.starts_with("prof.") && *line != "Profiling settings")
        .filter(|line| !line.starts_with("Version") && !line.starts_with("metadata_"))
        .collect();
    lines.dedup();
    lines
}

/// Lines that later versions added, or changed; the table has them.
const LATER: [&str; 27] = [
    "System configuration",
    "system.thp_mode",
    "Hugepage size:",
    "Allocated:",
    "name:",
    "pinned:",
    "extents_pinned",
    "extents:",
    "Small extent cache",
    "Pageslabs",
    "Active pages",
    "Dirty pages",
    "Retained pages",
    "Hugify failures",
    "extent allocation distribution:",
    "index min_extents",
    "In nonfull slabs:",
    "nactive:",
    "ndirty:",
    "nretained:",
    "npageslabs:",
    // Of what a run has.
    "e ",
    "Merged arenas stats:",
    "arenas[",
    "race",
    "auto",
    "N/A",
];

#[test]
fn text_has_the_headings_of_debians_jemalloc() {
    let original = env::var("JEMALLOC").unwrap_or_else(|_| JEMALLOC.to_owned());
    if !Path::new(&original).is_file() {
        compiler::announce_untested(
            "no jemalloc to compare with (install libjemalloc2, or set JEMALLOC)",
        );
        return;
    }
    let lines = |library: &Path| -> Option<Vec<String>> {
        let run = prepare(library, "write", None, "narenas:1")?;
        let text = run.run().expect_success().stdout;
        let lines = skeleton(&text).into_iter();
        let lines = lines.filter(|line| !LATER.iter().any(|later| line.starts_with(later)));
        Some(lines.collect())
    };
    let (Some(theirs), Some(ours)) = (lines(original.as_ref()), lines(&artifacts::library()))
    else {
        return;
    };
    assert!(theirs.len() > 50, "{theirs:?}");
    let mut ours_left = ours.iter();
    for line in &theirs {
        assert!(
            ours_left.any(|our| our == line),
            "{line:?} is not there, or not in its place:\n{ours:#?}"
        );
    }
    let theirs: BTreeSet<_> = theirs.iter().collect();
    let extra: Vec<_> = ours.iter().filter(|line| !theirs.contains(line)).collect();
    assert_eq!(extra, [""; 0]);
}

#[test]
fn messages_go_where_the_program_says() {
    let Some(outcome) = print("message", Some("g"), "") else {
        return;
    };
    let outcome = outcome.expect_death("");
    assert!(
        outcome
            .stdout
            .starts_with("___ Begin jemalloc statistics ___\n")
    );
    let (_, after) = outcome
        .stdout
        .split_once("--- End jemalloc statistics ---\n")
        .unwrap();
    assert!(
        after.starts_with("<jemoxide>: invalid pointer"),
        "{outcome}"
    );
    assert_eq!(outcome.stderr, "", "{outcome}");
    let plain = print("plain", None, "").unwrap().expect_success();
    assert_eq!(plain.stdout, "");
    assert!(plain.stderr.ends_with("--- End jemalloc statistics ---\n"));
}

#[test]
fn statistics_are_printed_at_exit_and_on_the_way() {
    let Some(outcome) = print("exit", None, "stats_print:true,stats_print_opts:J") else {
        return;
    };
    let outcome = outcome.expect_success();
    let json: Value = serde_json::from_str(&outcome.stderr).expect("JSON at exit");
    assert_eq!(json["jemalloc"]["opt"]["stats_print"], true);
    assert_eq!(json["jemalloc"]["opt"]["stats_print_opts"], "J");
    let count = |interval: &str| {
        let options = format!("stats_interval:{interval},stats_interval_opts:gadblxeh");
        let text = print("interval", None, &options)
            .unwrap()
            .expect_success()
            .stderr;
        let ends = text.matches("--- End jemalloc statistics ---\n").count();
        assert_eq!(
            text.matches("___ Begin jemalloc statistics ___\n").count(),
            ends
        );
        ends
    };
    // 115 MiB are allocated, and looked at now and then.
    let times = count("16777216");
    assert!((3..=7).contains(&times), "{times}");
    assert_eq!(count("1073741824"), 0);
    assert_eq!(count("-1"), 0);
    assert!(count("0") >= 4);
}
