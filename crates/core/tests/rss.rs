//! Where is my RSS? A program that keeps its own books and compares them, phase by phase, with the report.
#![cfg(not(loom))]

use jemoxide::api::{trim, usable_size};
use jemoxide::{Jemoxide, RssReport, mallctl, rss};
use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;

#[global_allocator]
static ALLOCATOR: Jemoxide = Jemoxide;

const MIB: u64 = 1 << 20;

/// A generator of numbers that look random, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

/// A line of the report in bytes, signed, so that differences can be taken.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap()
}

/// The report, after the checks that hold at any time.
#[track_caller]
fn look(phase: &str) -> RssReport {
    let report = rss();
    let mut text = String::new();
    report.write_text(&mut text).unwrap();
    println!("{phase}\n{text}{report:?}\n");
    if report.is_measured == 0 || report.is_divided == 0 {
        return report;
    }
    // 2 %, and what a program is made of before it does anything.
    let most = signed(report.rss) / 50 + signed(MIB) / 4;
    assert!(
        report.unexplained.abs() <= most,
        "{phase}: {} of {} bytes unexplained",
        report.unexplained,
        report.rss
    );
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let apart = (kilobytes * 1024).abs_diff(report.rss);
    // The system counts by processor and adds up now and then.
    assert!(
        apart <= report.rss / 50 + 2 * MIB,
        "{phase}: VmRSS {kilobytes} KiB, {report:?}"
    );
    report
}

/// How much a line grew, which must be `expected` bytes within 2 % and half a mebibyte.
#[track_caller]
fn grew(name: &str, before: u64, after: u64, expected: u64) {
    let grown = signed(after) - signed(before);
    let apart = (grown - signed(expected)).abs();
    assert!(
        apart <= signed(expected) / 50 + signed(MIB) / 2,
        "{name} grew by {grown}, expected {expected}"
    );
}

fn usable(objects: &[Vec<u8>]) -> u64 {
    // SAFETY: live objects of this allocator.
    objects
        .iter()
        .map(|object| unsafe { usable_size(object.as_ptr()) } as u64)
        .sum()
}

fn objects(count: usize, numbers: &mut Numbers) -> Vec<Vec<u8>> {
    (0..count)
        .map(|_| vec![1u8; 16 + numbers.below(1025) as usize])
        .collect()
}

#[test]
fn every_line_moves_when_it_should_and_they_add_up() {
    let start = look("start");
    if start.is_measured == 0 || start.is_divided == 0 {
        println!("NOT TESTED: this system does not tell which pages have memory");
        return;
    }
    // Nobody is to give back between two looks what the one before has seen.
    mallctl::write("background_thread", false).unwrap();
    live_and_slots();
    large_and_dirty();
    caches();
    stacks_and_others();
}

fn live_and_slots() {
    let mut numbers = Numbers(1);
    let before = look("before the live set");
    let mut live = objects(200_000, &mut numbers);
    let list = (live.capacity() * size_of::<Vec<u8>>()) as u64;
    let full = look("a live set");
    grew("live", before.live, full.live, usable(&live) + list);
    // Nine of ten go; what is left holds the pages.
    live.retain(|_| numbers.below(10) == 0);
    let thin = look("a tenth of it");
    let left = usable(&live) + (live.capacity() * size_of::<Vec<u8>>()) as u64;
    grew("live", before.live, thin.live, left);
    let idle = |report: &RssReport| {
        report.free_slots + report.thread_caches + report.depot + report.dirty + report.run_cache
    };
    let (freed, gone) = (full.live - thin.live, full.rss.saturating_sub(thin.rss));
    assert!(
        idle(&thin) + gone + 2 * MIB >= idle(&full) + freed,
        "{thin:?}"
    );
    // What waited between threads goes to its slabs, of which few are empty.
    trim();
    let slots = look("caches given back");
    grew("live", before.live, slots.live, left);
    assert!(slots.depot + slots.dirty < MIB, "{slots:?}");
    let gone = full.rss.saturating_sub(slots.rss);
    assert!(slots.free_slots + gone + 2 * MIB >= freed, "{slots:?}");
    // With memory, or purged inside their slabs.
    let all = slots.free_slots + slots.slots_untouched;
    assert!(all > freed * 3 / 4, "free slots hold most of it: {slots:?}");
    drop(live);
    trim();
    let end = look("all of it freed and trimmed");
    grew("live", before.live, end.live, 0);
    assert!(end.rss < before.rss + 4 * MIB, "{end:?}");
}

