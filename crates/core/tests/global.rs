//! A Rust program on the allocator: everything the standard library allocates here comes from it.
#![cfg(not(loom))]

use jemoxide::Jemoxide;
use jemoxide::api::{footprint, request_size, usable_size};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Barrier, Mutex, RwLock};
use std::thread;

#[global_allocator]
static ALLOCATOR: Jemoxide = Jemoxide;

/// A generator of numbers that look random, the same in every run.
struct Numbers(u64);

impl Iterator for Numbers {
    type Item = u64;
    fn next(&mut self) -> Option<u64> {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        Some(self.0 >> 20)
    }
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn boxes_come_from_here() {
    let before = footprint().allocated;
    let block = vec![7u8; 50_000_000];
    assert_eq!(held(&block), request_size(50_000_000, 1));
    assert!(footprint().allocated > before + 20_000_000);
    let small: Vec<Box<[u8; 100]>> = (0..10).map(|n| Box::new([n; 100])).collect();
    assert!(
        small
            .iter()
            .all(|object| held(object.as_slice()) == Some(112))
    );
}

/// Usable bytes of the object that `bytes` is the whole of.
fn held(bytes: &[u8]) -> Option<usize> {
    // SAFETY: a live object of this allocator: that is what is tested.
    Some(unsafe { usable_size(bytes.as_ptr()) })
}

#[test]
fn vectors_grow_and_shrink() {
    let mut numbers = Vec::new();
    let mut sum = 0u64;
    for n in 0..3_000_000u64 {
        numbers.push(n);
        sum += n;
    }
    assert_eq!(numbers.iter().sum::<u64>(), sum);
    numbers.truncate(1000);
    numbers.shrink_to_fit();
    assert_eq!(numbers.iter().sum::<u64>(), 499_500);
    numbers.reserve_exact(5_000_000);
    assert_eq!(numbers.iter().sum::<u64>(), 499_500);
    let zeros = vec![0u64; 4_000_000];
    assert!(zeros.iter().all(|&word| word == 0));
}

#[test]
fn zeroed_vectors_are_zero_after_dirty_ones() {
    for size in [
        1, 8, 30, 100, 1000, 4096, 9000, 20_000, 40_000, 300_000, 3_000_000,
    ] {
        for _ in 0..8 {
            let dirty: Vec<Vec<u8>> = (0..4).map(|_| vec![0xee; size]).collect();
            drop(dirty);
            let clean: Vec<Vec<u8>> = (0..4).map(|_| vec![0; size]).collect();
            assert!(
                clean.iter().flatten().all(|&byte| byte == 0),
                "{size} bytes"
            );
        }
    }
}

#[test]
fn maps_agree_with_each_other() {
    let (mut hashed, mut sorted) = (HashMap::new(), BTreeMap::new());
    for (step, number) in Numbers(1).take(200_000).enumerate() {
        let key = number % 20_000;
        if step % 3 == 0 {
            assert_eq!(hashed.remove(&key), sorted.remove(&key));
        } else {
            let value = format!("value {step} of {key}");
            assert_eq!(hashed.insert(key, value.clone()), sorted.insert(key, value));
        }
    }
    assert_eq!(hashed.len(), sorted.len());
    assert!(
        sorted
            .iter()
            .all(|(key, value)| hashed.get(key) == Some(value))
    );
}

#[test]
fn strings_are_built_and_taken_apart() {
    let mut text = String::new();
    for n in 0..50_000u64 {
        write!(text, "{n}:{:x};", n * n).unwrap();
    }
    let parts: BTreeSet<&str> = text.split(';').filter(|part| !part.is_empty()).collect();
    assert_eq!(parts.len(), 50_000);
    assert!(parts.iter().all(|part| {
        let (number, square) = part.split_once(':').unwrap();
        let number: u64 = number.parse().unwrap();
        u64::from_str_radix(square, 16).unwrap() == number * number
    }));
}

#[test]
fn trees_of_shared_nodes_are_freed_once() {
    struct Node {
        dropped: Rc<RefCell<usize>>,
        _children: Vec<Rc<Node>>,
    }
    impl Drop for Node {
        fn drop(&mut self) {
            *self.dropped.borrow_mut() += 1;
        }
    }
    let dropped = Rc::new(RefCell::new(0));
    let node = |children: &[Rc<Node>]| {
        Rc::new(Node {
            dropped: dropped.clone(),
            _children: children.to_vec(),
        })
    };
    let mut level: Vec<Rc<Node>> = (0..4096).map(|_| node(&[])).collect();
    while level.len() > 1 {
        level = level.chunks(4).map(node).collect();
    }
    drop(level);
    assert_eq!(*dropped.borrow(), 4096 + 1024 + 256 + 64 + 16 + 4 + 1);
}

#[test]
fn messages_cross_threads() {
    let (sender, receiver) = sync_channel::<Vec<u64>>(64);
    let (back, returned) = channel::<Vec<u64>>();
    thread::scope(|scope| {
        for producer in 0..3u64 {
            let sender = sender.clone();
            scope.spawn(move || {
                for (step, number) in (0..3000u64).zip(Numbers(producer)) {
                    sender
                        .send((0..number % 200).map(|n| n ^ step).collect())
                        .unwrap();
                }
            });
        }
        drop(sender);
        scope.spawn(move || {
            for message in receiver {
                // Half are freed here, half go on and are freed by yet another thread.
                if message.len() % 2 == 0 {
                    back.send(message).unwrap();
                }
            }
        });
        let lengths: usize = returned.iter().map(|message| message.len()).sum();
        let expected: u64 = (0..3)
            .flat_map(|producer| Numbers(producer).take(3000))
            .map(|number| number % 200)
            .filter(|length| length % 2 == 0)
            .sum();
        assert_eq!(lengths as u64, expected);
    });
}

#[test]
fn threads_share_and_replace() {
    let table: Arc<RwLock<HashMap<u64, Arc<str>>>> = Arc::default();
    let seen = Arc::new(Mutex::new(0usize));
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let (table, seen) = (table.clone(), seen.clone());
            thread::spawn(move || {
                let mut held = VecDeque::new();
                for number in Numbers(seed).take(20_000) {
                    let key = number % 500;
                    if (number >> 10) % 4 == 0 {
                        table
                            .write()
                            .unwrap()
                            .insert(key, format!("{key}:{number}").into());
                    } else if let Some(value) = table.read().unwrap().get(&key) {
                        assert!(value.starts_with(&format!("{key}:")));
                        held.push_back(value.clone());
                    }
                    if held.len() > 100 {
                        held.pop_front();
                    }
                }
                *seen.lock().unwrap() += held.len();
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(*seen.lock().unwrap(), 400);
}

#[test]
fn many_threads_live_and_die() {
    let start = Arc::new(Barrier::new(101));
    let threads: Vec<_> = (0..100u64)
        .map(|seed| {
            let start = start.clone();
            thread::spawn(move || {
                start.wait();
                Numbers(seed)
                    .take(300)
                    .map(|n| digest(&vec![n; n as usize % 300]))
                    .fold(0, u64::wrapping_add)
            })
        })
        .collect();
    start.wait();
    for (seed, thread) in (0..100).zip(threads) {
        let expected = Numbers(seed)
            .take(300)
            .map(|n| digest(&vec![n; n as usize % 300]))
            .fold(0, u64::wrapping_add);
        assert_eq!(thread.join().unwrap(), expected);
    }
    for round in 0..300usize {
        let text = thread::spawn(move || "x".repeat(round * 10))
            .join()
            .unwrap();
        assert_eq!(text.len(), round * 10);
    }
}

/// Destructors of thread-local values run when the thread's cache may be gone already; they allocate all the same.
#[test]
fn thread_locals_allocate_to_the_very_end() {
    static LATE: Mutex<Vec<String>> = Mutex::new(Vec::new());
    struct Late(Vec<String>);
    impl Drop for Late {
        fn drop(&mut self) {
            let text = self.0.concat();
            self.0.push(text.repeat(2));
            LATE.lock().unwrap().push(self.0.concat());
        }
    }
    thread_local! {
        static FIRST: RefCell<Late> = const { RefCell::new(Late(Vec::new())) };
        static SECOND: RefCell<Late> = const { RefCell::new(Late(Vec::new())) };
    }
    for round in 0..50 {
        thread::spawn(move || {
            FIRST.with_borrow_mut(|late| late.0.push(format!("{round}-")));
            SECOND.with_borrow_mut(|late| late.0.push("s".repeat(round * 100)));
        })
        .join()
        .unwrap();
    }
    let late = LATE.lock().unwrap();
    assert_eq!(late.len(), 100);
    assert!((0..50).all(|round| late.contains(&format!("{round}-").repeat(3))));
    assert!((0..50).all(|round| late.contains(&"s".repeat(round * 300))));
}

/// A child of a busy process finds a working allocator and its parent's objects.
#[test]
fn a_forked_child_goes_on_allocating() {
    let stop = Arc::new(Mutex::new(false));
    let busy: Vec<_> = (0..2)
        .map(|seed| {
            let stop = stop.clone();
            thread::spawn(move || {
                let mut kept = Vec::new();
                for n in Numbers(seed) {
                    kept.push(vec![n; n as usize % 500]);
                    if kept.len() > 300 {
                        kept.clear();
                        if *stop.lock().unwrap() {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    let ours: Vec<Vec<u64>> = (0..500).map(|n| vec![n; n as usize]).collect();
    for _ in 0..25 {
        // SAFETY: the child touches its own memory, allocates, and leaves without running anything of the parent's.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // A child that hangs is ended.
            // SAFETY: plain call.
            unsafe { libc::alarm(60) };
            let mut good = ours
                .iter()
                .zip(0..)
                .all(|(list, n)| list.iter().all(|&found| found == n));
            drop(ours);
            let again: Vec<Vec<u64>> = (0..2000).map(|n| vec![n; n as usize % 700]).collect();
            good &= again
                .iter()
                .zip(0..)
                .all(|(list, n)| list.iter().all(|&found| found == n));
            // SAFETY: ends the child.
            unsafe { libc::_exit(if good { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child's end");
    }
    *stop.lock().unwrap() = true;
    busy.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Says to the child that it is one.
const INNER: &str = "JEMOXIDE_TEST_INNER";

#[test]
fn all_of_it_holds_at_every_level_of_hardening() {
    if std::env::var_os(INNER).is_some() {
        return;
    }
    let program = std::env::current_exe().expect("a path");
    for options in [
        "guarded_sampling:1",
        "guarded_sampling:11",
        "hardening:strong",
        "hardening:paranoid",
    ] {
        let output = std::process::Command::new(&program)
            .args(["--skip", "boxes_come_from_here"])
            .env(INNER, "1")
            .env("MALLOC_CONF", options)
            .output()
            .expect("the test binary starts");
        assert!(
            output.status.success(),
            "{options}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
