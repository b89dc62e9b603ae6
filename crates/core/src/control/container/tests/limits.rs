use super::super::reading::LINE_MAX;
use super::super::text::Controller;
use super::*;
use crate::sys::simulated::files;
use std::format;
use std::string::{String, ToString};

const MIB: u64 = 1 << 20;

/// A tree of files, and the reader's view of it.
struct Tree {
    memory: Place,
    cpu: Place,
    scratch: Scratch,
}

impl Tree {
    /// Finds its way by these two files.
    fn new(groups: &str, mounts: &str) -> Self {
        files::clear();
        files::place("/proc/self/cgroup", groups);
        files::place("/proc/self/mountinfo", mounts);
        Self {
            memory: Place::new(),
            cpu: Place::new(),
            scratch: [0; LINE_MAX],
        }
    }

    fn find(&mut self) {
        self.memory.find(Controller::Memory, &mut self.scratch);
        self.cpu.find(Controller::Cpu, &mut self.scratch);
    }

    /// The tightest limit, and the limit that is watched.
    fn memory(&mut self) -> Option<(u64, u64)> {
        self.find();
        memory(&self.memory, &mut self.scratch).map(|memory| (memory.limit, memory.watched.limit))
    }

    fn processors(&mut self) -> Option<usize> {
        self.find();
        processors(&self.cpu, &mut self.scratch)
    }

    fn watched(&mut self) -> Watched {
        self.find();
        memory(&self.memory, &mut self.scratch).unwrap().watched
    }
}

const V2: &str = "26 25 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

/// Version 1 as systemd lays it out: processor controllers mounted together.
const V1: &str = "\
    30 25 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
    31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
    32 25 0:28 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n\
    33 25 0:29 / /sys/fs/cgroup/cpuset rw shared:11 - cgroup cgroup rw,cpuset\n";

fn place_memory(folder: &str, max: &str, current: u64) {
    files::place(&format!("{folder}/memory.max"), max);
    files::place(&format!("{folder}/memory.high"), "max\n");
    files::place(&format!("{folder}/memory.current"), current.to_string());
}

