//! `jemoxide run` without a program: the built-in comparison, at small size.

use std::process::Stdio;

use crate::{c_library, harmless_library, holds, jemoxide, output, run};

const SHORT: [&str; 8] = [
    "--rounds",
    "1",
    "--keys",
    "500",
    "--requests",
    "1000",
    "--threads",
    "2",
];

#[test]
fn a_comparison_shows_both_sides() {
    let (code, stdout, stderr) = output(run(&SHORT));
    assert_eq!(code, Some(0), "{stderr}");
    holds(
        &stdout,
        &[
            "requests/s",
            "glibc",
            "jemoxide",
            "RSS, shrunk",
            "content.",
            "no report",
        ],
    );
}

#[test]
fn a_comparison_on_the_wrong_library_is_an_error() {
    // The C library is in every process: it cannot be what makes the difference.
    let mut command = jemoxide(&["run", "--library", &c_library().display().to_string()]);
    command.args(SHORT);
    let (code, stdout, stderr) = output(command);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    holds(&stderr, &["was loaded", "nothing can be compared"]);
}

#[test]
fn an_interrupted_comparison_stops() {
    let mut child = jemoxide(&[
        "run",
        "--library",
        &harmless_library(),
        "--rounds",
        "50",
        "--keys",
        "500",
    ])
    .args(["--requests", "1000"])
    .stderr(Stdio::piped())
    .spawn()
    .expect("starts");
    // It watches signals from before its first words on.
    let mut told = child.stderr.take().expect("piped");
    let mut first = [0; 1];
    std::io::Read::read_exact(&mut told, &mut first).expect("a word");
    // SAFETY: `kill` takes numbers only; the child has not been waited for, so its number is its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let rest = std::io::read_to_string(told).expect("text");
    assert_eq!(
        child.wait().expect("waits").code(),
        Some(128 + libc::SIGINT),
        "{rest}"
    );
    holds(&rest, &["stopped by signal 2"]);
}
