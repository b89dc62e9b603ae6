//! Samples against a naive twin that counts every allocation, and their estimates against the truth.

use super::model::{Model, Plan, assert_empty};
use crate::api::sampling::sample_of;
use crate::api::slow;
use crate::api::{
    Flags, alloc, alloc_aligned, alloc_known, alloc_with, alloc_zeroed, dealloc, dealloc_known,
    dealloc_sized, dealloc_with, flush_thread_cache, footprint, realloc, realloc_known,
    usable_size,
};
use crate::arena::{explicit, manual, sampled};
use crate::options::Dss;
use crate::prof;
use crate::size::{CACHED_CLASSES, LOOKUP_MAX, SMALL_CLASSES, SizeClass, class_of, size_of_class};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::Dice;
use crate::thread::{self, registry};
use jemoxide_testkit::naive::LiveRanges;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::vec;
use std::vec::Vec;

/// A sampler that looks at every allocation. It draws as the one under test does: a gap for a class when it first matters,
/// and the next one with each sample.
struct Twin {
    random: u64,
    lg: u32,
    /// Objects of a class that pass before the next sample, and bytes of what has none.
    until: [Option<u64>; CACHED_CLASSES + 1],
}

impl Twin {
    /// That of the calling thread, which samples already.
    fn new(lg: u32) -> Self {
        let cache = thread::current().cache().unwrap();
        let turn = u64::from(prof::generation()) << 32;
        Self {
            random: cache.profiled().unwrap().random() ^ turn,
            lg,
            until: [None; CACHED_CLASSES + 1],
        }
    }

    /// Whether an allocation of `usable` bytes is a sample.
    fn allocated(&mut self, usable: usize) -> bool {
        let class = class_of(usable).filter(|class| class.is_cached());
        let (slot, size, cost) = match class {
            Some(class) => (class.index(), class.size(), 1),
            None => (CACHED_CLASSES, 1, usable as u64),
        };
        let (random, lg) = (&mut self.random, self.lg);
        let mut draw = || prof::gap_objects(random, size, lg) - 1;
        let until = self.until[slot].get_or_insert_with(&mut draw);
        if *until >= cost {
            *until -= cost;
            return false;
        }
        *until = draw();
        true
    }

    /// Whether an object that became `usable` bytes long where it lies is a sample.
    fn resized(&mut self, usable: usize) -> bool {
        prof::gap_objects(&mut self.random, usable, self.lg) == 1
    }
}

fn is_sample(ptr: *const u8) -> bool {
    sample_of(ptr).is_some()
}

/// How an object is to be freed.
#[derive(Clone, Copy)]
enum Way {
    Plain,
    Sized(usize, usize),
    Known(usize, usize),
    With(i32),
}

struct Object {
    ptr: *mut u8,
    usable: usize,
    sample: bool,
    way: Way,
}

/// Random operations of one thread, each compared with the twin's word for it.
struct Run {
    twin: Twin,
    dice: Dice,
    objects: Vec<Object>,
    bytes: usize,
    samples: usize,
    /// Flags for an explicit cache and for an arena made by request.
    cache: i32,
    arena: i32,
}

impl Run {
    fn size(&mut self) -> usize {
        let digits = if self.dice.once_in(20) { 21 } else { 15 };
        let most = self.dice.below(digits) + 1;
        self.dice.below(1 << most) + 1
    }

    fn step(&mut self) {
        match self.dice.below(10) {
            0..5 => self.allocate(),
            5..8 => self.free(),
            _ => self.reallocate(),
        }
    }

    fn allocate(&mut self) {
        let size = self.size();
        let align = 1 << self.dice.below(8);
        let uncached = 1 << 8;
        let (ptr, way) = match self.dice.below(10) {
            0..3 => (alloc(size), Way::Plain),
            3 => (alloc_zeroed(size), Way::Sized(size, 1)),
            4 => (alloc_aligned(size, align), Way::Sized(size, align)),
            5..7 => {
                let zeroed = self.dice.once_in(2);
                (alloc_known(size, align, zeroed), Way::Known(size, align))
            }
            7 => self.with(size, uncached),
            8 => self.with(size, self.cache),
            _ => self.with(size, self.arena | uncached),
        };
        assert!(!ptr.is_null());
        // SAFETY: just allocated.
        let usable = unsafe { usable_size(ptr) };
        let sample = self.twin.allocated(usable);
        self.admit(ptr, usable, sample, way);
    }

    fn with(&self, size: usize, flags: i32) -> (*mut u8, Way) {
        (alloc_with(size, Flags::new(flags)), Way::With(flags))
    }

