//! The supply chain: what is depended on, why, from where, under which licence; and that the library needs libc alone.

use std::collections::BTreeSet;
use std::fs;

use jemoxide_testkit::artifacts;
use jemoxide_xtask::{dependencies, metadata, sbom};
use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_dependency_has_a_reason_and_stands_in_the_document() {
    let text = dependencies::text().unwrap_or_else(|error| panic!("{error}"));
    let there = fs::read_to_string(dependencies::path()).unwrap_or_default();
    assert!(there == text, "run `cargo xtask dependencies`");
}

#[test]
fn a_dependency_without_a_reason_is_noticed() {
    let reasons = |text: &str| {
        let found = dependencies::parse(text)?;
        Ok::<_, String>(
            found
                .into_iter()
                .map(|found| found.reason)
                .collect::<Vec<_>>(),
        )
    };
    let with = "[dependencies]\n# One.\n# Still one.\na = \"1\"\nb = \"1\"\n\n# Two.\nc = { version = \"1\" }\nours = { path = \"x\" }\n";
    assert_eq!(
        reasons(with).unwrap(),
        ["One. Still one.", "One. Still one.", "Two."]
    );
    for without in [
        "[dependencies]\na = \"1\"\n",
        "[dependencies]\n# One.\na = \"1\"\n\nb = \"1\"\n",
        "# About the package.\n[dev-dependencies]\na = \"1\"\n",
        "[target.'cfg(loom)'.dependencies]\na = \"1\"\n",
        "# One.\n[dependencies.a]\nversion = \"1\"\n",
    ] {
        assert!(reasons(without).is_err(), "{without}");
    }
}

/// Names of all packages that a build with these features contains.
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let output = artifacts::cargo()
        .args(["tree", "--locked", "--edges=normal,build", "--prefix=none"])
        .arg("--format={p}")
        .args(arguments)
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_library_needs_libc_alone() {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let core: BTreeSet<String> = set(&["jemoxide", "libc"]);
    assert_eq!(tree(&["--package=jemoxide"]), core);
    assert_eq!(
        tree(&["--package=jemoxide", "--all-features"]),
        set(&["jemoxide", "libc", "allocator-api2"])
    );
    assert_eq!(
        tree(&["--package=jemoxide-capi", "--all-features"]),
        set(&["jemoxide", "jemoxide-capi", "libc"])
    );
}

#[test]
fn everything_comes_from_crates_io() {
    for lock in dependencies::files_named("Cargo.lock").unwrap() {
        let text = fs::read_to_string(&lock).unwrap();
        let sources = text
            .lines()
            .filter_map(|line| line.strip_prefix("source = "));
        for source in sources {
            assert_eq!(source.trim_matches('"'), CRATES_IO, "{}", lock.display());
        }
        let packages = text.split("[[package]]").skip(1);
        for package in packages.filter(|package| package.contains("\nsource = ")) {
            assert!(
                package.contains("\nchecksum = "),
                "{}: {package}",
                lock.display()
            );
        }
    }
}

#[test]
fn licences_are_those_of_deny_toml() {
    let deny = fs::read_to_string(artifacts::workspace().join("deny.toml")).unwrap();
    let list = deny.split("\nallow = [").nth(1).unwrap();
    let allowed: BTreeSet<&str> = list
        .lines()
        .take_while(|line| *line != "]")
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .collect();
    assert!(allowed.contains("MIT"), "{allowed:?}");
    let exceptions: Vec<(&str, &str)> = deny
        .split("{ crate = \"")
        .skip(1)
        .filter_map(|rest| {
            let (name, rest) = rest.split_once("\", allow = [\"")?;
            Some((name, rest.split_once('"')?.0))
        })
        .collect();
    for package in metadata::packages().unwrap() {
        let exception = (package.name.as_str(), package.licence.as_str());
        assert!(
            is_allowed(&package.licence, &allowed) || exceptions.contains(&exception),
            "{} {}: {:?} is not in deny.toml",
            package.name,
            package.version,
            package.licence
        );
    }
    for (expression, expected) in [
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Zlib", true),
        ("MIT/GPL-3.0", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

/// Whether an SPDX expression can be met by allowed licences. AND binds more than OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let is_met = any(&words, &mut at, allowed);
    is_met && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut is_met = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        is_met |= all(words, at, allowed);
    }
    is_met
}

fn all(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let mut is_met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        is_met &= one(words, at, allowed);
    }
    is_met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> bool {
    let Some(&word) = words.get(*at) else {
        return false;
    };
    *at += 1;
    if word == "(" {
        let is_met = any(words, at, allowed);
        *at += 1;
        return is_met;
    }
    let mut is_met = allowed.contains(word);
    if words.get(*at) == Some(&"WITH") {
        // An exception is a text of its own: allowed only by its whole name.
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        is_met = allowed.contains(&*format!("{word} WITH {exception}"));
        *at += 2;
    }
    is_met
}

#[test]
fn the_bill_of_materials_is_whole_and_the_same_each_time() {
    let text = sbom::text("jemoxide-cli").unwrap();
    assert_eq!(text, sbom::text("jemoxide-cli").unwrap());
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let components = bill["components"].as_array().unwrap();
    let mut known: BTreeSet<&str> = components
        .iter()
        .map(|component| component["bom-ref"].as_str().unwrap())
        .collect();
    known.insert(bill["metadata"]["component"]["bom-ref"].as_str().unwrap());
    assert!(known.iter().any(|name| name.starts_with("pkg:cargo/clap@")));
    let dependencies = bill["dependencies"].as_array().unwrap();
    assert_eq!(dependencies.len(), known.len());
    for dependency in dependencies {
        for need in dependency["dependsOn"].as_array().unwrap() {
            assert!(known.contains(need.as_str().unwrap()), "{need}");
        }
    }
    for component in components {
        let is_ours = component["name"].as_str().unwrap().starts_with("jemoxide");
        let checksum = component["hashes"][0]["content"].as_str();
        assert!(
            is_ours || checksum.is_some_and(|checksum| checksum.len() == 64),
            "{component}"
        );
    }
}

#[test]
fn the_library_is_made_of_itself_and_libc() {
    let bill: Value = serde_json::from_str(&sbom::text("jemoxide-capi").unwrap()).unwrap();
    let names: Vec<&str> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["jemoxide", "libc"]);
    assert!(sbom::text("clap").is_err());
}
