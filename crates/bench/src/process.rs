//! Process: one child run to its end, with the figures of that child alone.
//!
//! The peak that the kernel hands out with a child's exit status starts at the size its parent had
//! when it forked, so a small program would be shown with the size of the bench. Each child is therefore
//! traced: it stops once at its own exit, with its memory still there, and is read from `/proc`.
//!
//! ```text
//! fork -- exec -- stop: clock starts ---- runs ---- exit stop: read /proc -- end
//!                       server: ready -- load -- signal --^
//! ```
//! C1  Only the main thread's exec and exit are stops; the program runs at full speed between them.
//! C2  A child that outlives its deadline is killed and reported as failed.
//! C3  Status other than 0 is a failure, with the end of what it wrote to standard error.
//! C4  A library that the loader could not preload is a failure: the figures would be another's.

mod family;
mod trace;

pub(crate) use family::{
    cpu_ms, family_pss_kib, is_alive, peak_resident_kib, resident_kib, rollup, thread_names,
};

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use trace::{NO_ADDRESS, Traced, trace};

/// Longest life of a child that names no deadline.
const DEADLINE: Duration = Duration::from_secs(120);

/// What the loader writes when it leaves a preload out.
const NOT_PRELOADED: &str = "cannot be preloaded";

/// A program to run, with arguments and environment.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    file: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    user: Option<u32>,
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
    /// Highest resident size of any one process among it and its reaped children. Never below what the
    /// bench itself had when it forked, so it is for programs whose children are larger.
    pub(crate) largest_rss_kib: u64,
}

impl Program {
    /// The program in `file`, without arguments.
    pub(crate) fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            user: None,
            deadline: DEADLINE,
        }
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one variable of its environment.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Sets the folder that it starts in.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Runs it with the rights of `user`, if one is named.
    pub(crate) fn user(mut self, user: Option<u32>) -> Self {
        self.user = user;
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
        // The end of what a failing child wrote is its reason, not its stack.
        command.env_remove("RUST_BACKTRACE");
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
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
        self.follow(|_| Ok(())).map(|(finished, ())| finished)
    }

    /// Runs it as a server: `load`, which gets its number, first waits until it is ready and then puts
    /// work to it; afterwards it is asked to end by `signal` and measured.
    pub(crate) fn serve<T: Send>(
        &self,
        signal: libc::c_int,
        load: impl FnOnce(u32) -> Result<T, String> + Send,
    ) -> Result<(Finished, T), String> {
        self.follow(|handle| {
            let done = load(handle.id);
            handle.signal(signal);
            done
        })
    }

    /// Runs it, with `beside` on a thread of its own. The child's failure is told first: whatever ran
    /// beside it mostly failed because of that.
    fn follow<T: Send>(
        &self,
        beside: impl FnOnce(Handle) -> Result<T, String> + Send,
    ) -> Result<(Finished, T), String> {
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
        let handle = Handle::new(&child);
        let (traced, beside) = thread::scope(|scope| {
            let beside = scope.spawn(|| beside(handle));
            let traced = trace(&child);
            let beside = beside
                .join()
                .unwrap_or_else(|_| Err(format!("the load of {name} panicked")));
            (traced, beside)
        });
        let killed = watchdog.stop();
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        let traced = traced.map_err(|error| format!("cannot trace {name}: {error}"))?;
        if killed {
            return Err(format!("{name} was killed after {:?}", self.deadline));
        }
        if !traced.status.success() {
            let why = beside.err().map_or(String::new(), |why| format!("; {why}"));
            return Err(format!(
                "{name} ended with {}{}{why}",
                traced.status,
                tail(&stderr)
            ));
        }
        if stderr.contains(NOT_PRELOADED) {
            return Err(format!("{name} ran on another allocator{}", tail(&stderr)));
        }
        Ok((Finished::new(traced, stdout, stderr), beside?))
    }
}

impl Finished {
    fn new(traced: Traced, stdout: String, stderr: String) -> Self {
        Self {
            stdout,
            stderr,
            wall: traced.wall,
            cpu: traced.cpu,
            peak_rss_kib: traced.exit.peak_rss_kib,
            exit_rss_kib: traced.exit.exit_rss_kib,
            largest_rss_kib: traced.exit.peak_rss_kib.max(traced.largest_rss_kib),
        }
    }
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

/// The last lines of `text` on a line of their own, or nothing. Valgrind's lines are left out: they say
/// that the program ended, and stand after what the program said of the reason.
fn tail(text: &str) -> String {
    let said = text.lines().rev().filter(|line| !line.starts_with("=="));
    let lines: Vec<&str> = said.take(3).collect();
    let joined: Vec<&str> = lines.into_iter().rev().collect();
    if joined.is_empty() {
        String::new()
    } else {
        format!(": {}", joined.join(" | "))
    }
}

/// A child that signals may be sent to, even when its number is used again.
struct Handle {
    id: u32,
    descriptor: libc::c_long,
}

impl Handle {
    fn new(child: &Child) -> Self {
        let id = child.id();
        // SAFETY: a plain system call with a number; the descriptor it returns is owned by the handle.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, id, 0) };
        Self { id, descriptor }
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: a plain system call with numbers; a signal to a process that is gone is refused.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.descriptor, signal, 0, 0) };
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.descriptor >= 0 {
            // SAFETY: opened by the handle, used by nobody else.
            unsafe { libc::close(self.descriptor as libc::c_int) };
        }
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
        let handle = Handle::new(child);
        let thread = thread::spawn(move || {
            let late = ended.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                handle.signal(libc::SIGKILL);
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
        let error = shell("echo reason >&2; echo '==1== Events' >&2; exit 3")
            .run()
            .unwrap_err();
        assert!(error.contains("reason") && !error.contains("=="), "{error}");
        let error = shell("kill -ABRT $$").run().unwrap_err();
        assert!(error.contains("signal"), "{error}");
        assert!(Program::new("/nonexistent").run().is_err());
    }

    #[test]
    fn a_server_is_worked_with_and_then_ends_by_its_signal() {
        let folder = std::env::temp_dir().join(format!("jemoxide-serve-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let server =
            shell("trap 'echo bye; exit 0' TERM; touch ready; while :; do sleep 0.01; done");
        let ready = folder.join("ready");
        let served = server.dir(&folder).serve(libc::SIGTERM, |pid| {
            while !ready.exists() {
                assert!(super::is_alive(pid));
            }
            Ok(super::family_pss_kib(pid))
        });
        std::fs::remove_dir_all(&folder).unwrap();
        let (finished, pss_kib) = served.unwrap();
        assert_eq!(finished.stdout, "bye\n");
        assert!(pss_kib > 10 && pss_kib < 16_000, "{pss_kib}");
    }

    #[test]
    fn a_server_that_dies_is_told_before_its_load() {
        let served = shell("echo reason >&2; exit 4").serve(libc::SIGTERM, |pid| {
            while super::is_alive(pid) {}
            Err::<(), _>("no answer".to_owned())
        });
        let error = served.unwrap_err();
        assert!(
            error.contains("reason") && error.contains("no answer"),
            "{error}"
        );
    }

    #[test]
    fn a_preload_that_fails_is_a_failure() {
        let program = Program::new("/bin/true").env("LD_PRELOAD", "/nonexistent/lib.so");
        assert!(program.run().unwrap_err().contains("another allocator"));
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
