//! Arena: one made by request, by its record.
//!
//! The record is small and stays for its index; the books, some nine kilobytes, come with the first allocation. So a
//! thousand arenas that are hardly used cost little.
//!
//! A1  A record is of one arena after the other; `life` says whether there is one now.
//! A2  Who works on an arena unasked, as time passes, is counted in `visitors` before it looks at `life`; who ends an arena
//!     changes `life` before it looks at `visitors`. Both in one total order: one of the two sees the other.
//! A3  The books are made once for an index, and begin anew with each arena; so is the place for what the epoch noted, when
//!     the first epoch begins.
//! Lock: the arena's own, rank 2; the page heap (3) and the metadata (4) may be taken under it.

use super::books::Books;
use super::figures::Seen;
use crate::arena::cells::Number;
use crate::extent::hooks::{Caller, Hooks, Outside};
use crate::meta::{self, MetaRef};
use crate::sync::{LockFigures, Mutex};
use crate::sys::thread as system;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Bytes of a name, the zero at its end among them.
pub(crate) const NAME: usize = 32;

/// Whether there is an arena.
const GONE: u32 = 0;
const ALIVE: u32 = 1;
/// It is about to end: nobody begins to work on it.
const ENDING: u32 = 2;

pub(super) struct Inner {
    pub(super) name: [u8; NAME],
    /// Number of the books' record; 0 before the first allocation ever.
    books: u32,
    /// Number of the record of what was noted for the epoch; 0: nobody has asked yet.
    seen: u32,
    /// Whether the books are this arena's (A3), and whether what was noted is.
    begun: bool,
    noted: bool,
}

/// The record.
#[repr(C, align(64))]
pub(crate) struct Arena {
    pub(super) index: u32,
    life: AtomicU32,
    pub(super) next_free: Number,
    /// The application's hooks; null for the defaults.
    pub(super) table: AtomicPtr<Hooks>,
    /// Threads whose allocations come here.
    pub(super) threads: AtomicUsize,
    /// Who works on it unasked (A2).
    visitors: AtomicUsize,
    /// Pages in use: the application may look at it at any time.
    pub(super) active_pages: AtomicUsize,
    /// Pages that wait for being purged.
    pub(super) idle_pages: AtomicUsize,
    /// When some of them are due.
    pub(super) due_ns: AtomicU64,
    pub(super) born_ns: AtomicU64,
    pub(super) dirty_ms: AtomicIsize,
    pub(super) muzzy_ms: AtomicIsize,
    /// Bytes of one growth at most.
    pub(super) grow_limit: AtomicUsize,
    /// Bytes from which a freed extent is purged at once; 0: none is.
    pub(super) oversize: AtomicUsize,
    inner: Mutex<Inner, 2>,
}

/// An arena by its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ArenaRef(NonNull<Arena>);

impl Deref for ArenaRef {
    type Target = Arena;
    fn deref(&self) -> &Arena {
        // SAFETY: records of arenas stay for good; what changes is atomic or behind the lock.
        unsafe { self.0.as_ref() }
    }
}

impl ArenaRef {
    /// A record for `index`, without an arena yet. `None`: out of memory.
    pub(super) fn create(index: u32) -> Option<(Self, MetaRef)> {
        let record = meta::allocate(meta::units_of::<Arena>())?;
        let arena: NonNull<Arena> = record.resolve();
        // SAFETY: a record of that many units, ours alone.
        unsafe {
            arena.as_ptr().write(Arena {
                index,
                life: AtomicU32::new(GONE),
                next_free: Number::new(0),
                table: AtomicPtr::new(ptr::null_mut()),
                threads: AtomicUsize::new(0),
                visitors: AtomicUsize::new(0),
                active_pages: AtomicUsize::new(0),
                idle_pages: AtomicUsize::new(0),
                due_ns: AtomicU64::new(u64::MAX),
                born_ns: AtomicU64::new(0),
                dirty_ms: AtomicIsize::new(0),
                muzzy_ms: AtomicIsize::new(0),
                grow_limit: AtomicUsize::new(0),
                oversize: AtomicUsize::new(0),
                inner: Mutex::new(Inner {
                    name: [0; NAME],
                    books: 0,
                    seen: 0,
                    begun: false,
                    noted: false,
                }),
            });
        }
        Some((Self(arena), record))
    }

