//! Extent hooks: the application's say in where the pages of an arena come from and what becomes of them.
//!
//! ```text
//! alloc ──> split, merge ──> (objects) ──> purge_lazy | purge_forced | decommit ... commit ──> dalloc | destroy
//! ```
//! K1  The table is the application's and may be changed by it; a member is read when it is called.
//! K2  A member that is null refuses, each in its way: nothing comes, nothing goes, extents stay whole.
//! K3  The application's code runs with no lock of ours held and outside the allocator (see [`Outside`]); the defaults
//!     are called directly.
//! K4  Addresses that `alloc` answers are pages; anything else is a refusal.
//! Source: jemalloc(3) `arena.<i>.extent_hooks`; the installed header's `extent_hooks_t`.

mod default;

use default::is_of_break;
pub(crate) use default::{dss, set_dss, set_retain, table};

use crate::size::PAGE;
use core::ffi::{c_uint, c_void};
use core::ptr::{self, NonNull};

type Alloc = unsafe extern "C" fn(
    *mut Hooks,
    *mut c_void,
    usize,
    usize,
    *mut bool,
    *mut bool,
    c_uint,
) -> *mut c_void;
type Dalloc = unsafe extern "C" fn(*mut Hooks, *mut c_void, usize, bool, c_uint) -> bool;
type Destroy = unsafe extern "C" fn(*mut Hooks, *mut c_void, usize, bool, c_uint);
type Part = unsafe extern "C" fn(*mut Hooks, *mut c_void, usize, usize, usize, c_uint) -> bool;
type Split =
    unsafe extern "C" fn(*mut Hooks, *mut c_void, usize, usize, usize, bool, c_uint) -> bool;
type Merge =
    unsafe extern "C" fn(*mut Hooks, *mut c_void, usize, *mut c_void, usize, bool, c_uint) -> bool;

/// The table, as the header lays it out: `extent_hooks_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Hooks {
    pub(crate) alloc: Option<Alloc>,
    pub(crate) dalloc: Option<Dalloc>,
    pub(crate) destroy: Option<Destroy>,
    pub(crate) commit: Option<Part>,
    pub(crate) decommit: Option<Part>,
    pub(crate) purge_lazy: Option<Part>,
    pub(crate) purge_forced: Option<Part>,
    pub(crate) split: Option<Split>,
    pub(crate) merge: Option<Merge>,
}

const _: () = assert!(size_of::<Hooks>() == 72);

/// Bits of an address that `alloc` answers which say something about the memory: `EXTENT_ALLOC_FLAG_MASK`.
const ALLOC_FLAGS: usize = 0xff;
/// The memory cannot be taken back: `EXTENT_ALLOC_FLAG_PINNED`.
const ALLOC_PINNED: usize = 1;

/// How the application's code is run: outside the fork gate, the thread marked so that what it calls of us is served by
/// an automatic arena.
pub(crate) trait Outside: Copy {
    /// Runs `body` there.
    fn outside<R>(self, body: impl FnOnce() -> R) -> R;
}

/// A range of pages and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) addr: NonNull<u8>,
    pub(crate) bytes: usize,
    pub(crate) committed: bool,
}

/// What `alloc` gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) range: Range,
    pub(crate) zeroed: bool,
    pub(crate) pinned: bool,
}

/// What is asked of `alloc`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Exactly there, if it is not null.
    pub(crate) at: *mut u8,
    pub(crate) bytes: usize,
    pub(crate) align: usize,
    pub(crate) zero: bool,
    pub(crate) commit: bool,
}

/// The hooks of an arena, ready to be called: `table` is null for the defaults.
#[derive(Clone, Copy)]
pub(crate) struct Caller<O> {
    pub(crate) table: *mut Hooks,
    pub(crate) arena: u32,
    pub(crate) outside: O,
}

impl<O: Outside> Caller<O> {
    /// Whether the defaults do it.
    pub(crate) fn is_default(&self) -> bool {
        self.table.is_null()
    }

    /// Runs the application's `member`, if it has one (K1, K2).
    fn run<F, R>(
        &self,
        member: impl FnOnce(&Hooks) -> Option<F>,
        call: impl FnOnce(F) -> R,
    ) -> Option<R> {
        // SAFETY: the application's table, which it keeps for as long as an arena has it.
        let hook = member(&unsafe { self.table.read() })?;
        Some(self.outside.outside(|| call(hook)))
    }

