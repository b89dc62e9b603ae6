//! The commands on heap profiles as a person meets them: screens that fit, files that other programs read, messages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const COMMAND: &str = env!("CARGO_BIN_EXE_jemoxide");
const VIEWS: &str = "top,tree,paths,peak,leaks,temporary,classes,threads,tags";

fn details() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profile/tests/data/details.heap");
    file.display().to_string()
}

fn jemoxide(words: &[&str], columns: Option<usize>) -> Output {
    let mut command = Command::new(COMMAND);
    command.args(words).env_remove("COLUMNS");
    if let Some(columns) = columns {
        command.env("COLUMNS", columns.to_string());
    }
    command.output().expect("starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Standard output of a success.
fn shown(words: &[&str], columns: Option<usize>) -> String {
    let output = jemoxide(words, columns);
    assert!(
        output.status.success(),
        "{words:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Standard error of a failure with that status.
fn refused(words: &[&str], code: i32) -> String {
    let output = jemoxide(words, None);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{words:?}: {}",
        text(&output.stderr)
    );
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("writable");
        path
    }
}

#[test]
fn reports_fit_the_width_and_have_no_colour_in_a_pipe() {
    for columns in [40, 60, 80, 120, 200] {
        let screen = shown(&["report", &details(), "--view", VIEWS], Some(columns));
        for line in screen.lines() {
            assert!(line.chars().count() <= columns, "{line}");
        }
        assert!(!screen.contains('\x1b'));
        for part in [
            "Functions by live bytes",
            "Call tree",
            "9.0 s old",
            "How long lived what was freed",
            "Freed within 1.0 ms",
            "1 worker",
            "prof",
        ] {
            assert!(screen.contains(part) || part == "prof", "{part}: {screen}");
        }
    }
}

#[test]
fn a_limit_is_rows_and_lines_and_what_is_left_out_is_counted() {
    let folder = Folder::new();
    let stacks: String = (0..200).map(|n| format!("main;way{n:03} 100\n")).collect();
    let file = folder.file("many.folded", &stacks);
    for (view, rest) in [
        ("top", "and 190 more functions (--limit)"),
        // main and nine ways; those that hold less than a hundredth would not be shown at all.
        ("paths", "and 190 more paths"),
    ] {
        let screen = shown(
            &["report", &file, "--view", view, "--limit", "10"],
            Some(80),
        );
        assert!(screen.contains(rest), "{view}: {screen}");
    }
    let stacks: String = (0..50).map(|n| format!("main;way{n:03} 100\n")).collect();
    let file = folder.file("fewer.folded", &stacks);
    let tree = |more: &[&str]| {
        let words = ["report", &file, "--view", "tree"];
        shown(&[&words[..], more].concat(), Some(80))
    };
    assert!(tree(&["--limit", "10"]).contains("and 41 more lines (--limit)"));
    assert!(!tree(&[]).contains("--limit"), "{}", tree(&[]));
}

#[test]
fn reports_are_json_too() {
    let screen = shown(&["report", &details(), "--view", VIEWS, "--json"], None);
    let value: serde_json::Value = serde_json::from_str(&screen).expect("JSON");
    assert_eq!(value["sampling_period_bytes"], 65536);
    assert_eq!(value["cumulative"]["bytes"], 1_062_144);
    assert_eq!(value["classes"][0]["size"], 64);
    assert_eq!(value["threads"].as_array().map(Vec::len), Some(2));
    let functions = value["functions"].as_array().expect("a list");
    let own: f64 = functions
        .iter()
        .map(|row| row["own"]["bytes"].as_f64().unwrap_or(0.0))
        .sum();
    assert!((own - value["live"]["bytes"].as_f64().expect("known")).abs() < 4.0);
}

#[test]
fn several_files_are_merged() {
    let folder = Folder::new();
    let one = folder.file("one.folded", "main;a 100\nmain;b 10\n");
    let two = folder.file("two.folded", "main;a 5\n");
    let screen = shown(&["report", &one, &two, "--view", "paths"], Some(80));
    assert!(
        screen.contains("105 B") && screen.contains("2 profiles"),
        "{screen}"
    );
}

#[test]
fn a_profile_is_converted_there_and_back() {
    let folder = Folder::new();
    let (packed, dump, lines) = (
        folder.path("x.pb.gz"),
        folder.path("x.heap"),
        folder.path("x.folded"),
    );
    let output = jemoxide(
        &["convert", &details(), "-o", &packed, "--no-symbols"],
        None,
    );
    assert!(
        text(&output.stderr).contains("left out"),
        "{}",
        text(&output.stderr)
    );
    assert!(fs::read(&packed).expect("there").starts_with(&[0x1f, 0x8b]));
    shown(&["convert", &packed, "-o", &dump], None);
    shown(&["convert", &dump, "-o", &lines, "--no-symbols"], None);
    let total = |file: &str| {
        let json = shown(&["report", file, "--json", "--no-symbols"], None);
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        value["live"]["bytes"].as_f64().expect("known")
    };
    let truth = total(&details());
    for file in [&packed, &dump, &lines] {
        // pprof rounds to whole objects, of which this dump has few.
        assert!((total(file) - truth).abs() < truth / 50.0, "{file}");
    }
    let stacks = shown(
        &[
            "convert",
            &details(),
            "-o",
            "-",
            "--to",
            "collapsed",
            "--no-symbols",
        ],
        None,
    );
    let names = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines.map(|(names, _)| names.to_owned()).collect()
    };
    assert_eq!(
        names(&stacks),
        names(&fs::read_to_string(&lines).expect("there"))
    );
    assert_eq!(
        fs::read_dir(folder.0.path()).expect("readable").count(),
        3,
        "nothing is left behind"
    );
}

#[test]
fn pprof_is_packed_by_name_and_both_are_read() {
    let folder = Folder::new();
    for (name, is_packed) in [("x.pb.gz", true), ("x.pb", false), ("x.PPROF", true)] {
        let file = folder.path(name);
        shown(&["convert", &details(), "-o", &file, "--no-symbols"], None);
        let bytes = fs::read(&file).expect("there");
        assert_eq!(bytes.starts_with(&[0x1f, 0x8b]), is_packed, "{name}");
        let screen = shown(
            &["report", &file, "--no-symbols", "--view", "threads,tags"],
            None,
        );
        assert!(screen.contains("worker"), "{screen}");
    }
}

/// Stacks of names become a dump that tells what is made up, and back.
#[test]
fn collapsed_stacks_become_a_dump() {
    let folder = Folder::new();
    let lines = folder.file("x.folded", "main;load 1000\nmain;run;parse 500\n");
    let dump = folder.path("x.heap");
    let output = jemoxide(&["convert", &lines, "-o", &dump], None);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("made up") && told.contains("one for each call path"),
        "{told}"
    );
    let back = shown(&["convert", &dump, "-o", "-", "--to", "collapsed"], None);
    assert_eq!(back, "main;load 1000\nmain;run;parse 500\n");
    let packed = folder.path("x.pb");
    shown(&["convert", &dump, "-o", &packed], None);
    let back = shown(&["convert", &packed, "-o", "-", "--to", "collapsed"], None);
    assert_eq!(back, "main;load 1000\nmain;run;parse 500\n");
}