    /// The arena whose record has that number.
    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    /// Index among all arenas.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    pub(super) fn is_alive(self) -> bool {
        // Acquire: pairs with the Release in `begin`.
        self.life.load(Ordering::Acquire) == ALIVE
    }

    /// Whether nobody is about to end it, in the one order in which ends and their lookers stand (A2).
    pub(super) fn is_to_stay(self) -> bool {
        self.life.load(Ordering::SeqCst) == ALIVE
    }

    /// Begins an arena (A1).
    pub(super) fn begin(self, name: &[u8]) {
        {
            let mut inner = self.inner.lock();
            inner.name = [0; NAME];
            for (to, from) in inner.name[..NAME - 1].iter_mut().zip(name) {
                *to = *from;
            }
            (inner.begun, inner.noted) = (false, false);
        }
        self.active_pages.store(0, Ordering::Relaxed);
        self.idle_pages.store(0, Ordering::Relaxed);
        self.due_ns.store(u64::MAX, Ordering::Relaxed);
        // Release: pairs with the Acquire in `is_alive`.
        self.life.store(ALIVE, Ordering::Release);
    }

    /// Begins its end: from now on nobody finds it, and nobody works on it unasked. `false`: there is none, or threads
    /// are bound to it. Waits outside: who works on it may be in a hook, and come back past a gate that a fork has closed.
    pub(super) fn close(self, outside: impl Outside) -> bool {
        if self.threads.load(Ordering::SeqCst) != 0 {
            return false;
        }
        let closed = self
            .life
            .compare_exchange(ALIVE, ENDING, Ordering::SeqCst, Ordering::Relaxed);
        if closed.is_err() {
            return false;
        }
        if self.threads.load(Ordering::SeqCst) != 0 {
            self.life.store(ALIVE, Ordering::SeqCst);
            return false;
        }
        if self.visitors.load(Ordering::SeqCst) != 0 {
            outside.outside(|| {
                while self.visitors.load(Ordering::SeqCst) != 0 {
                    system::relax();
                }
            });
        }
        true
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.life.store(GONE, Ordering::Release);
    }

    /// Works on it unasked, if it is not about to end (A2).
    pub(crate) fn visit<R>(self, work: impl FnOnce() -> R) -> Option<R> {
        self.visitors.fetch_add(1, Ordering::SeqCst);
        let result = self.is_to_stay().then(work);
        self.leave();
        result
    }

    fn leave(self) {
        // In a child forked from within a visit there is none.
        let less = |visitors: usize| visitors.checked_sub(1);
        let _ = self
            .visitors
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, less);
    }

    /// In a forked child: who worked on it is gone.
    pub(super) fn forget_visitors(self) {
        self.visitors.store(0, Ordering::Relaxed);
    }

    /// Its hooks, ready to be called.
    pub(super) fn caller<O: Outside>(self, outside: O) -> Caller<O> {
        Caller {
            // Acquire: pairs with the Release of whoever sets it, for the table's contents.
            table: self.table.load(Ordering::Acquire),
            arena: self.index,
            outside,
        }
    }

    /// What was counted of its lock.
    pub(crate) fn lock_figures(self) -> LockFigures {
        self.inner.figures()
    }

    /// What the arena is called.
    pub(super) fn named<R>(self, look: impl FnOnce(&mut [u8; NAME]) -> R) -> R {
        look(&mut self.inner.lock().name)
    }

    /// Sees to it that there are books. `false`: out of memory.
    pub(super) fn has_books(self) -> bool {
        let mut inner = self.inner.lock();
        if inner.books == 0 {
            let Some(record) = meta::allocate(meta::units_of::<Books>()) else {
                return false;
            };
            inner.books = record.number();
        }
        if !inner.begun {
            if let Some(record) = MetaRef::from_number(inner.books) {
                let (dirty, muzzy) = self.decay_ms();
                // SAFETY: the record of the books, long enough; the lock is held.
                unsafe { record.resolve::<Books>().write(Books::new(dirty, muzzy)) };
            }
            inner.begun = true;
        }
        true
    }

    /// Works on the books, under the lock. `None`: there are none yet.
    pub(super) fn with<R>(self, work: impl FnOnce(&mut Books) -> R) -> Option<R> {
        let inner = self.inner.lock();
        let record = MetaRef::from_number(inner.books).filter(|_| inner.begun)?;
        // SAFETY: `has_books` wrote them; the lock is held until the end of the block.
        let books = unsafe { record.resolve::<Books>().as_mut() };
        let result = work(books);
        self.active_pages
            .store(books.pages(super::extent::State::Active), Ordering::Relaxed);
        self.idle_pages.store(books.purgeable(), Ordering::Relaxed);
        drop(inner);
        Some(result)
    }

    /// Looks at what was noted for the epoch. `None`: nothing was.
    pub(super) fn with_seen<R>(self, look: impl FnOnce(&Seen) -> R) -> Option<R> {
        let inner = self.inner.lock();
        let record = MetaRef::from_number(inner.seen).filter(|_| inner.noted)?;
        // SAFETY: `renew_seen` wrote it; the lock is held until the end of the block.
        Some(look(unsafe { record.resolve::<Seen>().as_ref() }))
    }

    /// Notes what the books tell. `false`: there are none yet, or out of memory.
    pub(super) fn renew_seen(self, note: impl FnOnce(&Books, &mut Seen)) -> bool {
        let mut inner = self.inner.lock();
        let Some(books) = MetaRef::from_number(inner.books).filter(|_| inner.begun) else {
            return false;
        };
        if inner.seen == 0 {
            let Some(record) = meta::allocate(meta::units_of::<Seen>()) else {
                return false;
            };
            inner.seen = record.number();
        }
        let Some(record) = MetaRef::from_number(inner.seen) else {
            return false;
        };
        let mut seen = record.resolve::<Seen>();
        inner.noted = true;
        // SAFETY: `has_books` wrote the books; a record of that many units is as long as what was noted, and is written
        //         before it is looked at; the lock is held until the end of the block.
        unsafe {
            seen.write(Seen::NONE);
            note(books.resolve::<Books>().as_ref(), seen.as_mut());
        }
        true
    }

    pub(super) fn decay_ms(self) -> (isize, isize) {
        (
            self.dirty_ms.load(Ordering::Relaxed),
            self.muzzy_ms.load(Ordering::Relaxed),
        )
    }
}
