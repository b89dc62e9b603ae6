//! Child: a test in a process of its own.
//!
//! The allocator's tables are the process's. A test that has to know what is in them, or how the first call of
//! a process goes, runs its body in a child: the test binary once more, told to run that one test.
//!
//! ```text
//! parent: alone(body) ──starts──> child: the same test, alone(body) finds the variable set and runs `body`
//! ```
//! X1  The child runs exactly one test, and the parent fails unless it passed.
//! X2  A child that hangs is ended by a signal after [`LIMIT_S`] seconds.
//! X3  It is spawned, not forked: the fork handlers count on nobody being inside the allocator, and unit tests that run
//!     beside this one lock its parts without passing the gate.
//! X4  Under Miri, which starts no processes, the body runs in the test's own: ci/miri gives each test one.

use std::any::type_name_of_val;
use std::env;
use std::process::{Command, Output, Stdio};
use std::string::String;
use std::vec::Vec;

/// Holds the role of a child.
const VARIABLE: &str = "JEMOXIDE_TEST_ROLE";
/// What lines start with that a child [`say`]s.
const MARK: &str = "@said ";

/// Seconds that a child may take.
const LIMIT_S: u32 = 120;

/// What a child has to do, if this process is one; the limit of rule X2 is set then.
pub(crate) fn role() -> Option<String> {
    let role = env::var(VARIABLE).ok()?;
    // SAFETY: a plain system call.
    unsafe { libc::alarm(LIMIT_S) };
    Some(role)
}

/// Tells the parent a line.
pub(crate) fn say(line: &str) {
    std::println!("{MARK}{line}");
}

/// Runs `body`, a closure written in the test itself, in a process of its own.
pub(crate) fn alone<F: FnOnce()>(body: F) {
    match role() {
        _ if cfg!(miri) => body(),
        Some(_) => body(),
        None => drop(start(test_of(&body), "alone", false)),
    }
}

/// Starts a child as `role` of the test in which `body` was written, and answers what it said. The child finds
/// its role with [`role`] and runs the body. With `fixed`, its address space is laid out without randomness,
/// where the system allows that.
pub(crate) fn ask<F: Fn(&str)>(body: &F, role: &str, fixed: bool) -> Vec<String> {
    start(test_of(body), role, fixed)
}

/// The name of the test that `closure` was written in.
fn test_of<F>(closure: &F) -> &'static str {
    let path = type_name_of_val(closure).trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, path)| path)
}

fn start(test: &str, role: &str, fixed: bool) -> Vec<String> {
    let program = env::current_exe().expect("the test binary has a path");
    let mut command = Command::new(program);
    command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, role);
    let output = spawned(&mut command, fixed).expect("the test binary starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let passed = output.status.success() && out.contains("1 passed");
    assert!(
        passed,
        "{test} as {role:?}: {}\n{out}\n{err}",
        output.status
    );
    // The harness may have written to the same line before.
    out.lines()
        .filter_map(|line| Some(String::from(line.split_once(MARK)?.1)))
        .collect()
}

/// Runs `command` to its end (X3). With `fixed`, its address space is laid out the same every time: the child has the
/// personality of the thread that spawns it. A refusal leaves things as they are.
fn spawned(command: &mut Command, fixed: bool) -> std::io::Result<Output> {
    /// Asks for the personality and changes nothing.
    const ASK: libc::c_ulong = 0xffff_ffff;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if !fixed {
        return command.output();
    }
    // SAFETY: plain system calls about this thread alone; mappings that are there stay where they are.
    let child = unsafe {
        let usual = libc::personality(ASK);
        libc::personality(usual as libc::c_ulong | libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
        let child = command.spawn();
        libc::personality(usual as libc::c_ulong);
        child
    };
    child?.wait_with_output()
}