    fn admit(&mut self, ptr: *mut u8, usable: usize, sample: bool, way: Way) {
        assert_eq!(is_sample(ptr), sample, "{usable} bytes at {ptr:?}");
        let align = match way {
            Way::Sized(_, align) | Way::Known(_, align) => align,
            _ => 1,
        };
        assert_eq!(ptr.addr() % align, 0);
        let is_told = matches!(way, Way::Known(..)) && align <= 8 && usable <= LOOKUP_MAX;
        if is_told {
            let tells = match usable {
                8 => sampled::is_eight(ptr),
                _ => ptr.addr() % 16 == 8,
            };
            assert_eq!(tells, sample, "a layout's free tells it");
        } else if usable > 8 {
            assert_eq!(ptr.addr() % 16, 0);
        }
        // SAFETY: the object's own bytes.
        unsafe { ptr.write_bytes(usable as u8, usable) };
        self.bytes += usable;
        self.samples += usize::from(sample);
        let object = Object {
            ptr,
            usable,
            sample,
            way,
        };
        self.objects.push(object);
    }

    fn take(&mut self) -> Option<Object> {
        let count = self.objects.len();
        let object = (count > 0).then(|| self.objects.swap_remove(self.dice.below(count)))?;
        self.bytes -= object.usable;
        // SAFETY: a live object.
        let (usable, bytes) = unsafe {
            let bytes = std::slice::from_raw_parts(object.ptr, object.usable);
            (usable_size(object.ptr), bytes)
        };
        assert_eq!(usable, object.usable);
        assert!(bytes.iter().all(|&byte| byte == usable as u8));
        assert_eq!(is_sample(object.ptr), object.sample);
        Some(object)
    }

    fn free(&mut self) {
        let Some(object) = self.take() else { return };
        // SAFETY: a live object; from here on nobody uses it.
        unsafe {
            match object.way {
                Way::Plain => dealloc(object.ptr),
                Way::Sized(size, align) => dealloc_sized(object.ptr, size, align),
                Way::Known(size, align) => dealloc_known(object.ptr, size, align),
                Way::With(flags) => dealloc_with(object.ptr, Flags::new(flags)),
            }
        }
    }

    fn reallocate(&mut self) {
        let Some(old) = self.take() else { return };
        let size = self.size();
        // SAFETY: a live object, whose place is the answer.
        let (ptr, way) = unsafe {
            match old.way {
                Way::Known(before, align) => (
                    realloc_known(old.ptr, before, align, size),
                    Way::Known(size, align),
                ),
                Way::Sized(_, align) => (
                    realloc(old.ptr, size, align, self.dice.once_in(2)),
                    Way::Sized(size, align),
                ),
                way => (realloc(old.ptr, size, 1, false), way),
            }
        };
        // SAFETY: a live object.
        let usable = unsafe { usable_size(ptr) };
        let sample = if ptr != old.ptr {
            self.twin.allocated(usable)
        } else if usable != old.usable {
            self.twin.resized(usable)
        } else {
            old.sample
        };
        self.admit(ptr, usable, sample, way);
    }

    /// Asserts that figures agree, by class and in all: samples count as what they are.
    fn check(&self) {
        let cache = thread::current().cache();
        assert!(thread::explicit::flush(
            self.cache_id(),
            thread::Inside(cache)
        ));
        assert_eq!(footprint().allocated, self.bytes);
        // Large ones change their class where they lie.
        for class in (0..SMALL_CLASSES).filter_map(SizeClass::new) {
            let totals = registry::totals(class);
            let of_class = |object: &&Object| object.usable == class.size();
            let live = self.objects.iter().filter(of_class).count();
            assert_eq!(totals.popped - totals.pushed, live as u64, "{class:?}");
        }
    }

    fn cache_id(&self) -> usize {
        (self.cache >> 8) as usize - 2
    }

    fn clear(&mut self) {
        while !self.objects.is_empty() {
            self.free();
        }
    }
}

#[test]
fn samples_are_where_the_draws_have_them() {
    alone(|| {
        // The thread starts.
        hear();
        let cache = explicit::create().unwrap();
        let arena = manual::create(core::ptr::null_mut(), (0, 0), Dss::Disabled).unwrap();
        for (seed, lg) in [(1, 10), (2, 12), (3, 14), (4, 17), (5, 0)] {
            flush_thread_cache();
            prof::switch(Some(lg), seed);
            hear();
            let mut run = Run {
                twin: Twin::new(lg),
                dice: Dice::new(seed),
                objects: Vec::new(),
                bytes: 0,
                samples: 0,
                cache: (cache as i32 + 2) << 8,
                arena: (arena as i32 + 1) << 20,
            };
            for step in 0..30_000 {
                run.step();
                if step % 5000 == 4999 {
                    run.check();
                }
            }
            assert!(run.samples > 100, "{}", run.samples);
            run.clear();
            run.check();
            prof::switch(None, 0);
            hear();
        }
        assert_empty();
    });
}

/// A slow entry that allocates nothing, where switches are heard of.
fn hear() {
    slow::enter(|_| ());
}

/// Everything, of sizes from nothing to a MiB.
const MIXED: Plan = Plan {
    most_bytes: 12 << 20,
    most_blocks: 3000,
    max_size: 1 << 20,
    max_align: 1 << 14,
    may_fail: false,
    ages: true,
};

