//! Rust programs written for jemalloc: `tikv-jemallocator` and `tikv-jemalloc-ctl`, linked with this library.
//!
//! `tikv-jemalloc-sys` links the library that `JEMALLOC_OVERRIDE` names instead of building its own. A program of ours
//! does what services do, and the crate's own tests are run from a copy of its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jemoxide_testkit::child::Run;
use jemoxide_testkit::{artifacts, compiler};

/// The crate whose tests are run.
const CRATE: &str = "tikv-jemalloc-ctl-0.7.0";

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/process/tikv_ctl")
}

/// Whether the crates are there; without a network they may not be.
fn fetched() -> bool {
    let mut cargo = artifacts::cargo();
    let output = cargo
        .args(["fetch", "--locked"])
        .current_dir(package())
        .output();
    let there = output.is_ok_and(|output| output.status.success());
    if !there {
        compiler::announce_untested("cargo cannot fetch tikv-jemalloc-ctl");
    }
    there
}

/// Cargo in `folder`, with the library in jemalloc's place.
fn cargo(folder: &Path, arguments: &[&str]) -> Command {
    let library = artifacts::library();
    let mut cargo = artifacts::cargo();
    cargo
        .current_dir(folder)
        .args(arguments)
        .arg("--target-dir")
        .arg(artifacts::target().join("tikv_ctl"))
        .env("JEMALLOC_OVERRIDE", &library)
        .env("LD_LIBRARY_PATH", library.parent().expect("a folder"));
    cargo
}

#[track_caller]
fn succeeds(mut command: Command) -> String {
    let output = command.output().expect("cargo starts");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout
}

#[test]
fn a_service_written_for_jemalloc_runs() {
    if !fetched() {
        return;
    }
    succeeds(cargo(&package(), &["build", "--release", "--locked"]));
    let library = artifacts::library();
    let outcome = Run::new(artifacts::target().join("tikv_ctl/release/tikv-ctl"))
        .env("LD_LIBRARY_PATH", library.parent().expect("a folder"))
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "done\n", "{outcome}");
}

#[test]
fn the_crates_own_tests_pass() {
    if !fetched() {
        return;
    }
    let folder = artifacts::target().join("tikv_suite");
    copy(&source(), &folder);
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, format!("{text}\n[workspace]\n")).expect("a copy of our own");
    fs::copy(package().join("Cargo.lock"), folder.join("Cargo.lock")).expect("a copy of our own");
    let features = "stats,use_std,tikv-jemalloc-sys/unprefixed_malloc_on_supported_platforms";
    let told = succeeds(cargo(&folder, &["test", "--features", features]));
    let passed: usize = told
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next())
        .map(|count| count.parse::<usize>().expect("a count"))
        .sum();
    assert!(passed > 50, "{told}");
}

/// Where cargo keeps the crate's source.
fn source() -> PathBuf {
    let mut command = artifacts::cargo();
    command
        .current_dir(package())
        .args(["metadata", "--format-version=1", "--locked"]);
    let listing = succeeds(command);
    let wanted = format!("/{CRATE}/Cargo.toml");
    let end = listing.find(&wanted).expect("the crate is a dependency") + wanted.len();
    let begin = listing[..end].rfind('"').expect("a string") + 1;
    let manifest = Path::new(&listing[begin..end]);
    manifest.parent().expect("a folder").to_owned()
}

/// Copies a folder, in place of what was there.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("target folder is writable");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("a folder");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("target folder is writable");
        }
    }
}
