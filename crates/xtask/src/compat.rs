//! docs/COMPAT.md, from tables and from the build.
//!
//! ```text
//! facts/*.tsv           every name that jemalloc has ────────────┐
//! facts/*_absent.txt    what is not there yet (tests see to it) ─┼─> docs/compat/frame.md, filled in
//! docs/compat/*.tsv     what is to be said of a name ────────────┤
//! the options' own rows defaults, and why one has no effect ─────┘
//! ```
//! K1  Every name of the facts gets exactly one word: same, better, different, absent. What no table says is "same" for
//!     mallctl and macros; functions and options have a line each.
//! K2  A table names nothing that is in neither the facts nor the build.
//! K3  What is checked in is what comes out: a test compares.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use jemoxide::settings::explain;
use jemoxide_testkit::{artifacts, facts};

use crate::{Done, headers, put};

/// What may be said of a name, in the order of the document's own table.
const WORDS: [&str; 5] = ["same", "better", "different", "absent", "ours"];

/// One line of a table below docs/compat.
#[derive(Clone)]
struct Line {
    group: String,
    name: String,
    word: String,
    note: String,
}

/// An option as this build has it.
struct Known {
    default: String,
    without_effect: String,
}

/// Where the document is.
pub fn path() -> PathBuf {
    artifacts::workspace().join("docs/COMPAT.md")
}

/// The command.
pub fn write() -> Done {
    put(&path(), &text()?)?;
    Ok(format!("written: {}\n", path().display()))
}

