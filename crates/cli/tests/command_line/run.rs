//! `jemoxide run PROGRAM`: what is found, started and passed on, what is left behind, and what is said where something is
//! missing.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{COMMAND, harmless_library, holds, output, run, script};

#[test]
fn a_missing_library_is_told_with_its_cure() {
    let folder = tempfile::tempdir().expect("a directory");
    let alone = folder.path().join("bin").join("jemoxide");
    fs::create_dir(folder.path().join("bin")).expect("writable");
    fs::copy(COMMAND, &alone).expect("copied");
    for words in [&["run", "true"][..], &["run"]] {
        let mut command = Command::new(&alone);
        command.args(words);
        let (code, stdout, stderr) = output(command);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        let place = |place: &str| folder.path().join(place).display().to_string();
        holds(
            &stderr,
            &[
                &place("bin/libjemoxide.so"),
                &place("lib/libjemoxide.so"),
                "cargo build --release",
                "--library",
            ],
        );
    }
    // Through a link the places are still those beside the real file.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&alone, &link).expect("linked");
    fs::create_dir(folder.path().join("lib")).expect("writable");
    fs::copy(
        harmless_library(),
        folder.path().join("lib").join("libjemoxide.so"),
    )
    .expect("copied");
    let mut command = Command::new(&link);
    command.args(["run", "true"]);
    assert_eq!(output(command).0, Some(0));
}

#[test]
fn a_missing_program_is_127_and_an_unfit_one_126() {
    let (code, _, stderr) = output(run(&["no-such-program-here"]));
    assert_eq!(code, Some(127));
    holds(&stderr, &["no-such-program-here", "PATH"]);
    let (code, _, stderr) = output(run(&["/no/such/program"]));
    assert_eq!(code, Some(127));
    holds(&stderr, &["/no/such/program"]);

    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("text");
    fs::write(&file, "no program").expect("writable");
    let (code, _, stderr) = output(run(&[&file.display().to_string()]));
    assert_eq!(code, Some(126));
    holds(&stderr, &["may not be executed"]);

    let lost = script(folder.path(), "lost", "#!/no/such/interpreter\n");
    let (code, _, stderr) = output(run(&[&lost.display().to_string()]));
    assert_eq!(code, Some(127));
    holds(&stderr, &["interpreter /no/such/interpreter"]);
}

#[test]
fn exit_status_and_output_are_the_programs() {
    let (code, stdout, stderr) = output(run(&["sh", "-c", "echo out; echo err >&2; exit 7"]));
    assert_eq!((code, stdout.as_str()), (Some(7), "out\n"));
    holds(
        &stderr,
        &["err\n", "jemoxide: sh -c", "exit status 7", "peak RSS"],
    );
    assert!(!stderr.contains('\x1b'), "no colour in a pipe");

    let (code, _, stderr) = output(run(&["--", "sh", "-c", "kill -9 $$"]));
    assert_eq!(code, Some(137));
    holds(&stderr, &["killed by signal 9 (SIGKILL)"]);
}

#[test]
fn a_script_runs_through_its_first_line() {
    let folder = tempfile::tempdir().expect("a directory");
    let script = script(folder.path(), "script", "#!/bin/sh\necho \"$0 $1\"\n");
    let (code, stdout, _) = output(run(&[&script.display().to_string(), "--flag"]));
    assert_eq!(code, Some(0));
    holds(&stdout, &["script --flag"]);
}

#[test]
fn variables_are_added_to_not_replaced() {
    let mut command = run(&[
        "sh",
        "-c",
        "echo $LD_PRELOAD; echo $JEMOXIDE_CONF; ls -ld ${JEMOXIDE_CONF#*_dir:}",
    ]);
    let library = harmless_library();
    let mine = script(Path::new(env!("CARGO_TARGET_TMPDIR")), "mine.so", "");
    fs::copy(&library, &mine).expect("copied");
    let mine = mine.display().to_string();
    command
        .env("LD_PRELOAD", &mine)
        .env("JEMOXIDE_CONF", "narenas:2");
    let (_, stdout, _) = output(command);
    holds(
        &stdout,
        &[
            &format!("{library}:{mine}\n"),
            "narenas:2,report_dir:/",
            ",count:true\n",
        ],
    );

    let mut command = run(&["--no-count", "sh", "-c", "echo $JEMOXIDE_CONF"]);
    command.env_remove("JEMOXIDE_CONF");
    let (_, stdout, _) = output(command);
    assert!(
        stdout.starts_with("report_dir:/") && !stdout.contains("count"),
        "{stdout}"
    );
}

#[test]
fn the_report_directory_is_private_and_does_not_stay() {
    let folder = tempfile::tempdir().expect("a directory");
    let list = "d=${JEMOXIDE_CONF#report_dir:}; echo $d; ls -ld $d";
    let mut command = run(&["--no-count", "sh", "-c", list]);
    command
        .env("TMPDIR", folder.path())
        .env_remove("JEMOXIDE_CONF");
    let (_, stdout, _) = output(command);
    holds(
        &stdout,
        &[&folder.path().display().to_string(), "drwx------"],
    );
    assert_eq!(
        fs::read_dir(folder.path()).expect("readable").count(),
        0,
        "something was left"
    );

    let mut failing = run(&["/etc/passwd"]);
    failing.env("TMPDIR", folder.path());
    assert_eq!(output(failing).0, Some(126));
    assert_eq!(
        fs::read_dir(folder.path()).expect("readable").count(),
        0,
        "something was left"
    );
}

#[test]
fn a_temporary_directory_with_a_comma_is_not_used() {
    let folder = tempfile::Builder::new()
        .prefix("with,comma")
        .tempdir()
        .expect("a directory");
    let mut command = run(&["--no-count", "sh", "-c", "echo $JEMOXIDE_CONF"]);
    command
        .env("TMPDIR", folder.path())
        .env_remove("JEMOXIDE_CONF");
    let (code, stdout, _) = output(command);
    assert_eq!(code, Some(0));
    assert!(!stdout.contains(','), "{stdout}");
}

#[test]
fn missing_figures_are_explained() {
    let (_, _, stderr) = output(run(&["true"]));
    holds(&stderr, &["No allocator figures.", "does not write"]);
}

#[test]
fn a_static_program_runs_and_the_screen_says_so() {
    let folder = tempfile::tempdir().expect("a directory");
    let source = folder.path().join("p.rs");
    let program = folder.path().join("static");
    fs::write(&source, "fn main() { std::process::exit(5) }").expect("writable");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["-C", "target-feature=+crt-static", "-o"])
        .args([&program, &source])
        .output()
        .is_ok_and(|output| output.status.success());
    if !built {
        println!("NOT TESTED: no static program can be built here (rustc with crt-static failed)");
        return;
    }
    let (code, _, stderr) = output(run(&[&program.display().to_string()]));
    assert_eq!(code, Some(5));
    // Lines are broken at blanks: look at words.
    let words = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    holds(
        &words,
        &["is statically linked", "ran on its own allocator"],
    );
}

#[test]
fn a_small_programs_peak_is_its_own() {
    // Started the quick way it would show the command's own peak, several MiB.
    let (_, _, stderr) = output(run(&["true"]));
    let line = stderr
        .lines()
        .find(|line| line.contains("peak RSS"))
        .expect("shown");
    let mut words = line.split_whitespace().skip(2);
    let number: f64 = words
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    match words.next() {
        Some("KiB") => {}
        Some("MiB") => assert!(number < 3.0, "{line}"),
        other => panic!("{other:?} in {line}"),
    }
}