fn large_and_dirty() {
    let before = look("before the large objects");
    let mut untouched: Vec<u8> = Vec::with_capacity(256 << 20);
    let reserved = look("256 MiB that nobody wrote");
    grew("live", before.live, reserved.live, 0);
    grew(
        "live_untouched",
        before.live_untouched,
        reserved.live_untouched,
        256 * MIB,
    );
    untouched.resize(64 << 20, 1);
    let written = look("64 MiB of them written");
    grew("live", before.live, written.live, 64 * MIB);
    grew(
        "live_untouched",
        before.live_untouched,
        written.live_untouched,
        192 * MIB,
    );
    drop(untouched);
    let freed = look("freed");
    grew("live", before.live, freed.live, 0);
    // What was never written is no memory, whatever the books think of it. Some of it may have gone back already.
    assert!(freed.dirty <= before.dirty + 65 * MIB, "{freed:?}");
    assert!(
        freed.dirty + (written.rss - freed.rss.min(written.rss)) + MIB > 60 * MIB,
        "{freed:?}"
    );
    let waiting: Vec<u8> = vec![1; 300_000];
    drop(waiting);
    let waits = look("a freed object of 300 kB");
    let waiting = signed(waits.run_cache) - signed(freed.run_cache);
    assert!(
        (300_000..320_000).contains(&waiting),
        "{waiting}: {waits:?}"
    );
    trim();
    let end = look("trimmed");
    assert!(end.dirty + end.run_cache < MIB, "{end:?}");
    assert!(end.rss < before.rss + 4 * MIB, "{end:?}");
}

fn caches() {
    const THREADS: usize = 8;
    let before = look("before the caches");
    let ready = Arc::new(Barrier::new(THREADS + 1));
    let done = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (ready, done) = (Arc::clone(&ready), Arc::clone(&done));
            thread::spawn(move || {
                // By turns, so that caches grow to what they may hold.
                for _ in 0..50 {
                    drop((0..2000).map(|_| Box::new([1u8; 512])).collect::<Vec<_>>());
                }
                ready.wait();
                done.wait();
            })
        })
        .collect();
    ready.wait();
    let full = look("eight threads with full caches");
    let cached = full.thread_caches + full.depot - before.thread_caches - before.depot;
    assert!(cached > MIB, "{full:?}");
    assert!(
        full.thread_caches > before.thread_caches + 100_000,
        "{full:?}"
    );
    grew("live", before.live, full.live, 0);
    done.wait();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    trim();
    let end = look("their threads gone");
    assert!(
        end.thread_caches + end.depot < full.thread_caches + full.depot - cached / 2,
        "{end:?}"
    );
}

/// Writes to `bytes` of the calling thread's stack.
#[inline(never)]
fn fill_stack() -> u8 {
    let mut place = [0u8; 512 << 10];
    std::hint::black_box(&mut place).fill(1);
    place[std::hint::black_box(7)]
}

fn stacks_and_others() {
    const THREADS: usize = 20;
    let before = look("before the stacks");
    let ready = Arc::new(Barrier::new(THREADS + 1));
    let done = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (ready, done) = (Arc::clone(&ready), Arc::clone(&done));
            thread::spawn(move || {
                fill_stack();
                ready.wait();
                done.wait();
            })
        })
        .collect();
    ready.wait();
    let full = look("twenty threads with half a mebibyte of stack each");
    let stacks = full.stacks - before.stacks.min(full.stacks);
    assert!((10 * MIB..12 * MIB).contains(&stacks), "{stacks}: {full:?}");
    done.wait();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());

    let before = look("before another's mapping");
    let bytes = 20 << 20;
    // SAFETY: a new mapping, written within its bounds.
    unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let place = libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0);
        assert_ne!(place, libc::MAP_FAILED);
        place.cast::<u8>().write_bytes(1, bytes);
        let after = look("20 MiB mapped by another");
        let theirs = |report: &RssReport| report.other + report.stacks;
        grew("other", theirs(&before), theirs(&after), 20 * MIB);
        grew("live", before.live, after.live, 0);
        assert_eq!(libc::munmap(place, bytes), 0);
    }
}