#[test]
fn version_2_the_tightest_of_nested_groups_wins_in_the_middle_too() {
    let mut tree = Tree::new("0::/a/b/c\n", V2);
    let folder = "/sys/fs/cgroup/a";
    for (group, max, used) in [
        ("/b/c", 900 * MIB, 10),
        ("/b", 500 * MIB, 20),
        ("", 700 * MIB, 30),
    ] {
        place_memory(&format!("{folder}{group}"), &format!("{max}\n"), used * MIB);
    }
    files::place("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    files::place("/sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
    files::place("/sys/fs/cgroup/a/cpu.max", "400000 100000\n");
    assert_eq!(tree.memory(), Some((500 * MIB, 500 * MIB)), "K1");
    assert_eq!(tree.processors(), Some(2));
    // Less is left of the wider one, which others use as well.
    files::place("/sys/fs/cgroup/a/memory.current", format!("{}", 690 * MIB));
    assert_eq!(tree.memory(), Some((500 * MIB, 700 * MIB)), "K1");
    let watched = tree.watched();
    assert_eq!(
        usage(&tree.memory, watched.level, &mut tree.scratch),
        Some(690 * MIB)
    );
    // `high` below `max` is the limit.
    files::place("/sys/fs/cgroup/a/b/memory.high", format!("{}\n", 100 * MIB));
    assert_eq!(tree.memory().unwrap().0, 100 * MIB, "K2");
    // All of them are lifted while we run.
    for group in ["/b/c", "/b", ""] {
        place_memory(&format!("{folder}{group}"), "max\n", 0);
    }
    assert_eq!(tree.memory(), None);
}

#[test]
fn version_2_in_a_namespace_of_its_own_is_found_at_the_mount() {
    let mut tree = Tree::new("0::/\n", V2);
    place_memory("/sys/fs/cgroup", "268435456\n", 7);
    files::place("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_eq!(tree.memory().unwrap().0, 256 * MIB);
    assert_eq!(tree.processors(), Some(1));
}

#[test]
fn version_1_has_a_tree_for_each_controller() {
    let groups = "4:cpuset:/x\n3:memory:/docker/one\n2:cpu,cpuacct:/docker/two\n1:name=systemd:/\n";
    let mut tree = Tree::new(groups, V1);
    files::place(
        "/sys/fs/cgroup/memory/docker/one/memory.limit_in_bytes",
        "104857600\n",
    );
    files::place(
        "/sys/fs/cgroup/memory/docker/one/memory.usage_in_bytes",
        "5\n",
    );
    files::place(
        "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
        "9223372036854771712\n",
    );
    files::place(
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "9223372036854771712\n",
    );
    files::place(
        "/sys/fs/cgroup/cpu,cpuacct/docker/two/cpu.cfs_quota_us",
        "-1\n",
    );
    files::place(
        "/sys/fs/cgroup/cpu,cpuacct/docker/two/cpu.cfs_period_us",
        "100000\n",
    );
    files::place(
        "/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us",
        "300000\n",
    );
    files::place(
        "/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us",
        "100000\n",
    );
    assert_eq!(tree.memory(), Some((100 * MIB, 100 * MIB)));
    assert_eq!(tree.processors(), Some(3));
    let watched = tree.watched();
    files::place(
        "/sys/fs/cgroup/memory/docker/one/memory.stat",
        "cache 1\ninactive_file 5\nactive_file 7\ntotal_inactive_file 1000\ntotal_active_file 100\n",
    );
    files::place("/sys/fs/cgroup/memory/docker/one/memory.failcnt", "12\n");
    files::place(
        "/sys/fs/cgroup/memory/docker/one/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 1\noom_kill 3\n",
    );
    let (level, scratch) = (watched.level, &mut tree.scratch);
    assert_eq!(reclaimable(&tree.memory, level, scratch), Some(1100));
    let expected = Events {
        warned: 12,
        failed: 4,
    };
    assert_eq!(events(&tree.memory, level, scratch), expected);
}

#[test]
fn a_hybrid_machine_goes_by_the_tree_that_has_the_controller() {
    let mounts = format!("{V1}41 25 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    for groups in ["3:memory:/m\n0::/u\n", "0::/u\n3:memory:/m\n"] {
        let mut tree = Tree::new(groups, &mounts);
        files::place("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "1048576");
        files::place("/sys/fs/cgroup/unified/u/memory.max", "4096");
        files::place("/sys/fs/cgroup/unified/u/cpu.max", "200000 100000");
        assert_eq!(tree.memory().unwrap().0, MIB, "G1");
        assert_eq!(tree.processors(), Some(2), "G1: the common tree has it");
    }
}

#[test]
fn a_path_of_the_host_that_is_not_visible_stands_for_the_mount() {
    // A container of version 1 without a namespace of groups: the mount shows its own group alone.
    let mounts = "32 25 0:28 /docker/0a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    for (own, below) in [
        ("/docker/0a", ""),
        ("/docker/0a/job", "/job"),
        ("/docker/0ab", ""),
        ("/elsewhere", ""),
        ("/../../other", ""),
        ("/docker/0a/../0b", ""),
    ] {
        let mut tree = Tree::new(&format!("5:memory:{own}\n"), mounts);
        let path = format!("/sys/fs/cgroup/memory{below}/memory.limit_in_bytes");
        files::place(&path, "2097152\n");
        files::opened();
        assert_eq!(tree.memory().unwrap().0, 2 * MIB, "{own}");
        assert!(
            !files::opened().iter().any(|path| path.contains("..")),
            "{own}"
        );
    }
    // The group's folder is not there, as the host's path means nothing here: those above it are looked at all the same.
    let mut tree = Tree::new("0::/kubepods/pod1/abc\n", V2);
    place_memory("/sys/fs/cgroup", "1048576\n", 0);
    assert_eq!(tree.memory().unwrap().0, MIB, "G2");
}

#[test]
fn of_several_mounts_the_one_that_shows_our_group_counts() {
    let mounts = "\
        31 25 0:28 /other /first rw - cgroup2 cgroup2 rw\n\
        32 25 0:28 /pods /second\\040one rw - cgroup2 cgroup2 rw\n\
        33 25 0:28 / /third rw - cgroup2 cgroup2 rw\n";
    let mut tree = Tree::new("0::/pods/a\n", mounts);
    files::place("/second one/a/memory.max", "1000\n");
    files::place("/first/memory.max", "1\n");
    files::place("/third/pods/a/memory.max", "2\n");
    assert_eq!(tree.memory().unwrap().0, 1000);
}

#[test]
fn a_process_that_is_moved_is_followed() {
    let mut tree = Tree::new("0::/a\n", V2);
    place_memory("/sys/fs/cgroup/a", "1000\n", 0);
    place_memory("/sys/fs/cgroup/b", "2000\n", 0);
    assert_eq!(tree.memory().unwrap().0, 1000);
    files::opened();
    assert_eq!(tree.memory().unwrap().0, 1000);
    assert!(
        !files::opened().contains(&"/proc/self/mountinfo".to_string()),
        "the way is known"
    );
    files::place("/proc/self/cgroup", "0::/b\n");
    assert_eq!(tree.memory().unwrap().0, 2000);
    files::remove("/proc/self/cgroup");
    assert_eq!(tree.memory(), None);
    files::place("/proc/self/cgroup", "0::/b\n");
    assert_eq!(tree.memory().unwrap().0, 2000, "found again");
}

#[test]
fn nothing_there_and_nothing_readable_is_no_limit() {
    files::clear();
    let mut tree = Tree::new("", "");
    assert_eq!((tree.memory(), tree.processors()), (None, None));
    for path in ["/proc/self/cgroup", "/proc/self/mountinfo"] {
        let mut tree = Tree::new("0::/a\n", V2);
        place_memory("/sys/fs/cgroup/a", "1000\n", 0);
        files::remove(path);
        assert_eq!((tree.memory(), tree.processors()), (None, None), "{path}");
    }
    let mut tree = Tree::new("0::/a\n", V2);
    assert_eq!((tree.memory(), tree.processors()), (None, None), "no files");
    let level = tree.memory.levels().next().unwrap();
    assert_eq!(
        events(&tree.memory, level, &mut tree.scratch),
        Events::default()
    );
    assert_eq!(
        stalled(&tree.memory, level, &mut tree.scratch),
        Stalled::default()
    );
    assert_eq!(usage(&tree.memory, level, &mut tree.scratch), None);
    assert_eq!(reclaimable(&tree.memory, level, &mut tree.scratch), None);
}

#[test]
fn a_number_that_is_cut_off_is_not_taken_for_another() {
    let mut tree = Tree::new("0::/a\n", V2);
    let max = "/sys/fs/cgroup/a/memory.max";
    files::place_failing(max, "104857600\n", 4, 3);
    assert_eq!(tree.memory(), None, "E1: reading failed half way");
    files::place_failing(max, "104857600\n", usize::MAX, 3);
    assert_eq!(tree.memory().unwrap().0, 100 * MIB, "read in pieces");
    files::place(max, "7".repeat(LINE_MAX));
    assert_eq!(tree.memory(), None, "E1: longer than the buffer");
    for garbage in ["", "\n", "junk", "-5", "12 34", "0x100", "\0\0", "1e9"] {
        files::place(max, garbage);
        assert_eq!(tree.memory(), None, "{garbage:?}");
    }
    files::place(max, "99999999999999999999999999999\n");
    assert_eq!(tree.memory(), None, "too large to be one");
    files::place(max, "0\n");
    assert_eq!(tree.memory().unwrap().0, 0);
}

#[test]
fn long_lines_are_skipped_and_what_follows_is_read() {
    let overlay = format!(
        "20 1 0:9 / / rw - overlay overlay rw,lowerdir={}\n",
        "x:".repeat(5000)
    );
    let exact = format!(
        "21 1 0:9 / /{} rw - tmpfs tmpfs rw\n",
        "y".repeat(LINE_MAX - 30)
    );
    for piece in [1, 7, 512, 5000] {
        let mut tree = Tree::new("0::/a\n", "");
        let mounts = format!("{overlay}{exact}{overlay}{V2}{overlay}");
        files::place_failing("/proc/self/mountinfo", mounts, usize::MAX, piece);
        place_memory("/sys/fs/cgroup/a", "1000\n", 0);
        assert_eq!(
            tree.memory().unwrap().0,
            1000,
            "E2, {piece} bytes at a time"
        );
    }
    // A line that reading broke off may lack its end.
    let mut tree = Tree::new("0::/a\n", "");
    files::place_failing("/proc/self/mountinfo", V2, V2.len() - 20, 16);
    assert_eq!(tree.memory(), None, "E2");
    // A last line without an end is whole all the same.
    let mut tree = Tree::new("0::/a", V2.trim_end());
    place_memory("/sys/fs/cgroup/a", "1000\n", 0);
    assert_eq!(tree.memory().unwrap().0, 1000);
}

#[test]
fn paths_that_are_too_long_are_left_alone() {
    let long = "/verylongname".repeat(200);
    let mut tree = Tree::new(&format!("0::{long}\n"), V2);
    place_memory("/sys/fs/cgroup", "1000\n", 0);
    assert_eq!(tree.memory(), None, "G3: what it was is not known");
    // The name fits, with the mount point before it it does not: the top is looked at.
    let mut tree = Tree::new(&format!("0::{}\n", &long[..1020]), V2);
    place_memory("/sys/fs/cgroup", "1000\n", 0);
    assert_eq!(tree.memory().unwrap().0, 1000, "G3");
}

#[test]
fn version_2_tells_events_files_and_time_lost() {
    let mut tree = Tree::new("0::/a\n", V2);
    place_memory("/sys/fs/cgroup/a", "1000\n", 0);
    let level = tree.watched().level;
    let folder = "/sys/fs/cgroup/a";
    files::place(
        &format!("{folder}/memory.events"),
        "low 1\nhigh 20\nmax 300\noom 4000\noom_kill 50000\noom_group_kill 600000\n",
    );
    let mut stat = String::from("anon 5\nfile 9\n");
    (0..300).for_each(|line| stat += &format!("other_{line} {line}\n"));
    stat += "inactive_file 30\nactive_file 4\n";
    files::place(&format!("{folder}/memory.stat"), stat);
    let machine = "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 total=33\n";
    files::place("/proc/pressure/memory", machine);
    let scratch = &mut tree.scratch;
    let expected = Events {
        warned: 320,
        failed: 54_000,
    };
    assert_eq!(events(&tree.memory, level, scratch), expected);
    assert_eq!(reclaimable(&tree.memory, level, scratch), Some(34));
    let expected = Stalled {
        some_us: 77,
        full_us: 0,
    };
    assert_eq!(
        stalled(&tree.memory, level, scratch),
        expected,
        "the machine's"
    );
    files::place(
        &format!("{folder}/memory.pressure"),
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.00 total=8\n",
    );
    let expected = Stalled {
        some_us: 9,
        full_us: 8,
    };
    assert_eq!(stalled(&tree.memory, level, scratch), expected, "its own");
}
