//! A Rust program whose objects live on the crate's allocator, while C code in the same process
//! keeps the process's own malloc: glibc's, a preloaded one, or, statically linked, the archive's.
//!
//! Two heaps then live side by side. Each must serve its own blocks from every thread and in
//! forked children, and neither may take the other's pages. Prints one line per part that held.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString, c_void};
use std::sync::mpsc;
use std::thread;

#[global_allocator]
static A: jemoxide::Jemoxide = jemoxide::Jemoxide;

const C_BLOCKS: usize = 400;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("maps") {
        print!(
            "{}",
            std::fs::read_to_string("/proc/self/maps").expect("readable")
        );
    }
    collections(1);
    println!("collections");
    both_heaps(2);
    println!("both heaps");
    threads();
    println!("threads");
    handed_over();
    println!("handed over");
    forks();
    println!("forks");
    large();
    println!("large");
}

/// Grows, shrinks and drops the usual collections; every value is checked.
fn collections(seed: u64) {
    let mut random = seed;
    let mut words: HashMap<u64, String> = HashMap::new();
    let mut sorted: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for step in 0..20_000_u64 {
        let key = next(&mut random) % 2000;
        words.insert(key, format!("{key} at step {step}"));
        let values = sorted.entry(key % 300).or_default();
        values.push(key);
        if values.len() > 100 {
            assert!(values.iter().all(|value| value % 300 == key % 300));
            sorted.remove(&(key % 300));
        }
        if step % 3 == 0 {
            if let Some(word) = words.remove(&(key / 2)) {
                assert!(word.starts_with(&format!("{} at", key / 2)));
            }
        }
    }
    let mut text = String::new();
    for word in words.values() {
        text.push_str(word);
    }
    text.shrink_to_fit();
    assert_eq!(text.len(), words.values().map(String::len).sum::<usize>());
    let zeroed = vec![0_u8; 3_000_000];
    assert!(zeroed.iter().all(|&byte| byte == 0));
    let aligned: Vec<Box<Aligned>> = (0..50).map(|n| Box::new(Aligned([n; 8]))).collect();
    for (n, value) in aligned.iter().enumerate() {
        assert_eq!(std::ptr::from_ref(&**value).addr() % 256, 0);
        assert_eq!(value.0, [n as u64; 8]);
    }
}

#[repr(align(256))]
struct Aligned([u64; 8]);

/// Interleaves objects of the crate's heap with blocks of the C heap.
fn both_heaps(seed: u64) {
    let mut random = seed;
    let mut ours: Vec<Vec<u8>> = Vec::new();
    let mut theirs: Vec<(*mut u8, usize)> = Vec::new();
    for _ in 0..C_BLOCKS {
        let size = (next(&mut random) % 5000 + 1) as usize;
        ours.push(vec![size as u8; size]);
        // SAFETY: 1. a C allocation of `size` > 0 bytes, checked for null, filled within its size.
        let block = unsafe {
            let block = libc::malloc(size).cast::<u8>();
            assert!(!block.is_null());
            block.write_bytes(size as u8 ^ 0x55, size);
            block
        };
        theirs.push((block, size));
    }
    for (index, bytes) in ours.iter_mut().enumerate() {
        if index % 3 == 0 {
            bytes.resize(bytes.len() * 2, bytes[0]);
        }
        assert!(bytes.iter().all(|&byte| byte == bytes[0]));
    }
    for (index, (block, size)) in theirs.into_iter().enumerate() {
        // SAFETY: 1. the block came from libc::malloc above with `size` bytes, all written;
        //         2. it is grown and freed by the same heap, once.
        unsafe {
            let grown = if index % 2 == 0 {
                libc::realloc(block.cast(), size * 2).cast::<u8>()
            } else {
                block
            };
            assert!(!grown.is_null());
            for i in 0..size {
                assert_eq!(grown.add(i).read(), size as u8 ^ 0x55);
            }
            libc::free(grown.cast());
        }
    }
    inside_libc();
}

/// libc allocates by itself and hands the block over to be freed.
fn inside_libc() {
    let word = CString::new("copied by the C library").expect("no zero inside");
    // SAFETY: 1. `word` is a C string; strdup and realpath return null or a C heap block that
    //         holds a C string; each is freed once, by the C heap.
    unsafe {
        let copy = libc::strdup(word.as_ptr());
        assert!(!copy.is_null());
        assert_eq!(CStr::from_ptr(copy), &*word);
        libc::free(copy.cast::<c_void>());
        let root = libc::realpath(c"/proc/..".as_ptr(), std::ptr::null_mut());
        assert!(!root.is_null());
        assert_eq!(CStr::from_ptr(root), c"/");
        libc::free(root.cast::<c_void>());
    }
}

fn threads() {
    let threads: Vec<_> = (0..8)
        .map(|n| {
            thread::spawn(move || {
                collections(n);
                both_heaps(n);
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("the thread's checks held");
    }
}

/// Objects are dropped by another thread than made them; C blocks likewise.
fn handed_over() {
    let (sender, receiver) = mpsc::channel::<(Vec<String>, usize)>();
    let makers: Vec<_> = (0..4)
        .map(|n| {
            let sender = sender.clone();
            thread::spawn(move || {
                for round in 0..500 {
                    let words = (0..20).map(|i| format!("{n} {round} {i}")).collect();
                    // SAFETY: 1. an allocation of 64 bytes; its first byte is written if there.
                    let block = unsafe {
                        let block = libc::malloc(64).cast::<u8>();
                        assert!(!block.is_null());
                        block.write(n);
                        block.expose_provenance()
                    };
                    sender.send((words, block)).expect("the receiver lives");
                }
            })
        })
        .collect();
    drop(sender);
    for (words, block) in receiver {
        assert_eq!(words.len(), 20);
        // SAFETY: 1. the address is a live C block of 64 bytes whose first byte is written.
        unsafe {
            let block = std::ptr::with_exposed_provenance_mut::<u8>(block);
            assert!(words[0].starts_with(&block.read().to_string()));
            libc::free(block.cast());
        }
    }
    for maker in makers {
        maker.join().expect("the thread's checks held");
    }
}

/// Forks while other threads allocate on both heaps; children use both, with threads of their own.
fn forks() {
    let (stop, stopped) = mpsc::channel::<()>();
    let busy = thread::spawn(move || {
        let mut seed = 100;
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            both_heaps(seed);
            seed += 1;
        }
    });
    let inherited = format!("made before {}", "the fork ".repeat(100));
    for round in 0..40 {
        // SAFETY: 1. fork has no preconditions; the child allocates, which both heaps allow.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: 1. alarm has no preconditions.
            unsafe { libc::alarm(60) };
            assert!(inherited.len() > 900);
            drop(inherited);
            both_heaps(round);
            thread::spawn(move || collections(round))
                .join()
                .expect("the child's thread holds");
            // SAFETY: 1. ends the child without its parent's exit handlers.
            unsafe { libc::_exit(0) };
        }
        let mut status = -1;
        // SAFETY: 1. `status` is a live integer.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "child of round {round}");
    }
    drop(stop);
    busy.join().expect("the thread's checks held");
}

/// Large vectors grow by realloc and keep their contents.
fn large() {
    let mut numbers: Vec<u64> = Vec::new();
    for n in 0..4_000_000_u64 {
        numbers.push(n);
    }
    assert!(
        numbers
            .iter()
            .enumerate()
            .all(|(index, &n)| index as u64 == n)
    );
    numbers.truncate(1000);
    numbers.shrink_to_fit();
    assert_eq!(numbers[999], 999);
}

fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state ^ (*state >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}
