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

use std::any::type_name_of_val;
use std::env;
use std::process::Command;
use std::string::String;
use std::vec::Vec;

/// Holds the role of a child.
const VARIABLE: &str = "JEMOXIDE_TEST_ROLE";
/// What lines start with that a child [`say`]s.
const MARK: &str = "@said ";

/// Seconds that a child may take.
const LIMIT_S: u32 = 120;

/// What a child has to do, if this process is one.
pub(crate) fn role() -> Option<String> {
    env::var(VARIABLE).ok()
}

/// Tells the parent a line.
pub(crate) fn say(line: &str) {
    std::println!("{MARK}{line}");
}

/// Runs `body`, a closure written in the test itself, in a process of its own.
pub(crate) fn alone<F: FnOnce()>(body: F) {
    match role() {
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
    limit(&mut command, fixed);
    let output = command.output().expect("the test binary starts");
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

/// Sets the limit of rule X2 and, with `fixed`, asks for an address space that is laid out the same every time.
fn limit(command: &mut Command, fixed: bool) {
    use std::os::unix::process::CommandExt;
    let prepare = move || {
        // SAFETY: two plain calls, in the child before it runs the program. A refusal leaves things as they are.
        unsafe {
            libc::alarm(LIMIT_S);
            if fixed {
                libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes two system calls and touches nothing else.
    unsafe { command.pre_exec(prepare) };
}
