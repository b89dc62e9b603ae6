//! Live: the figures that a running process shows, and what it can be asked for while it runs.
//!
//! ```text
//! file PATH.PID   0 ─────────────── Figures ──────────── check │ ... │ MAILBOX_AT ── Mailbox ── check
//!                 the process writes, 10 times a second               a command writes, whenever it likes
//! ```
//! Opened by the option `control:PATH`, a signal, or the program itself: see `control::channel`. The commands
//! `jemoxide top` and `jemoxide stats` are the readers.
//!
//! L1  Every field is a 64-bit number in the machine's byte order; sizes are bytes, times nanoseconds.
//! L2  The last word of each part is [`check`] of the words before it: who finds another sum looks again. So neither side
//!     needs a lock on the other, and what is half written, cut off or of another hand is not believed.
//! L3  A request is new when its `ticket` is not the last one. The process puts the ticket into `answered` when the
//!     request has been dealt with, and into `refused` what could not be done of it.
//! L4  Nothing in a request is an address, a length or a name: the worst that a forged one does is to be served.
#![deny(unsafe_code)]

use super::report::Snapshot;
use super::rss::RssReport;
use crate::size::SMALL_CLASSES;

/// First word of the figures: the letters `JEMOXLIV`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"JEMOXLIV");
/// First word of the mailbox: the letters `JEMOXASK`.
pub const MAILBOX_MAGIC: u64 = u64::from_le_bytes(*b"JEMOXASK");
/// Layout of both parts; a reader refuses any other.
pub const LAYOUT: u64 = 1;
/// Where the mailbox stands in the file.
pub const MAILBOX_AT: usize = 16 << 10;
/// Bytes of the whole file.
pub const FILE_BYTES: usize = MAILBOX_AT + size_of::<Mailbox>();
/// Arenas that are shown one by one.
pub const ARENAS_SHOWN: usize = 64;

/// What can be asked for, as bits of [`Mailbox::wanted`].
pub mod ask {
    /// The resident set, line by line ([`super::Figures::rss`]): asks the system about every page of the heap.
    pub const RSS: u64 = 1;
    /// Heap profiling begins, or goes on.
    pub const SAMPLE: u64 = 2;
    /// Heap profiling stops.
    pub const STOP_SAMPLING: u64 = 4;
    /// A heap profile is written beside the file, as `PATH.PID.heap`.
    pub const DUMP: u64 = 8;
}

/// Whether the process samples its allocations: [`Figures::profiling`].
pub mod profiling {
    /// It never began.
    pub const NEVER: u64 = 0;
    /// It does.
    pub const ON: u64 = 1;
    /// It did, and can go on.
    pub const OFF: u64 = 2;
}

/// What an arena holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Arena {
    /// Its index plus one; 0: no arena.
    pub number: u64,
    /// 1 if it was made by request.
    pub by_request: u64,
    /// Threads whose requests it serves.
    pub threads: u64,
    /// Bytes of small objects out of its slabs: with the application, in caches and between threads.
    pub small: u64,
    /// Bytes of its large objects.
    pub large: u64,
    /// Slabs; not counted in arenas made by request.
    pub slabs: u64,
    /// Objects taken out of its slabs so far.
    pub allocations: u64,
    /// Objects given back to its slabs so far.
    pub frees: u64,
}

/// What a small size class holds, in all automatic arenas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Class {
    /// Slabs.
    pub slabs: u64,
    /// Bytes of their pages.
    pub slab_bytes: u64,
    /// Bytes of their free slots, but for those of hardened slabs.
    pub free_bytes: u64,
    /// Objects in thread caches and between threads.
    pub cached: u64,
    /// Objects that the application asked for so far.
    pub requests: u64,
}

/// What a process shows.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Figures {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`LAYOUT`].
    pub layout: u64,
    /// Rises with each writing.
    pub sequence: u64,
    /// The process that writes, as it knows itself: in a container this is the number inside.
    pub pid: u64,
    /// Time since the allocator's start.
    pub uptime_ns: u64,
    /// Rule L3: the last request that was dealt with.
    pub answered: u64,
    /// Rule L3: what could not be done of it.
    pub refused: u64,
    /// One of [`profiling`].
    pub profiling: u64,
    /// Mean bytes from one sample to the next, log2.
    pub lg_sample: u64,
    /// Resident set of the process, by the system, at this moment.
    pub resident: u64,
    /// Uptime at which `rss` was taken; 0: not yet.
    pub rss_at_ns: u64,
    /// Living threads that allocated.
    pub threads: u64,
    /// Bytes that count against the heap's limits.
    pub heap_used: u64,
    /// The soft limit; 0: none.
    pub heap_limit_soft: u64,
    /// The hard limit; 0: none.
    pub heap_limit_hard: u64,
    /// Memory that the container allows, where that was read; 0: none.
    pub memory_limit: u64,
    /// Memory that has left address space: active, dirty and muzzy pages, and idle ones in huge pages.
    pub mapped: u64,
    /// Steps of purging dirty pages, system calls for it, bytes given back.
    pub dirty_purges: [u64; 3],
    /// The same of muzzy pages.
    pub muzzy_purges: [u64; 3],
    /// Rounds of the purge thread.
    pub purger_runs: u64,
    /// Automatic arenas.
    pub arenas_automatic: u64,
    /// Arenas made by request, shown or not.
    pub arenas_by_request: u64,
    /// Bytes of the objects of arenas made by request: these are in no snapshot.
    pub by_request_bytes: u64,
    /// The books when `active` was highest, of the moments looked at.
    pub peak: Snapshot,
    /// The books at this moment.
    pub now: Snapshot,
    /// The resident set, line by line, as of `rss_at_ns`.
    pub rss: RssReport,
    /// The first arenas.
    pub arenas: [Arena; ARENAS_SHOWN],
    /// The small size classes.
    pub classes: [Class; SMALL_CLASSES],
    /// Rule L2.
    pub check: u64,
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Mailbox {
    /// [`MAILBOX_MAGIC`].
    pub magic: u64,
    /// [`LAYOUT`].
    pub layout: u64,
    /// Any number but the last one.
    pub ticket: u64,
    /// Bits of [`ask`].
    pub wanted: u64,
    /// Rule L2.
    pub check: u64,
}

