//! Life of an arena made by request: made, set, reset, ended; and what time does to all of them.
//!
//! E1  An arena with threads bound to it does not end.
//! E2  Hooks of an application's own run on threads of the application: the purge thread, which the C library does not
//!     know, leaves those arenas alone.

use super::arena::{ArenaRef, NAME};
use super::objects;
use super::pages::Works;
use super::samples;
use super::table;
use crate::arena::{explicit, hardened};
use crate::ds::text::Line;
use crate::extent::hooks::{self, Hooks, Outside};
use crate::options::Dss;
use crate::size::{HUGE_PAGES, MAX_SIZE, class_of};
use crate::sys::clock;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Arenas that a tick looks at.
const LOOKS: usize = 64;

/// The arena that the next tick begins at.
static CURSOR: AtomicUsize = AtomicUsize::new(0);

/// Makes an arena with the application's `table` of hooks, null for the defaults; its index. `None`: there are as many as
/// there may be, or memory is out.
pub(crate) fn create(table: *mut Hooks, decay_ms: (isize, isize), dss: Dss) -> Option<usize> {
    let arena = table::take()?;
    arena.set_hooks(table);
    arena.dirty_ms.store(decay_ms.0, Ordering::Relaxed);
    arena.muzzy_ms.store(decay_ms.1, Ordering::Relaxed);
    arena.grow_limit.store(MAX_SIZE, Ordering::Relaxed);
    arena.oversize.store(0, Ordering::Relaxed);
    arena.born_ns.store(clock::now_ns(), Ordering::Relaxed);
    hooks::set_dss(arena.index(), dss);
    let mut name = Line::new();
    name.text("manual_").decimal(arena.index());
    arena.begin(name.as_bytes());
    Some(arena.index())
}

impl ArenaRef {
    /// Discards every object; their pages wait to be used again.
    pub(crate) fn reset(self, outside: impl Outside) {
        explicit::forget(self);
        objects::discard_all(self, outside);
        hardened::discard(self.index(), |sample| samples::end(sample, outside));
    }

    /// Discards every object and the arena. `false`: threads are bound to it (E1).
    pub(crate) fn destroy(self, outside: impl Outside) -> bool {
        if !self.close(outside) {
            return false;
        }
        self.reset(outside);
        Works::new(self, outside).destroy();
        self.bury();
        hardened::forget(self.index());
        self.end();
        table::give(self);
        true
    }

    /// The application's hooks, null for the defaults.
    pub(crate) fn hooks(self) -> *mut Hooks {
        self.table.load(Ordering::Acquire)
    }

    /// Has the application's `table` of hooks called from now on; null for the defaults.
    pub(crate) fn set_hooks(self, table: *mut Hooks) {
        let table = if hooks::is_default(table) {
            ptr::null_mut()
        } else {
            table
        };
        // Release: pairs with the Acquire in `caller`.
        self.table.store(table, Ordering::Release);
        self.with(|books| books.grow_pages = books.grow_pages.max(HUGE_PAGES));
    }

    /// What is done about dirty pages and muzzy ones, in milliseconds.
    pub(crate) fn decay_times(self) -> (isize, isize) {
        self.decay_ms()
    }

    /// Sets how long idle pages may stay, dirty ones or muzzy ones. What is due by that goes at once.
    pub(crate) fn set_decay_ms(self, dirty: bool, decay_ms: isize, outside: impl Outside) {
        let cell = if dirty {
            &self.dirty_ms
        } else {
            &self.muzzy_ms
        };
        cell.store(decay_ms, Ordering::Relaxed);
        self.with(|books| books.decays[usize::from(!dirty)].set_decay_ms(decay_ms));
        self.age(clock::now_ns(), false, outside);
    }

    /// Gives up idle pages that are due, or all of them; how many.
    pub(crate) fn age(self, now_ns: u64, all: bool, outside: impl Outside) -> usize {
        Works::new(self, outside).age(now_ns, all)
    }

    /// What it is called, with a zero at the end.
    pub(crate) fn name(self) -> [u8; NAME] {
        self.named(|name| *name)
    }

    /// Calls it `text`, with a zero at the end.
    pub(crate) fn set_name(self, text: &[u8; NAME]) {
        self.named(|name| *name = *text);
    }

