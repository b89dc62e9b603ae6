//! Workload: random operations that check what comes back.
//!
//! Each thread keeps a bounded set of blocks and draws one operation after the other: allocate,
//! allocate zeroed, resize, free, or send a block to another thread, which verifies and frees it.
//! Everything follows from the seed, so with one thread a failure repeats.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::{Block, Heap, LiveRanges, Random};

/// What to do to a heap.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Start of all random sequences.
    pub seed: u64,
    /// Operations per thread.
    pub operations: usize,
    /// Most blocks a thread keeps.
    pub live: usize,
    /// Largest size, in bytes; magnitudes up to it are equally likely.
    pub max_size: usize,
    /// Largest alignment; most requests ask for 16 or less.
    pub max_align: usize,
    /// Threads; blocks cross between them when there are several.
    pub threads: usize,
}

/// What a workload did: lets a test assert that every kind of operation took place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blocks allocated, zeroed ones included.
    pub allocated: usize,
    /// Blocks allocated zeroed.
    pub zeroed: usize,
    /// Blocks resized.
    pub resized: usize,
    /// Blocks freed by the thread that allocated them.
    pub freed: usize,
    /// Blocks freed by another thread.
    pub freed_remotely: usize,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            seed: 1,
            operations: 20_000,
            live: 200,
            max_size: 100_000,
            max_align: 8192,
            threads: 1,
        }
    }
}

impl Workload {
    /// Runs the workload on `heap` until all blocks are freed; panics at the first broken promise.
    pub fn run<H: Heap>(&self, heap: &H) -> Report {
        let live = LiveRanges::new();
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..self.threads).map(|_| channel()).unzip();
        let parts: Vec<Report> = thread::scope(|scope| {
            let threads: Vec<_> = receivers
                .into_iter()
                .enumerate()
                .map(|(index, inbox)| {
                    let peers = peers_of(&senders, index);
                    let worker = Worker::new(self, heap, &live, index, peers, inbox);
                    scope.spawn(move || worker.run())
                })
                .collect();
            // Every worker drains its inbox until all senders are gone; ours are the last.
            drop(senders);
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        assert_eq!(live.count(), 0, "every block was freed");
        parts.iter().fold(Report::default(), |sum, part| Report {
            allocated: sum.allocated + part.allocated,
            zeroed: sum.zeroed + part.zeroed,
            resized: sum.resized + part.resized,
            freed: sum.freed + part.freed,
            freed_remotely: sum.freed_remotely + part.freed_remotely,
        })
    }
}

fn peers_of(senders: &[Sender<Block>], index: usize) -> Vec<Sender<Block>> {
    senders
        .iter()
        .enumerate()
        .filter(|(peer, _)| *peer != index)
        .map(|(_, s)| s.clone())
        .collect()
}

struct Worker<'a, H> {
    plan: &'a Workload,
    heap: &'a H,
    live: &'a LiveRanges,
    random: Random,
    blocks: Vec<Block>,
    peers: Vec<Sender<Block>>,
    inbox: Receiver<Block>,
    report: Report,
}

impl<'a, H: Heap> Worker<'a, H> {
    fn new(
        plan: &'a Workload,
        heap: &'a H,
        live: &'a LiveRanges,
        index: usize,
        peers: Vec<Sender<Block>>,
        inbox: Receiver<Block>,
    ) -> Self {
        let random = Random::new(plan.seed.wrapping_add((index as u64) << 32));
        let blocks = Vec::with_capacity(plan.live);
        Self {
            plan,
            heap,
            live,
            random,
            blocks,
            peers,
            inbox,
            report: Report::default(),
        }
    }

    fn run(mut self) -> Report {
        for _ in 0..self.plan.operations {
            self.step();
            while let Ok(block) = self.inbox.try_recv() {
                self.free(block, true);
            }
        }
        while let Some(block) = self.blocks.pop() {
            self.free(block, false);
        }
        self.peers.clear();
        while let Ok(block) = self.inbox.recv() {
            self.free(block, true);
        }
        self.report
    }