/// The whole document.
pub fn text() -> Result<String, String> {
    let frame = read("frame.md")?;
    let mut text = String::from(HEAD);
    let mut used = BTreeSet::new();
    for line in frame.lines() {
        match line
            .strip_prefix("{{")
            .and_then(|line| line.strip_suffix("}}"))
        {
            Some(place) => {
                if !used.insert(place) {
                    return Err(format!("frame.md: {place} twice"));
                }
                text.push_str(&fill(place)?);
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    for place in PLACES {
        if !used.contains(place) {
            return Err(format!("frame.md has no place {place}"));
        }
    }
    Ok(text)
}

const HEAD: &str = "\
<!-- Made by `cargo xtask compat`; do not edit here. The words are in docs/compat: frame.md, and tables with a line for each
     name. Names come from crates/testkit/facts, reasons and defaults from the rows of the options themselves. -->\n";

const PLACES: [&str; 14] = [
    "functions malloc",
    "functions extended",
    "functions control",
    "functions operators",
    "functions glibc",
    "functions elsewhere",
    "functions ours",
    "options",
    "options without effect",
    "options absent",
    "defaults",
    "mallctl counts",
    "mallctl",
    "macros",
];

fn fill(place: &str) -> Result<String, String> {
    match place {
        "options" => options(),
        "options without effect" => without_effect(),
        "options absent" => Ok(options_absent()),
        "defaults" => defaults(),
        "mallctl counts" => mallctl_counts(),
        "mallctl" => mallctl(),
        "macros" => macros(),
        _ => match place.strip_prefix("functions ") {
            Some(group) => functions(group),
            None => Err(format!("frame.md: nothing is made for {place}")),
        },
    }
}

fn read(name: &str) -> Result<String, String> {
    let path = artifacts::workspace().join("docs/compat").join(name);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The lines of a table: `group`, `name`, `word`, `note`, or without the group.
fn table(file: &str) -> Result<Vec<Line>, String> {
    let text = read(file)?;
    let has_group = text.starts_with("group\t");
    let mut lines = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut next = || cells.next().unwrap_or_default();
        let group = if has_group { next() } else { String::new() };
        let line = Line {
            group,
            name: next(),
            word: next(),
            note: next(),
        };
        if !WORDS.contains(&line.word.as_str()) {
            return Err(format!(
                "{file}: {}: no such word: {}",
                line.name, line.word
            ));
        }
        lines.push(line);
    }
    Ok(lines)
}

/// A table of Markdown.
fn rows(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!(
        "| {} |\n|{}\n",
        head.join(" | "),
        " --- |".repeat(head.len())
    );
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn functions(group: &str) -> Result<String, String> {
    let lines = table("functions.tsv")?;
    let known: BTreeSet<_> = facts_of(facts::symbols(), "symbol");
    let mut said = BTreeSet::new();
    for line in &lines {
        if !said.insert(line.name.clone()) {
            return Err(format!("functions.tsv: {} twice", line.name));
        }
        if (line.word == "ours") == known.contains(&line.name) {
            return Err(format!(
                "functions.tsv: {}: ours, or a known symbol?",
                line.name
            ));
        }
    }
    if let Some(name) = known.iter().find(|name| !said.contains(*name)) {
        return Err(format!("functions.tsv says nothing of {name}"));
    }
    let lines = lines.into_iter().filter(|line| line.group == group);
    Ok(if group == "ours" {
        rows(
            &["name", "what it does here"],
            lines.map(|line| vec![code(&line.name), line.note]),
        )
    } else {
        rows(
            &["name", "", "note"],
            lines.map(|line| vec![code(&line.name), line.word, line.note]),
        )
    })
}

fn facts_of(table: facts::Table, column: &str) -> BTreeSet<String> {
    table.rows().map(|row| row.get(column).to_owned()).collect()
}

/// Every key of this build.
fn known_options() -> BTreeMap<String, Known> {
    let mut known = BTreeMap::new();
    explain(
        &[],
        &mut |it| {
            let option = Known {
                default: it.default.to_owned(),
                without_effect: it.without_effect.to_owned(),
            };
            known.insert(it.name.to_owned(), option);
        },
        &mut |_| {},
    );
    known
}

/// Second ways to write another key's value, by that key.
fn alias_of(key: &str) -> Option<&str> {
    match key {
        "lg_tcache_max" => Some("tcache_max"),
        "narenas_ratio" => None,
        _ => key.strip_suffix("_ratio"),
    }
}

fn options() -> Result<String, String> {
    let (lines, known) = (table("options.tsv")?, known_options());
    let theirs = facts_of(facts::options(), "name");
    let said: BTreeMap<_, _> = lines.iter().map(|line| (&line.name, line)).collect();
    for (name, line) in &said {
        let is_there =
            known.contains_key(*name) || alias_of(name).is_some_and(|of| known.contains_key(of));
        if !is_there {
            return Err(format!("options.tsv: {name} is no key of this build"));
        }
        if (line.word == "ours") == theirs.contains(*name) {
            return Err(format!("options.tsv: {name}: ours, or jemalloc's?"));
        }
    }
    let silent = |(name, option): (&String, &Known)| {
        (option.without_effect.is_empty() && !said.contains_key(name)).then(|| name.clone())
    };
    if let Some(name) = known.iter().find_map(silent) {
        return Err(format!("options.tsv says nothing of {name}"));
    }
    let absent = facts::options_absent();
    for name in &theirs {
        let key = alias_of(name).unwrap_or(name);
        if !known.contains_key(key) && !absent.contains(&name.as_str()) {
            return Err(format!(
                "facts/options_absent.txt: {name} is no key of this build"
            ));
        }
    }
    let cells = |line: &Line| vec![code(&line.name), line.word.clone(), line.note.clone()];
    Ok(rows(&["key", "", "note"], lines.iter().map(cells)))
}

fn without_effect() -> Result<String, String> {
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let known = known_options();
    for (name, option) in &known {
        if !option.without_effect.is_empty() {
            let names = by_reason.entry(option.without_effect.clone()).or_default();
            names.push(code(name));
        }
    }
    for name in facts_of(facts::options(), "name") {
        let of = alias_of(&name).and_then(|of| known.get(of));
        if let Some(option) = of.filter(|option| !option.without_effect.is_empty()) {
            let names = by_reason.entry(option.without_effect.clone()).or_default();
            names.push(code(&name));
        }
    }
    let lines = by_reason.into_iter();
    Ok(rows(
        &["keys", "why"],
        lines.map(|(reason, names)| vec![names.join(", "), reason]),
    ))
}

fn options_absent() -> String {
    let absent = facts::options_absent();
    if absent.is_empty() {
        return "Every key of jemalloc's is known.\n".to_owned();
    }
    let names: Vec<_> = absent.into_iter().map(code).collect();
    format!("**Absent, later**: {}.\n", names.join(", "))
}

/// A default in one form: numbers without suffix, words as they are.
fn normal(text: &str) -> String {
    let word = text.split([' ', '(']).next().unwrap_or("");
    let (digits, shift) = match word.as_bytes().last() {
        Some(b'K') => (&word[..word.len() - 1], 10),
        Some(b'M') => (&word[..word.len() - 1], 20),
        Some(b'G') => (&word[..word.len() - 1], 30),
        Some(b'T') => (&word[..word.len() - 1], 40),
        _ => (word, 0),
    };
    match digits.parse::<u64>() {
        Ok(number) => (number << shift).to_string(),
        Err(_) if word == "empty" => String::new(),
        Err(_) => word.to_owned(),
    }
}

fn defaults() -> Result<String, String> {
    let known = known_options();
    let mut lines = Vec::new();
    for row in facts::options().rows() {
        let (name, theirs) = (row.get("name"), row.get("default_linux_x86_64"));
        let Some(option) = known.get(name) else {
            continue;
        };
        // Lists by size say in words what each build works out.
        if row.get("type") == "range list" || normal(theirs) == normal(&option.default) {
            continue;
        }
        lines.push(vec![code(name), theirs.to_owned(), option.default.clone()]);
    }
    Ok(rows(&["key", "default there", "default here"], lines))
}

/// Parts of the tree of names, as the document counts them.
const PARTS: [(&str, &str); 9] = [
    ("config.", "`config.*`"),
    ("opt.", "`opt.*`"),
    ("thread.", "`thread.*`"),
    ("tcache.", "`tcache.*`"),
    ("arena.", "`arena.<i>.*`"),
    ("arenas.", "`arenas.*`"),
    ("prof.", "`prof.*`"),
    ("stats.", "`stats.*`"),
    ("experimental.", "`experimental.*`"),
];

fn part_of(name: &str) -> &'static str {
    let part = PARTS.iter().find(|(prefix, _)| name.starts_with(prefix));
    part.map_or("others", |(_, title)| title)
}

/// Names that are not there yet.
fn mallctl_absent() -> BTreeSet<&'static str> {
    include_str!("../../testkit/facts/mallctl_absent.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

fn mallctl_counts() -> Result<String, String> {
    let absent = mallctl_absent();
    let mut counts: Vec<(&str, usize, usize)> = Vec::new();
    for row in facts::mallctl().rows() {
        let name = row.get("name");
        let part = part_of(name);
        let is_there = usize::from(!absent.contains(name));
        match counts.iter_mut().find(|(other, ..)| *other == part) {
            Some((_, there, all)) => {
                *there += is_there;
                *all += 1;
            }
            None => counts.push((part, is_there, 1)),
        }
    }
    let cells = |(part, there, all): (&str, usize, usize)| {
        vec![part.to_owned(), there.to_string(), all.to_string()]
    };
    Ok(rows(
        &["names", "there", "of"],
        counts.into_iter().map(cells),
    ))
}

/// Notes in a table, then every name by what becomes of it.
fn mallctl() -> Result<String, String> {
    let (lines, absent) = (table("mallctl.tsv")?, mallctl_absent());
    let names: Vec<String> = facts::mallctl()
        .rows()
        .map(|row| row.get("name").to_owned())
        .collect();
    for line in &lines {
        for pattern in line.name.split(", ") {
            let known: Vec<_> = names.iter().filter(|name| fits(pattern, name)).collect();
            if (line.word == "ours") != known.is_empty() {
                return Err(format!("mallctl.tsv: {pattern}: ours, or a known name?"));
            }
            if line.word != "ours" && known.iter().all(|name| absent.contains(name.as_str())) {
                return Err(format!("mallctl.tsv: {pattern} is not there yet"));
            }
        }
    }
    let codes = |line: &Line| {
        let names: Vec<_> = line.name.split(", ").map(code).collect();
        names.join(", ")
    };
    let ours = |line: &&Line| line.word == "ours";
    let noted = lines.iter().filter(|line| !ours(line));
    let mut text = rows(
        &["name", "", "note"],
        noted.map(|line| vec![codes(line), line.word.clone(), line.note.clone()]),
    );
    text.push_str("\nOurs, all as `size_t` where nothing else is said:\n\n");
    text.push_str(&rows(
        &["name", ""],
        lines
            .iter()
            .filter(ours)
            .map(|line| vec![codes(line), line.note.clone()]),
    ));
    text.push_str("\n### Every name of mallctl\n\n");
    let is_noted = |name: &String| {
        let mut patterns = lines.iter().flat_map(|line| line.name.split(", "));
        patterns.any(|pattern| fits(pattern, name))
    };
    for part in PARTS.iter().map(|(_, part)| *part).chain(["others"]) {
        let of_part = || names.iter().filter(move |name| part_of(name) == part);
        let list = |title: &str, chosen: &dyn Fn(&String) -> bool, text: &mut String| {
            let names: Vec<_> = of_part()
                .filter(|name| chosen(name))
                .map(|name| code(name))
                .collect();
            if !names.is_empty() {
                let _ = writeln!(text, "- {part}, {title}: {}", names.join(", "));
            }
        };
        let is_absent = |name: &String| absent.contains(name.as_str());
        list(
            "**same**",
            &|name| !is_absent(name) && !is_noted(name),
            &mut text,
        );
        list(
            "as the notes above say",
            &|name| !is_absent(name) && is_noted(name),
            &mut text,
        );
        list(
            "**absent** (`ENOENT`), as from jemalloc after 5.3.1",
            &is_absent,
            &mut text,
        );
    }
    Ok(text)
}

/// Whether a pattern is about a name: its own, its end, or the beginning of either with a `*`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(part) => name.starts_with(part) || name.contains(&format!(".{part}")),
        None => pattern == name || name.ends_with(&format!(".{pattern}")),
    }
}

fn macros() -> Result<String, String> {
    let lines = table("macros.tsv")?;
    let known = facts_of(facts::header(), "name");
    for line in &lines {
        if (line.word == "ours") == known.contains(&line.name) {
            return Err(format!("macros.tsv: {}: ours, or a known name?", line.name));
        }
    }
    let cells = |line: &Line| vec![code(&line.name), line.word.clone(), line.note.clone()];
    let mut text = rows(&["name", "", "note"], lines.iter().map(cells));
    let said = |name: &String| lines.iter().any(|line| line.name == *name);
    let table = facts::header();
    let names = table.rows().map(|row| row.get("name").to_owned());
    let elsewhere = |name: &String| {
        let reason = headers::NOT_HERE.iter().find(|(other, _)| other == name)?.1;
        ["Windows", "a build switch", "reserved"]
            .contains(&reason)
            .then_some(reason)
    };
    let same: Vec<_> = names
        .filter(|name| !said(name) && elsewhere(name).is_none())
        .map(|name| code(&name))
        .collect();
    let _ = write!(text, "\n**Same**: {}.\n", same.join(", "));
    let absent: Vec<_> = known
        .iter()
        .filter_map(|name| Some(format!("{} ({})", code(name), elsewhere(name)?)))
        .collect();
    let _ = write!(text, "\n**Absent**: {}.\n", absent.join(", "));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_compared_as_values() {
        assert_eq!(normal("8M"), normal("8388608"));
        assert_eq!(normal("1 for every bin"), "1");
        assert_eq!(normal("empty"), normal(""));
        assert_ne!(normal("auto"), normal("false (true in debug builds)"));
    }

    #[test]
    fn a_part_has_a_star() {
        assert!(fits("stats.arenas.<i>.*", "stats.arenas.<i>.dss"));
        assert!(fits("mutexes.*", "stats.mutexes.ctl.num_ops"));
        assert!(fits("nmalloc", "stats.arenas.<i>.small.nmalloc"));
        assert!(!fits("malloc", "stats.arenas.<i>.small.nmalloc"));
        assert!(!fits("arena.<i>.dss", "arena.<i>.dss.x"));
    }
}
