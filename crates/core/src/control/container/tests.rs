#[path = "tests/changing.rs"]
mod changing;

use super::*;
use crate::arena;
use crate::sys::cpu;
use crate::sys::simulated::child::alone;
use crate::sys::simulated::files;
use std::format;
use std::string::ToString;

const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;
const FOLDER: &str = "/cg/a";

fn place(name: &str, text: impl AsRef<[u8]>) {
    files::place(&format!("{FOLDER}/{name}"), text);
}

fn place_group(max: u64, current: u64) {
    files::place("/proc/self/cgroup", "0::/a\n");
    files::place(
        "/proc/self/mountinfo",
        "1 2 0:3 / /cg rw - cgroup2 cgroup2 rw\n",
    );
    place("memory.max", max.to_string());
    place("memory.current", current.to_string());
}

fn want(cgroup: bool) {
    prepare(&Options {
        cgroup,
        ..Options::DEFAULT
    });
}

#[test]
fn the_level_follows_what_is_left_and_the_ceiling_with_it() {
    alone(|| {
        let mut state = State::new();
        place_group(100 * MIB, 40 * MIB);
        let mut now = SECOND;
        assert_eq!(state.look(now, 30 * MIB), Pressure::Calm);
        assert!(pressure::is_limited(), "W2");
        // C2: half of the 60 MiB left may be handed out unnoticed.
        assert_eq!(pressure::ceiling_bytes() as u64, 60 * MIB);
        assert!(!is_due(now) && is_due(now + CALM_NS));
        // Handed out and not touched yet counts (Z1).
        now += CALM_NS;
        assert_eq!(state.look(now, 84 * MIB), Pressure::Critical);
        assert_eq!(pressure::ceiling_bytes() as u64, 87 * MIB);
        assert!(is_due(now + CRITICAL_NS));
        now += CRITICAL_NS;
        assert_eq!(
            state.look(now, 84 * MIB),
            Pressure::Calm,
            "nobody touched it"
        );
        place("memory.current", (80 * MIB).to_string());
        assert_eq!(state.look(now, 84 * MIB), Pressure::Tight);
        place("memory.current", (95 * MIB).to_string());
        assert_eq!(state.look(now, 84 * MIB), Pressure::Critical);
        assert_eq!(pressure::now(), Pressure::Critical);
        // Of that, 50 MiB copy files. It is looked at twice a second.
        place("memory.stat", format!("active_file {}\n", 50 * MIB));
        assert_eq!(state.look(now, 84 * MIB), Pressure::Critical);
        now += CALM_NS;
        assert_eq!(state.look(now, 84 * MIB), Pressure::Calm);
    });
}

#[test]
fn a_limit_that_changes_goes_or_comes_is_noticed_within_five_seconds() {
    alone(|| {
        let mut state = State::new();
        let mut now = SECOND;
        assert_eq!(state.look(now, 0), Pressure::Calm);
        assert!(!pressure::is_limited());
        assert_eq!(
            pressure::ceiling_bytes() / crate::size::PAGE,
            usize::MAX / crate::size::PAGE
        );
        assert!(!is_due(now + SLOW_NS - 1) && is_due(now + SLOW_NS));
        place_group(100 * MIB, 95 * MIB);
        now += SLOW_NS;
        assert_eq!(state.look(now, 0), Pressure::Critical);
        place("memory.max", (1000 * MIB).to_string());
        assert_eq!(state.look(now + SLOW_NS - 1, 0), Pressure::Critical);
        now += SLOW_NS;
        assert_eq!(state.look(now, 0), Pressure::Calm);
        // The group is gone: all levels are looked at the next time.
        files::clear();
        assert_eq!(state.look(now + 1, 0), Pressure::Calm);
        assert_eq!(state.look(now + 2, 0), Pressure::Calm);
        assert!(!pressure::is_limited());
    });
}

#[test]
fn signs_count_whatever_is_left() {
    alone(|| {
        let mut state = State::new();
        place_group(1000 * MIB, 0);
        place("memory.events", "high 0\nmax 0\noom 0\noom_kill 0\n");
        let mut now = SECOND;
        assert_eq!(state.look(now, 0), Pressure::Calm);
        place("memory.events", "high 0\nmax 4\noom 0\noom_kill 0\n");
        assert_eq!(
            state.look(now, 0),
            Pressure::Calm,
            "once a moment is enough"
        );
        now += CALM_NS;
        assert_eq!(state.look(now, 0), Pressure::Tight);
        place("memory.events", "high 0\nmax 4\noom 1\noom_kill 0\n");
        now += CALM_NS;
        assert_eq!(state.look(now, 0), Pressure::Critical);
        now += 2 * SECOND;
        assert_eq!(state.look(now, 0), Pressure::Calm);
        place(
            "memory.pressure",
            "some avg10=0.00 total=1000000\nfull avg10=0.00 total=0\n",
        );
        now += 2 * SECOND;
        assert_eq!(state.look(now, 0), Pressure::Tight);
    });
}

#[test]
fn nothing_is_read_where_it_is_not_wanted() {
    alone(|| {
        want(false);
        place_group(100 * MIB, 99 * MIB);
        files::opened();
        assert_eq!(look(SECOND), Pressure::Calm);
        (0..3).for_each(|_| processors::note_start());
        assert_eq!(files::opened(), [""; 0]);
        assert!(!is_due(u64::MAX));
    });
}

#[test]
fn a_quota_decides_on_arenas_once_there_is_a_second_thread() {
    alone(|| {
        want(true);
        files::opened();
        processors::note_start();
        assert_eq!(files::opened(), [""; 0], "C1");
        let mut state = State::new();
        place_group(100 * MIB, 0);
        arena::set_automatic(8);
        place("cpu.max", "1000000 100000\n");
        state.look_at_quota();
        let usable = cpu::usable();
        assert_eq!(processors::known(), usable.min(10));
        assert_eq!(arena::automatic(), usable.min(10).div_ceil(8));
        place("cpu.max", "50000 100000\n");
        state.look_at_quota();
        assert_eq!((processors::known(), arena::automatic()), (1, 1));
        // A number that was asked for stays.
        prepare(&Options {
            narenas: 5,
            ..Options::DEFAULT
        });
        state.look_at_quota();
        assert_eq!((processors::known(), arena::automatic()), (1, 5));
    });
}

#[test]
fn arenas_in_use_stay_in_sight_when_fewer_are_handed_out() {
    alone(|| {
        arena::set_automatic(4);
        (0..4).for_each(|index| assert_eq!(arena::assign().index(), index));
        arena::set_automatic(1);
        assert_eq!(arena::automatic(), 4);
        assert_eq!(arena::assign().index(), 0);
    });
}

#[test]
fn figures_are_those_of_the_moment() {
    alone(|| {
        want(true);
        place_group(100 * MIB, 40 * MIB);
        let figures = figures(SECOND);
        assert_eq!(figures.memory_limit, Some(100 * MIB));
        assert_eq!(
            (figures.memory_used, figures.pressure),
            (40 * MIB, Pressure::Calm)
        );
        assert_eq!(figures.cpus, cpu::usable());
        place_group(50 * MIB, 48 * MIB);
        let figures = super::figures(SECOND);
        assert_eq!(
            (figures.memory_limit, figures.pressure),
            (Some(50 * MIB), Pressure::Critical)
        );
    });
}
