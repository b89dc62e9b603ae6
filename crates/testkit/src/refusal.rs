//! Refusal: a child on the library whose system calls fail, by number and whoever's thread makes them.
//!
//! The child runs under ptrace. A call counts when it is made from the library's own code, or moves the end of the data
//! segment on its behalf; the loader's, the C library's and the program's calls pass unseen.
//!
//! ```text
//! call      0   1   2   3   4 ...            numbered over all threads and forked children, in the order they come
//! refuse            ^from     ^from + count  the kernel is given no call; the caller gets `error_of` it
//! prctl(LIFT)       the program says that refusals end: from here on it may expect to be served
//! ```
//! R1  A refused call does nothing at all. Calls that cannot fail, or that must not by the kernel's word (waking, leaving,
//!     closing), are not counted.
//! R2  One tracer, this thread, for the whole family; it waits for nobody else's children.
//! R3  The child ends itself by an alarm when it hangs; when the tracer ends, the kernel ends the family.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, Read, Seek};
use std::mem;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr;

use libc::{c_int, c_long, c_void, pid_t};

/// What the program calls `prctl` with when refusals are to end.
pub const LIFT: u64 = 0x6c69_6674;
/// Seconds after which the child ends itself.
const LIMIT_S: u32 = 100;
/// Stop of a traced process at a system call, as `PTRACE_O_TRACESYSGOOD` marks it.
const AT_CALL: c_int = libc::SIGTRAP | 0x80;

/// Calls that may be refused, with the words the kernel has for it. Each is taken in turn.
const REFUSABLE: [(c_long, &str, &[c_int]); 18] = [
    (libc::SYS_mmap, "mmap", &[libc::ENOMEM]),
    (libc::SYS_munmap, "munmap", &[libc::ENOMEM]),
    (libc::SYS_mremap, "mremap", &[libc::ENOMEM, libc::EINVAL]),
    (
        libc::SYS_madvise,
        "madvise",
        &[libc::EAGAIN, libc::EINVAL, libc::ENOMEM],
    ),
    (libc::SYS_mprotect, "mprotect", &[libc::ENOMEM]),
    (libc::SYS_mincore, "mincore", &[libc::EAGAIN]),
    // The kernel has no error for it: it answers with an end that did not move. 0 lies below every one.
    (libc::SYS_brk, "brk", &[0]),
    (libc::SYS_clone, "clone", &[libc::EAGAIN]),
    (
        libc::SYS_openat,
        "openat",
        &[libc::EMFILE, libc::ENOENT, libc::EACCES],
    ),
    (libc::SYS_read, "read", &[libc::EIO, libc::EINTR]),
    (libc::SYS_readlinkat, "readlinkat", &[libc::ENOENT]),
    (libc::SYS_fallocate, "fallocate", &[libc::ENOSPC]),
    (libc::SYS_write, "write", &[libc::ENOSPC, libc::EINTR]),
    (
        libc::SYS_sched_getaffinity,
        "sched_getaffinity",
        &[libc::ENOSYS],
    ),
    (
        libc::SYS_sched_setscheduler,
        "sched_setscheduler",
        &[libc::EPERM],
    ),
    (
        libc::SYS_membarrier,
        "membarrier",
        &[libc::ENOSYS, libc::EPERM],
    ),
    (libc::SYS_close_range, "close_range", &[libc::ENOSYS]),
    (libc::SYS_prctl, "prctl", &[libc::EINVAL]),
];

/// Which calls fail: `count` of them from number `from` on.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first.
    pub from: u64,
    /// How many, `u64::MAX` for all that follow.
    pub count: u64,
}

impl Plan {
    /// None fails; they are only counted.
    pub const NONE: Self = Self { from: 0, count: 0 };

    fn refuses(self, number: u64) -> bool {
        number
            .checked_sub(self.from)
            .is_some_and(|at| at < self.count)
    }
}

