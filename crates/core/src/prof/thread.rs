//! Threads, as the profiler sees them: a number, a name, a switch, a tag, and what they sampled.
//!
//! D1  Numbers ascend from 0 in the order in which threads first touch the profiler; the list of all is in that order.
//! D2  A thread that is over stays as long as one of its samples is alive or recorded, or, under `prof_accum`, was ever
//!     taken.
//!     Its tallies that are of no more interest go a few at a time: `fold` is where that goes on, and who does it is a user.
//! D3  Name, switch and tag are written by the thread itself; the name under the lock, as dumps read it.

use super::books::FOLDED;
use super::counts::Current;
use super::list::{self, Ends, Listed, Neighbours};
use super::record::{Handle, Held, Link, unlinked};
use super::stack::{OfThread, Tally};
use super::{BOOKS, Books, numbers};
use core::cell::Cell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};

/// Bytes of a name, its zero byte included.
pub(crate) const NAME: usize = 16;

/// What threads start with: `prof.thread_active_init`.
static ACTIVE_AT_FIRST: AtomicBool = AtomicBool::new(false);
/// Whether they have the system's names.
static SYSTEM_NAMES: AtomicBool = AtomicBool::new(false);
/// What the sequences of all threads begin with.
static SEED: AtomicU64 = AtomicU64::new(0);

/// A thread.
pub(super) struct Thread {
    pub(super) uid: u64,
    listed: Neighbours<Thread>,
    pub(super) tallies: Ends<Tally>,
    pub(super) counts: Current,
    /// The tally that is looked at next (D2).
    pub(super) fold: Link<Tally>,
    pub(super) is_over: Cell<bool>,
    /// Records that name it beside its tallies.
    pub(super) users: Cell<u32>,
    /// Its number in a log, plus one.
    pub(super) logged: Cell<u32>,
    is_active: AtomicBool,
    tag: AtomicU16,
    name: [AtomicU8; NAME],
}

/// The list of all threads.
pub(super) struct All;

impl Listed<All> for Thread {
    fn neighbours(&self) -> &Neighbours<Self> {
        &self.listed
    }
}

impl Thread {
    /// Its name, and how long that is.
    pub(super) fn name(&self) -> ([u8; NAME], usize) {
        let name = core::array::from_fn(|at| self.name[at].load(Ordering::Relaxed));
        let len = name.iter().position(|&byte| byte == 0);
        (name, len.unwrap_or(NAME - 1))
    }

