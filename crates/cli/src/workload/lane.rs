//! Lane: one client's stream of requests, and what it remembers about its keys.
//!
//! ```text
//! steady mix   GET 60 %   SET 25 %   APPEND 5 %   DEL 5 %   SCAN 5 %
//! ```
//! Key number `id` belongs to lane `id % lanes`; a lane reads all keys and changes its own (rule W2).
//! What a lane asks next depends on its own past alone, never on a reply: replies about other lanes'
//! keys depend on timing.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::workload::Plan;
use crate::workload::protocol::{request, serve, value_in};
use crate::workload::store::Store;
use crate::workload::traffic::{key, popular, tag, time_to_live, value, value_bytes};

/// Keys in the burst for every two keys of the base population.
const BURST_FOR_TWO: u64 = 3;
/// Of so many keys of the base population one stays when the store shrinks.
const KEEP_ONE_OF: u64 = 5;
const SCAN_KEYS: &[u8] = b"16";

/// A client.
#[derive(Debug)]
pub(super) struct Lane {
    index: u64,
    lanes: u64,
    /// Keys of the base population that belong to one lane.
    keys: u64,
    random: Rng,
    /// Requests so far; the clock of its expiries.
    tick: u64,
    /// Keys to expire, by tick.
    due: BTreeMap<u64, Vec<Box<[u8]>>>,
    /// Values that came back damaged.
    pub(super) damaged: u64,
}

impl Lane {
    /// The lane number `index` of `plan`.
    pub(super) fn new(plan: &Plan, index: usize) -> Self {
        let index = index as u64;
        Self {
            index,
            lanes: plan.threads as u64,
            keys: plan.keys / plan.threads as u64,
            random: Rng::with_seed(
                plan.seed
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .wrapping_add(index),
            ),
            tick: 0,
            due: BTreeMap::new(),
            damaged: 0,
        }
    }

    /// Stores the base population. `done` is called after every request, here and below.
    pub(super) fn fill(&mut self, store: &Store, done: &mut impl FnMut()) {
        for rank in 0..self.keys {
            self.set(store, rank, done);
        }
    }

    /// `requests` of the steady mix.
    pub(super) fn steady(&mut self, store: &Store, requests: u64, done: &mut impl FnMut()) {
        if self.keys == 0 {
            return;
        }
        for _ in 0..requests {
            let rank = popular(&mut self.random, self.keys);
            match self.random.u8(..100) {
                0..60 => self.get(store, rank),
                60..85 => self.put(store, rank),
                85..90 => self.append(store, rank),
                90..95 => drop(serve(store, &request(&[b"DEL", &self.own_key(rank)]))),
                _ => drop(serve(
                    store,
                    &request(&[b"SCAN", &self.own_key(rank), SCAN_KEYS]),
                )),
            }
            done();
            self.pass_time(store, self.tick + 1, done);
        }
    }

    /// A burst: new keys, as many as [`BURST_FOR_TWO`] says.
    pub(super) fn grow(&mut self, store: &Store, done: &mut impl FnMut()) {
        for rank in self.burst() {
            self.set(store, rank, done);
        }
    }

    /// The burst's keys go, most of the base population goes, and all that would expire some day.
    pub(super) fn shrink(&mut self, store: &Store, done: &mut impl FnMut()) {
        let leaving = (0..self.keys)
            .filter(|rank| rank % KEEP_ONE_OF != 0)
            .chain(self.burst());
        for rank in leaving {
            drop(serve(store, &request(&[b"DEL", &self.own_key(rank)])));
            done();
        }
        self.pass_time(store, u64::MAX - 1, done);
    }

    /// A few reads: the trickle of a quiet hour.
    pub(super) fn trickle(&mut self, store: &Store) {
        if self.keys > 0 {
            for _ in 0..16 {
                let rank = popular(&mut self.random, self.keys);
                self.get(store, rank);
            }
        }
    }

    fn burst(&self) -> std::ops::Range<u64> {
        self.keys..self.keys + self.keys * BURST_FOR_TWO / 2
    }

    fn own_key(&self, rank: u64) -> Vec<u8> {
        key(rank * self.lanes + self.index)
    }

    /// Reads a key of any lane.
    fn get(&mut self, store: &Store, rank: u64) {
        let key = key(rank * self.lanes + self.random.u64(..self.lanes));
        let reply = serve(store, &request(&[b"GET", &key]));
        if value_in(&reply).is_some_and(|value| !value.starts_with(&tag(&key))) {
            self.damaged += 1;
        }
    }

    fn set(&mut self, store: &Store, rank: u64, done: &mut impl FnMut()) {
        self.put(store, rank);
        done();
        self.pass_time(store, self.tick + 1, done);
    }

    fn put(&mut self, store: &Store, rank: u64) {
        let key = self.own_key(rank);
        let bytes = value_bytes(&mut self.random);
        let due = time_to_live(&mut self.random).map_or(0, |time| self.tick + time);
        let value = value(&key, self.tick, bytes);
        drop(serve(
            store,
            &request(&[b"SET", &key, due.to_string().as_bytes(), &value]),
        ));
        if due != 0 {
            self.due
                .entry(due)
                .or_default()
                .push(key.into_boxed_slice());
        }
    }

    fn append(&mut self, store: &Store, rank: u64) {
        let key = self.own_key(rank);
        let more = value(&key, self.tick, self.random.usize(8..200));
        drop(serve(store, &request(&[b"APPEND", &key, &more])));
    }

    /// The clock moves to `tick`; what is due by then expires.
    fn pass_time(&mut self, store: &Store, tick: u64, done: &mut impl FnMut()) {
        while let Some(first) = self.due.first_entry().filter(|first| *first.key() <= tick) {
            let (due, keys) = first.remove_entry();
            for key in keys {
                drop(serve(
                    store,
                    &request(&[b"EXPIRE", &key, due.to_string().as_bytes()]),
                ));
                done();
            }
        }
        if tick != u64::MAX - 1 {
            self.tick = tick;
        }
    }
}
