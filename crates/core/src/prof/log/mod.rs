//! Log: the lives of objects that were sampled and died while it was on: `prof.log_start`, `prof.log_stop`.
//!
//! G1  A log that is on grows by an entry for each such object, as long as there is memory for our own records.
//! G2  Entries hold their stacks and threads as users, until the log is written.
//! Who freed an object from a thread past its end is not known: the log names who allocated it.

pub(crate) mod text;

use super::Books;
use super::recent::Moment;
use super::record::{Handle, Link, unlinked};
use super::sample::Life;
use core::cell::Cell;

/// A life.
pub(super) struct Entry {
    pub(super) next: Link<Entry>,
    pub(super) born: Moment,
    pub(super) died: Moment,
    pub(super) usable: usize,
}

/// The log.
pub(super) struct Log {
    pub(super) first: Link<Entry>,
    last: Link<Entry>,
    /// When it was begun, plus one; 0: it is off.
    since_ns: Cell<u64>,
}

impl Log {
    pub(super) const fn new() -> Self {
        Self {
            first: unlinked(),
            last: unlinked(),
            since_ns: Cell::new(0),
        }
    }
}

impl Books {
    /// Begins a log. `false`: one is on, or has not been written yet.
    pub(super) fn start_log(&self, now_ns: u64) -> bool {
        let is_free = self.log.since_ns.get() == 0 && self.log.first.get().is_none();
        if is_free {
            self.log.since_ns.set(now_ns + 1);
        }
        is_free
    }

    /// Ends it. `None`: it is not on; else when it was begun. Its entries are to be written then, and dropped.
    pub(super) fn stop_log(&self) -> Option<u64> {
        self.log.since_ns.replace(0).checked_sub(1)
    }

    /// Whether a log is on: who frees should tell from where.
    pub(super) fn is_logging(&self) -> bool {
        self.log.since_ns.get() != 0
    }

    /// Whether the end of `life` belongs into the log.
    pub(super) fn logs(&self, life: &Life) -> bool {
        let since = self.log.since_ns.get();
        since != 0 && life.born_ns >= since - 1 && life.era == self.era.get()
    }

    /// Writes a life down (G1).
    pub(super) fn log_death(&self, life: &Life, died: Moment) {
        let tally = life.tally.of(&self.held);
        let born = Moment {
            ns: life.born_ns,
            thread: Some(tally.thread),
            stack: Some(tally.stack),
        };
        let died = Moment {
            thread: died.thread.or(born.thread),
            ..died
        };
        let entry = Entry {
            next: unlinked(),
            born,
            died,
            usable: life.usable,
        };
        let Some(entry) = Handle::make(entry) else {
            return;
        };
        self.hold(born);
        self.hold(died);
        match self.log.last.replace(Some(entry)) {
            Some(last) => last.of(&self.held).next.set(Some(entry)),
            None => self.log.first.set(Some(entry)),
        }
    }

    /// Drops the first entry, which was written. `false`: there is none.
    pub(super) fn drop_entry(&self) -> bool {
        let Some(entry) = self.log.first.get() else {
            return false;
        };
        let own = entry.of(&self.held);
        self.log.first.set(own.next.get());
        if own.next.get().is_none() {
            self.log.last.set(None);
        }
        for moment in [own.born, own.died] {
            if let Some(thread) = moment.thread {
                thread.of(&self.held).logged.set(0);
            }
            if let Some(stack) = moment.stack {
                stack.of(&self.held).logged.set(0);
            }
            self.let_go(moment);
        }
        // SAFETY: it was the first, and no other record names it.
        unsafe { entry.forget(&self.held) };
        true
    }
}