    pub(super) fn set_name(&self, text: &[u8]) {
        for (at, byte) in self.name.iter().enumerate().take(NAME - 1) {
            byte.store(text.get(at).copied().unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// The profiler's view of a thread, 32 bits.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct ThreadRef(Option<Handle<Thread>>);

impl ThreadRef {
    /// A thread that is past its end, or could not be recorded: what it frees is freed by nobody known, and what it
    /// allocates by one that stands for all of them.
    pub(crate) const PAST: Self = Self(None);

    /// The calling thread, new to the profiler. `None`: out of memory. Called inside a passage, no lock held.
    pub(crate) fn begin() -> Option<Self> {
        let thread = BOOKS.lock().begin_thread()?;
        let own = Self(Some(thread));
        if SYSTEM_NAMES.load(Ordering::Relaxed) {
            own.take_system_name();
        }
        Some(own)
    }

    /// The thread ends, or is gone in a forked child. Called inside a passage, no lock held.
    pub(crate) fn end(self) {
        if let Some(thread) = self.0 {
            let mut more = BOOKS.lock().end_thread(thread);
            while more {
                more = BOOKS.lock().fold_some(thread);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn number(self) -> u32 {
        self.0.map_or(0, Handle::number)
    }

    #[cfg(test)]
    pub(crate) fn from_number(number: u32) -> Self {
        Self(Handle::from_number(number))
    }

    /// Whether it may be sampled: `thread.prof.active`.
    pub(crate) fn is_active(self) -> bool {
        self.get()
            .is_some_and(|thread| thread.is_active.load(Ordering::Relaxed))
    }

    /// Sets that.
    pub(crate) fn set_active(self, is_active: bool) {
        if let Some(thread) = self.get() {
            thread.is_active.store(is_active, Ordering::Relaxed);
        }
    }

    /// What its samples are marked with.
    pub(crate) fn tag(self) -> u16 {
        self.get()
            .map_or(0, |thread| thread.tag.load(Ordering::Relaxed))
    }

    /// Sets that; 0 for none.
    pub(crate) fn set_tag(self, tag: u16) {
        if let Some(thread) = self.get() {
            thread.tag.store(tag, Ordering::Relaxed);
        }
    }

    /// Its name: as long as the thread lives.
    pub(crate) fn name(self) -> &'static CStr {
        let Some(thread) = self.get() else {
            return c"";
        };
        // SAFETY: bytes of a record, which stay mapped; the last one is always zero; the thread itself changes them.
        unsafe { CStr::from_ptr(thread.name.as_ptr().cast()) }
    }

    /// Names it. `false`: a byte of it is neither printable nor a blank.
    pub(crate) fn set_name(self, text: &[u8]) -> bool {
        if !text.iter().all(is_fit) {
            return false;
        }
        if let Some(thread) = self.get() {
            // The lock: rule D3.
            let _books = BOOKS.lock();
            thread.set_name(text);
        }
        true
    }

    /// Names it as the system does, but for bytes that a profile's line has no place for.
    fn take_system_name(self) {
        let mut name = [0; NAME];
        crate::sys::process::thread_name(&mut name);
        let len = name.iter().position(|&byte| byte == 0).unwrap_or(NAME - 1);
        for byte in name[..len].iter_mut().filter(|byte| !is_fit(byte)) {
            *byte = b'?';
        }
        if let Some(thread) = self.get() {
            let _books = BOOKS.lock();
            thread.set_name(&name[..len]);
        }
    }

    /// Where its sequence of random numbers begins.
    pub(crate) fn random(self) -> u64 {
        let uid = self.get().map_or(u64::MAX, |thread| thread.uid);
        let mut state = SEED.load(Ordering::Relaxed) ^ uid.wrapping_mul(0xd1b5_4a32_d192_ed03);
        numbers::next_random(&mut state)
    }

    #[cfg(test)]
    pub(super) fn get_for_tests(self) -> &'static Thread {
        self.get().expect("a living thread")
    }

    pub(super) fn handle(self) -> Option<Handle<Thread>> {
        self.0
    }

    fn get(&self) -> Option<&'static Thread> {
        // SAFETY: the record of a living thread stays; what is looked at here changes atomically, or not at all.
        self.0.map(|thread| unsafe { thread.place().as_ref() })
    }
}

/// Whether a name may have it: it is printable, or a blank.
fn is_fit(byte: &u8) -> bool {
    byte.is_ascii_graphic() || *byte == b' ' || *byte == b'\t'
}

/// Brings a thread's name up to date before it samples, where threads have the system's.
pub(super) fn refresh_name(thread: ThreadRef) {
    if SYSTEM_NAMES.load(Ordering::Relaxed) {
        thread.take_system_name();
    }
}

/// Whether threads have the system's names: nobody else names them then.
pub(crate) fn has_system_names() -> bool {
    SYSTEM_NAMES.load(Ordering::Relaxed)
}

/// `prof.thread_active_init`.
pub(crate) fn active_at_first() -> bool {
    ACTIVE_AT_FIRST.load(Ordering::Relaxed)
}

/// Sets that.
pub(crate) fn set_active_at_first(is_active: bool) {
    ACTIVE_AT_FIRST.store(is_active, Ordering::Relaxed);
}

/// Notes what options say of threads.
pub(super) fn prepare(active_at_first: bool, system_names: bool, seed: u64) {
    set_active_at_first(active_at_first);
    SYSTEM_NAMES.store(system_names, Ordering::Relaxed);
    SEED.store(seed, Ordering::Relaxed);
}

/// Has the sequences of threads to come begin elsewhere.
#[cfg(test)]
pub(super) fn set_seed(seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
}

impl Books {
    pub(super) fn begin_thread(&self) -> Option<Handle<Thread>> {
        let uid = self.next_uid.get();
        let thread = Handle::make(Thread {
            uid,
            listed: Neighbours::none(),
            tallies: Ends::empty(),
            counts: Current::born(self.moment.get(), self.era.get()),
            fold: unlinked(),
            is_over: Cell::new(false),
            users: Cell::new(0),
            logged: Cell::new(0),
            is_active: AtomicBool::new(active_at_first()),
            tag: AtomicU16::new(0),
            name: [const { AtomicU8::new(0) }; NAME],
        })?;
        self.next_uid.set(uid + 1);
        self.threads
            .insert::<All>(self.threads.last(), thread, &self.held);
        Some(thread)
    }

    /// The thread is over. `true`: [`Books::fold_some`] is to be called.
    pub(super) fn end_thread(&self, thread: Handle<Thread>) -> bool {
        thread.of(&self.held).is_over.set(true);
        self.begin_fold(thread);
        self.fold_some(thread)
    }

    /// Begins to let go of what a thread counted and is of no more interest (D2). [`Books::fold_some`] is to be called in the
    /// same passage of the fork gate: no child finds a thread half folded.
    pub(super) fn begin_fold(&self, thread: Handle<Thread>) {
        let own = thread.of(&self.held);
        own.users.set(own.users.get() + 1);
        own.fold.set(own.tallies.first());
    }

    /// Lets go of some of it. `true`: there is more; else the thread goes, too, if nothing holds it.
    pub(super) fn fold_some(&self, thread: Handle<Thread>) -> bool {
        let mut left = FOLDED;
        self.fold_at_most(thread, &mut left)
    }

    /// As [`Books::fold_some`], of `left` tallies.
    pub(super) fn fold_at_most(&self, thread: Handle<Thread>, left: &mut usize) -> bool {
        let own = thread.of(&self.held);
        while let Some(tally) = own.fold.get() {
            if *left == 0 {
                return true;
            }
            *left -= 1;
            own.fold.set(list::after::<OfThread, _>(tally, &self.held));
            self.fold_tally(tally);
        }
        own.users.set(own.users.get() - 1);
        self.drop_thread(thread);
        false
    }

    /// Lets go of a thread that nothing holds.
    pub(super) fn drop_thread(&self, thread: Handle<Thread>) {
        let held: &Held = &self.held;
        let own = thread.of(held);
        let holds = !own.is_over.get() || !own.tallies.is_empty() || own.users.get() > 0;
        if holds {
            return;
        }
        if self.is_pinned.get() {
            self.is_untidy.set(true);
            return;
        }
        self.threads.remove::<All>(thread, held);
        // SAFETY: in no list, named by no tally and no other record.
        unsafe { thread.forget(held) };
    }
}
