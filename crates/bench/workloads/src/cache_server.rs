//! Cache server: a hash map of strings whose entries expire.
//!
//! ```text
//! key -> value, due        due -> keys       one request = one tick of the clock
//! 70 % read, 30 % write    whatever is due leaves before each write
//! ```
//! Some keys are asked for far more often than others, values have a heavy tail, and entries die in an
//! order that has nothing to do with the one in which they came.

use crate::random::Random;
use crate::{Tally, Workload};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

pub(crate) const WORKLOAD: Workload = Workload {
    name: "cache-server",
    about: "a hash map of some 10 000 strings that expire, read and written",
    full: 1_000_000,
    tiny: 20_000,
    run,
};

/// Keys there are.
const KEYS: usize = 100_000;

/// Smallest and largest value, in bytes.
const VALUES: (usize, usize) = (32, 64 << 10);

/// Ticks that an entry lives, by kind; and how many ticks fall due together.
const LIVES: [u64; 3] = [5_000, 30_000, 200_000];
const TOGETHER: u64 = 64;

/// The same order of entries in every run (rule K1).
type Fixed = BuildHasherDefault<DefaultHasher>;

#[derive(Debug, Default)]
struct Cache {
    entries: HashMap<String, Entry, Fixed>,
    due: BTreeMap<u64, Vec<String>>,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    due: u64,
}

fn run(requests: u64, tally: &mut Tally) {
    let mut random = Random::new(KEYS as u64);
    let mut cache = Cache::default();
    let mut hits = 0_u64;
    for now in 0..requests {
        let limit = random.below(KEYS) + 1;
        let number = random.below(limit);
        let key = format!("session:{number:08}");
        if random.below(10) < 7 {
            let Some(value) = cache.read(&key, now) else {
                continue;
            };
            assert!(
                value.iter().all(|&byte| byte == number as u8),
                "{key} has another's value"
            );
            hits += value.len() as u64;
        } else {
            cache.expire(now);
            let value = vec![number as u8; random.heavy_tailed(VALUES.0, VALUES.1)];
            cache.write(key, value, now + LIVES[random.below(LIVES.len())]);
        }
    }
    tally.add(requests, hits);
}

impl Cache {
    /// A copy of the value, as it would go into an answer.
    fn read(&self, key: &str, now: u64) -> Option<Vec<u8>> {
        let entry = self.entries.get(key)?;
        (entry.due > now).then(|| entry.value.clone())
    }

    fn write(&mut self, key: String, value: Vec<u8>, due: u64) {
        let due = due.next_multiple_of(TOGETHER);
        self.due.entry(due).or_default().push(key.clone());
        self.entries.insert(key, Entry { value, due });
    }

    /// Removes what is due by `now`; a key written again since has a later time.
    fn expire(&mut self, now: u64) {
        while let Some(first) = self.due.first_entry() {
            if *first.key() > now {
                return;
            }
            for key in first.remove() {
                if self.entries.get(&key).is_some_and(|entry| entry.due <= now) {
                    self.entries.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn an_entry_lives_until_it_is_due() {
        let mut cache = Cache::default();
        cache.write("a".into(), vec![1], 64);
        cache.write("b".into(), vec![2], 128);
        cache.write("a".into(), vec![3], 128);
        cache.expire(64);
        assert_eq!(cache.read("a", 100), Some(vec![3]));
        assert_eq!(cache.read("b", 128), None);
        cache.expire(128);
        assert!(cache.entries.is_empty() && cache.due.is_empty());
    }
}
