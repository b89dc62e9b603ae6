//! The hardened arena beside its twin, a list of live ranges; refusals by the system; and each fault, committed and told.

use super::*;
use crate::arena::misuse::{self, report};
use crate::meta::{self, limit};
use crate::size::PAGE;
use crate::sys::simulated::child::alone;
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::memory as system;
use core::ffi::CStr;
use core::ptr;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

mod arenas;
mod sleepers;

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }

    /// Mostly small, sometimes large, sometimes nothing.
    fn bytes(&mut self) -> usize {
        match self.below(20) {
            0 => 0,
            1 => self.below(300_000),
            2..5 => self.below(20_000),
            _ => self.below(600),
        }
    }

    fn align(&mut self) -> usize {
        match self.below(12) {
            0 => 1 << self.below(15),
            1 => 1 << self.below(8),
            _ => 1,
        }
    }
}

fn ask(bytes: usize, align: usize) -> Ask {
    Ask::new(bytes, align, Door::Malloc)
}

fn malloc(bytes: usize) -> *mut u8 {
    alloc(&ask(bytes, 1)).unwrap()
}

const FREE: Told = Told::of(Door::Malloc);

/// Frees, and answers the bytes that were asked for.
fn dealloc(ptr: *mut u8, told: &Told) -> Option<Result<usize, Misuse>> {
    let freed = super::dealloc(ptr, told)?;
    Some(freed.map(|freed| {
        assert!(freed.sample.is_none());
        let bytes = freed.bytes;
        freed.let_go();
        bytes
    }))
}

fn check() {
    (0..slab::CLASSES).for_each(bin::check);
    large::check();
    asleep::check();
    let counted = HEAP.counted_bytes() + meta::counted_bytes() + page_map::counted_bytes();
    assert_eq!(limit::used(), counted - bare_bytes(), "B2");
    assert!(held_bytes() <= HEAP.counted_bytes() - bare_bytes());
}

/// What a page serves: slots of a class, or objects of a class with pages of their own.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Serves {
    Slots(usize),
    Whole(asleep::RunClass),
}

struct Twin {
    live: BTreeMap<usize, (*mut u8, usize, u8)>,
    dice: Dice,
    /// What each page has served so far, where that is for good.
    served: Option<BTreeMap<usize, Serves>>,
}

impl Twin {
    fn new(seed: u64) -> Self {
        let live = BTreeMap::new();
        let dice = Dice(seed);
        let served = is_paranoid().then(BTreeMap::new);
        Self { live, dice, served }
    }

    /// Asserts that the pages of the object at `ptr`, just handed out, have served none but its class.
    fn assert_served(&mut self, ptr: *mut u8, bytes: usize) {
        let serves = match find(ptr) {
            Some(Found::Slab(slab)) => Serves::Slots(slab.class()),
            Some(Found::Large(large)) => Serves::Whole(large.class()),
            _ => panic!("not of this arena"),
        };
        if let Some(served) = &mut self.served {
            for page in ptr.addr() / PAGE..=(ptr.addr() + bytes.max(1) - 1) / PAGE {
                assert_eq!(*served.entry(page).or_insert(serves), serves, "N4, G4");
            }
        }
    }

    fn enter(&mut self, ptr: *mut u8, bytes: usize) {
        let before = self.live.range(..=ptr.addr() + bytes).next_back();
        assert!(
            before.is_none_or(|(at, &(_, len, _))| at + len <= ptr.addr()),
            "handed out twice"
        );
        assert_eq!(inspect(ptr), Some(Ok(bytes)), "A2");
        assert_eq!(page_map::class_byte(ptr), 0);
        let filling = self.dice.below(255) as u8 + 1;
        // SAFETY: an object of that many bytes, the test's.
        unsafe { ptr.write_bytes(filling, bytes) };
        self.live.insert(ptr.addr(), (ptr, bytes, filling));
    }

