//! The depot against a twin that keeps a list of magazines per stack and every value that the live bytes had in
//! the current and the last window, and recomputes the bounds of rules O1 and O4 from them at every step.

use super::super::depot::{age, empty, keep, kept, note_filled, note_flushed, set_floor, take};
use super::super::magazine::{FULL, Magazine, STARTER};
use super::super::{ArenaIndex, set_automatic};
use crate::extent::{Pressure, pressure};
use crate::size::{CACHED_CLASSES, SizeClass, magazine_capacity};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::{Dice, are_rounds_fewer, rounds};
use core::ptr;
use std::vec::Vec;

const SHARDS: usize = 3;
const WINDOW_NS: u64 = 250_000_000;
/// Magazines that one call of `age` gives back at most, unless there are so many times as many.
const AT_ONCE: usize = 64;
const SHARE: usize = 8;
/// Classes of all kinds, few of them, so that bounds are reached.
const CLASSES: [usize; 5] = [1, 7, 20, 35, 40];

/// Live bytes over time.
struct History {
    live: usize,
    /// The values of this window, the one it began with included.
    window: Vec<usize>,
    last: Vec<usize>,
}

impl History {
    fn new() -> Self {
        Self {
            live: 0,
            window: Vec::from([0]),
            last: Vec::from([0]),
        }
    }

    fn set(&mut self, live: usize) {
        self.live = live;
        self.window.push(live);
    }

    fn roll(&mut self) {
        self.last = core::mem::replace(&mut self.window, Vec::from([self.live]));
    }

    fn highest(&self) -> usize {
        *self.window.iter().chain(&self.last).max().unwrap()
    }

    fn swing(&self) -> usize {
        let span = |values: &[usize]| values.iter().max().unwrap() - values.iter().min().unwrap();
        span(&self.window).max(span(&self.last))
    }
}

struct Twin {
    classes: Vec<History>,
    total: History,
    /// By class and shard: the objects of each magazine, the newest last.
    stacks: Vec<[Vec<Vec<usize>>; SHARDS]>,
    /// Objects in those, by class.
    kept: Vec<usize>,
    /// Objects that caches and the application hold, by class.
    out: Vec<Vec<usize>>,
    next_object: usize,
    /// `cache_max`, and how near memory is to its end.
    floor: usize,
    pressure: Pressure,
    window_end: u64,
    now: u64,
}

fn class(index: usize) -> SizeClass {
    SizeClass::new(index).unwrap()
}

/// Room of the magazines that thread caches use for the class.
fn room(index: usize) -> usize {
    if magazine_capacity(index) > STARTER {
        FULL
    } else {
        STARTER
    }
}

impl Twin {
    fn new() -> Self {
        Self {
            classes: (0..CACHED_CLASSES).map(|_| History::new()).collect(),
            total: History::new(),
            stacks: (0..CACHED_CLASSES).map(|_| Default::default()).collect(),
            kept: std::vec![0; CACHED_CLASSES],
            out: (0..CACHED_CLASSES).map(|_| Vec::new()).collect(),
            next_object: 1,
            floor: 4 << 20,
            pressure: Pressure::Calm,
            window_end: 0,
            now: 1,
        }
    }

    fn kept_bytes(&self, index: usize) -> usize {
        self.kept[index] * class(index).size()
    }

    fn kept_bytes_in_all(&self) -> usize {
        CLASSES
            .into_iter()
            .map(|index| self.kept_bytes(index))
            .sum()
    }

    fn pointers(&self) -> usize {
        self.kept.iter().sum()
    }

    /// Whether rules O1, O4 and O5 let the class keep `kept` bytes, and all together `in_all` in `pointers` objects.
    fn allows(&self, index: usize, kept: usize, in_all: usize, pointers: usize) -> bool {
        let history = &self.classes[index];
        let is_calm = self.floor > 0 && self.pressure == Pressure::Calm;
        let part = match self.pressure {
            Pressure::Calm => 1,
            Pressure::Tight => 4,
            Pressure::Critical => 16,
        };
        let class_bound = match history.swing() {
            0 => 0,
            swing if is_calm => (self.floor / 16).max(history.live / 8).max(swing),
            _ => (self.floor / 16).min(4 << 20) / part,
        };
        let total_bound = if is_calm {
            let (live, swing) = (self.total.live / 16, self.total.swing());
            self.floor.max(live).max(swing)
        } else {
            self.floor.min(4 << 20) / part
        };
        let pointer_bound = (1 << 20).max(self.total.highest() / 512);
        kept <= class_bound && in_all <= total_bound && pointers * 8 <= pointer_bound
    }

    fn change(&mut self, index: usize, bytes: isize) {
        let history = &mut self.classes[index];
        history.set(history.live.checked_add_signed(bytes).unwrap());
        self.total
            .set(self.total.live.checked_add_signed(bytes).unwrap());
    }

