//! Allocator calls of several threads, drawn from bytes, beside a list of live ranges.
//!
//! ```text
//! input   | command | size | size | argument |  four bytes an operation
//!           ^ thread 0..3 in two bits, the call in six
//! ```
//! O1  Threads take turns: the input says whose turn it is. One input is one history, and the same every time.
//! O2  A thread's first turn starts it; one of the calls ends it, and the next turn starts another in its place.
//! O3  Objects share no byte, keep their contents, and have the usable size that was promised, whoever frees them.
//! O4  What one thread made any thread may resize and free.
//! O5  In the end everything is freed by the thread that runs the input, and the heap is as empty as it says.

use jemoxide::api::{
    Arena, Flags, alloc_aligned, alloc_with, alloc_zeroed_aligned, dealloc, dealloc_sized,
    dealloc_with, realloc, request_size, resize_in_place, trim, usable_size,
};
use jemoxide::mallctl;
use jemoxide_testkit::naive::{Block, LiveRanges};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

/// Threads beside each other.
const THREADS: usize = 4;
/// Bytes and objects that are live at most; above that a call frees instead.
const MOST_BYTES: usize = 24 << 20;
const MOST_BLOCKS: usize = 256;
/// Operations of one input.
const MOST_STEPS: usize = 2000;

#[derive(Clone, Copy)]
struct Step {
    call: u8,
    size: usize,
    argument: u8,
}

impl Step {
    fn read(bytes: [u8; 4]) -> (usize, Self) {
        let [command, low, high, argument] = bytes;
        let word = usize::from(low) | usize::from(high) << 8;
        // Magnitudes up to 8 MiB are equally likely.
        let size = (word & 0xfff) << ((word >> 12) % 12);
        let step = Self {
            call: command >> 2,
            size,
            argument,
        };
        (usize::from(command & 3), step)
    }
}

/// What all threads work on, one at a time (O1).
#[derive(Default)]
struct World {
    blocks: Mutex<Books>,
    live: LiveRanges,
}

#[derive(Default)]
struct Books {
    blocks: Vec<Block>,
    bytes: usize,
    serial: u64,
    arena: Option<Arena>,
}

impl World {
    fn enter(&self, books: &mut Books, ptr: *mut u8, size: usize, align: usize) {
        if ptr.is_null() {
            return;
        }
        // SAFETY: just handed out.
        let filled = unsafe { usable_size(ptr) };
        // Of no bytes at all, where an object of that size can be told from one of a byte.
        let is_empty = size == 0 && filled == 0;
        assert!(
            is_empty || Some(filled) == request_size(size, align),
            "O3: {filled} usable of {size} at {align}"
        );
        assert_eq!(ptr.addr() % align, 0, "O3: {size} at {align}");
        // The address of one without bytes is no other's either.
        self.live.enter(ptr.addr(), filled.max(1));
        books.serial += 1;
        let seed = books.serial;
        let block = Block {
            ptr,
            size,
            align,
            filled,
            seed,
        };
        // SAFETY: live, of so many bytes.
        unsafe { block.fill() };
        books.bytes += filled;
        books.blocks.push(block);
    }

    fn take(&self, books: &mut Books, which: u8) -> Option<Block> {
        let count = books.blocks.len();
        let block = (count > 0).then(|| books.blocks.swap_remove(usize::from(which) % count))?;
        // SAFETY: live, filled when it came.
        unsafe { block.verify(block.filled) };
        books.bytes -= block.filled;
        self.live.leave(block.ptr.addr());
        Some(block)
    }

    fn free(&self, books: &mut Books, which: u8, how: u8) {
        if let Some(block) = self.take(books, which) {
            // SAFETY: live until here.
            unsafe {
                match how % 4 {
                    0 => dealloc(block.ptr),
                    1 => dealloc_sized(block.ptr, block.size, block.align),
                    2 => dealloc_with(block.ptr, Flags::new(0x100)),
                    _ => dealloc_sized(block.ptr, block.filled, block.align),
                }
            }
        }
    }

