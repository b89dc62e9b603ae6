//! A limit of the container: what idles shrinks as the limit comes near, and goes at once when it is met.

use crate::api::{Pressure, alloc, container, dealloc, footprint, trim};
use crate::sys::simulated::child::alone;
use crate::sys::simulated::{clock, files};
use std::string::ToString;
use std::vec::Vec;

const MIB: usize = 1 << 20;
const MS: u64 = 1_000_000;
const LIMIT: usize = 400 * MIB;

fn place_group(used: usize) {
    files::place("/proc/self/cgroup", "0::/\n");
    let mounts = "1 2 0:3 / /cg rw - cgroup2 cgroup2 rw\n";
    files::place("/proc/self/mountinfo", mounts);
    files::place("/cg/memory.max", LIMIT.to_string());
    files::place("/cg/memory.current", used.to_string());
}

fn objects(count: usize, bytes: usize) -> Vec<*mut u8> {
    let object = |_| {
        let object = alloc(bytes);
        assert!(!object.is_null());
        // SAFETY: an object of that many bytes.
        unsafe { object.write_bytes(1, bytes) };
        object
    };
    (0..count).map(object).collect()
}

fn free(objects: Vec<*mut u8>) {
    // SAFETY: live objects, each freed once.
    objects
        .into_iter()
        .for_each(|object| unsafe { dealloc(object) });
}

/// Slow entries, so many that ticks come, after some time has passed.
fn tick(ms: u64) {
    clock::turn(ms * MS);
    (0..260).for_each(|_| {
        footprint();
    });
}

#[test]
fn a_small_process_reads_no_file() {
    alone(|| {
        place_group(0);
        let held = objects(1000, 1000);
        (0..100).for_each(|_| tick(100));
        free(held);
        (0..100).for_each(|_| tick(100));
        assert_eq!(files::opened(), [""; 0]);
    });
}

#[test]
fn what_idles_goes_as_the_limit_comes_near() {
    alone(|| {
        place_group(100 * MIB);
        // Of two kinds: runs of pages that idle, and small objects that wait in the depot.
        let (runs, small) = (objects(6, 2 * MIB), objects(100 * 1024, 128));
        let keep = objects(20, 2 * MIB);
        assert!(!files::opened().is_empty(), "the limit was asked for");
        free(runs);
        free(small);
        tick(1);
        let idle = footprint().dirty;
        assert!(idle >= 12 * MIB, "{idle} stay while there is enough");
        place_group(LIMIT - 80 * MIB);
        (0..40).for_each(|_| tick(600));
        let dirty = footprint().dirty;
        assert!(dirty <= 4 * MIB, "{dirty} idle while memory is short");
        assert_eq!(container().pressure, Pressure::Tight);
        place_group(LIMIT - 10 * MIB);
        tick(100);
        free(objects(20, MIB + 4096));
        tick(100);
        let dirty = footprint().dirty;
        assert!(dirty <= MIB, "{dirty} idle while next to nothing is left");
        assert_eq!(container().pressure, Pressure::Critical);
        // Once there is room again, memory may idle again.
        place_group(100 * MIB);
        tick(1000);
        assert_eq!(container().pressure, Pressure::Calm);
        free(objects(6, 2 * MIB));
        tick(1);
        assert!(footprint().dirty >= 12 * MIB);
        free(keep);
    });
}

#[test]
fn idle_memory_goes_before_what_was_handed_out_past_it_is_touched() {
    alone(|| {
        trim();
        place_group(20 * MIB);
        let mut waves = Vec::new();
        let mut resident = 20 * MIB;
        for wave in 0..6 {
            // Another size each time: what the last wave left is of no use to the next.
            let bytes = 64 << wave;
            waves.push(objects(250 * MIB / bytes, bytes));
            let figures = footprint();
            resident = resident.max(figures.active + figures.dirty);
            assert!(
                figures.active + figures.dirty < LIMIT - 20 * MIB,
                "wave {wave}: {figures:?} would be the end"
            );
            place_group(20 * MIB + figures.active + figures.dirty);
            free(waves.pop().unwrap());
        }
        assert!(
            resident > 240 * MIB,
            "the waves were as large as they should be"
        );
    });
}