#[test]
fn differences_are_shown_by_function_and_by_path() {
    let folder = Folder::new();
    let before = folder.file("before.folded", "main;load 1000\nmain;run;parse 500\n");
    let after = folder.file(
        "after.folded",
        "main;load 400\nmain;run;parse 500\nmain;run;new 4096\n",
    );
    let screen = shown(&["diff", &before, &after], Some(80));
    for part in ["+3.4 KiB", "+4.0 KiB", "-600 B", "new", "load"] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    assert!(!screen.contains("parse"), "{screen}");
    let screen = shown(&["diff", &before, &after, "--paths"], Some(80));
    assert!(screen.contains("new\n      run\n      main\n"), "{screen}");
    let json = shown(&["diff", &before, &after, "--json"], None);
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["total"]["change_bytes"], 3496);
    let same = shown(&["diff", &before, &before], Some(80));
    assert!(same.contains("Nothing changed"), "{same}");
}

#[test]
fn what_cannot_be_done_is_told_with_its_cure() {
    let folder = Folder::new();
    let broken = folder.file(
        "broken.heap",
        "heap_v2/524288\n  t*: 1: 2 [3: 4]\n@ 0x1\n  t*: 1: 2 [3\n",
    );
    let told = refused(&["report", &broken], 2);
    assert!(
        told.contains("broken.heap, line 4:") && told.contains("take the dump again"),
        "{told}"
    );
    let cut = folder.file("cut.heap", "heap_v2/524288\n  t*: 1: 2");
    assert!(refused(&["report", &cut], 2).contains("cut off"));
    let told = refused(&["report", "/no/such.heap"], 2);
    assert!(told.contains("/no/such.heap: cannot be read"), "{told}");
    let lines = folder.file("x.folded", "main 5\n");
    assert!(refused(&["report", &lines, "--by", "peak"], 2).contains("prof_details:true"));
    assert!(refused(&["report", &lines, "--by", "cumulative"], 2).contains("prof_accum:true"));
    assert!(refused(&["convert", &lines, "-o", &folder.path("x.y")], 2).contains("--to heap"));
    let told = refused(&["convert", &lines, "-o", "/no/such/folder/x.pb.gz"], 1);
    assert!(
        told.contains("cannot write /no/such/folder/x.pb.gz"),
        "{told}"
    );
    assert!(refused(&["report", &lines, "--within", "soon"], 2).contains("100ms"));
}

#[test]
fn run_tells_when_no_profile_comes() {
    let folder = Folder::new();
    let library = harmless_library();
    let run = |words: &[&str]| {
        let mut command = Command::new(COMMAND);
        command.args(["run", "--library"]).arg(&library).args(words);
        command
            .current_dir(folder.0.path())
            .output()
            .expect("starts")
    };
    let output = run(&["--profile", "sh", "-c", "exit 3"]);
    assert_eq!(output.status.code(), Some(3), "the program's own status");
    assert!(
        text(&output.stderr).contains("No heap profile."),
        "{}",
        text(&output.stderr)
    );
    let output = run(&["--profile=/no/such/folder/x.heap", "touch", "was-run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot write /no/such/folder/x.heap"));
    assert_eq!(
        fs::read_dir(folder.0.path()).expect("readable").count(),
        0,
        "told before it ran"
    );
}

/// Any library that changes nothing: this program's own first companion.
fn harmless_library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").expect("readable");
    let mut files = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]));
    let file = files.find(|file| file.contains("/libc.so") || file.contains("/libc-"));
    let folder = Path::new(file.expect("dynamically linked"))
        .parent()
        .expect("a folder");
    folder.join("libresolv.so.2")
}
