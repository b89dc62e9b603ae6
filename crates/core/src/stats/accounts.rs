//! Accounts: the RSS report of this moment, from the books and from the system.
//!
//! ```text
//! mappings of the process (smaps)     each: what of it has memory
//!    not a file: pages of ours in it, page by page (mincore)   slabs | large | dirty | muzzy | bare | records
//!                the rest is others': stack, cleared data, other
//! books                               slabs = live + caches + depot + free slots + ends
//!                                     large = live + caches + depot + run cache
//! ```
//! C1  What slabs lack in memory is free slots first: pages go to the system when only free slots touch them, and slots
//!     are handed out from the front, the first of them last written. What is left is objects never written.
//! C2  Cached objects count as written. What large objects lack is the application's: it holds what it has not written.
//! C3  Where the system tells nothing page by page (or everything, as some emulators do), lines are the books' figures;
//!     where it lists no mappings, what is not ours is in `unexplained`. Both are said.
//! C4  A page that was read and never written is one page of zeros for the whole system: told page by page as memory,
//!     and not counted in the resident set. What a mapping has of them is seen by the difference; they are entries of
//!     the page map, and what is left of them the application's unwritten memory.
//! C5  Pages of arenas made by request are where their hooks found them. Where the system tells, they are taken out of what
//!     others mapped, or out of files for an arena in one.
//! C6  The hardened arena's objects, small and large, count as slabs' that are written; what its pages have beyond them is in
//!     `internal_slack`. Those of arenas made by request are in `arenas`.
//! Figures of a busy process are a few operations apart. Reads a few files; holds no lock meanwhile.
#![deny(unsafe_code)]

use super::maps::{Content, Mapping, Maps};
use super::report::Snapshot;
use super::rss::RssReport;
use super::snapshot;
use crate::arena::{bin, hardened, large, manual, sampled};
use crate::extent::{HEAP, Residents, page_map};
use crate::meta::residence;
use crate::size::{CACHED_CLASSES, SMALL_CLASSES};
use crate::sys::files::File;
use crate::sys::memory;

/// Bytes of a file read at a time.
const PIECE: usize = 2048;

/// What of ours has memory.
#[derive(Default)]
struct Ours {
    pages: Residents,
    records: usize,
}

impl Ours {
    /// Adds what lies in `from..to`; answers how much that is.
    fn survey(&mut self, from: usize, to: usize) -> u64 {
        let before = self.pages.sum() + self.records;
        HEAP.survey(from, to, &mut self.pages);
        self.records += residence::of_records(from, to);
        for (addr, bytes) in page_map::leaves() {
            let (first, end) = (addr.max(from), (addr + bytes).min(to));
            if first < end {
                self.records += residence::resident_bytes(first, end);
            }
        }
        (self.pages.sum() + self.records - before) as u64
    }

    /// Leaves out `bytes` on pages that were read and never written (C4).
    fn leave_out_zeros(&mut self, bytes: usize) {
        let of_records = bytes.min(self.records);
        self.records -= of_records;
        self.pages.large -= (bytes - of_records).min(self.pages.large);
    }

    /// Books `bytes` of slabs for samples, whose pages look like large objects', with the others: they are all written.
    fn take_samples(&mut self, bytes: usize) {
        let found = bytes.min(self.pages.large);
        self.pages.large -= found;
        self.pages.slabs += found;
    }

    /// Books the hardened arena's pages, which look like large objects', with the slabs. What of them has memory beyond the
    /// objects, which are written from the start, is canaries, free slots and what waits: ends of slabs (C6).
    /// Answers the bytes that are of arenas made by request, which are booked off.
    fn take_hardened(&mut self, books: &mut Snapshot) -> usize {
        let held = hardened::held_bytes().min(self.pages.large);
        let by_request = hardened::by_request_bytes().min(held);
        let found = held - by_request;
        self.pages.large -= held;
        self.pages.slabs += found;
        let (small, large) = books.class_bytes.split_at_mut(SMALL_CLASSES);
        let mut live = 0;
        for (index, bytes) in small.iter_mut().enumerate() {
            live += (hardened::figures(index).bytes as u64).min(*bytes);
        }
        for (index, bytes) in large.iter_mut().enumerate() {
            let hard = (hardened::figures(SMALL_CLASSES + index).bytes as u64).min(*bytes);
            *bytes -= hard;
            small[0] += hard;
            live += hard;
        }
        books.internal_slack += (found as u64).saturating_sub(live);
        by_request
    }

    fn add(&mut self, more: &Self) {
        self.records += more.records;
        self.pages.add(&more.pages);
    }
}

