//! Process: one child run to its end, with the figures of that child alone.
//!
//! The peak that the kernel hands out with a child's exit status starts at the size its parent had
//! when it forked, so a small program would be shown with the size of the bench. Each child is therefore
//! traced: it stops once at its own exit, with its memory still there, and is read from `/proc`.
//!
//! ```text
//! fork -- exec -- stop: clock starts ---- runs ---- exit stop: read /proc -- end
//! ```
//! C1  Only the main thread's exec and exit are stops; the program runs at full speed between them.
//! C2  A child that outlives its deadline is killed and reported as failed.
//! C3  Status other than 0 is a failure, with the end of what it wrote to standard error.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longest life of a child that names no deadline.
const DEADLINE: Duration = Duration::from_secs(120);

/// The arguments of a trace request that takes none.
const NO_ADDRESS: *mut libc::c_void = std::ptr::null_mut();

/// A program to run, with arguments and environment.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    file: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    deadline: Duration,
}

/// What a child that ended well left.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// All of its standard output.
    pub(crate) stdout: String,
    /// All of its standard error.
    pub(crate) stderr: String,
    /// From the end of exec to the exit status.
    pub(crate) wall: Duration,
    /// User and system time of all its threads and reaped children.
    pub(crate) cpu: Duration,
    /// Highest resident size, as the kernel keeps it.
    pub(crate) peak_rss_kib: u64,
    /// Resident size at exit, counted page by page.
    pub(crate) exit_rss_kib: u64,
}

impl Program {
    /// The program in `file`, without arguments.
    pub(crate) fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            args: Vec::new(),
            env: Vec::new(),
            deadline: DEADLINE,
        }
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Sets one variable of its environment.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Sets the time after which it is killed.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command for `std`, with standard input closed and both outputs piped. Allocator settings of
    /// the caller's own environment are dropped: they would configure the peers.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command.args(&self.args);
        for name in [
            "LD_PRELOAD",
            "MALLOC_CONF",
            "JEMOXIDE_CONF",
            "GLIBC_TUNABLES",
        ] {
            command.env_remove(name);
        }
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end and measures it.
    pub(crate) fn run(&self) -> Result<Finished, String> {
        let name = self.file.display();
        let mut command = self.command();
        // SAFETY: between fork and exec the closure makes one system call and nothing else.
        unsafe {
            command.pre_exec(|| {
                match libc::ptrace(libc::PTRACE_TRACEME, 0, NO_ADDRESS, NO_ADDRESS) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot run {name}: {error}"))?;
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let watchdog = Watchdog::new(&child, self.deadline);
        let traced = trace(&child);
        let killed = watchdog.stop();
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        let traced = traced.map_err(|error| format!("cannot trace {name}: {error}"))?;
        if killed {
            return Err(format!("{name} was killed after {:?}", self.deadline));
        }
        if !traced.status.success() {
            return Err(format!(
                "{name} ended with {}{}",
                traced.status,
                tail(&stderr)
            ));
        }
        Ok(Finished {
            stdout,
            stderr,
            wall: traced.wall,
            cpu: traced.cpu,
            peak_rss_kib: traced.exit.peak_rss_kib,
            exit_rss_kib: traced.exit.exit_rss_kib,
        })
    }
}

/// Resident size of process `pid` in KiB, counted page by page (the cheaper counters of the kernel may
/// be off by a few hundred KiB).
pub(crate) fn resident_kib(pid: u32) -> Option<u64> {
    field_kib(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
}

/// Highest resident size of process `pid` so far in KiB; never below what it has now.
pub(crate) fn peak_resident_kib(pid: u32) -> Option<u64> {
    let peak = field_kib(&format!("/proc/{pid}/status"), "VmHWM:")?;
    Some(peak.max(resident_kib(pid).unwrap_or(0)))
}

fn field_kib(file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Reads a pipe to its end on a thread of its own, so that a full pipe never stops the child.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A read that fails ends the text; the child's status tells what happened.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The last lines of `text` on a line of their own, or nothing.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    let joined: Vec<&str> = lines.into_iter().rev().collect();
    if joined.is_empty() {
        String::new()
    } else {
        format!(": {}", joined.join(" | "))
    }
}

/// Kills a child at its deadline (rule C2).
struct Watchdog {
    done: mpsc::Sender<()>,
    thread: JoinHandle<bool>,
}

impl Watchdog {
    fn new(child: &Child, deadline: Duration) -> Self {
        let (done, ended) = mpsc::channel();
        // SAFETY: a plain system call with a number; the descriptor it returns is owned below. It names
        //         this very child even after its number is used again.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
        let thread = thread::spawn(move || {
            let late = ended.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                // SAFETY: as above; a signal to a process that is gone is refused.
                unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, libc::SIGKILL, 0, 0) };
            }
            if pidfd >= 0 {
                // SAFETY: opened above, used by nobody else.
                unsafe { libc::close(pidfd as libc::c_int) };
            }
            late
        });
        Self { done, thread }
    }

    /// Whether it had to kill.
    fn stop(self) -> bool {
        drop(self.done);
        self.thread.join().unwrap_or(false)
    }
}

