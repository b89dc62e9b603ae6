//! The bench as a program: what it prints with and without the libraries it compares.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Exit status 0 or not, and all that was printed.
fn bench(args: &[&str], out: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_jemoxide-bench"))
        .args(args)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn without_our_library_the_way_to_build_it_is_shown_and_the_rest_is_measured() {
    let out = folder("missing");
    let args = [
        "compare",
        "--kind",
        "preload",
        "--quick",
        "--rounds",
        "1",
        "--only",
        "ping-pong",
        "--peers",
        "jemoxide,glibc",
        "--library",
        "/nonexistent/libjemoxide.so",
    ];
    let (success, text) = bench(&args, &out);
    assert!(success, "{text}");
    assert!(text.contains("cargo build --release"), "{text}");
    assert!(text.contains("missing"), "{text}");
    let raw = std::fs::read_to_string(out.join("compare.json")).unwrap();
    let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let run = &raw["figures"]["runs"][0];
    assert_eq!(run["entrant"], "glibc");
    assert!(run["run"]["wall_ns"].as_u64() > Some(0), "{run}");
    assert!(run["run"]["peak_rss_kib"].as_u64() > Some(0), "{run}");
}

#[test]
fn a_library_without_malloc_is_not_measured_as_one() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let other = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("libgcc_s"));
    let Some(other) = other else {
        println!("NOT TESTED: this process has no libgcc_s to preload");
        return;
    };
    let args = [
        "compare",
        "--kind",
        "preload",
        "--quick",
        "--rounds",
        "1",
        "--only",
        "ping-pong",
        "--peers",
        "jemoxide",
        "--library",
        other,
    ];
    let (_, text) = bench(&args, &folder("other"));
    assert!(text.contains("leaves malloc to"), "{text}");
}

#[test]
fn unknown_names_are_refused() {
    let out = folder("unknown");
    let (success, text) = bench(&["compare", "--peers", "nobody"], &out);
    assert!(!success && text.contains("nobody"), "{text}");
    let (success, text) = bench(
        &[
            "compare", "--kind", "preload", "--peers", "glibc", "--only", "nothing",
        ],
        &out,
    );
    assert!(!success && text.contains("no workload"), "{text}");
}

#[test]
fn an_allocator_that_hands_memory_out_twice_is_found() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken/twice.c");
    let library = folder("broken").join("libtwice.so");
    let compiled = Command::new("cc")
        .args(["-O2", "-fPIC", "-shared", "-fno-builtin"])
        .arg(source)
        .arg("-o")
        .arg(&library)
        .status();
    let Ok(compiled) = compiled else {
        println!("NOT TESTED: no C compiler cc");
        return;
    };
    assert!(compiled.success());
    let workload = |preload: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jemoxide-bench"));
        command.args(["workload", "burst-1600", "3"]);
        if let Some(library) = preload {
            command.env("LD_PRELOAD", library);
        }
        command.output().unwrap()
    };
    assert!(workload(None).status.success());
    let broken = workload(Some(&library));
    let told = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(
        !broken.status.success() && told.contains("overwritten"),
        "{told}"
    );
}