    fn pick(&mut self) -> Option<(*mut u8, usize)> {
        let count = self.live.len();
        (count > 0).then_some(())?;
        let at = *self.live.keys().nth(self.dice.below(count)).unwrap();
        let (ptr, bytes, filling) = self.live.remove(&at).unwrap();
        assert!(bytes_at(ptr, bytes).iter().all(|&byte| byte == filling));
        Some((ptr, bytes))
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..52 => {
                let (bytes, align) = (self.dice.bytes(), self.dice.align());
                if let Some(ptr) = alloc(&ask(bytes, align)) {
                    assert_eq!(ptr.addr() % align, 0);
                    assert!(bytes == 0 || bytes_at(ptr, bytes).iter().all(|&byte| byte == 0));
                    self.assert_served(ptr, bytes);
                    self.enter(ptr, bytes);
                }
            }
            52..90 => {
                if let Some((ptr, bytes)) = self.pick() {
                    assert_eq!(dealloc(ptr, &FREE), Some(Ok(bytes)));
                }
            }
            _ => {
                if let Some((ptr, bytes)) = self.pick() {
                    let wanted = bytes * (1 + self.dice.below(8)) / 4;
                    let now = if resize(ptr, wanted, None) {
                        wanted
                    } else {
                        bytes
                    };
                    let added = bytes_at(ptr, now).get(bytes..).unwrap_or(&[]).to_vec();
                    assert!(added.iter().all(|&byte| byte == 0));
                    self.enter(ptr, now);
                }
            }
        }
    }

    fn finish(mut self) {
        while let Some((ptr, bytes)) = self.pick() {
            assert_eq!(dealloc(ptr, &FREE), Some(Ok(bytes)));
        }
        relieve();
        check();
        let out = |class| figures(class).bytes;
        assert_eq!((0..crate::size::CLASSES).map(out).sum::<usize>(), 0);
        let awake: Vec<_> = (0..slab::CLASSES).map(bin::awake).collect();
        assert!(awake.iter().all(|&(_, empty)| empty <= 1), "N5: {awake:?}");
        // Slots of objects without bytes have no memory.
        let slabs: usize = awake[..EMPTY].iter().map(|&(bytes, _)| bytes).sum();
        match (held_bytes(), system::refused().count()) {
            (held, 0) => assert_eq!(held, slabs, "runs that went are forgotten"),
            // Runs whose guards the system has kept are nobody's, and so is the memory that it would not take before:
            // between 1.3 and 2 MiB here, as the dice fall.
            (held, _) => assert!(
                (slabs..slabs + (4 << 20)).contains(&held),
                "{held}, {slabs}"
            ),
        }
    }
}

fn bytes_at<'a>(ptr: *const u8, bytes: usize) -> &'a [u8] {
    if bytes == 0 {
        return &[];
    }
    // SAFETY: an object of that many bytes, the test's.
    unsafe { core::slice::from_raw_parts(ptr, bytes) }
}

fn run(level: Hardening, seed: u64) {
    prepare(level, 256 << 10, 4);
    let mut twin = Twin::new(seed);
    for step in 0..rounds(6000) {
        twin.step();
        if step % 500 == 0 {
            check();
            sweep();
        }
    }
    assert!(!misuse::is_any(), "nothing was misused");
    twin.finish();
    assert!(guard::runs() < 200, "idle runs go back");
}

#[test]
fn random_operations_agree_with_the_twin() {
    alone(|| run(Hardening::Strong, 1));
}

#[test]
fn random_operations_agree_with_the_twin_where_pages_are_many() {
    alone(|| run(Hardening::Paranoid, 2));
}

fn refuse(level: Hardening) {
    prepare(level, 64 << 10, 0);
    let mut twin = Twin::new(3);
    // Runs that the system does not shut go back to the page heap.
    twin.served = None;
    for round in 0..400 {
        system::refuse(round % 7, 1 + round % 3);
        (0..20).for_each(|_| twin.step());
        check();
    }
    system::refuse(u64::MAX, 0);
    assert!(system::refused().any(|name| name == "protect"));
    assert!(!misuse::is_any());
    twin.finish();
}

#[test]
fn refusals_lose_nothing() {
    alone(|| refuse(Hardening::Strong));
}

#[test]
fn refusals_lose_nothing_that_sleeps() {
    alone(|| refuse(Hardening::Paranoid));
}