    fn step(&mut self) {
        // The set swells and shrinks over the run: both directions exercise refill and give-back.
        let full = self.blocks.len() >= self.plan.live;
        match self.random.below(10) {
            0..=4 if !full => self.allocate(),
            5 | 6 if !self.blocks.is_empty() => self.resize(),
            7 if !self.peers.is_empty() && !self.blocks.is_empty() => {
                let block = self.take();
                let to = self.random.below(self.peers.len());
                if let Err(refused) = self.peers[to].send(block) {
                    // That peer is done; the block stays ours to free.
                    self.free(refused.0, false);
                }
            }
            _ if !self.blocks.is_empty() => {
                let block = self.take();
                self.free(block, false);
            }
            _ => self.allocate(),
        }
    }

    fn take(&mut self) -> Block {
        let at = self.random.below(self.blocks.len());
        self.blocks.swap_remove(at)
    }

    fn allocate(&mut self) {
        let size = self.random.magnitude(self.plan.max_size);
        let align = self.alignment();
        let zeroed = self.random.one_in(4);
        let ptr = match zeroed {
            // SAFETY: sizes are at least one, alignments powers of two.
            true => unsafe { self.heap.alloc_zeroed(size, align) },
            // SAFETY: as above.
            false => unsafe { self.heap.alloc(size, align) },
        };
        let block = self.admit(ptr, size, align);
        if zeroed {
            // SAFETY: just allocated, and `filled` bytes may be used.
            unsafe { block.verify_zero(block.filled) };
            self.report.zeroed += 1;
        }
        // SAFETY: as above.
        unsafe { block.fill() };
        self.report.allocated += 1;
        self.blocks.push(block);
    }

    fn resize(&mut self) {
        let old = self.take();
        // Half of the steps stay near the old size: in-place growth and shrinking live there.
        let new_size = match self.random.one_in(2) {
            true => self.random.magnitude(self.plan.max_size),
            false => (old.size * 3 / 4 + self.random.below(old.size / 2 + 2))
                .clamp(1, self.plan.max_size),
        };
        // SAFETY: the block is live and ours; it was filled when it was admitted.
        unsafe { old.verify(old.filled) };
        self.live.leave(old.ptr.addr());
        // SAFETY: the block is live with this size and alignment; the new size is at least one.
        let ptr = unsafe { self.heap.realloc(old.ptr, old.size, old.align, new_size) };
        let block = self.admit(ptr, new_size, old.align);
        // The pattern of the old block, at the new place.
        let kept = Block { ptr, ..old };
        // SAFETY: the new block is live and at least as long as both sizes' smaller one.
        unsafe { kept.verify(kept.filled.min(new_size)) };
        // SAFETY: just allocated, and `filled` bytes may be used.
        unsafe { block.fill() };
        self.report.resized += 1;
        self.blocks.push(block);
    }

    fn free(&mut self, block: Block, remote: bool) {
        // SAFETY: the block is live: whoever held it gave it up to this call. It is filled.
        unsafe { block.verify(block.filled) };
        self.live.leave(block.ptr.addr());
        // SAFETY: as above; size and alignment are those it was allocated with.
        unsafe { self.heap.dealloc(block.ptr, block.size, block.align) };
        match remote {
            true => self.report.freed_remotely += 1,
            false => self.report.freed += 1,
        }
    }

    /// Checks a fresh address (rules N1, N2) and makes it a block.
    fn admit(&mut self, ptr: *mut u8, size: usize, align: usize) -> Block {
        assert!(!ptr.is_null(), "out of memory: {size} bytes at {align}");
        assert_eq!(
            ptr.addr() % align,
            0,
            "{size} bytes at {ptr:p}, asked for alignment {align}"
        );
        // SAFETY: just allocated from this heap.
        let usable = unsafe { self.heap.usable_size(ptr) };
        let filled = usable.unwrap_or(size);
        assert!(
            filled >= size,
            "usable size {filled} below the {size} asked for"
        );
        self.live.enter(ptr.addr(), filled);
        Block {
            ptr,
            size,
            align,
            filled,
            seed: self.random.bits(),
        }
    }

