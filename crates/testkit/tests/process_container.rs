//! Limits of containers, real ones: what was freed goes back before the kernel ends the process for it.
//!
//! The groups that the tests make are small, last as long as a test, and hold nobody else.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jemoxide_testkit::{artifacts, child, compiler};

const LIMIT_MIB: u64 = 100;
/// A phase: with the program's and the library's own, nine tenths of the limit.
const PHASE_MIB: &str = "80";
/// What the process frees, and what its neighbour takes: more than the limit together.
const SHARED_MIB: &str = "60";
/// Nothing goes back by its age while the test runs.
const SLOWLY: &str = "dirty_decay_ms:600000";

/// A group with a limit, until dropped.
struct Group {
    folder: PathBuf,
}

impl Group {
    /// Makes one below our own, or below the root. `None`: this machine does not let us.
    fn make(name: &str) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = |list: &str| {
            groups.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let found = parts.next()?.split(',').any(|word| word == list);
                found.then(|| {
                    parts
                        .next()
                        .unwrap_or("/")
                        .trim_start_matches('/')
                        .to_owned()
                })
            })
        };
        let one = path("memory").map(|own| Path::new("/sys/fs/cgroup/memory").join(own));
        let two = path("").map(|own| Path::new("/sys/fs/cgroup").join(own));
        let name = format!("jemoxide-test-{name}-{}", std::process::id());
        let places = [
            (one, "memory.limit_in_bytes", "memory.swappiness"),
            (two, "memory.max", "memory.swap.max"),
        ];
        for (parent, file, swap) in places {
            let Some(folder) = parent.map(|parent| parent.join(&name)) else {
                continue;
            };
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self { folder };
            // Where there is swap, the limit would not end anybody.
            let _ = fs::write(group.folder.join(swap), "0");
            let limit = (LIMIT_MIB << 20).to_string();
            if fs::write(group.folder.join(file), &limit).is_ok()
                && fs::read_to_string(group.folder.join(file))
                    .is_ok_and(|text| text.trim() == limit)
                && group.lets_in()
            {
                return Some(group);
            }
        }
        None
    }

    /// Whether a process can be moved into it.
    fn lets_in(&self) -> bool {
        let procs = self.folder.join("cgroup.procs");
        let moved = std::process::Command::new("sh")
            .args(["-c", "echo $$ > \"$0\""])
            .arg(procs)
            .stderr(std::process::Stdio::null())
            .status();
        moved.is_ok_and(|status| status.success())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was ended may take a moment to leave.
        for _ in 0..200 {
            if fs::remove_dir(&self.folder).is_ok() || !self.folder.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("left behind: {}", self.folder.display());
    }
}

/// Runs the program in a group of its own. `None`: this machine does not let us.
fn run(name: &str, what: &str, mib: &str, options: &str) -> Option<child::Outcome> {
    let program = compiler::c("process/container.c", &format!("container_{name}"), &[])?;
    let Some(group) = Group::make(name) else {
        compiler::announce_untested("this machine lets us make no group with a memory limit");
        return None;
    };
    let run = child::Run::new(program)
        .arg(&group.folder)
        .args([mib, what])
        .preload(artifacts::library())
        .env("JEMOXIDE_CONF", format!("{SLOWLY},{options}"));
    Some(run.run())
}

#[test]
fn phases_of_different_sizes_stay_below_the_limit() {
    let Some(outcome) = run("phases", "phases", PHASE_MIB, "cgroup:true") else {
        return;
    };
    let outcome = outcome.expect_success();
    assert!(outcome.stdout.ends_with("done\n"), "{outcome}");
}

#[test]
fn they_stay_below_it_without_a_purge_thread_too() {
    let options = "cgroup:true,background_thread:false";
    let Some(outcome) = run("threadless", "phases", PHASE_MIB, options) else {
        return;
    };
    let outcome = outcome.expect_success();
    assert!(outcome.stdout.ends_with("done\n"), "{outcome}");
}

/// The test above proves something only as long as this program dies when nobody looks at the limit.
#[test]
fn a_program_that_does_not_look_at_the_limit_dies_of_it() {
    let Some(outcome) = run("unaware", "phases", PHASE_MIB, "cgroup:false") else {
        return;
    };
    assert_eq!(outcome.signal, Some(libc::SIGKILL), "{outcome}");
}

#[test]
fn a_process_at_rest_gives_way_to_its_neighbour() {
    let Some(outcome) = run("neighbour", "shrink", SHARED_MIB, "cgroup:true") else {
        return;
    };
    let outcome = outcome.expect_success();
    assert_eq!(outcome.stdout, "done\n", "{outcome}");
}

#[test]
fn the_library_tells_what_limit_it_found() {
    for (options, expected) in [("cgroup:true", LIMIT_MIB << 20), ("cgroup:false", 0)] {
        let Some(outcome) = run("tell", "tell", "0", options) else {
            return;
        };
        let outcome = outcome.expect_success();
        let line = format!("limit {expected}, calm\n");
        assert_eq!(outcome.stdout, line, "{outcome}");
    }
}

#[test]
fn nothing_breaks_where_neither_proc_nor_sys_is_to_be_seen() {
    in_a_world_of_its_own("blind", "", "done\n");
}

/// The first limit is the one that stands there: the files that change from then on are looked at.
#[test]
fn nothing_breaks_when_the_groups_files_change_and_vanish() {
    in_a_world_of_its_own("changing", "cgroup:true", "limit 314572800\n");
}

/// Runs what hides /proc and /sys from itself.
fn in_a_world_of_its_own(what: &str, options: &str, expected: &str) {
    let name = format!("container_{what}");
    let Some(program) = compiler::c("process/container.c", &name, &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .args(["-", "30", what])
        .preload(artifacts::library())
        .env("JEMOXIDE_CONF", options)
        .run()
        .expect_success();
    if outcome.stdout == "refused\n" {
        compiler::announce_untested("the system does not let us hide /proc and /sys");
        return;
    }
    assert_eq!(outcome.stdout, expected, "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
}