    /// One operation. `false`: the thread ends.
    fn step(&self, step: Step) -> bool {
        let books = &mut *self.blocks.lock().expect("an earlier check failed");
        let Step {
            call,
            size,
            argument,
        } = step;
        let full = books.bytes > MOST_BYTES || books.blocks.len() > MOST_BLOCKS;
        match call % 16 {
            0..=3 if full => self.free(books, argument, call),
            0 | 1 => {
                let align = 1 << (argument % 18);
                self.enter(books, alloc_aligned(size, align), size, align);
            }
            2 => {
                let align = 1 << (argument % 14);
                let ptr = alloc_zeroed_aligned(size, align);
                if !ptr.is_null() {
                    // SAFETY: just handed out, of so many bytes.
                    let zero = unsafe { std::slice::from_raw_parts(ptr, size) };
                    assert!(zero.iter().all(|&byte| byte == 0), "calloc of {size}");
                }
                self.enter(books, ptr, size, align);
            }
            3 => {
                // From an arena of its own, past the caches.
                let arena = match books.arena {
                    Some(arena) => arena,
                    None => match Arena::new() {
                        Ok(arena) => *books.arena.insert(arena),
                        Err(_) => return true,
                    },
                };
                let flags = Flags {
                    arena: Some(arena.index()),
                    uncached: true,
                    ..Flags::new(0)
                };
                self.enter(books, alloc_with(size, flags), size, 1);
            }
            4..=7 => self.free(books, argument, call >> 2),
            8 | 9 => {
                if let Some(block) = self.take(books, argument) {
                    // SAFETY: live until here; the answer counts from now on.
                    let moved = unsafe { realloc(block.ptr, size, block.align, false) };
                    assert!(!moved.is_null(), "no memory for {size}");
                    let old = Block {
                        ptr: moved,
                        ..block
                    };
                    // SAFETY: live; all that was usable is kept, as far as there is room.
                    unsafe { old.verify(block.filled.min(usable_size(moved))) };
                    self.enter(books, moved, size, old.align);
                }
            }
            10 => {
                if let Some(block) = self.take(books, argument) {
                    // SAFETY: live.
                    let now = unsafe { resize_in_place(block.ptr, size, 0, block.align, false) };
                    // What it has now is what one would ask for to get it.
                    let size = if now == block.filled { block.size } else { now };
                    self.enter_resized(books, block, size, now);
                }
            }
            11 => match argument % 6 {
                0 => drop(trim()),
                1 => drop(mallctl::call("thread.tcache.flush")),
                2 => drop(mallctl::call("arena.0.purge")),
                3 => drop(mallctl::write("thread.tcache.enabled", size % 2 == 0)),
                4 => drop(mallctl::write("epoch", 1u64)),
                _ => drop(jemoxide::idle()),
            },
            12 => {
                for at in 0..argument % 32 {
                    self.free(books, at, argument);
                }
            }
            13 => {
                // Many small ones at once: caches run over.
                for _ in 0..argument % 64 {
                    let size = size % 600;
                    self.enter(books, alloc_aligned(size, 1), size, 1);
                }
            }
            14 => return false,
            _ => {
                let arena = books.arena.filter(|_| argument % 2 == 0);
                let index = arena.map_or(0, Arena::index);
                mallctl::write("thread.arena", index).expect("the arena is there");
            }
        }
        true
    }

    fn enter_resized(&self, books: &mut Books, block: Block, size: usize, now: usize) {
        // SAFETY: live, of at least so many bytes.
        unsafe {
            block.verify(block.filled.min(now));
            assert_eq!(usable_size(block.ptr), now);
        }
        self.live.enter(block.ptr.addr(), now.max(1));
        let block = Block {
            size,
            filled: now,
            ..block
        };
        // SAFETY: live, of so many bytes.
        unsafe { block.fill() };
        books.bytes += now;
        books.blocks.push(block);
    }
}

/// A thread that does what it is sent, and says when it has.
struct Worker {
    orders: mpsc::Sender<Step>,
    done: mpsc::Receiver<bool>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start(world: &Arc<World>) -> Self {
        let (orders, inbox) = mpsc::channel::<Step>();
        let (outbox, done) = mpsc::channel();
        let world = Arc::clone(world);
        let thread = std::thread::spawn(move || {
            while let Ok(step) = inbox.recv() {
                let goes_on = world.step(step);
                if outbox.send(goes_on).is_err() || !goes_on {
                    return;
                }
            }
        });
        Self {
            orders,
            done,
            thread,
        }
    }

    /// Has it do one step. `None`: it has ended.
    fn turn(self, step: Step) -> Option<Self> {
        self.orders.send(step).expect("it waits for orders");
        match self.done.recv() {
            Ok(true) => Some(self),
            _ => {
                self.end();
                None
            }
        }
    }

    fn end(self) {
        drop(self.orders);
        self.thread.join().expect("a check failed in a thread");
    }
}

/// Runs one history.
pub fn run(bytes: &[u8]) {
    let world = Arc::new(World::default());
    let mut workers: [Option<Worker>; THREADS] = [const { None }; THREADS];
    for step in bytes.chunks_exact(4).take(MOST_STEPS) {
        let (who, step) = Step::read([step[0], step[1], step[2], step[3]]);
        let worker = workers[who].take().unwrap_or_else(|| Worker::start(&world));
        workers[who] = worker.turn(step);
    }
    workers.into_iter().flatten().for_each(Worker::end);
    let books = &mut *world.blocks.lock().expect("an earlier check failed");
    while !books.blocks.is_empty() {
        world.free(books, 0, 0);
    }
    if let Some(arena) = books.arena.take() {
        // SAFETY: all its objects are freed, and no thread that it served is left.
        unsafe { arena.destroy() }.expect("nobody is served by it");
    }
    trim();
    mallctl::write("epoch", 1u64).expect("always there");
    let left: usize = mallctl::read("stats.allocated").expect("always there");
    assert_eq!(left, 0, "O5");
}