#[test]
fn what_holds_for_objects_holds_for_samples() {
    alone(|| {
        let live = LiveRanges::new();
        for (seed, lg) in [(31, 9), (32, 13), (33, 16), (34, 0)] {
            prof::switch(Some(lg), seed);
            let mut model = Model::new(MIXED, seed, &live);
            for step in 0..6000 {
                model.step();
                // Off and on again: what is a sample then is freed as one.
                if step % 1000 == 999 {
                    prof::switch((step % 2000 < 1000).then_some(lg), seed);
                    model.check(true);
                }
            }
            model.clear();
            model.check(true);
            assert_empty();
        }
    });
}

/// Bytes that a thread allocates of each class, and of each large size.
const BYTES: usize = 160 << 10;
const LG: u32 = 13;
const SEEDS: u64 = 100;
const THREADS: usize = 4;
/// Standard errors that an estimate may be off: beyond lies less than one in 10^7.
const OFF: f64 = 5.4;

/// Objects of one size: how many there were, and were samples.
#[derive(Clone, Copy, Default)]
struct Count {
    objects: u64,
    samples: u64,
}

impl Count {
    fn add(&mut self, more: Self) {
        self.objects += more.objects;
        self.samples += more.samples;
    }
}

/// Allocates [`BYTES`] of each of `sizes`, in changing order, and frees them as it goes: own ones, and those of the thread
/// before.
fn allocate_known(
    sizes: &[usize],
    seed: u64,
    mine: Receiver<usize>,
    next: Sender<usize>,
) -> Vec<Count> {
    let mut dice = Dice::new(seed);
    let mut counts = vec![Count::default(); sizes.len()];
    let mut left: Vec<usize> = sizes.iter().map(|size| BYTES.div_ceil(*size)).collect();
    let mut open: Vec<usize> = (0..sizes.len()).collect();
    let mut held = Vec::new();
    while !open.is_empty() {
        let place = dice.below(open.len());
        let at = open[place];
        for _ in 0..dice.below(20).min(left[at] - 1) + 1 {
            let ptr = alloc(sizes[at]);
            counts[at].add(Count {
                objects: 1,
                samples: is_sample(ptr).into(),
            });
            held.push(ptr);
            left[at] -= 1;
        }
        if left[at] == 0 {
            open.swap_remove(place);
        }
        for _ in 0..dice.below(25).min(held.len()) {
            let ptr = held.swap_remove(dice.below(held.len()));
            if dice.once_in(8) {
                let _ = next.send(ptr.expose_provenance());
            } else {
                // SAFETY: allocated above.
                unsafe { dealloc(ptr) };
            }
        }
        mine.try_iter().for_each(free_at);
    }
    // SAFETY: allocated above.
    held.into_iter().for_each(|ptr| unsafe { dealloc(ptr) });
    drop(next);
    mine.iter().for_each(free_at);
    counts
}

/// Frees what another thread sent.
fn free_at(addr: usize) {
    // SAFETY: an object that its owner gave up.
    unsafe { dealloc(core::ptr::with_exposed_provenance_mut(addr)) };
}

#[test]
fn estimates_lie_within_their_errors() {
    alone(|| {
        let mut sizes: Vec<usize> = (0..CACHED_CLASSES).map(size_of_class).collect();
        sizes.extend([40 << 10, 100 << 10, 300 << 10, 2 << 20]);
        let mut counts = vec![Count::default(); sizes.len()];
        for seed in 0..SEEDS {
            prof::switch(Some(LG), seed);
            let (senders, inboxes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| channel()).unzip();
            let mut senders = senders.into_iter().cycle();
            std::thread::scope(|scope| {
                let workers: Vec<_> = inboxes
                    .into_iter()
                    .enumerate()
                    .map(|(index, mine)| {
                        let (next, sizes) = (senders.next().unwrap(), &sizes);
                        let seed = seed << 8 | index as u64;
                        scope.spawn(move || allocate_known(sizes, seed, mine, next))
                    })
                    .collect();
                drop(senders);
                for worker in workers {
                    let more = worker.join().unwrap();
                    counts
                        .iter_mut()
                        .zip(more)
                        .for_each(|(count, more)| count.add(more));
                }
            });
        }
        // Each object is a sample by itself, with probability p: of n there are n p, give or take the root of n p (1 - p).
        let (mut off, mut variance) = (0.0, 0.0);
        for (count, &size) in counts.iter().zip(&sizes) {
            let usable = crate::size::usable_size(size).unwrap();
            let p = 1.0 - (-(usable as f64) / f64::from(1u32 << LG)).exp();
            let n = count.objects as f64;
            let (here, spread) = (count.samples as f64 - n * p, n * p * (1.0 - p));
            assert!(
                here.abs() < OFF * spread.sqrt() + 1.0,
                "{size}: {here} of {n}"
            );
            off += here;
            variance += spread;
        }
        assert!(off.abs() < OFF * variance.sqrt(), "{off} of {variance}");
        // A gap that is wrong by a twentieth would be seen.
        let samples: u64 = counts.iter().map(|count| count.samples).sum();
        assert!(samples as f64 * 0.05 > 2.0 * OFF * variance.sqrt());
    });
}
