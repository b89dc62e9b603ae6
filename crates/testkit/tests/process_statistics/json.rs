//! Statistics as JSON: the schema of the table, path by path, and values that agree with each other (rule S1).

use std::collections::{BTreeMap, BTreeSet};

use jemoxide_testkit::facts;
use serde_json::Value;

use crate::text_of;

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
    let absent = facts::mallctl_absent();
    let key = path.strip_prefix("jemalloc.opt.");
    (note.contains("--enable-prof") || prof) && off("prof")
        || note.contains("--enable-fill") && off("fill")
        || note.contains("--enable-utrace") && off("utrace")
        || note.contains("--enable-xmalloc") && off("xmalloc")
        || note.starts_with("only when set")
        || key.is_some_and(|key| absent.contains(&&*format!("opt.{key}")))
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

/// What the program prints for these letters, `J` among them.
fn json_of(case: &str, letters: &str, options: &str) -> Option<Value> {
    let text = text_of(case, Some(letters), options)?;
    Some(serde_json::from_str(&text).expect("it is JSON"))
}

fn keys(object: &Value) -> Vec<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn arenas_made_by_request_are_told_alive_and_destroyed() {
    let json = |letters: &str| json_of("destroyed", letters, "narenas:1");
    let Some(all) = json("J") else { return };
    let arenas = &all["jemalloc"]["stats.arenas"];
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
    let json = |letters: &str| json_of("write", &format!("J{letters}"), "narenas:2");
    let Some(all) = json("") else { return };
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