std::thread_local! {
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn hear(line: &CStr) {
    HEARD.with(|heard| heard.borrow_mut().push(line.to_str().unwrap().to_string()));
}

/// The one line that comes of what is reported in `body`.
fn told(body: impl FnOnce()) -> String {
    misuse::set_callback(Some(hear));
    body();
    while let Some(fault) = misuse::next() {
        fault.deliver();
    }
    let mut heard = HEARD.take();
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard.remove(0)
}

fn free_wrong(ptr: *mut u8, told: &Told) {
    if let Some(Err(error)) = dealloc(ptr, told) {
        report(error, ptr);
    }
}

const SIZES: [usize; 6] = [1, 24, 100, 5000, 14_000, 100_000];

#[test]
fn every_wrong_free_is_told_and_changes_nothing() {
    alone(|| {
        prepare(Hardening::Strong, 1 << 20, 0);
        for bytes in SIZES {
            let object = malloc(bytes);
            let at = std::format!("{object:p}, {bytes} bytes by malloc");
            for (what, wrong, offset) in [
                ("wrong deallocation function", Told::of(Door::New), 0),
                (
                    "wrong size or alignment",
                    Told::new(Door::Malloc, Size::Exact(bytes + 1), 1),
                    0,
                ),
                (
                    "wrong size or alignment",
                    Told::new(Door::Malloc, Size::Untold, 64),
                    0,
                ),
                ("not the start of an allocation", FREE, 1),
            ] {
                let line = told(|| free_wrong(object.wrapping_add(offset), &wrong));
                assert!(line.contains(what), "{line}");
                assert!(offset > 0 || line.contains(&at), "{line}");
                assert_eq!(inspect(object), Some(Ok(bytes)), "A3");
            }
            assert_eq!(dealloc(object, &FREE), Some(Ok(bytes)));
            let line = told(|| free_wrong(object, &FREE));
            assert!(
                line.contains("double free") && line.contains("freed"),
                "{line}"
            );
        }
    });
}

#[test]
fn a_byte_beyond_the_object_is_told_at_its_free_and_in_a_look() {
    alone(|| {
        prepare(Hardening::Strong, 1 << 20, 0);
        for bytes in [1, 24, 100, 5000, 14_000] {
            for beyond in [0, 1, 6] {
                let object = malloc(bytes);
                // SAFETY: within the slot, whose class is larger by more.
                unsafe {
                    let place = object.add(bytes + beyond);
                    let before = place.read();
                    place.write(0);
                    assert!(before != 0, "C1");
                    assert!(told(|| free_wrong(object, &FREE)).contains("overflow"));
                    assert!(told(sweep).contains("overflow"));
                }
                // The look made it whole.
                assert_eq!(dealloc(object, &FREE), Some(Ok(bytes)));
            }
        }
        let large = malloc(100_000);
        // SAFETY: the object ends at a guard and begins within a page.
        unsafe { large.sub(1).write(9) };
        assert!(told(|| free_wrong(large, &FREE)).contains("underflow"));
        assert!(told(sweep).contains("underflow"));
        assert_eq!(dealloc(large, &FREE), Some(Ok(100_000)));
    });
}

#[test]
fn a_sample_stays_with_an_object_that_is_not_freed() {
    alone(|| {
        prepare(Hardening::Strong, 1 << 20, 0);
        prepare_pool(1);
        let pooled = sample(&ask(100, 1)).unwrap();
        for object in [malloc(40), malloc(100_000), pooled] {
            let chosen = Sample::from_number(7);
            assert!(attach(object, chosen.unwrap()));
            for wrong in [
                Told::of(Door::New),
                Told::new(Door::Malloc, Size::Exact(9), 1),
            ] {
                assert!(super::dealloc(object, &wrong).unwrap().is_err());
            }
            let freed = super::dealloc(object, &FREE).unwrap().unwrap();
            assert_eq!(freed.sample, chosen);
            assert_eq!(detach(object), None);
            freed.let_go();
        }
    });
}

#[test]
fn a_touch_far_within_a_freed_large_object_is_explained() {
    alone(|| {
        prepare(Hardening::Strong, 64 << 20, 0);
        let (object, bytes) = (malloc(8 << 20), 8 << 20);
        let far = object.addr() + 5 * bytes / 8;
        assert_eq!(dealloc(object, &FREE), Some(Ok(bytes)));
        let (misuse, about) = explain(far).unwrap();
        assert!(misuse == Misuse::UseAfterFree && about.is_some_and(|about| about.bytes == bytes));
        assert_eq!(
            explain(object.addr() + bytes + PAGE).map(|(misuse, _)| misuse),
            None
        );
        assert!(explain(0).is_none() && explain(usize::MAX).is_none());
    });
}

fn count(level: Hardening) {
    prepare(level, 64 << 20, 0);
    let before = limit::used();
    let large = [1 << 20, 50_000, 9000].map(malloc);
    let small: Vec<*mut u8> = (0..2000).map(|at| malloc(at % 600)).collect();
    check();
    assert!(limit::used() > before + (1 << 20) + 59_000);
    let kept = limit::used();
    for &object in large.iter().chain(&small) {
        assert!(dealloc(object, &FREE).unwrap().is_ok());
    }
    // They wait, without memory.
    assert!(limit::used() + (1 << 20) + 50_000 <= kept);
    check();
    relieve();
    check();
    // Out of memory: pages that sleep stay so, and nothing is lost.
    limit::set_hard(limit::used() + 3 * PAGE);
    while alloc(&ask(3000, 1)).is_some() {}
    check();
}

#[test]
fn what_has_no_memory_counts_for_nothing() {
    alone(|| count(Hardening::Strong));
}

#[test]
fn slabs_that_sleep_count_for_nothing() {
    alone(|| count(Hardening::Paranoid));
}

#[test]
fn a_write_to_a_freed_object_is_told_and_its_slot_serves_nobody() {
    alone(|| {
        prepare(Hardening::Strong, 1 << 20, 0);
        let object = malloc(40);
        assert_eq!(dealloc(object, &FREE), Some(Ok(40)));
        // SAFETY: a slot of a slab, mapped; nobody has it.
        unsafe { object.add(39).write(1) };
        let line = told(relieve);
        assert!(line.contains("write after free"), "{line}");
        for _ in 0..rounds(3000) {
            assert_ne!(malloc(40), object, "S3");
        }
    });
}

#[test]
fn a_write_to_a_neighbour_that_is_free_is_told() {
    alone(|| {
        prepare(Hardening::Strong, 1 << 20, 0);
        let object = malloc(40);
        // SAFETY: the slot behind, which is free as all others are; at the end of the slab the guard would be met.
        unsafe {
            let behind = object.add(48 + 3);
            let place = if behind.addr() % (4 * PAGE) < 100 {
                object.sub(3)
            } else {
                behind
            };
            place.write(1);
        }
        assert!(told(|| free_wrong(object, &FREE)).contains("overflow or write after free"));
        assert!(
            matches!(inspect(object), Some(Err(Misuse::DoubleFree))),
            "it was freed all the same"
        );
    });
}

#[test]
fn slots_come_by_chance_and_sizes_are_exact() {
    alone(|| {
        prepare(Hardening::Strong, 0, 0);
        let slots: Vec<usize> = (0..100).map(|_| malloc(40).addr()).collect();
        let steps = slots.windows(2).filter(|pair| pair[1] == pair[0] + 48);
        assert!(steps.count() < 10, "in order");
        assert_eq!(
            alloc(&ask(0, 16)).map(|ptr| inspect(ptr.cast_const())),
            Some(Some(Ok(0)))
        );
        assert!(!owns(ptr::null()));
        assert!(!owns((&raw const slots).cast()));
    });
}

#[test]
fn the_pool_serves_by_chance_and_tells_what_it_sees() {
    alone(|| {
        prepare_pool(3);
        let sampled: Vec<*mut u8> = (0..600).filter_map(|_| sample(&ask(100, 1))).collect();
        assert_eq!(sampled.len(), pool::SLOTS, "L3");
        for (at, &object) in sampled.iter().enumerate() {
            assert_eq!(inspect(object), Some(Ok(100)));
            assert!(bytes_at(object, 100).iter().all(|&byte| byte == 0));
            // SAFETY: an object of that many bytes, the test's.
            unsafe { object.write_bytes(at as u8 + 1, 100) };
        }
        let first = sampled[0];
        assert!(told(|| free_wrong(first.wrapping_add(1), &FREE)).contains("not the start"));
        assert!(
            told(|| free_wrong(first, &Told::new(Door::Malloc, Size::Exact(99), 1)))
                .contains("wrong size")
        );
        // SAFETY: within the page: the object is far from both guards, or beside one with slack on the other side.
        unsafe {
            let at_end = first.addr() % PAGE != 0;
            let place = if at_end { first.sub(1) } else { first.add(100) };
            let before = place.read();
            place.write(before ^ 1);
            let line = told(|| free_wrong(first, &FREE));
            assert!(
                line.contains(if at_end { "underflow" } else { "overflow" }),
                "{line}"
            );
            assert!(line.contains("allocated at 0x"), "{line}");
            place.write(before);
        }
        for (at, &object) in sampled.iter().enumerate() {
            assert!(
                bytes_at(object, 100)
                    .iter()
                    .all(|&byte| byte == at as u8 + 1)
            );
            assert_eq!(dealloc(object, &FREE), Some(Ok(100)));
        }
        let line = told(|| free_wrong(first, &FREE));
        assert!(
            line.contains("double free") && line.contains("freed at 0x"),
            "{line}"
        );
        let (misuse, about) = explain(first.addr()).unwrap();
        assert!(misuse == Misuse::UseAfterFree && about.is_some_and(|about| about.bytes == 100));
        let guard = (first.addr() & !(PAGE - 1)) - 1;
        assert_eq!(
            explain(guard).map(|(misuse, _)| misuse),
            Some(Misuse::OutOfBounds)
        );
        let again = (0..100).find_map(|_| sample(&ask(8, 1))).unwrap();
        assert_eq!(again.addr() / PAGE, first.addr() / PAGE, "L1");
    });
}

#[test]
fn a_slot_of_the_pool_serves_nobody_before_its_object_is_let_go() {
    alone(|| {
        prepare_pool(1);
        let all: Vec<*mut u8> = (0..600).filter_map(|_| sample(&ask(100, 1))).collect();
        let again = || (0..10).find_map(|_| sample(&ask(100, 1)));
        let page = |object: *mut u8| object.addr() / PAGE;
        let freed = super::dealloc(all[0], &FREE).unwrap().unwrap();
        assert!(again().is_none());
        freed.let_go();
        assert_eq!(again().map(page), Some(page(all[0])));

        // A thread that a fork left behind was to let go of it.
        let lost = super::dealloc(all[1], &FREE).unwrap().unwrap();
        assert!(again().is_none());
        forget_leaving();
        assert_eq!(again().map(page), Some(page(all[1])));
        drop(lost);
    });
}

#[test]
fn the_pool_serves_beside_a_level_with_stacks_of_its_own() {
    for level in [Hardening::Strong, Hardening::Paranoid] {
        alone(|| {
            prepare(level, 0, 0);
            prepare_pool(1);
            let mut chosen = (0..100).filter_map(|_| sample(&ask(100, 1)));
            let [freed, spoilt, kept] = [(); 3].map(|()| chosen.next().unwrap());
            // A child's seed is another: what its parent wrote is known all the same (L4).
            reseed();
            assert_eq!(dealloc(freed, &FREE), Some(Ok(100)), "L4");
            let line = told(|| free_wrong(freed, &FREE));
            assert!(
                line.contains("allocated at 0x") && line.contains("freed at 0x"),
                "{line}"
            );
            let ordinary = malloc(100);
            assert_eq!(dealloc(ordinary, &FREE), Some(Ok(100)));
            let line = told(|| free_wrong(ordinary, &FREE));
            assert!(
                line.contains("double free") && !line.contains(" at 0x"),
                "{line}"
            );
            let at_end = spoilt.addr() % PAGE != 0;
            // SAFETY: within the page, on the side of the object where its slack is.
            unsafe { spoilt.offset(if at_end { -1 } else { 100 }).write(1) };
            let line = told(sweep);
            assert!(
                line.contains(if at_end { "underflow" } else { "overflow" })
                    && line.contains("allocated at 0x"),
                "{line}"
            );
            // Told once, and mended.
            for object in [spoilt, kept] {
                assert_eq!(dealloc(object, &FREE), Some(Ok(100)));
            }
        });
    }
}
