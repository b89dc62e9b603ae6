//! Child: a program run under a watchdog, and the verdict on how it ended.
//!
//! ```text
//!  Run::new(program).preload(lib).run() --> Outcome.expect_success()
//!       |                                        .expect_death("double free")
//!       '-- own process group; killed whole at the deadline
//! ```
//!
//! Allocator tests fail in ways that harm their process: deadlock, abort, exhausted memory. So
//! each such test is a child. [`rerun`] makes the running test's own body the child.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{artifacts, door};

/// Set in the environment of a test that [`rerun`] started.
const RERUN: &str = "JEMOXIDE_TEST_RERUN";

/// What a developer's shell may hold that would change the allocator or the library found.
const SCRUBBED: [&str; 7] = [
    "MALLOC_CONF",
    "JEMOXIDE_CONF",
    "_RJEM_MALLOC_CONF",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "GLIBC_TUNABLES",
    RERUN,
];

/// Deadline of a run that sets none: far above any test's need, so that a slow machine never trips it.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A child process about to be started.
pub struct Run {
    command: Command,
    timeout: Duration,
    stdin: Vec<u8>,
    required_output: Option<String>,
}

/// How a child ended, and what it printed.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Whether the watchdog had to kill it.
    pub timed_out: bool,
    /// Everything written to standard output.
    pub stdout: String,
    /// Everything written to standard error.
    pub stderr: String,
    command: String,
    required_output: Option<String>,
}

impl Run {
    /// Prepares to run `program` with nothing in its environment that steers an allocator.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        for name in SCRUBBED {
            command.env_remove(name);
        }
        Self {
            command,
            timeout: TIMEOUT,
            stdin: Vec::new(),
            required_output: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Preloads the shared library at `path`.
    #[must_use]
    pub fn preload(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        assert!(
            path.is_file(),
            "the loader only warns about a missing library: {}",
            path.display()
        );
        self.env("LD_PRELOAD", path)
    }

    /// Runs in `folder`.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Sets the deadline, from the start of the process.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives the child `input` on standard input; by default that is empty.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = input.into();
        self
    }

    /// Bounds the child's address space, as `ulimit -v` does (in bytes here).
    #[must_use]
    pub fn limit_address_space(self, bytes: u64) -> Self {
        self.limit(libc::RLIMIT_AS, bytes)
    }

    /// Bounds one resource of the child; `resource` is an `RLIMIT_` constant.
    #[must_use]
    pub fn limit(mut self, resource: libc::__rlimit_resource_t, value: u64) -> Self {
        let limit = libc::rlimit {
            rlim_cur: value,
            rlim_max: value,
        };
        // SAFETY: the closure runs between fork and exec and makes one system call: it takes no lock
        // and allocates nothing. `limit` is owned by the closure.
        unsafe {
            self.command
                .pre_exec(move || match libc::setrlimit(resource, &limit) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                });
        }
        self
    }

    /// Runs the child to its end, or kills it and all of its process group at the deadline.
    ///
    /// Panics if it cannot be started.
    pub fn run(mut self) -> Outcome {
        self.command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let text = format!("{:?}", self.command);
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{text} does not start: {error}"),
        };
        let deadline = Instant::now() + self.timeout;
        let mut stdin = child.stdin.take().expect("piped");
        let input = self.stdin;
        // A child that reads nothing closes the pipe: that is its right.
        let writer = thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = Pump::start(child.stdout.take().expect("piped"));
        let stderr = Pump::start(child.stderr.take().expect("piped"));

        let status = wait_until(&mut child, deadline);
        let timed_out = status.is_none();
        if timed_out {
            kill_group(&child);
        }
        let status = status.unwrap_or_else(|| child.wait().expect("the child is ours"));
        // Grandchildren may hold the pipes; they get until the deadline too.
        let drained = stdout.wait_until(deadline) && stderr.wait_until(deadline);
        if !drained {
            kill_group(&child);
        }
        drop(writer);
        Outcome {
            status: status.code(),
            signal: status.signal(),
            timed_out: timed_out || !drained,
            stdout: stdout.text(),
            stderr: stderr.text(),
            command: text,
            required_output: self.required_output,
        }
    }
}

impl Outcome {
    /// Asserts a clean end with exit code 0; returns the outcome for more questions.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(
            !self.timed_out && self.status == Some(0),
            "expected success: {self}"
        );
        if let Some(part) = &self.required_output {
            assert!(
                self.stdout.contains(part),
                "expected {part:?} on standard output: {self}"
            );
        }
        self
    }

    /// Asserts death by abort, with `part` in what it wrote to standard error.
    #[track_caller]
    pub fn expect_death(self, part: &str) -> Self {
        assert!(
            !self.timed_out && self.signal == Some(libc::SIGABRT),
            "expected an abort: {self}"
        );
        assert!(
            self.stderr.contains(part),
            "expected {part:?} on standard error: {self}"
        );
        self
    }

    /// Asserts exit code `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(
            !self.timed_out && self.status == Some(code),
            "expected exit code {code}: {self}"
        );
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.command)?;
        match (self.timed_out, self.status, self.signal) {
            (true, ..) => writeln!(out, "  killed by the watchdog")?,
            (_, Some(code), _) => writeln!(out, "  exit code {code}")?,
            (_, _, signal) => writeln!(out, "  signal {}", signal.unwrap_or(0))?,
        }
        write!(
            out,
            "--- stdout\n{}--- stderr\n{}---",
            self.stdout, self.stderr
        )
    }
}