    fn fill(&mut self, index: usize, count: usize) {
        for _ in 0..count {
            self.out[index].push(self.next_object << 4);
            self.next_object += 1;
        }
        self.change(index, (count * class(index).size()) as isize);
        note_filled(class(index), count);
    }

    fn flush(&mut self, index: usize, count: usize) {
        let count = count.min(self.out[index].len());
        let left = self.out[index].len() - count;
        self.out[index].truncate(left);
        self.change(index, -((count * class(index).size()) as isize));
        note_flushed(class(index), count);
    }

    fn keep(&mut self, index: usize, shard: usize, count: usize) -> bool {
        let Some(left) = self.out[index].len().checked_sub(count) else {
            return false;
        };
        let objects = self.out[index].split_off(left);
        let mut magazine = Magazine::empty(room(index)).unwrap();
        magazine.set_count(count);
        for (slot, &object) in magazine.objects().iter_mut().zip(&objects) {
            *slot = ptr::without_provenance_mut(object);
        }
        let bytes = count * class(index).size();
        self.change(index, -(bytes as isize));
        let (own, all) = (
            self.kept_bytes(index) + bytes,
            self.kept_bytes_in_all() + bytes,
        );
        let allowed = self.allows(index, own, all, self.pointers() + count);
        match keep(class(index), ArenaIndex::new(shard), magazine) {
            Ok(()) => {
                assert!(allowed, "O1, O4: class {index} keeps {own}, all {all}");
                self.kept[index] += objects.len();
                self.stacks[index][shard].push(objects);
            }
            Err(mut magazine) => {
                assert!(!allowed, "O2: class {index} may keep {own}, all {all}");
                assert_holds(&mut magazine, &objects);
                magazine.set_count(0);
                magazine.recycle();
            }
        }
        allowed
    }

    /// The stack that a miss in `shard` finds something in.
    fn find(&self, index: usize, shard: usize) -> Option<usize> {
        let order = core::iter::once(shard).chain((0..SHARDS).filter(|&other| other != shard));
        order
            .into_iter()
            .find(|&shard| !self.stacks[index][shard].is_empty())
    }

    fn pop(&mut self, index: usize, shard: usize) -> Vec<usize> {
        let objects = self.stacks[index][shard].pop().unwrap();
        self.kept[index] -= objects.len();
        objects
    }

    fn take(&mut self, index: usize, shard: usize) {
        let expected = self.find(index, shard);
        let taken = take(class(index), ArenaIndex::new(shard));
        assert_eq!(
            taken.is_some(),
            expected.is_some(),
            "class {index} shard {shard}"
        );
        if let (Some(mut magazine), Some(from)) = (taken, expected) {
            let objects = self.pop(index, from);
            assert_holds(&mut magazine, &objects);
            self.change(index, (objects.len() * class(index).size()) as isize);
            self.out[index].extend(objects);
            magazine.set_count(0);
            magazine.recycle();
        }
    }

    /// A magazine of class `index` that left for good.
    fn gave_back(&mut self, index: usize, mut magazine: Magazine) {
        let from = self
            .find(index, 0)
            .expect("only what is kept is given back");
        let objects = self.pop(index, from);
        assert_holds(&mut magazine, &objects);
        magazine.set_count(0);
        magazine.recycle();
    }

    fn age(&mut self) -> usize {
        if self.now >= self.window_end {
            self.window_end = self.now + WINDOW_NS;
            self.classes.iter_mut().for_each(History::roll);
            self.total.roll();
        }
        let mut given = 0;
        let most = AT_ONCE.max(self.pointers() / FULL / SHARE);
        let more = age(self.now, |class, magazine| {
            let index = class.index();
            let (own, all) = (self.kept_bytes(index), self.kept_bytes_in_all());
            assert!(
                !self.allows(index, own, all, self.pointers()),
                "class {index} may keep its {own} bytes"
            );
            self.gave_back(index, magazine);
            given += 1;
        });
        assert!(given <= most && (!more || given == most));
        if !more {
            self.check_bounds();
        }
        given
    }

    fn check_bounds(&self) {
        let all = self.kept_bytes_in_all();
        for index in CLASSES {
            let own = self.kept_bytes(index);
            assert!(
                own == 0 || self.allows(index, own, all, self.pointers()),
                "O1, O4: class {index} keeps {own}"
            );
        }
    }

    fn check(&self) {
        for index in 0..CACHED_CLASSES {
            assert_eq!(kept(index), self.kept_bytes(index) / class(index).size());
        }
    }
}

fn assert_holds(magazine: &mut Magazine, objects: &[usize]) {
    let found: Vec<usize> = magazine
        .objects()
        .iter()
        .map(|object| object.addr())
        .collect();
    assert_eq!(found, objects, "a magazine came out as it went in");
}

#[test]
fn random_use_agrees_with_the_twin() {
    alone(|| random_use(false));
}

#[test]
fn it_does_while_what_may_be_kept_changes_too() {
    alone(|| random_use(true));
}