/// Fills `out` with the figures of this moment. Called inside a passage, no lock held.
pub(crate) fn take(out: &mut RssReport) {
    *out = RssReport::default();
    let is_measured = residence::is_told();
    let mut ours = Ours::default();
    let is_divided = read_maps(|mapping| add(mapping, is_measured, &mut ours, out));
    if !is_divided {
        out.rss = resident();
        if is_measured {
            ours.survey(0, 1 << 47);
        }
    }
    let mut books = Snapshot::ZERO;
    snapshot::take(&mut books);
    let (mut waiting, mut by_request) = (books.run_cache as usize, 0);
    if is_measured {
        ours.take_samples(sampled::bytes());
        by_request = ours.take_hardened(&mut books);
        waiting = 0;
        large::each_idle(|addr, bytes| waiting += residence::resident_bytes(addr, addr + bytes));
    } else {
        // All that the books know of counts as written, but for what was given back.
        ours.pages = Residents {
            slabs: usize::MAX,
            large: usize::MAX,
            dirty: books.dirty.saturating_sub(books.run_cache) as usize,
            muzzy: books.muzzy as usize,
            bare: 0,
        };
        ours.records = books.metadata as usize;
    }
    out.is_measured = is_measured.into();
    out.is_divided = is_divided.into();
    divide(&ours, &books, waiting as u64, out);
    if is_measured {
        out.take_arenas(manual::resident_bytes() as u64);
        out.arenas += by_request as u64;
    }
    if !is_measured && is_divided {
        // Ours is in there: mappings cannot be told apart without.
        let heap = [
            out.live,
            out.internal_slack,
            out.free_slots,
            out.thread_caches,
            out.depot,
        ];
        let idle = [out.run_cache, out.dirty, out.muzzy, out.metadata];
        let sum: u64 = heap.iter().chain(&idle).sum();
        out.other = out.other.saturating_sub(sum);
    }
    out.balance();
}

impl RssReport {
    /// Books `bytes` of arenas made by request, which were counted as others' (C5).
    fn take_arenas(&mut self, bytes: u64) {
        let of_files = bytes.saturating_sub(self.other).min(self.files);
        let of_others = bytes.min(self.other);
        self.other -= of_others;
        self.files -= of_files;
        self.arenas = if self.is_divided == 1 {
            of_others + of_files
        } else {
            bytes
        };
    }
}

/// Shares out what has memory among the lines, by the books (C1, C2).
fn divide(ours: &Ours, books: &Snapshot, waiting: u64, out: &mut RssReport) {
    let (small, large) = books.class_bytes.split_at(SMALL_CLASSES);
    let (small, large): (u64, u64) = (small.iter().sum(), large.iter().sum());
    let (threads, depot) = snapshot::cached(0..SMALL_CLASSES);
    let (large_threads, large_depot) = snapshot::cached(SMALL_CLASSES..CACHED_CLASSES);
    let free = (0..SMALL_CLASSES)
        .map(|class| bin::room(class).free as u64)
        .sum::<u64>();

    let slabs = small + threads + depot + free + books.internal_slack;
    let lacking = if out.is_measured == 1 {
        slabs.saturating_sub(ours.pages.slabs as u64)
    } else {
        books.hollow
    };
    out.slots_untouched = lacking.min(free);
    out.free_slots = free - out.slots_untouched;
    let unwritten = (lacking - out.slots_untouched).min(small);

    let objects = (ours.pages.large as u64).saturating_sub(waiting + large_threads + large_depot);
    let written = objects.min(large);
    out.live = small - unwritten + written;
    out.live_untouched = unwritten + large - written;
    out.internal_slack = books.internal_slack;
    out.thread_caches = threads + large_threads;
    out.depot = depot + large_depot;
    out.run_cache = waiting;
    out.dirty = ours.pages.dirty as u64;
    out.muzzy = ours.pages.muzzy as u64;
    out.huge_rounding = ours.pages.bare as u64;
    out.metadata = ours.records as u64;
    out.retained = books.retained;
}

/// Adds a mapping of the process.
fn add(mapping: &Mapping, is_measured: bool, ours: &mut Ours, out: &mut RssReport) {
    out.rss += mapping.rss;
    out.swapped += mapping.swap;
    if mapping.rss == 0 {
        return;
    }
    let mut of_ours = 0;
    if is_measured && mapping.content != Content::File {
        let mut here = Ours::default();
        of_ours = here.survey(mapping.start, mapping.end);
        here.leave_out_zeros(of_ours.saturating_sub(mapping.rss) as usize);
        ours.add(&here);
    }
    let rest = mapping.rss.saturating_sub(of_ours);
    match mapping.content {
        Content::File | Content::BehindFile => out.files += rest,
        Content::FirstStack | Content::Guarded => out.stacks += rest,
        Content::Anonymous => out.other += rest,
    }
}

/// Hands `each` the mappings of the process. `false`: the system lists none.
fn read_maps(mut each: impl FnMut(&Mapping)) -> bool {
    let Some(mut file) = File::open(c"/proc/self/smaps") else {
        return false;
    };
    let mut maps = Maps::new();
    let mut piece = [0; PIECE];
    let mut any = false;
    while let Some(count @ 1..) = file.read(&mut piece) {
        any = true;
        maps.feed(piece.get(..count).unwrap_or_default(), &mut each);
    }
    maps.finish(&mut each);
    any
}

/// Bytes of the resident set by the short list of the system's; 0: it does not tell.
pub(crate) fn resident() -> u64 {
    let mut text = [0; 128];
    let count = File::open(c"/proc/self/statm").and_then(|mut file| file.read(&mut text));
    let text = text.get(..count.unwrap_or(0)).unwrap_or_default();
    let resident = text.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let pages = resident.iter().try_fold(0u64, |pages, byte| {
        let digit = (*byte as char).to_digit(10)?;
        pages.checked_mul(10)?.checked_add(digit.into())
    });
    pages
        .unwrap_or(0)
        .saturating_mul(memory::page_size() as u64)
}
