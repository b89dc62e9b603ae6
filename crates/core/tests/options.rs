//! Options by the table of what jemalloc takes (crates/testkit/facts/options.tsv), and random text.
#![cfg(not(loom))]

use jemoxide::settings::{Origin, explain};

/// Keys of jemalloc that are unknown here: who adds one takes its line out.
const ABSENT: &str = include_str!("../../testkit/facts/options_absent.txt");

/// Keys whose default differs, and that have a reason for it in docs/COMPAT.md.
const OWN_DEFAULT: [&str; 9] = [
    "background_thread",
    "cache_oblivious",
    "calloc_madvise_threshold",
    "debug_double_free_max_scan",
    "hpa_hugification_threshold",
    "hpa_hugify_delay_ms",
    "mutex_max_spin",
    "narenas",
    "narenas_ratio",
];

/// Keys whose largest value differs.
const OWN_MOST: [(&str, i128); 1] = [("narenas", 32)];

struct Fact {
    name: &'static str,
    kind: &'static str,
    legal: &'static str,
    default: &'static str,
}

fn facts() -> Vec<Fact> {
    include_str!("../../testkit/facts/options.tsv")
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            Fact {
                name: cells[0],
                kind: cells[1],
                legal: cells[2],
                default: cells[3],
            }
        })
        .collect()
}

/// The value and the default of `name` after `text`, and whether something in it was wrong.
fn read(name: &str, text: &str) -> (String, String, bool) {
    // A second way to write another key's value shows there.
    let name = match name {
        "narenas_ratio" => name,
        _ => name.strip_suffix("_ratio").unwrap_or(name),
    };
    let mut found = None;
    let mut wrong = false;
    let text: &'static [u8] = text.to_owned().leak().as_bytes();
    explain(
        &[(Origin::MallocConf, text)],
        &mut |setting| {
            if setting.name == name {
                found = Some((setting.value.to_owned(), setting.default.to_owned()));
            }
        },
        &mut |line| {
            let taken = ["option without effect", "option honoured in part"];
            wrong |= !taken.iter().any(|words| line.contains(words));
        },
    );
    let (value, default) = found.unwrap_or_else(|| panic!("{name} is no key"));
    (value, default, wrong)
}

/// A value of a number as it is shown: perhaps with a suffix.
fn number(shown: &str) -> i128 {
    let digits = shown.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &shown[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => 40,
    };
    digits.parse::<i128>().expect("a number") << shift
}

/// The least and the largest value that the table names; `None` where it names none.
fn range(fact: &Fact) -> (Option<i128>, Option<i128>) {
    let numbers = |text: &str| text.parse().ok();
    let own = OWN_MOST.iter().find(|(name, _)| *name == fact.name);
    let (least, most) = if let Some((least, rest)) = fact.legal.split_once("..") {
        let end = rest.find(|each: char| !each.is_ascii_digit());
        let most = &rest[..end.unwrap_or(rest.len())];
        (numbers(least), numbers(most))
    } else if let Some(rest) = fact.legal.split(">= ").nth(1) {
        let end = rest.find(|each: char| !each.is_ascii_digit());
        (numbers(&rest[..end.unwrap_or(rest.len())]), None)
    } else {
        (None, None)
    };
    (least, own.map(|(_, most)| *most).or(most))
}