fn random_use(changes: bool) {
    set_automatic(SHARDS);
    let mut twin = Twin::new();
    let mut dice = Dice::new(1);
    let (mut accepted, mut refused, mut aged) = (0, 0, 0);
    for step in 0..rounds(30_000) {
        // Phases: one fills more, the next frees more.
        let grows = step / 500 % 2 == 0;
        let index = CLASSES[dice.below(CLASSES.len())];
        let (shard, load) = (dice.below(SHARDS), magazine_capacity(index));
        if changes && step % 700 == 0 {
            let levels = [Pressure::Calm, Pressure::Tight, Pressure::Critical];
            twin.floor = [0, 64 << 10, 4 << 20, 64 << 20][dice.below(4)];
            twin.pressure = levels[dice.below(3)];
            set_floor(twin.floor);
            pressure::set(twin.pressure, true);
        }
        match dice.below(24) {
            0..4 if grows => {
                let bytes = 1usize << (12 + dice.below(12));
                twin.fill(index, bytes / class(index).size() + 1);
            }
            0..3 => twin.take(index, shard),
            3 => {
                let most = twin.out[index].len() / 4 + 1;
                twin.flush(index, dice.below(most) + 1);
            }
            4..7 if grows => twin.take(index, shard),
            4..21 => {
                let count = if dice.once_in(4) {
                    1 + dice.below(load)
                } else {
                    load
                };
                let enough = twin.out[index].len() >= count;
                let kept = twin.keep(index, shard, count);
                accepted += usize::from(kept);
                refused += usize::from(enough && !kept);
            }
            21 => {
                twin.now += dice.next() % (WINDOW_NS / 2);
                aged += twin.age();
            }
            22 if dice.once_in(10) => {
                twin.now += WINDOW_NS * 2;
                aged += twin.age();
            }
            _ => aged += twin.age(),
        }
        twin.check();
    }
    empty(|class, magazine| twin.gave_back(class.index(), magazine));
    assert_eq!(twin.kept_bytes_in_all(), 0, "all of it came");
    twin.check();
    assert!(
        are_rounds_fewer() || accepted > 1000 && refused > 1000 && aged > 200,
        "{accepted} {refused} {aged}"
    );
}

/// The story that rule O1 is about: a wave is kept as long as it comes again, and given back when it does not.
#[test]
fn a_wave_is_kept_for_about_a_window_and_then_given_back() {
    alone(|| {
        let mut twin = Twin::new();
        let (index, load) = (20, magazine_capacity(20));
        let bytes = if are_rounds_fewer() { 1 } else { 16 } << 20;
        let wave = bytes / class(index).size() / load;
        twin.age();
        for _ in 0..5 {
            twin.now += WINDOW_NS / 4;
            twin.fill(index, wave * load);
            (0..wave).for_each(|_| assert!(twin.keep(index, 0, load), "the swing covers it"));
            assert_eq!(twin.age(), 0);
            (0..wave).for_each(|_| twin.take(index, 0));
            twin.flush(index, usize::MAX);
        }
        twin.fill(index, wave * load);
        (0..wave).for_each(|_| assert!(twin.keep(index, 0, load)));
        let full = twin.kept_bytes(index);
        assert!(full > bytes / 16 * 15);
        // Nothing happens any more: this window and the last must pass.
        let begin = twin.now;
        while twin.age() == 0 {
            assert_eq!(twin.kept_bytes(index), full);
            twin.now += WINDOW_NS / 8;
            assert!(
                twin.now - begin < 3 * WINDOW_NS,
                "a wave that does not come again is kept"
            );
        }
        assert!(twin.now - begin >= WINDOW_NS / 2, "too soon");
        while twin.age() > 0 {}
        assert_eq!(twin.kept_bytes(index), 0, "O5");
    });
}

/// What rule O4 is about: a large heap of which nearly everything is freed.
#[test]
fn pointers_stay_a_small_part_of_a_heap_that_falls() {
    alone(|| {
        let mut twin = Twin::new();
        let (index, load) = (1, magazine_capacity(1));
        twin.age();
        let mut cases = Vec::from([(300, 300), (4000, (1 << 20) / 8 / load)]);
        if are_rounds_fewer() {
            // The bound is of many objects.
            cases.truncate(1);
        }
        for &(loads, bound) in &cases {
            twin.fill(index, loads * load);
            let kept = (0..loads).filter(|_| twin.keep(index, 0, load));
            assert_eq!(kept.count(), bound, "of {loads} loads");
            empty(|class, magazine| twin.gave_back(class.index(), magazine));
        }
        if are_rounds_fewer() {
            return;
        }
        // 1/512 of what was live at the highest.
        let (high, index) = (1 << 30, 20);
        let load = magazine_capacity(index);
        twin.fill(index, high / class(index).size());
        while twin.keep(index, 0, load) {}
        let bytes = twin.pointers() * 8;
        assert!(
            bytes <= high / 512 && bytes + load * 8 > high / 512,
            "{bytes}"
        );
    });
}
