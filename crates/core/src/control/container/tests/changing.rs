//! Files that change, vanish, come back, and cannot be read to their end, between any two looks.

use super::*;
use crate::sys::simulated::dice::Dice;
use std::string::String;
use std::vec::Vec;

/// Limits that are set at any time: others must never be believed.
const LIMITS: [u64; 3] = [64 * MIB, 300 * MIB, 4096 * MIB];

const MOUNTS: [&str; 5] = [
    "1 2 0:3 / /cg rw - cgroup2 cgroup2 rw\n",
    "1 2 0:3 /a /cg rw shared:1 master:2 - cgroup2 cgroup2 rw\n",
    "1 2 0:3 / /cg rw - cgroup cgroup rw,memory,cpu\n",
    "1 2 0:3 / /cg rw cgroup2\n- - - - - -\n",
    "",
];
const GROUPS: [&str; 6] = [
    "0::/a\n",
    "0::/\n",
    "4:memory,cpu:/a\n0::/a\n",
    "0::/a/../../etc\n",
    "::\n:::::\n4:memory\n",
    "",
];
const GARBAGE: [&str; 8] = [
    "",
    "\n",
    "max\n",
    "-5\n",
    "12x\n",
    "1 1\n",
    "memory",
    "\u{0}\u{0}",
];

/// A file's content: a number out of `numbers`, or garbage.
fn content(dice: &mut Dice, numbers: &[u64]) -> String {
    if dice.once_in(3) {
        return GARBAGE[dice.below(GARBAGE.len())].into();
    }
    format!("{}\n", numbers[dice.below(numbers.len())])
}

#[test]
fn files_that_change_and_vanish_never_make_a_limit_that_nobody_set() {
    alone(|| {
        let mut state = State::new();
        let mut dice = Dice::new(4);
        let (mut now, mut limited, mut free) = (SECOND, 0, 0);
        let names: Vec<String> = ["/cg", "/cg/a"]
            .iter()
            .flat_map(|folder| {
                [
                    "memory.max",
                    "memory.high",
                    "memory.limit_in_bytes",
                    "memory.current",
                    "memory.usage_in_bytes",
                    "memory.stat",
                    "memory.events",
                    "memory.failcnt",
                    "memory.oom_control",
                    "memory.pressure",
                ]
                .map(|name| format!("{folder}/{name}"))
            })
            .collect();
        for _ in 0..30_000 {
            let path: &str = match dice.below(12) {
                0 => "/proc/self/cgroup",
                1 => "/proc/self/mountinfo",
                _ => &names[dice.below(names.len())],
            };
            let text = match path {
                "/proc/self/cgroup" => GROUPS[dice.below(GROUPS.len())].into(),
                "/proc/self/mountinfo" => MOUNTS[dice.below(MOUNTS.len())].into(),
                path if path.ends_with(".stat") || path.ends_with(".events") => {
                    let count = dice.below(200) as u64 * MIB;
                    format!(
                        "active_file {count}\noom_kill {}\nhigh",
                        content(&mut dice, &[count])
                    )
                }
                path if path.ends_with("current") || path.ends_with("usage_in_bytes") => {
                    content(&mut dice, &[0, 10 * MIB, 63 * MIB, 5000 * MIB, u64::MAX])
                }
                path if path.ends_with(".pressure") => {
                    format!(
                        "some avg10=0.00 total={}",
                        content(&mut dice, &[0, 1 << 40])
                    )
                }
                _ => content(&mut dice, &LIMITS),
            };
            match dice.below(5) {
                0 => files::remove(path),
                1 => {
                    let (fails_at, piece) = (dice.below(20), 1 + dice.below(7));
                    files::place_failing(path, text, fails_at, piece);
                }
                _ => files::place(path, text),
            }
            now += [0, 1_000_000, CALM_NS, SLOW_NS, 3600 * SECOND][dice.below(5)];
            let level = state.look(now, dice.below(400) as u64 * MIB);
            match state.found {
                Some(found) => {
                    assert!(LIMITS.contains(&found.limit), "{found:?}");
                    assert!(LIMITS.contains(&found.watched.limit), "{found:?}");
                    limited += 1;
                }
                None => {
                    assert_eq!(level, Pressure::Calm, "no limit, no pressure");
                    assert!(
                        pressure::ceiling_bytes() > usize::MAX / 2,
                        "no limit, no ceiling"
                    );
                    free += 1;
                }
            }
        }
        assert!(limited > 3000 && free > 3000, "{limited} {free}");
    });
}