    fn alignment(&mut self) -> usize {
        let most = if self.random.one_in(5) {
            self.plan.max_align
        } else {
            16.min(self.plan.max_align)
        };
        1 << self.random.below(most.ilog2() as usize + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Global;
    use super::*;
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::panic::catch_unwind;

    #[test]
    fn a_correct_heap_passes_and_every_operation_happens() {
        let report = Workload {
            threads: 3,
            operations: 5000,
            ..Workload::default()
        }
        .run(&Global(System));
        let Report {
            allocated,
            zeroed,
            resized,
            freed,
            freed_remotely,
        } = report;
        assert!(
            zeroed > 0 && resized > 0 && freed_remotely > 0,
            "{report:?}"
        );
        assert_eq!(allocated, freed + freed_remotely);
    }

    /// A fault that a broken allocator may have.
    enum Fault {
        Misaligned,
        NotZeroed,
        LosesContents,
        GivesTwice,
        WritesIntoLive,
    }

    struct Broken(Fault, std::sync::Mutex<(usize, usize)>);

    // SAFETY: deliberately breaks every promise but one: the memory is real and is never unmapped
    // (nothing is ever freed), so the workload can look at all of it.
    unsafe impl GlobalAlloc for Broken {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let room = Layout::from_size_align(layout.size() + 64, layout.align().max(64)).unwrap();
            // SAFETY: the layout is not empty.
            let fresh = unsafe { System.alloc_zeroed(room) };
            // SAFETY: within the 64 spare bytes, or within a kept block.
            unsafe {
                match self.0 {
                    Fault::Misaligned => return fresh.add(1),
                    Fault::NotZeroed => fresh.write(1),
                    Fault::GivesTwice | Fault::WritesIntoLive => {
                        let mut kept = self.1.lock().unwrap();
                        let (address, size) = *kept;
                        if address != 0 && matches!(self.0, Fault::WritesIntoLive) {
                            let at = std::ptr::with_exposed_provenance_mut::<u8>(address);
                            at.write(!at.read());
                        } else if size > layout.size() && layout.align() == 1 {
                            return std::ptr::with_exposed_provenance_mut(address);
                        }
                        *kept = (fresh.expose_provenance(), layout.size());
                    }
                    Fault::LosesContents => {}
                }
            }
            fresh
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the layout is not empty. All of our memory is zero unless the fault says so.
            unsafe { self.alloc(layout) }
        }

        unsafe fn dealloc(&self, _ptr: *mut u8, _layout: Layout) {}

        unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            let new_layout = Layout::from_size_align(new_size, layout.align()).unwrap();
            // SAFETY: the layout is not empty; both blocks hold the smaller size.
            unsafe {
                let fresh = self.alloc(new_layout);
                let len = layout.size().min(new_size);
                let len = if matches!(self.0, Fault::LosesContents) {
                    len / 2
                } else {
                    len
                };
                fresh.copy_from_nonoverlapping(ptr, len);
                fresh
            }
        }
    }

    #[test]
    fn every_fault_is_found() {
        let faults = [
            (Fault::Misaligned, "alignment"),
            (Fault::NotZeroed, "not zero"),
            (Fault::LosesContents, "contents changed"),
            (Fault::GivesTwice, "overlaps"),
            (Fault::WritesIntoLive, "contents changed"),
        ];
        let plan = Workload {
            operations: 300,
            max_size: 2000,
            max_align: 16,
            ..Workload::default()
        };
        for (fault, message) in faults {
            let broken = Global(Broken(fault, std::sync::Mutex::new((0, 0))));
            let panic = catch_unwind(|| plan.run(&broken)).expect_err(message);
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            assert!(text.contains(message), "{message}: {text}");
        }
    }
}