/// Gives a test body a process of its own: `None` inside it, a prepared [`Run`] outside.
///
/// ```no_run
/// # use jemoxide_testkit::{artifacts, child};
/// // #[test]
/// fn survives_a_million_threads() {
///     if let Some(run) = child::rerun("survives_a_million_threads") {
///         run.preload(artifacts::library()).run().expect_success();
///         return;
///     }
///     // the body, in the child
/// }
/// ```
///
/// `test_name` is the full path of the test as libtest prints it. A name that matches no test fails.
pub fn rerun(test_name: &str) -> Option<Run> {
    if env::var_os(RERUN).is_some_and(|name| name == *test_name) {
        return None;
    }
    let this = env::current_exe().expect("the test binary knows itself");
    let args = [
        test_name,
        "--exact",
        "--nocapture",
        "--include-ignored",
        "--test-threads=1",
    ];
    let mut run = Run::new(this).args(args).env(RERUN, test_name);
    run.required_output = Some("test result: ok. 1 passed".to_owned());
    Some(run)
}

/// Runs `body` in a process of its own whose heap is the built library, under `options`; see [`rerun`].
///
/// Panics unless that process ends well.
pub fn on_library(test_name: &str, options: &str, body: impl FnOnce()) {
    let Some(run) = rerun(test_name) else {
        door::assert_provider(&artifacts::library());
        return body();
    };
    run.preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .run()
        .expect_success();
}

/// Reads one pipe to its end on a thread of its own; what came so far can be read at any time.
struct Pump {
    read: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Pump {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let read = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&read);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                sink.lock()
                    .expect("no reader panics")
                    .extend_from_slice(&buffer[..count]);
            }
        });
        Self { read, thread }
    }

    fn wait_until(&self, deadline: Instant) -> bool {
        poll_until(deadline, || self.thread.is_finished().then_some(())).is_some()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read.lock().expect("no reader panics")).into_owned()
    }
}

fn wait_until(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    poll_until(deadline, || child.try_wait().expect("the child is ours"))
}

/// Asks `ready` until it answers or the deadline passes; a last question comes after the deadline.
fn poll_until<T>(deadline: Instant, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let mut pause = Duration::from_micros(200);
    loop {
        let late = Instant::now() >= deadline;
        if let Some(answer) = ready() {
            return Some(answer);
        }
        if late {
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn kill_group(child: &Child) {
    let group = libc::pid_t::try_from(child.id()).expect("process ids fit");
    // SAFETY: a system call on integers. The group is the child's own (`process_group(0)`), and its
    // number is not reused while the child is unreaped or any member lives; when neither holds the
    // call finds no such group.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    fn shell(script: &str) -> Run {
        Run::new("/bin/sh").arg("-c").arg(script)
    }

    #[test]
    fn a_hanging_child_is_killed_with_its_children_and_shown() {
        let start = Instant::now();
        let run = shell("echo so far; sleep 1000 & sleep 1000").timeout(Duration::from_millis(300));
        let outcome = run.run();
        assert!(
            outcome.timed_out && outcome.stdout == "so far\n",
            "{outcome}"
        );
        assert!(start.elapsed() < Duration::from_secs(100));
        let panic = catch_unwind(|| outcome.expect_success()).expect_err("a hang is a failure");
        assert!(
            panic
                .downcast_ref::<String>()
                .is_some_and(|text| text.contains("watchdog"))
        );
    }

    #[test]
    fn a_forgotten_grandchild_does_not_hang_the_test() {
        let outcome = shell("sleep 1000 & exit 0")
            .timeout(Duration::from_millis(300))
            .run();
        assert!(outcome.timed_out, "{outcome}");
    }

    #[test]
    fn every_end_is_told_from_every_other() {
        assert_eq!(
            shell("cat; exit 3").stdin("in").run().expect_code(3).stdout,
            "in"
        );
        shell("echo last words >&2; kill -ABRT $$")
            .run()
            .expect_death("last words");
        for script in ["exit 1", "kill -SEGV $$", "kill -ABRT $$"] {
            assert!(
                catch_unwind(|| shell(script).run().expect_success()).is_err(),
                "{script}"
            );
        }
        for script in [
            "echo words >&2",
            "echo words >&2; kill -SEGV $$",
            "kill -ABRT $$",
        ] {
            assert!(
                catch_unwind(|| shell(script).run().expect_death("words")).is_err(),
                "{script}"
            );
        }
    }

    #[test]
    fn limits_and_environment_reach_the_child() {
        let script = "ulimit -v; echo ${MALLOC_CONF-unset}";
        let limited = shell(script)
            .limit_address_space(1 << 30)
            .env("MALLOC_CONF", "given")
            .run();
        assert_eq!(limited.expect_success().stdout, "1048576\ngiven\n");
        assert_eq!(
            shell("echo ${MALLOC_CONF-unset}")
                .run()
                .expect_success()
                .stdout,
            "unset\n"
        );
    }

    #[test]
    fn a_test_that_does_not_exist_cannot_be_rerun() {
        let outcome = rerun("no_such_test").expect("not inside it").run();
        assert_eq!(
            outcome.status,
            Some(0),
            "libtest itself is content: {outcome}"
        );
        assert!(catch_unwind(|| outcome.expect_success()).is_err());
    }

    #[test]
    fn a_rerun_body_runs_once_in_a_process_of_its_own() {
        if let Some(run) = rerun("child::tests::a_rerun_body_runs_once_in_a_process_of_its_own") {
            let outcome = run.env("MARK", "here").run().expect_success();
            assert_eq!(
                outcome.stdout.matches("body with mark").count(),
                1,
                "{outcome}"
            );
            return;
        }
        assert_eq!(env::var("MARK").as_deref(), Ok("here"));
        println!("body with mark");
    }
}