/// How a run went.
#[derive(Debug)]
pub struct Run {
    /// Wait status of the first process, as waitpid(2) has it.
    pub status: c_int,
    /// Calls of the library that could have been refused, until refusals ended.
    pub calls: u64,
    /// Names of those that were.
    pub refused: BTreeSet<&'static str>,
    /// The last refused call and its number.
    last: Option<(&'static str, u64)>,
    /// Everything written to standard output.
    pub stdout: String,
    /// Everything written to standard error.
    pub stderr: String,
}

impl Run {
    /// Asserts that the program ended with exit code 0 and `output`.
    #[track_caller]
    pub fn expect(&self, plan: Plan, output: &str) {
        assert!(
            self.status == 0 && self.stdout == output,
            "{plan:?}: expected {output:?}: {self}"
        );
    }
}

impl fmt::Display for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, signal) = (libc::WEXITSTATUS(self.status), libc::WTERMSIG(self.status));
        writeln!(
            out,
            "exit code {code}, signal {signal}, {} calls, last refused: {:?}\n--- stdout\n{}--- stderr\n{}---",
            self.calls, self.last, self.stdout, self.stderr
        )
    }
}

/// Runs `program` with `args` on the preloaded `library`. `None`: the system does not let us trace.
pub fn run(
    program: &Path,
    args: &[&str],
    options: &str,
    library: &Path,
    plan: Plan,
) -> Option<Run> {
    let folder = crate::artifacts::target().join("refusal");
    fs::create_dir_all(&folder).expect("target folder is writable");
    let [mut out, mut err] = [(); 2].map(|()| unnamed(&folder).expect("target folder is writable"));
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("LD_PRELOAD", library)
        .env("MALLOC_CONF", options)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a descriptor"))
        .stderr(err.try_clone().expect("a descriptor"));
    // SAFETY: between fork and exec two system calls are made: no lock, no allocation.
    unsafe {
        command.pre_exec(|| {
            libc::alarm(LIMIT_S);
            match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return None,
        Err(error) => panic!("{} does not start: {error}", program.display()),
    };
    let root = pid_t::try_from(child.id()).expect("process ids fit");
    let mut tracer = Tracer {
        root,
        library: library.to_str().expect("a path of text").to_owned(),
        code: None,
        plan,
        lifted: false,
        calls: 0,
        refused: BTreeSet::new(),
        last: None,
        pending: BTreeMap::new(),
        known: BTreeSet::new(),
    };
    let status = tracer.follow();
    let text = |file: &mut fs::File| {
        let mut text = String::new();
        file.rewind()
            .and_then(|()| file.read_to_string(&mut text))
            .expect("text");
        text
    };
    Some(Run {
        status,
        calls: tracer.calls,
        refused: tracer.refused,
        last: tracer.last,
        stdout: text(&mut out),
        stderr: text(&mut err),
    })
}

/// A file without a name, for reading and writing.
fn unnamed(folder: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(folder)
}

/// Who follows the family, and what it knows.
struct Tracer {
    root: pid_t,
    library: String,
    /// Addresses of the library's code, the same in the whole family; `None` until it is loaded.
    code: Option<(u64, u64)>,
    plan: Plan,
    lifted: bool,
    calls: u64,
    refused: BTreeSet<&'static str>,
    last: Option<(&'static str, u64)>,
    /// What threads in a refused call are to get from it.
    pending: BTreeMap<pid_t, u64>,
    /// Threads that have stopped once.
    known: BTreeSet<pid_t>,
}

impl Tracer {
    /// Follows the family to its end; the wait status of its first process.
    fn follow(&mut self) -> c_int {
        let mut verdict = -1;
        loop {
            let mut status = 0;
            // SAFETY: `status` is a place for it. Only children and tracees of this very thread (R2).
            let pid =
                unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
            if pid < 0 {
                return verdict;
            }
            if !libc::WIFSTOPPED(status) {
                self.pending.remove(&pid);
                if pid == self.root {
                    verdict = status;
                }
                continue;
            }
            let is_new = self.known.insert(pid);
            if pid == self.root && is_new {
                let options = libc::PTRACE_O_TRACESYSGOOD
                    | libc::PTRACE_O_TRACECLONE
                    | libc::PTRACE_O_TRACEFORK
                    | libc::PTRACE_O_TRACEVFORK
                    | libc::PTRACE_O_TRACEEXEC
                    | libc::PTRACE_O_EXITKILL;
                request(libc::PTRACE_SETOPTIONS, pid, 0, options as usize);
            }
            let signal = match libc::WSTOPSIG(status) {
                AT_CALL => {
                    self.at_call(pid);
                    0
                }
                // The stop that every new tracee begins with, and events.
                libc::SIGSTOP if is_new => 0,
                libc::SIGTRAP => 0,
                signal => signal,
            };
            request(libc::PTRACE_SYSCALL, pid, 0, signal as usize);
        }
    }

    /// Thread `pid` stands before a call, or behind one.
    fn at_call(&mut self, pid: pid_t) {
        // SAFETY: plain data; zero is a value of it.
        let mut info: libc::ptrace_syscall_info = unsafe { mem::zeroed() };
        let place = (&raw mut info) as usize;
        if request(
            libc::PTRACE_GET_SYSCALL_INFO,
            pid,
            size_of_val(&info),
            place,
        ) < 0
        {
            return;
        }
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: the member that this kind of stop has.
                let entry = unsafe { info.u.entry };
                self.before(
                    pid,
                    entry.nr as c_long,
                    entry.args,
                    info.instruction_pointer,
                );
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                if let Some(answer) = self.pending.remove(&pid) {
                    let place = mem::offset_of!(libc::user_regs_struct, rax);
                    request(libc::PTRACE_POKEUSER, pid, place, answer as usize);
                }
            }
            _ => {}
        }
    }

    fn before(&mut self, pid: pid_t, call: c_long, args: [u64; 6], from: u64) {
        if call == libc::SYS_prctl && args[0] == LIFT {
            self.lifted = true;
        }
        let Some(&(_, name, errors)) = REFUSABLE.iter().find(|row| row.0 == call) else {
            return;
        };
        let Some((start, end)) = self.find_code(pid) else {
            return;
        };
        let is_ours = (start..end).contains(&from) || call == libc::SYS_brk;
        if self.lifted || !is_ours {
            return;
        }
        let number = self.calls;
        self.calls += 1;
        if self.plan.refuses(number) {
            let error = errors[number as usize % errors.len()];
            self.refused.insert(name);
            self.last = Some((name, number));
            let place = mem::offset_of!(libc::user_regs_struct, orig_rax);
            request(libc::PTRACE_POKEUSER, pid, place, usize::MAX);
            self.pending.insert(pid, (-i64::from(error)) as u64);
        }
    }

    /// Where the library's code is, once it is there.
    fn find_code(&mut self, pid: pid_t) -> Option<(u64, u64)> {
        if self.code.is_none() {
            let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
            self.code = maps.lines().find_map(|line| {
                let (range, rest) = line.split_once(' ')?;
                let is_code = rest.starts_with("r-xp") && rest.ends_with(&self.library);
                let (start, end) = range.split_once('-').filter(|_| is_code)?;
                let number = |text| u64::from_str_radix(text, 16).ok();
                Some((number(start)?, number(end)?))
            });
        }
        self.code
    }
}

fn request(what: libc::c_uint, pid: pid_t, addr: usize, data: usize) -> c_long {
    let (addr, data) = (
        ptr::without_provenance_mut::<c_void>(addr),
        ptr::with_exposed_provenance_mut::<c_void>(data),
    );
    // SAFETY: the request is about a stopped tracee of this thread; one that fills memory was given the size and the
    // address of its caller's own.
    unsafe { libc::ptrace(what, pid, addr, data) }
}