/// Words of the figures.
pub const FIGURES_WORDS: usize = size_of::<Figures>() / WORD;
/// Words of the mailbox.
pub const MAILBOX_WORDS: usize = size_of::<Mailbox>() / WORD;

const WORD: usize = size_of::<u64>();

const _: () = assert!(size_of::<Figures>() <= MAILBOX_AT);
// Rule L1: nothing but words, so that every byte of a part is one of a number.
const _: () = assert!(size_of::<Figures>() % WORD == 0 && align_of::<Figures>() == WORD);

/// The sum of `words` (rule L2): each bit changes it, and so does the order. FNV-1a, a word at a time.
#[must_use]
pub fn check(words: &[u64]) -> u64 {
    words.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Whether `words` are a whole part: the last is the sum of those before it.
#[must_use]
pub fn is_whole(words: &[u64]) -> bool {
    words
        .split_last()
        .is_some_and(|(&last, words)| last == check(words))
}

impl Mailbox {
    /// A request for `wanted`.
    #[must_use]
    pub fn new(ticket: u64, wanted: u64) -> Self {
        let mut mailbox = Self {
            magic: MAILBOX_MAGIC,
            layout: LAYOUT,
            ticket,
            wanted,
            check: 0,
        };
        let [words @ .., _] = mailbox.words();
        mailbox.check = check(&words);
        mailbox
    }

    /// The request in these words. `None`: there is none (L2).
    #[must_use]
    pub fn of_words(words: &[u64; MAILBOX_WORDS]) -> Option<Self> {
        let &[magic, layout, ticket, wanted, check] = words;
        let is_ours = magic == MAILBOX_MAGIC && layout == LAYOUT && is_whole(words);
        is_ours.then_some(Self {
            magic,
            layout,
            ticket,
            wanted,
            check,
        })
    }

    /// As words.
    #[must_use]
    pub const fn words(&self) -> [u64; MAILBOX_WORDS] {
        [
            self.magic,
            self.layout,
            self.ticket,
            self.wanted,
            self.check,
        ]
    }
}

impl Figures {
    /// Nothing is known.
    pub const ZERO: Self = Self {
        magic: 0,
        layout: 0,
        sequence: 0,
        pid: 0,
        uptime_ns: 0,
        answered: 0,
        refused: 0,
        profiling: profiling::NEVER,
        lg_sample: 0,
        resident: 0,
        rss_at_ns: 0,
        threads: 0,
        heap_used: 0,
        heap_limit_soft: 0,
        heap_limit_hard: 0,
        memory_limit: 0,
        mapped: 0,
        dirty_purges: [0; 3],
        muzzy_purges: [0; 3],
        purger_runs: 0,
        arenas_automatic: 0,
        arenas_by_request: 0,
        by_request_bytes: 0,
        peak: Snapshot::ZERO,
        now: Snapshot::ZERO,
        rss: RssReport::ZERO,
        arenas: [Arena::ZERO; ARENAS_SHOWN],
        classes: [Class::ZERO; SMALL_CLASSES],
        check: 0,
    };
}

impl Arena {
    /// No arena.
    pub const ZERO: Self = Self {
        number: 0,
        by_request: 0,
        threads: 0,
        small: 0,
        large: 0,
        slabs: 0,
        allocations: 0,
        frees: 0,
    };
}

impl Class {
    /// Nothing is held.
    pub const ZERO: Self = Self {
        slabs: 0,
        slab_bytes: 0,
        free_bytes: 0,
        cached: 0,
        requests: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_and_any_changed_bit_is_none() {
        let asked = Mailbox::new(7, ask::RSS | ask::DUMP);
        assert_eq!(Mailbox::of_words(&asked.words()), Some(asked));
        for word in 0..MAILBOX_WORDS {
            for bit in 0..64 {
                let mut words = asked.words();
                words[word] ^= 1 << bit;
                assert_eq!(Mailbox::of_words(&words), None, "word {word}, bit {bit}");
            }
        }
        assert_eq!(Mailbox::of_words(&[0; MAILBOX_WORDS]), None);
    }

    #[test]
    fn the_order_of_words_counts() {
        assert_ne!(check(&[1, 2]), check(&[2, 1]));
        assert!(!is_whole(&[]));
        assert!(is_whole(&[3, check(&[3])]));
    }
}
