//! `jemoxide top` and `jemoxide stats` on living processes, the former through a pseudo-terminal.

use std::path::Path;
use std::process::{Command, Output, Stdio};

mod screen;
mod service;
mod stats;
mod top;

const COMMAND: &str = env!("CARGO_BIN_EXE_jemoxide");

fn output(words: &[&str]) -> Output {
    Command::new(COMMAND)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("starts")
}

/// Standard output of a success.
fn said(words: &[&str]) -> String {
    let output = output(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Standard error of a failure.
fn complaint(words: &[&str]) -> String {
    let output = output(words);
    assert!(!output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}