#[derive(Default)]
struct AtExit {
    peak_rss_kib: u64,
    exit_rss_kib: u64,
}

struct Traced {
    status: ExitStatus,
    wall: Duration,
    cpu: Duration,
    exit: AtExit,
}

/// Follows `child`, which stopped itself at exec, to its end.
fn trace(child: &Child) -> std::io::Result<Traced> {
    let pid = child.id() as libc::pid_t;
    let (status, _) = wait(pid)?;
    if !libc::WIFSTOPPED(status) {
        return Err(std::io::Error::other("ended before its exec"));
    }
    let options = libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SETOPTIONS, pid, options)?;
    let start = Instant::now();
    let mut exit = AtExit::default();
    request(libc::PTRACE_CONT, pid, 0)?;
    loop {
        let (status, usage) = wait(pid)?;
        if !libc::WIFSTOPPED(status) {
            return Ok(Traced {
                status: ExitStatus::from_raw(status),
                wall: start.elapsed(),
                cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
                exit,
            });
        }
        let signal = if status >> 16 == libc::PTRACE_EVENT_EXIT {
            exit = read_at_exit(child.id());
            0
        } else {
            match libc::WSTOPSIG(status) {
                // A further exec of a traced program stops with this one; it is not the program's.
                libc::SIGTRAP => 0,
                signal => signal,
            }
        };
        // A child killed between the two calls is gone; the next wait says so.
        let _ = request(libc::PTRACE_CONT, pid, signal);
    }
}

fn read_at_exit(pid: u32) -> AtExit {
    AtExit {
        peak_rss_kib: peak_resident_kib(pid).unwrap_or(0),
        exit_rss_kib: resident_kib(pid).unwrap_or(0),
    }
}

fn wait(pid: libc::pid_t) -> std::io::Result<(libc::c_int, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the call writes one status and one rusage, to which the pointers lead.
        let got = unsafe { libc::wait4(pid, &raw mut status, libc::__WALL, &raw mut usage) };
        if got == pid {
            return Ok((status, usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn request(what: libc::c_uint, pid: libc::pid_t, data: libc::c_int) -> std::io::Result<()> {
    // SAFETY: the two requests made here take numbers only.
    match unsafe { libc::ptrace(what, pid, NO_ADDRESS, libc::c_long::from(data)) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
}

#[cfg(test)]
mod tests {
    use super::Program;
    use std::time::Duration;

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh").arg("-c").arg(script)
    }

    #[test]
    fn a_small_child_is_not_shown_with_the_size_of_its_parent() {
        let ballast = vec![1_u8; 64 << 20];
        let finished = Program::new("/bin/true").run().unwrap();
        assert!(ballast.iter().all(|&byte| byte == 1));
        assert!(finished.exit_rss_kib > 100 && finished.exit_rss_kib < 16_000);
        assert!(finished.peak_rss_kib < 16_000, "{}", finished.peak_rss_kib);
    }

    #[test]
    fn output_and_environment_pass_and_signals_reach_the_child() {
        let program =
            shell("trap 'echo caught' USR1; kill -USR1 $$; echo $WORD").env("WORD", "yes");
        assert_eq!(program.run().unwrap().stdout, "caught\nyes\n");
    }

    #[test]
    fn failures_tell_why() {
        let error = shell("echo reason >&2; exit 3").run().unwrap_err();
        assert!(error.contains('3') && error.contains("reason"), "{error}");
        let error = shell("kill -ABRT $$").run().unwrap_err();
        assert!(error.contains("signal"), "{error}");
        assert!(Program::new("/nonexistent").run().is_err());
    }

    #[test]
    fn a_child_that_hangs_is_killed() {
        let error = shell("exec sleep 60")
            .deadline(Duration::from_millis(100))
            .run()
            .unwrap_err();
        assert!(error.contains("killed"), "{error}");
    }

    #[test]
    fn more_output_than_a_pipe_holds_does_not_stop_the_child() {
        let finished = shell("head -c 300000 /dev/zero | tr '\\0' x")
            .run()
            .unwrap();
        assert_eq!(finished.stdout.len(), 300_000);
    }
}
