//! Store: keys and values in shards, each a hash map and an ordered index behind a lock.
//!
//! Values that leave the store are handed out and dropped by the caller after the lock is free.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;

/// An appended-to value that would grow beyond this starts anew from its tag.
pub(super) const VALUE_MAX: usize = 64 << 10;

/// Bytes at a value's start that say which key it belongs to.
pub(super) const TAG_BYTES: usize = 8;

/// The same hashes in every run: shards and tables must not depend on chance.
type Hashing = BuildHasherDefault<DefaultHasher>;

type Key = Box<[u8]>;

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Key, Entry, Hashing>,
    order: BTreeSet<Key>,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    /// Tick of the owning lane at which it goes; 0 for never.
    expires: u64,
}

/// All shards.
#[derive(Debug)]
pub(super) struct Store {
    shards: Vec<Mutex<Shard>>,
}

impl Store {
    /// An empty store.
    pub(super) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// Calls `seen` with the value of `key`.
    pub(super) fn get<R>(&self, key: &[u8], seen: impl FnOnce(Option<&[u8]>) -> R) -> R {
        seen(
            self.shard(key)
                .entries
                .get(key)
                .map(|entry| entry.value.as_slice()),
        )
    }

    /// Stores `value`; the value that was there comes back.
    pub(super) fn set(&self, key: Vec<u8>, value: Vec<u8>, expires: u64) -> Option<Vec<u8>> {
        let mut shard = self.shard(&key);
        if let Some(entry) = shard.entries.get_mut(key.as_slice()) {
            entry.expires = expires;
            return Some(std::mem::replace(&mut entry.value, value));
        }
        shard.order.insert(key.as_slice().into());
        shard
            .entries
            .insert(key.into_boxed_slice(), Entry { value, expires });
        None
    }

    /// Adds to the end of a value, if there is one; its new length.
    pub(super) fn append(&self, key: &[u8], more: &[u8]) -> usize {
        let mut shard = self.shard(key);
        let Some(entry) = shard.entries.get_mut(key) else {
            return 0;
        };
        if entry.value.len() + more.len() > VALUE_MAX {
            entry.value.truncate(TAG_BYTES);
            entry.value.shrink_to_fit();
        }
        entry.value.extend_from_slice(more);
        entry.value.len()
    }

    /// Removes `key`; its value comes back.
    pub(super) fn delete(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.shard(key).take(key)
    }

    /// Removes `key` if it expires at tick `due`: a later `set` may have changed its mind.
    pub(super) fn expire(&self, key: &[u8], due: u64) -> Option<Vec<u8>> {
        let mut shard = self.shard(key);
        if shard.entries.get(key)?.expires != due {
            return None;
        }
        shard.take(key)
    }

    /// Calls `seen` with up to `most` keys that follow `from` in its shard.
    pub(super) fn scan(&self, from: &[u8], most: usize, mut seen: impl FnMut(&[u8])) {
        let shard = self.shard(from);
        let after = (Bound::Included(from), Bound::Unbounded);
        shard
            .order
            .range::<[u8], _>(after)
            .take(most)
            .for_each(|key| seen(key));
    }

    /// Number of entries, and a sum over all of them that does not depend on their order.
    pub(super) fn content(&self) -> (u64, u64) {
        let mut entries = 0u64;
        let mut sum = 0u64;
        for shard in &self.shards {
            let shard = locked(shard);
            assert_eq!(
                shard.entries.len(),
                shard.order.len(),
                "index and entries differ"
            );
            for (key, entry) in &shard.entries {
                let mut hasher = DefaultHasher::default();
                hasher.write_u64(key.len() as u64);
                hasher.write(key);
                hasher.write_u64(entry.expires);
                hasher.write(&entry.value);
                sum = sum.wrapping_add(hasher.finish());
                entries += 1;
            }
        }
        (entries, sum)
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let hash = Hashing::default().hash_one(key);
        // The top bits: the map inside uses the others.
        locked(&self.shards[(hash >> 58) as usize % SHARDS])
    }
}

impl Shard {
    fn take(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        let entry = self.entries.remove(key)?;
        self.order.remove(key);
        // A table that has become far too large goes, as a service that shrinks would let it.
        if self.entries.capacity() > 256 && self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to(2 * self.entries.len());
        }
        Some(entry.value)
    }
}

fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(store: &Store, key: &[u8]) -> Option<Vec<u8>> {
        store.get(key, |value| value.map(<[u8]>::to_vec))
    }

    #[test]
    fn it_keeps_what_a_plain_map_keeps() {
        let store = Store::new();
        let mut twin: std::collections::BTreeMap<Vec<u8>, Vec<u8>> = Default::default();
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let key = format!("k{}", random.u32(..500)).into_bytes();
            let word = vec![random.u8(..); random.usize(1..40)];
            match random.u8(..4) {
                0 => assert_eq!(value(&store, &key), twin.get(&key).cloned()),
                1 => assert_eq!(
                    store.set(key.clone(), word.clone(), 0),
                    twin.insert(key, word)
                ),
                2 => assert_eq!(store.delete(&key), twin.remove(&key)),
                _ => {
                    store.append(&key, &word);
                    twin.entry(key).and_modify(|value| value.extend(word));
                }
            }
        }
        assert_eq!(store.content().0, twin.len() as u64);
    }

    #[test]
    fn only_the_due_entry_expires() {
        let store = Store::new();
        store.set(b"a".to_vec(), b"1".to_vec(), 5);
        assert_eq!(store.expire(b"a", 4), None);
        assert_eq!(store.expire(b"a", 5), Some(b"1".to_vec()));
        assert_eq!(store.expire(b"a", 5), None);
    }

    #[test]
    fn the_sum_sees_every_byte_and_no_order() {
        let of = |entries: &[(&str, &str)]| {
            let store = Store::new();
            for (key, value) in entries {
                store.set(key.as_bytes().to_vec(), value.as_bytes().to_vec(), 0);
            }
            store.content()
        };
        assert_eq!(of(&[("a", "1"), ("b", "2")]), of(&[("b", "2"), ("a", "1")]));
        assert_ne!(of(&[("a", "1"), ("b", "2")]), of(&[("a", "2"), ("b", "1")]));
    }

    #[test]
    fn an_overgrown_value_starts_anew_behind_its_tag() {
        let store = Store::new();
        store.set(b"a".to_vec(), vec![1; VALUE_MAX], 0);
        assert_eq!(store.append(b"a", &[2; 4]), TAG_BYTES + 4);
        assert_eq!(store.append(b"none", &[2; 4]), 0);
    }
}
