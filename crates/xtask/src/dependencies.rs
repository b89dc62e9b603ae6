//! docs/DEPENDENCIES.md: every dependency and why it is there, from the comments of all `Cargo.toml`.
//!
//! ```text
//! [dependencies]
//! # Arguments and their help.          <- the reason: the comment right above
//! clap = { version = "4.6", ... }      <- whose reason it is
//! anstyle = "1.0"                      <- shares it: nothing but a dependency stands between
//! ```
//! D1  A dependency on a registry has a reason, in its own `Cargo.toml`. Our own packages need none.
//! D2  A dependency stands on one line of a section, never in a section of its own.
//! D3  What is checked in is what comes out: a test compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jemoxide_testkit::artifacts;

use crate::{Done, put};

/// A dependency on a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Name of the crate, as the package calls it.
    pub name: String,
    /// Section of the manifest.
    pub section: String,
    /// Why it is there.
    pub reason: String,
}

const HEAD: &str = "\
<!-- Made by `cargo xtask dependencies` from the comments of each Cargo.toml; do not edit here. -->
# Dependencies

Every crate that a package of this repository depends on, and why. The library itself (`crates/core`, `crates/capi`) is built
from its own source and `libc`'s declarations, nothing else; tests hold that, that each dependency has a reason, that all come
from crates.io, and that their licences are those of `deny.toml`. `cargo xtask sbom` prints a bill of materials with
versions, licences and checksums.
";

/// Where the document is.
pub fn path() -> PathBuf {
    artifacts::workspace().join("docs/DEPENDENCIES.md")
}

/// The command.
pub fn write() -> Done {
    put(&path(), &text()?)?;
    Ok(format!("written: {}\n", path().display()))
}

/// The whole document; an error names each dependency without a reason.
pub fn text() -> Result<String, String> {
    let mut text = String::from(HEAD);
    let mut complaints = Vec::new();
    let root = artifacts::workspace();
    for manifest in files_named("Cargo.toml")? {
        let written = fs::read_to_string(&manifest)
            .map_err(|error| format!("{}: {error}", manifest.display()))?;
        let shown = manifest.strip_prefix(root).unwrap_or(&manifest);
        let dependencies = match parse(&written) {
            Ok(dependencies) => dependencies,
            Err(error) => {
                complaints.push(format!("{}: {error}", shown.display()));
                continue;
            }
        };
        if dependencies.is_empty() {
            continue;
        }
        let folder = shown.parent().unwrap_or(shown).display().to_string();
        let _ = write!(
            text,
            "\n## {}\n\n| crate | for | reason |\n| --- | --- | --- |\n",
            if folder.is_empty() {
                "workspace"
            } else {
                &folder
            }
        );
        // A crate of several sections (tests want another feature of it) has a row in each.
        for dependency in dependencies {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} |",
                dependency.name,
                purpose(&dependency.section),
                dependency.reason
            );
        }
    }
    match complaints.is_empty() {
        true => Ok(text),
        false => Err(complaints.join("\n")),
    }
}

/// All files of that name in the source, in order of their paths.
pub fn files_named(name: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    gather(artifacts::workspace(), name, &mut found)?;
    found.sort();
    Ok(found)
}

fn gather(folder: &Path, name: &str, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !path.is_symlink() {
            if file_name != "target" && !file_name.starts_with('.') {
                gather(&path, name, found)?;
            }
        } else if file_name == name {
            found.push(path);
        }
    }
    Ok(())
}

/// The dependencies of a manifest (rules D1 and D2).
pub fn parse(manifest: &str) -> Result<Vec<Dependency>, String> {
    let mut found = Vec::new();
    let mut missing = BTreeMap::new();
    let (mut section, mut reason) = (String::new(), String::new());
    let mut is_comment_before = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            if section.contains("dependencies.") && !section.starts_with("workspace.dependencies") {
                return Err(format!("[{section}]: write it on one line of its section"));
            }
            reason.clear();
        } else if let Some(comment) = line.strip_prefix('#') {
            if !is_comment_before {
                reason.clear();
            } else if !reason.is_empty() {
                reason.push(' ');
            }
            reason.push_str(comment.trim());
        } else if line.is_empty() {
            reason.clear();
        } else if section.ends_with("dependencies")
            && let Some((name, value)) = line.split_once('=')
        {
            let name = name.trim().trim_end_matches(".workspace").to_owned();
            if !is_ours(&name, value) {
                if reason.is_empty() {
                    missing.insert(name.clone(), section.clone());
                }
                found.push(Dependency {
                    name,
                    section: section.clone(),
                    reason: reason.clone(),
                });
            }
        }
        is_comment_before = line.starts_with('#');
    }
    match missing.is_empty() {
        true => Ok(found),
        false => Err(format!(
            "no reason above {missing:?}: write a comment that tells why it is there"
        )),
    }
}

/// Whether a dependency is a package of this repository.
fn is_ours(name: &str, value: &str) -> bool {
    value.contains("path =") || (name.starts_with("jemoxide") && value.trim() == "true")
}

fn purpose(section: &str) -> String {
    match section {
        "dependencies" => "build".to_owned(),
        "dev-dependencies" => "tests".to_owned(),
        "build-dependencies" => "build script".to_owned(),
        other => match other.split_once("'.") {
            Some((target, kind)) => format!(
                "{}, where `{}`",
                purpose(kind),
                target.trim_start_matches("target.'")
            ),
            None => other.to_owned(),
        },
    }
}