    /// Pages from `alloc`; `None`: refused.
    pub(crate) fn alloc(&self, wanted: Wanted) -> Option<Given> {
        if self.is_default() {
            return default::alloc(wanted, self.arena);
        }
        let (mut zero, mut commit) = (wanted.zero, wanted.commit);
        let Wanted {
            at, bytes, align, ..
        } = wanted;
        let answer = self.run(
            |hooks| hooks.alloc,
            // SAFETY: the contract of the header.
            |hook| unsafe {
                let (zero, commit) = (&raw mut zero, &raw mut commit);
                hook(
                    self.table,
                    at.cast(),
                    bytes,
                    align,
                    zero,
                    commit,
                    self.arena,
                )
            },
        )?;
        let flags = answer.addr() & ALLOC_FLAGS;
        let addr = NonNull::new(answer.cast::<u8>().map_addr(|addr| addr & !ALLOC_FLAGS))?;
        let range = Range {
            addr,
            bytes,
            committed: commit,
        };
        let wrong_place = !at.is_null() && addr.as_ptr() != at;
        if addr.addr().get() % align.max(PAGE) != 0 || wrong_place {
            // K4: it is the application's again.
            self.dalloc(range);
            return None;
        }
        Some(Given {
            range,
            zeroed: zero,
            pinned: flags & ALLOC_PINNED != 0,
        })
    }

    /// Gives pages up. `false`: refused, they are to be kept.
    pub(crate) fn dalloc(&self, range: Range) -> bool {
        if self.is_default() {
            return default::dalloc(range);
        }
        let Range {
            addr,
            bytes,
            committed,
        } = range;
        // SAFETY: the contract of the header.
        self.run(
            |hooks| hooks.dalloc,
            |hook| unsafe {
                hook(
                    self.table,
                    addr.as_ptr().cast(),
                    bytes,
                    committed,
                    self.arena,
                )
            },
        ) == Some(false)
    }

    /// Gives pages up for good.
    pub(crate) fn destroy(&self, range: Range) {
        if self.is_default() {
            return default::destroy(range);
        }
        let Range {
            addr,
            bytes,
            committed,
        } = range;
        // SAFETY: the contract of the header.
        self.run(
            |hooks| hooks.destroy,
            |hook| unsafe {
                hook(
                    self.table,
                    addr.as_ptr().cast(),
                    bytes,
                    committed,
                    self.arena,
                );
            },
        );
    }

    fn whole(&self, range: Range, member: impl FnOnce(&Hooks) -> Option<Part>) -> bool {
        let Range { addr, bytes, .. } = range;
        // SAFETY: the contract of the header.
        self.run(member, |hook| unsafe {
            hook(
                self.table,
                addr.as_ptr().cast(),
                bytes,
                0,
                bytes,
                self.arena,
            )
        }) == Some(false)
    }

    /// Backs pages by memory, which reads zero. `false`: refused.
    pub(crate) fn commit(&self, range: Range) -> bool {
        // The defaults never decommit.
        !self.is_default() && self.whole(range, |hooks| hooks.commit)
    }

    /// Takes the memory of pages, until they are committed again. `false`: refused.
    pub(crate) fn decommit(&self, range: Range) -> bool {
        !self.is_default() && self.whole(range, |hooks| hooks.decommit)
    }

    /// Lets the memory of pages be taken at any time. `false`: refused.
    pub(crate) fn purge_lazy(&self, range: Range) -> bool {
        if self.is_default() {
            return default::purge(range, true);
        }
        self.whole(range, |hooks| hooks.purge_lazy)
    }

    /// Takes the memory of pages, which read zero from then on. `false`: refused.
    pub(crate) fn purge_forced(&self, range: Range) -> bool {
        if self.is_default() {
            return default::purge(range, false);
        }
        self.whole(range, |hooks| hooks.purge_forced)
    }

    /// Makes two ranges of one, the first of `first` bytes. `false`: refused.
    pub(crate) fn split(&self, range: Range, first: usize) -> bool {
        if self.is_default() {
            return true;
        }
        let Range {
            addr,
            bytes,
            committed,
        } = range;
        // SAFETY: the contract of the header.
        self.run(
            |hooks| hooks.split,
            |hook| unsafe {
                let addr = addr.as_ptr().cast();
                hook(
                    self.table,
                    addr,
                    bytes,
                    first,
                    bytes - first,
                    committed,
                    self.arena,
                )
            },
        ) == Some(false)
    }

    /// Makes one range of two that lie side by side. `false`: refused.
    pub(crate) fn merge(&self, first: Range, second: Range) -> bool {
        if self.is_default() {
            // What lies beyond the end of the data segment is another's.
            return is_of_break(first.addr) == is_of_break(second.addr);
        }
        let at = |range: Range| range.addr.as_ptr().cast();
        // SAFETY: the contract of the header.
        self.run(
            |hooks| hooks.merge,
            |hook| unsafe {
                let (a, b) = (at(first), at(second));
                hook(
                    self.table,
                    a,
                    first.bytes,
                    b,
                    second.bytes,
                    first.committed,
                    self.arena,
                )
            },
        ) == Some(false)
    }
}

/// Whether `table` is the table of the defaults, or null.
pub(crate) fn is_default(table: *mut Hooks) -> bool {
    table.is_null() || ptr::eq(table, default::place())
}