#[test]
fn every_known_key_takes_what_jemalloc_takes() {
    let mut missing: Vec<&str> = ABSENT
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for fact in facts() {
        if let Some(at) = missing.iter().position(|name| *name == fact.name) {
            missing.remove(at);
            continue;
        }
        let name = fact.name;
        let takes = |value: &str, taken: bool| {
            let (_, _, wrong) = read(name, &format!("{name}:{value}"));
            assert_ne!(wrong, taken, "{name}:{value}");
        };
        let (_, default, _) = read(name, "");
        match fact.kind {
            "bool" => {
                ["true", "false"]
                    .iter()
                    .for_each(|value| takes(value, true));
                let bad = ["", "tru", "1", "TRUE", "true "];
                bad.iter().for_each(|value| takes(value, false));
                if !OWN_DEFAULT.contains(&name) {
                    assert!(fact.default.starts_with(&*default), "{name}: {default}");
                }
            }
            "enum" => {
                let (words, _) = fact.legal.split_once('(').expect("how words match");
                let completed = fact.legal.contains("prefix match");
                for word in words.split('|').map(str::trim) {
                    takes(word, true);
                    assert_eq!(read(name, &format!("{name}:{word}")).0, word, "{name}");
                    takes(&format!("{word}x"), false);
                }
                takes("", completed);
                takes(&words.trim()[..2], completed);
                assert!(fact.default.starts_with(&*default), "{name}: {default}");
            }
            "range list" => {
                let good = ["8-64:1", "0x10-64:2|65-128:3", "1-18446744073709551615:4"];
                good.iter().for_each(|value| takes(value, true));
                let bad = [
                    "", "8", "8-64", "8-64:", "64:1", "8-64:1|", "x-64:1", "8-64:1;",
                ];
                bad.iter().for_each(|value| takes(value, false));
                // What stands before a wrong part counts.
                let (value, ..) = read(name, &format!("{name}:8-64:1|65-128:x"));
                assert_eq!(value, "8-64:1", "{name}");
                takes("default", fact.legal.contains("\"default\""));
                if name == "bin_shards" {
                    takes("8-64:64", true);
                    takes("8-64:0", false);
                    takes("8-64:65", false);
                }
            }
            "string" => {
                let long = "x".repeat(5000);
                ["", "some text", &long]
                    .iter()
                    .for_each(|value| takes(value, true));
            }
            "letters" => {
                ["", "J", "Jgmdablxeh", "zJz", &"J".repeat(5000)]
                    .iter()
                    .for_each(|value| takes(value, true));
                // Others, and repeats, are ignored.
                let (value, ..) = read(name, &format!("{name}:bzJ,{name}:gb"));
                assert_eq!(value, "bJg", "{name}");
            }
            "fixed point" => {
                takes("0.25", true);
                takes("1", true);
                takes("1.5", name == "narenas_ratio" || !name.ends_with("_ratio"));
                let bad = ["", "x", "-0.5", "1,5", "70000"];
                bad.iter().for_each(|value| takes(value, false));
            }
            _ => {
                let bad = ["", "x", "1x", "0x", "- 1", "99999999999999999999"];
                bad.iter().for_each(|value| takes(value, false));
                let (least, most) = range(&fact);
                // What is not refused outside of the range is cut to it.
                let refused = fact.legal.contains("error outside")
                    || fact.legal.starts_with(">= ") && !fact.legal.contains("clipped");
                for (edge, outside) in [(least, -1), (most, 1)] {
                    let Some(edge) = edge else { continue };
                    takes(&edge.to_string(), true);
                    let beyond = edge + outside;
                    if name == "narenas" && outside < 0 {
                        takes("0", false);
                    } else if beyond >= 0 || refused {
                        takes(&beyond.to_string(), !refused);
                    }
                    if !refused && beyond >= 0 && (name, outside) != ("narenas", -1) {
                        let (value, ..) = read(name, &format!("{name}:{beyond}"));
                        assert_eq!(number(&value), edge, "{name}:{beyond}");
                    }
                }
                let first = fact.default.split(' ').next().unwrap_or("");
                if let Ok(expected) = first.parse::<i128>() {
                    if !OWN_DEFAULT.contains(&name) {
                        assert_eq!(number(&default), expected, "{name}");
                    }
                }
            }
        }
    }
    assert_eq!(missing, [""; 0], "not in the table");
}

/// A small generator: the same text for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn random_text_changes_only_what_it_names() {
    let names: Vec<&str> = facts().iter().map(|fact| fact.name).collect();
    let pieces = [
        ",",
        ":",
        ",",
        ":",
        "true",
        "false",
        "-1",
        "0",
        "0x",
        "9",
        "4K",
        "99999999999999999999",
        "preset",
        "low_memory",
        "0.5",
        "-",
        ".",
        "|",
        "\u{e4}",
        " ",
        "dirty_max",
        "report_dir",
        "/x",
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let mut text: Vec<u8> = Vec::new();
        for _ in 0..dice.below(12) {
            match dice.below(4) {
                0 => text.extend(names[dice.below(names.len())].bytes()),
                1 => text.push(dice.below(256) as u8),
                _ => text.extend(pieces[dice.below(pieces.len())].bytes()),
            }
        }
        let source: &'static [u8] = text.clone().leak();
        let named: Vec<&[u8]> = source
            .split(|&byte| byte == b',')
            .filter_map(|pair| pair.split(|&byte| byte == b':').next())
            .collect();
        explain(
            &[(Origin::Harder, source)],
            &mut |setting| match setting.origin {
                None => assert_eq!(setting.value, setting.default, "{text:?}"),
                Some(Origin::Preset(_)) => assert!(named.contains(&&b"preset"[..]), "{text:?}"),
                Some(_) => {
                    let own = setting.name.as_bytes();
                    let names_it = |key: &&[u8]| own.starts_with(key) || key.starts_with(own);
                    assert!(named.iter().any(names_it), "{} {text:?}", setting.name);
                }
            },
            &mut |line| assert!(line.starts_with("<jemoxide>: "), "{line}"),
        );
    }
}
