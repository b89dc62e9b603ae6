//! The command as a person meets it: messages, exit codes, what it leaves behind.
//!
//! Nothing here needs the allocator. Where a library must be preloaded, any does: the tests take a
//! small one that comes with the C library and changes nothing.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

mod comparison;
mod conf;
mod run;
mod signals;

const COMMAND: &str = env!("CARGO_BIN_EXE_jemoxide");

fn jemoxide(words: &[&str]) -> Command {
    let mut command = Command::new(COMMAND);
    command.args(words).stdin(Stdio::null());
    // Whoever runs the tests may ignore signals (`nohup`, a shell's background job), and the command rightly
    // goes on doing so: these tests begin as a terminal would.
    // SAFETY: `signal` is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}

/// `jemoxide run` with a library that changes nothing, and `words`.
fn run(words: &[&str]) -> Command {
    let mut command = jemoxide(&["run", "--library", &harmless_library()]);
    command.args(words);
    command
}

fn harmless_library() -> String {
    let folder = c_library().parent().expect("a folder").to_owned();
    let names = [
        "libresolv.so.2",
        "libdl.so.2",
        "libanl.so.1",
        "libutil.so.1",
    ];
    let mut files = names.iter().map(|name| folder.join(name));
    files
        .find(|file| file.is_file())
        .expect("a companion of the C library")
        .display()
        .to_string()
}

/// The C library of this very process.
fn c_library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").expect("readable");
    let mut files = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]));
    let file = files.find(|file| file.contains("/libc.so") || file.contains("/libc-"));
    PathBuf::from(file.expect("a dynamically linked C library"))
}

/// Runs `command`. A file that was just written is busy while a child that another test forked then has yet to begin
/// its own program.
fn started(command: &mut Command) -> Output {
    loop {
        match command.output() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            output => return output.expect("starts"),
        }
    }
}

fn output(mut command: Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = started(&mut command);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

#[test]
fn no_arguments_print_help() {
    let (code, _, stderr) = output(jemoxide(&[]));
    assert_eq!(code, Some(2));
    holds(&stderr, &["Usage: jemoxide", "run", "classes", "Examples:"]);
    let (code, stdout, _) = output(jemoxide(&["run", "--help"]));
    assert_eq!(code, Some(0));
    holds(
        &stdout,
        &[
            "jemoxide run sort big.txt",
            "--no-count",
            "--library <PATH>",
            "Exit status",
        ],
    );
    assert!(!stdout.contains("Workload"));
}

#[test]
fn slips_get_suggestions() {
    let (code, _, stderr) = output(jemoxide(&["clases"]));
    assert_eq!(code, Some(2));
    holds(&stderr, &["'classes'"]);
    let (code, _, stderr) = output(jemoxide(&["run", "--librari", "x", "true"]));
    assert_eq!(code, Some(2));
    holds(&stderr, &["--library"]);
}

#[test]
fn classes_are_a_table_and_json() {
    let (code, stdout, _) = output(jemoxide(&["classes"]));
    assert_eq!(code, Some(0));
    holds(&stdout, &["14 KiB", "slab pages", "--all"]);
    let (code, stdout, _) = output(jemoxide(&["classes", "--json"]));
    assert_eq!(code, Some(0));
    let classes: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    let classes = classes.as_array().expect("a list");
    assert_eq!(classes.len(), 232);
    assert_eq!(classes[0]["size"], 8);
    assert_eq!(classes[231]["size"], 7u64 << 60);
    assert_eq!(classes[36]["kind"], "large");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = jemoxide(&["classes", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("waits").code(), Some(0));
}
