//! What the cases stand on: live blocks that are compared, churn afterwards, the lines that tell how far it came.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(crate) const SMALL: usize = 64;
pub(crate) const MEDIUM: usize = 4096;
pub(crate) const LARGE: usize = 256 << 10;

/// One misuse.
pub(crate) struct Case {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) commit: fn(),
}

/// A live block: address, size, key of its pattern.
#[derive(Clone, Copy)]
struct Watched(usize, usize, usize);

static WATCHED: Mutex<Vec<Watched>> = Mutex::new(Vec::new());
static IS_DAMAGED: AtomicBool = AtomicBool::new(false);

pub(crate) fn list(cases: &[Case]) {
    for case in cases {
        println!("{}\t{}\t{}", case.group, case.name, case.what);
    }
}

/// Commits one misuse in a thread of its own and lives on (rules M1 and M2 of `suite.h`).
pub(crate) fn run(case: &'static Case) {
    WATCHED.lock().expect("no panic").reserve(2000);
    for size in [8, 16, 48, 80, 200, 1000, 3000, 6000, 12000, 30000, 100_000] {
        block(size);
    }
    let before = count();
    let erring = thread::spawn(move || {
        (case.commit)();
        compare_watched();
        let mut sizes: Vec<usize> = WATCHED.lock().expect("no panic")[before..]
            .iter()
            .map(|watched| watched.1)
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes.iter().for_each(|&size| churn(size));
        compare_watched();
        free_down_to(before);
        sizes.iter().for_each(|&size| churn(size));
        // SAFETY: takes no pointer.
        unsafe { libc::malloc_trim(0) };
        trim();
        sizes.iter().for_each(|&size| churn(size));
    });
    erring.join().expect("a case does not panic");
    compare_watched();
    free_down_to(0);
    trim();
    say("ran on");
}

#[cfg(feature = "jemoxide")]
fn trim() {
    jemoxide::purge();
}

#[cfg(not(feature = "jemoxide"))]
fn trim() {}

/// Writes one line without allocating.
pub(crate) fn say(line: &str) {
    let mut text = [0; 200];
    text[..line.len()].copy_from_slice(line.as_bytes());
    text[line.len()] = b'\n';
    // SAFETY: the bytes are there.
    unsafe { libc::write(1, text.as_ptr().cast(), line.len() + 1) };
}

pub(crate) fn erring() {
    say("erring");
}

pub(crate) fn erred() {
    say("erred");
}

pub(crate) fn refused(is_refused: bool) {
    if is_refused {
        say("refused");
    }
}

/// Says that there is nothing to do here, and ends.
#[cfg_attr(feature = "jemoxide", allow(dead_code))]
pub(crate) fn absent() -> ! {
    say("absent");
    // SAFETY: ends the process without running anything.
    unsafe { libc::_exit(0) }
}

/// Keeps the compiler from knowing where a pointer comes from.
pub(crate) fn opaque(pointer: *mut u8) -> *mut u8 {
    std::hint::black_box(pointer)
}

pub(crate) fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout of the suite's own")
}

fn pattern(key: usize, index: usize) -> u8 {
    0x80 | (key * 31 + index * 7 + (index >> 8)) as u8
}

fn indexes(size: usize) -> impl Iterator<Item = usize> {
    (0..size).filter(move |&index| index < 256 || index + 256 >= size || index % 61 == 0)
}

/// A block that is live: filled, and compared to the end. Its alignment is 8.
pub(crate) fn block(size: usize) -> *mut u8 {
    // SAFETY: no size of the suite's is 0.
    let memory = unsafe { alloc(layout(size, 8)) };
    watch(memory, size);
    memory
}

pub(crate) fn watch(memory: *mut u8, size: usize) {
    assert!(!memory.is_null());
    let mut watched = WATCHED.lock().expect("no panic");
    let key = watched.len();
    fill(memory, size, key);
    watched.push(Watched(memory.addr(), size, key));
}

/// Fills memory as live blocks are, so that [`read_stale`] knows it again.
pub(crate) fn fill(memory: *mut u8, size: usize, key: usize) {
    for index in indexes(size) {
        // SAFETY: within the block.
        unsafe { memory.add(index).write_volatile(pattern(key, index)) };
    }
}

/// A block amid live ones of its size; it is the case's own.
pub(crate) fn victim(size: usize) -> *mut u8 {
    let neighbours = || {
        for _ in 0..3 {
            block(size);
        }
    };
    neighbours();
    // SAFETY: no size of the suite's is 0.
    let memory = unsafe { alloc(layout(size, 8)) };
    fill(memory, size, 99);
    neighbours();
    opaque(memory)
}

/// Tells what a freed block's bytes are.
pub(crate) fn read_stale(freed: *const u8, size: usize) {
    // SAFETY: none: this is the misuse.
    let mut bytes = (0..size).map(|index| unsafe { freed.add(index).read_volatile() });
    let first = bytes.next().unwrap_or(0);
    let (mut stale, mut is_uniform) = (first >= 0x80, true);
    for byte in bytes {
        stale |= byte >= 0x80;
        is_uniform &= byte == first;
    }
    if !stale || is_uniform {
        say("wiped");
    }
}

fn count() -> usize {
    WATCHED.lock().expect("no panic").len()
}

fn compare_watched() {
    for &Watched(address, size, key) in WATCHED.lock().expect("no panic").iter() {
        compare(std::ptr::with_exposed_provenance(address), size, key);
    }
}

fn compare(memory: *const u8, size: usize, key: usize) {
    // SAFETY: the block is live.
    let is_intact =
        indexes(size).all(|index| unsafe { memory.add(index).read_volatile() } == pattern(key, index));
    if !is_intact && !IS_DAMAGED.swap(true, Ordering::Relaxed) {
        say("damaged: a live or later block");
    }
}

fn free_down_to(before: usize) {
    let mut watched = WATCHED.lock().expect("no panic");
    while watched.len() > before {
        let Some(Watched(address, size, _)) = watched.pop() else {
            return;
        };
        // SAFETY: came from `alloc` with this layout.
        unsafe { dealloc(std::ptr::with_exposed_provenance_mut(address), layout(size, 8)) };
    }
}

/// Allocates and frees some MiB of blocks, checking them.
pub(crate) fn churn(size: usize) {
    let count = ((2 << 20) / size).clamp(24, 1 << 14);
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..3 {
        for key in 0..count {
            // Most of it first, then the rest: mostly in the same size class.
            let most = layout(size - size / 16, 8);
            // SAFETY: the size is not 0; the layout is the block's.
            let memory = unsafe { realloc(alloc(most), most, size) };
            assert!(!memory.is_null());
            fill(memory, size, key);
            blocks.push(memory);
        }
        for (key, memory) in blocks.drain(..).enumerate() {
            compare(memory, size, key);
            // SAFETY: came from `alloc` with this layout.
            unsafe { dealloc(memory, layout(size, 8)) };
        }
    }
}
