//! A profile's file as the allocator writes it, taken apart line by line: without the reader that ships, whose tests are
//! its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Objects and bytes alive, objects and bytes ever.
pub(crate) type Numbers = [u64; 4];

/// A file, taken apart.
pub(crate) struct Profile {
    /// Bytes between two samples, on average.
    pub(crate) period: u64,
    pub(crate) total: Numbers,
    /// By the thread's number.
    pub(crate) threads: BTreeMap<u64, Numbers>,
    /// Frames, and numbers by the thread's tag; `*` is all of them.
    pub(crate) stacks: Vec<(String, BTreeMap<String, Numbers>)>,
    /// What follows: the maps of the process, the details.
    pub(crate) rest: String,
}

/// Reads a file; panics where it is not as it should be.
pub(crate) fn read(path: &Path) -> Profile {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (head, rest) = text
        .split_once("\nMAPPED_LIBRARIES:\n")
        .expect("the process's maps follow");
    let mut lines = head.lines();
    let period = lines.next().unwrap().strip_prefix("heap_v2/").unwrap();
    let mut profile = Profile {
        period: period.parse().unwrap(),
        total: [0; 4],
        threads: BTreeMap::new(),
        stacks: Vec::new(),
        rest: rest.to_owned(),
    };
    for line in lines {
        if let Some(frames) = line.strip_prefix('@') {
            let frames = frames.trim().to_owned();
            profile.stacks.push((frames, BTreeMap::new()));
            continue;
        }
        let (tag, counts) = line.strip_prefix("  t").unwrap().split_once(": ").unwrap();
        let counts = numbers(counts);
        match (profile.stacks.last_mut(), tag) {
            (Some((_, lines)), tag) => {
                lines.insert(tag.to_owned(), counts);
            }
            (None, "*") => profile.total = counts,
            (None, uid) => {
                profile.threads.insert(uid.parse().unwrap(), counts);
            }
        }
    }
    profile
}

impl Profile {
    /// A reader's estimates of objects and bytes alive.
    pub(crate) fn scaled(&self, [count, bytes, ..]: Numbers) -> (f64, f64) {
        if count == 0 {
            return (0.0, 0.0);
        }
        let mean = bytes as f64 / count as f64;
        let factor = 1.0 / -f64::exp_m1(-mean / self.period as f64);
        (count as f64 * factor, bytes as f64 * factor)
    }

    /// The sum of all stacks.
    pub(crate) fn of_stacks(&self) -> Numbers {
        sum(self.stacks.iter().map(|(_, lines)| &lines["*"]))
    }

    /// The estimate of bytes alive, made stack by stack.
    pub(crate) fn scaled_by_stacks(&self) -> f64 {
        let stacks = self.stacks.iter();
        stacks.map(|(_, lines)| self.scaled(lines["*"]).1).sum()
    }
}

/// The first four numbers of a line.
pub(crate) fn numbers(line: &str) -> Numbers {
    let numbers: Vec<u64> = line
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect();
    numbers[..4].try_into().unwrap()
}

/// All of `parts` together.
pub(crate) fn sum<'a>(parts: impl IntoIterator<Item = &'a Numbers>) -> Numbers {
    parts.into_iter().fold([0; 4], |sum, part| {
        std::array::from_fn(|at| sum[at] + part[at])
    })
}