    /// Bytes of one growth at most.
    pub(crate) fn grow_limit(self) -> usize {
        self.grow_limit.load(Ordering::Relaxed)
    }

    /// Sets it to the class that is no larger than `bytes`, which are a page at least.
    pub(crate) fn set_grow_limit(self, bytes: usize) {
        let bytes = bytes.min(MAX_SIZE);
        let limit = match class_of(bytes) {
            Some(class) if class.size() == bytes => bytes,
            Some(class) => class_of_before(class.index()),
            None => MAX_SIZE,
        };
        self.grow_limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes from which a freed extent is given up at once; 0: none is.
    pub(crate) fn oversize(self) -> usize {
        self.oversize.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub(crate) fn set_oversize(self, bytes: usize) {
        self.oversize.store(bytes, Ordering::Relaxed);
    }

    /// Pages in use, at an address that stays.
    pub(crate) fn active_pages(self) -> *const usize {
        // Of the record, which stays for good.
        self.active_pages.as_ptr()
    }

    /// A thread's allocations come here from now on. `false`: the arena has ended, or is about to. Who binds counts itself
    /// before it looks, who ends the arena looks before and after (see `close`): one of the two sees the other.
    pub(crate) fn bind(self) -> bool {
        self.threads.fetch_add(1, Ordering::SeqCst);
        let stays = self.is_to_stay();
        if !stays {
            self.unbind();
        }
        stays
    }

    /// They come here no more.
    pub(crate) fn unbind(self) {
        self.threads.fetch_sub(1, Ordering::SeqCst);
    }

    /// Threads bound to it.
    pub(crate) fn threads(self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }
}

fn class_of_before(index: usize) -> usize {
    let before = (0..index)
        .rev()
        .find(|&index| crate::size::page_class(index).is_some());
    before.map_or(crate::size::PAGE, crate::size::size_of_class)
}

/// Gives up what is due, in some of the arenas, the others being for later ticks. `own`: a thread of the application
/// (E2).
pub(crate) fn tick(now_ns: u64, own: bool, outside: impl Outside) {
    if !table::is_used() {
        return;
    }
    let from = CURSOR.load(Ordering::Relaxed);
    let mut next = 0;
    for (looks, arena) in table::all_from(from).enumerate() {
        if looks == LOOKS {
            next = arena.index();
            break;
        }
        let is_due = arena.due_ns.load(Ordering::Relaxed) <= now_ns;
        if is_due && (own || arena.hooks().is_null()) {
            arena.visit(|| arena.age(now_ns, false, outside));
        }
    }
    CURSOR.store(next, Ordering::Relaxed);
}

/// Gives up all that idles in all arenas; bytes. `own` as for [`tick`].
pub(crate) fn purge_all(own: bool, outside: impl Outside) -> usize {
    if !table::is_used() {
        return 0;
    }
    let now = clock::now_ns();
    let arenas = table::all().filter(|arena| own || arena.hooks().is_null());
    let pages = arenas.filter_map(|arena| arena.visit(|| arena.age(now, true, outside)));
    pages.sum::<usize>() * crate::size::PAGE
}

/// Gives up what is due, in all arenas.
pub(crate) fn age_all(outside: impl Outside) {
    let now = clock::now_ns();
    for arena in table::all() {
        arena.visit(|| arena.age(now, false, outside));
    }
}

/// Bytes that wait for being purged in arenas with the default hooks, where time purges.
pub(crate) fn idle_bytes() -> usize {
    if !table::is_used() {
        return 0;
    }
    let is_due = |arena: &ArenaRef| arena.due_ns.load(Ordering::Relaxed) != u64::MAX;
    let arenas = table::all().filter(|arena| arena.hooks().is_null() && is_due(arena));
    let pages: usize = arenas
        .map(|arena| arena.idle_pages.load(Ordering::Relaxed))
        .sum();
    pages * crate::size::PAGE
}

/// Bytes in pages in use of all arenas, at this instant.
pub(crate) fn active_bytes() -> usize {
    if !table::is_used() {
        return 0;
    }
    let pages = table::all().map(|arena| arena.active_pages.load(Ordering::Relaxed));
    pages.sum::<usize>() * crate::size::PAGE
}

/// In a forked child: nobody but the calling thread works on arenas.
pub(crate) fn forget_visitors() {
    if table::is_used() {
        for arena in table::all() {
            arena.forget_visitors();
        }
    }
}
