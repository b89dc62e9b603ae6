//! What cargo says of the packages: names, licences, sources, who needs whom; and the checksums of the lock file.
//!
//! Only what is built for this machine counts: `cargo metadata` is asked for the host's platform, so that a test needs no
//! package that a build does not need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use jemoxide_testkit::artifacts;
use serde_json::Value;

/// One package of a build.
#[derive(Clone, Debug)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Expression of SPDX; empty when the package has none.
    pub licence: String,
    /// Where it comes from; `None` for our own.
    pub source: Option<String>,
    /// Its repository, where it names one.
    pub repository: Option<String>,
    /// What a build of it needs (normal and build dependencies), by index.
    pub needs: Vec<usize>,
}

/// All packages that building or testing the workspace on this machine needs.
pub fn packages() -> Result<Vec<Package>, String> {
    let output = artifacts::cargo()
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", &host()?])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let packages = list(&told["packages"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let index: BTreeMap<&str, usize> = packages
        .iter()
        .enumerate()
        .filter_map(|(at, package)| Some((package["id"].as_str()?, at)))
        .collect();
    let needs: BTreeMap<&str, Vec<usize>> = list(&told["resolve"]["nodes"])
        .iter()
        .filter_map(|node| {
            let built = list(&node["deps"]).iter().filter(|need| is_built(need));
            let needs = built.filter_map(|need| index.get(need["pkg"].as_str()?).copied());
            Some((node["id"].as_str()?, needs.collect()))
        })
        .collect();
    packages
        .iter()
        .map(|package| {
            let id = package["id"].as_str().unwrap_or_default();
            Ok(Package {
                name: text(&package["name"]).ok_or("a package without a name")?,
                version: text(&package["version"]).ok_or("a package without a version")?,
                licence: text(&package["license"]).unwrap_or_default(),
                source: text(&package["source"]),
                repository: text(&package["repository"]),
                needs: needs.get(id).cloned().unwrap_or_default(),
            })
        })
        .collect()
}

/// The indexes of what a build of the package at `root` contains, itself included.
pub fn closure(packages: &[Package], root: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(at) = open.pop() {
        let fresh = packages[at]
            .needs
            .iter()
            .filter(|&&need| found.insert(need));
        open.extend(fresh);
    }
    found
}

/// Checksums (SHA-256) of the lock file, by name and version.
pub fn checksums() -> Result<BTreeMap<(String, String), String>, String> {
    let path = artifacts::workspace().join("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut found = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            package.lines().find_map(|line| {
                let value = line.strip_prefix(name)?.strip_prefix(" = \"")?;
                value.strip_suffix('"').map(str::to_owned)
            })
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (field("name"), field("version"), field("checksum"))
        {
            found.insert((name, version), checksum);
        }
    }
    Ok(found)
}

/// Whether something is needed for more than tests.
fn is_built(need: &Value) -> bool {
    let kinds = list(&need["dep_kinds"]);
    kinds
        .iter()
        .any(|kind| kind["kind"].as_str() != Some("dev"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The triple this toolchain builds for.
fn host() -> Result<String, String> {
    let output = std::process::Command::new("rustc")
        .arg("-vV")
        .output()
        .map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc does not say what it builds for".to_owned())
}
