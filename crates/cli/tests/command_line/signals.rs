//! Signals that come to the command: passed on, or left to the program.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::run;

/// Starts `sh -c script` under the command, waits for its first line, then sends `signal` to the command.
fn signalled(script: &str, signal: i32) -> (Option<i32>, String) {
    use std::io::{BufRead, BufReader};
    let mut child = run(&["sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    // SAFETY: `kill` takes numbers only; the child has not been waited for, so its number is its own.
    unsafe { libc::kill(child.id() as i32, signal) };
    let rest = lines.map_while(Result::ok).collect::<Vec<_>>().join("\n");
    let status = child.wait().expect("waits");
    assert_eq!(status.signal(), None, "the command itself was killed");
    (status.code(), rest)
}

#[test]
fn a_request_to_terminate_goes_to_the_program() {
    let trap = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    assert_eq!(
        signalled(trap, libc::SIGTERM),
        (Some(9), "got it".to_owned())
    );
    let plain = "echo ready; exec sleep 60";
    assert_eq!(signalled(plain, libc::SIGHUP).0, Some(128 + libc::SIGHUP));
}

#[test]
fn an_interrupt_is_left_to_the_program() {
    // The terminal would send it to both; here the program does not get it, and goes on.
    let script = "echo ready; sleep 0.3; echo done; exit 4";
    assert_eq!(
        signalled(script, libc::SIGINT),
        (Some(4), "done".to_owned())
    );
}
