//! Large: an object with pages of its own, between guards.
//!
//! ```text
//! run      | guard |    zeros, canary | object ............. | guard |        ends at the guard, as its alignment lets it
//!          | object .................. | canary, zeros | guard |              alignments above a page
//! record   0 kind | 4 number | 8 flags | 16 run | 24 pages | 32 object | 40 bytes | 48 marks (16)
//!          64 next | 68 prev | 72 secret | 80 class of the run | 88 older | 92 newer
//! ```
//! G1  What is left of the pages before and behind the object is canary and zeros.
//! G2  A freed object's memory goes when it is let go (A5), and nobody may touch its pages while it is in the quarantine; where
//!     the system refuses that, they are zeroed, and looked at when it leaves.
//! G3  The page map names the record on the guards and on the first [`NAMED`] pages between them.
//! G4  `paranoid` keeps the addresses of a run for objects of its class: it sleeps (see `asleep`).
//! G5  An object is live and in the list from one instant on, when all else is in place: before, its page map may name it, and
//!     whoever frees it is told of a double free.
//! Lock: one for all, rank 2.

use super::about::About;
use super::asleep::{self, RunClass};
use super::bare;
use super::canary;
use super::door::{Ask, Told};
use super::guard;
use super::quarantine::Entry;
use super::random;
use super::slab::{Marks, State};
use super::{Freed, Place, watched};
use crate::arena::cells::{Address, Number, Size};
use crate::arena::misuse::{self, Misuse};
use crate::arena::record::{Kind, KindCell};
use crate::extent::{HEAP, Purpose, page_map};
use crate::meta::{self, MetaRef};
use crate::size::{PAGE, Pages};
use crate::sync::Mutex;
use crate::sys::memory;
use core::ops::Deref;
use core::ptr::NonNull;

/// See G3.
const NAMED: usize = 64;
/// Pages that are looked at for the record of a refused access: a GiB.
const FAR: usize = 1 << 18;

/// The record.
#[repr(C, align(64))]
pub(super) struct Large {
    kind: KindCell,
    number: Number,
    flags: Number,
    run: Address,
    /// Of the run, guards among them.
    pages: Size,
    object: Address,
    bytes: Size,
    marks: Marks,
    pub(super) next: Number,
    pub(super) prev: Number,
    secret: Size,
    /// See `asleep`, as the two that follow.
    class: Size,
    pub(super) older: Number,
    pub(super) newer: Number,
}

/// The run has a guard behind it; and one before it.
const GUARDED: u32 = 1;
const GUARDED_BEFORE: u32 = 2;
/// Nobody may touch the pages.
const SHUT: u32 = 4;
/// The guards are bare; and the pages.
const BARE_GUARDS: u32 = 8;
const BARE: u32 = 16;

/// A large object by its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LargeRef(NonNull<Large>);

impl Deref for LargeRef {
    type Target = Large;
    fn deref(&self) -> &Large {
        // SAFETY: records stay mapped, and all fields are atomics.
        unsafe { self.0.as_ref() }
    }
}

/// What there is.
struct Larges {
    first: u32,
}

static LARGES: Mutex<Larges, 2> = Mutex::new(Larges { first: 0 });

/// An object with pages of its own. `None`: out of memory.
pub(super) fn alloc(ask: &Ask) -> Option<*mut u8> {
    let large = furnish(ask)?;
    LARGES.lock().begin(large, ask);
    Some(large.object.get())
}

/// Pages with the place of an object for `ask`, which is not live yet (G5). `None`: out of memory.
pub(super) fn furnish(ask: &Ask) -> Option<LargeRef> {
    if let Some(large) = LargeRef::wake(ask) {
        large.write_canaries();
        return Some(large);
    }
    let record = meta::allocate(meta::units_of::<Large>())?;
    let Some(large) = LargeRef::place(record, ask) else {
        // SAFETY: just allocated; nobody knows it.
        unsafe { meta::recycle(record, meta::units_of::<Large>()) };
        return None;
    };
    large.write_canaries();
    large.name(Some(record));
    Some(large)
}

/// Whether one more run may have guards: what sleeps makes room.
pub(super) fn has_guards() -> bool {
    while !guard::has_room() {
        let Some(sleeper) = asleep::take_oldest() else {
            return false;
        };
        sleeper.give_back();
    }
    true
}

/// Has all that sleeps go back to the page heap, if something does, of so many bytes of addresses at least. Whether it did.
pub(super) fn relieve(least_bytes: usize) -> bool {
    if asleep::bytes() < least_bytes.max(1) {
        return false;
    }
    while let Some(sleeper) = asleep::take_oldest() {
        sleeper.give_back();
    }
    true
}

impl Larges {
    /// The object for `ask` in pages that were prepared is live (G5).
    fn begin(&mut self, large: LargeRef, ask: &Ask) {
        large.marks.begin(ask);
        large.prev.set(0);
        large.next.set(self.first);
        if let Some(next) = LargeRef::from_link(self.first) {
            next.prev.set(large.number());
        }
        self.first = large.number();
    }

    /// Ends the next object of an arena from the one with number `link` on.
    fn end_next_of(&self, arena: usize, mut link: u32) -> Option<(LargeRef, Freed)> {
        while let Some(large) = LargeRef::from_link(link) {
            if large.marks.is_live_of(arena) {
                if let Err(error) = large.look_beside() {
                    misuse::report(error, large.object.get());
                }
                large.marks.end(0);
                let bytes = large.bytes.get();
                return Some((large, Freed::of(&large.marks, bytes, Place::Pages(large))));
            }
            link = large.next.get();
        }
        None
    }

    fn unlink(&mut self, large: LargeRef) {
        let (next, prev) = (large.next.get(), large.prev.get());
        match LargeRef::from_link(prev) {
            Some(prev) => prev.next.set(next),
            None => self.first = next,
        }
        if let Some(next) = LargeRef::from_link(next) {
            next.prev.set(prev);
        }
    }
}

impl LargeRef {
    pub(super) fn from_link(number: u32) -> Option<Self> {
        Some(Self(MetaRef::from_number(number)?.resolve()))
    }

    pub(super) fn number(self) -> u32 {
        self.number.get()
    }

    /// Pages of the run, guards among them.
    pub(super) fn pages(self) -> usize {
        self.pages.get()
    }

    /// For what objects the run is.
    pub(super) fn class(self) -> RunClass {
        RunClass::from_number(self.class.get())
    }

    /// The object that `record` describes, if it describes one.
    #[inline]
    pub(super) fn from_record(record: MetaRef) -> Option<Self> {
        let large = Self(record.resolve());
        (large.kind.get() == Kind::HardLarge).then_some(large)
    }

    /// A run that slept, for `ask`. `None`: none that may serve it.
    fn wake(ask: &Ask) -> Option<Self> {
        let pages = ask.bytes.max(1).div_ceil(PAGE);
        let class = RunClass::of(ask.bytes, pages, ask.align <= PAGE);
        let large = asleep::take(class, ask.align.max(PAGE))?;
        let is_granted = bare::reserve(pages);
        let base = NonNull::new(large.base());
        let open = |base| {
            // SAFETY: pages of the run, which is the caller's; they read zero.
            unsafe { memory::protect(base, pages * PAGE, true) }
        };
        if !is_granted || !base.is_some_and(open) {
            bare::note(if is_granted { pages } else { 0 });
            if !asleep::put(large) {
                large.give_back();
            }
            return None;
        }
        large.flags.set(large.flags.get() & !(SHUT | BARE));
        watched::forbid(large.base(), pages * PAGE);
        large.lay_out(ask);
        Some(large)
    }

    /// Finds the object for `ask` its place, in pages that read zero.
    fn lay_out(self, ask: &Ask) {
        let base = self.base();
        let slack = self.end().addr() - base.addr() - ask.bytes;
        // Small objects too are aligned as the sizes of their classes are.
        let least = if ask.bytes < 16 { 8 } else { 16 };
        let offset = match self.is(GUARDED) && ask.align <= PAGE {
            true => slack & !(ask.align.max(least) - 1),
            false => 0,
        };
        self.bytes.set(ask.bytes);
        self.object.set(base.wrapping_add(offset));
        self.secret.set(random::secret(base.addr() as u64) as usize);
    }

    /// Pages for `ask`, with guards if there may be more, and the object's place among them.
    fn place(record: MetaRef, ask: &Ask) -> Option<Self> {
        let guards = has_guards();
        let before = guards && ask.align <= PAGE;
        let front = usize::from(before);
        // Without a guard behind it there is room for a canary.
        let room = ask
            .bytes
            .checked_add(if guards { 0 } else { canary::BYTES })?;
        let pages = room.max(1).div_ceil(PAGE);
        let total = Pages(pages.checked_add(front + usize::from(guards))?);
        let run = HEAP.alloc(total, ask.align.max(PAGE), Purpose::Zeroed)?;
        let base = run.addr.as_ptr().wrapping_add(front * PAGE);
        // All of it, as it may do without its guards.
        let is_bare = bare::clear(&run, total);
        // SAFETY: the run just handed out; nobody uses its first and last page if they are to be guards.
        let guarded = guards && unsafe { guard::raise(run.addr, total, before, is_bare) };
        watched::forbid(base, pages * PAGE);
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        let large: NonNull<Large> = record.resolve();
        // SAFETY: a record of that many units, ours alone.
        unsafe {
            large.as_ptr().write(Large {
                kind: KindCell::default(),
                number: Number::new(record.number()),
                flags: Number::new(
                    flag(guarded, GUARDED)
                        | flag(before, GUARDED_BEFORE)
                        | flag(guarded && is_bare, BARE_GUARDS),
                ),
                run: Address::new(),
                pages: Size::new(total.0),
                object: Address::new(),
                bytes: Size::new(0),
                marks: Marks::new(),
                next: Number::new(0),
                prev: Number::new(0),
                secret: Size::new(0),
                class: Size::new(RunClass::of(ask.bytes, pages, before).number()),
                older: Number::new(0),
                newer: Number::new(0),
            });
        }
        let large = Self(large);
        large.run.set(run.addr.as_ptr());
        large.lay_out(ask);
        large.kind.set(Kind::HardLarge);
        Some(large)
    }

    fn is(self, flag: u32) -> bool {
        self.flags.get() & flag != 0
    }

    /// Where the pages between the guards begin.
    pub(super) fn base(self) -> *mut u8 {
        let front = usize::from(self.is(GUARDED_BEFORE));
        self.run.get().wrapping_add(front * PAGE)
    }

    /// Where they end.
    fn end(self) -> *mut u8 {
        let pages = self.pages.get() - usize::from(self.is(GUARDED));
        self.run.get().wrapping_add(pages * PAGE)
    }

    /// Bytes before the object, and behind it (G1).
    fn slack(self) -> (usize, usize) {
        let object = self.object.get().addr();
        let before = object - self.base().addr();
        (before, self.end().addr() - object - self.bytes.get())
    }

    fn write_canaries(self) {
        let (object, (before, behind)) = (self.object.get(), self.slack());
        let secret = self.secret.get() as u64;
        // SAFETY: beside the object, within its pages.
        unsafe {
            canary::write_before(object, before, secret);
            canary::write_behind(object.add(self.bytes.get()), behind, secret);
        }
    }

    /// Names `record` on its pages (G3).
    fn name(self, record: Option<MetaRef>) {
        let pages = self.pages.get();
        for page in (0..pages.min(NAMED)).chain([pages - 1]) {
            page_map::set_record(self.run.get().wrapping_add(page * PAGE), record);
        }
    }

    /// Whether the object at `ptr` is live and whole. Under the lock.
    fn look(self, ptr: *const u8) -> Result<(), Misuse> {
        if self.kind.get() != Kind::HardLarge {
            return Err(Misuse::Foreign);
        }
        if self.object.get().cast_const() != ptr {
            return Err(Misuse::Interior);
        }
        if self.marks.state() != State::Live {
            return Err(Misuse::DoubleFree);
        }
        self.look_beside()
    }

    fn look_beside(self) -> Result<(), Misuse> {
        let (object, (before, behind)) = (self.object.get(), self.slack());
        let secret = self.secret.get() as u64;
        // SAFETY: beside the object, within its pages, which are readable while it is live.
        unsafe {
            if !canary::is_whole_behind(object.add(self.bytes.get()), behind, secret) {
                return Err(Misuse::Overflow);
            }
            if !canary::is_whole_before(object, before, secret) {
                return Err(Misuse::Underflow);
            }
        }
        Ok(())
    }

    /// Bytes that the object at `ptr` was asked for with, if it is live and whole.
    pub(super) fn inspect(self, ptr: *const u8) -> Result<usize, Misuse> {
        let _larges = LARGES.lock();
        self.look(ptr).map(|()| self.bytes.get())
    }

    /// What is known of the object.
    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// What is known of it, as far as can be told without the lock.
    pub(super) fn about(self) -> About {
        let class = self.end().addr().saturating_sub(self.base().addr());
        About::of(&self.marks, self.bytes.get(), class)
    }

    /// What an access of `addr`, in its pages or guards, that the system refuses is. `None`: it is not we who have it refused,
    /// but the program, of its own object.
    pub(super) fn refused(self, addr: usize) -> Option<Misuse> {
        let is_inside = (self.base().addr()..self.end().addr()).contains(&addr);
        match self.marks.state() {
            State::Live if is_inside => None,
            State::Live => Some(Misuse::OutOfBounds),
            State::Free | State::Waiting | State::Spoilt => Some(Misuse::UseAfterFree),
        }
    }

    /// Changes the object at `ptr`, live and whole, to `bytes` where it is; what is added reads zero. The bytes
    /// it had; `None`: it cannot be.
    pub(super) fn resize(self, ptr: *mut u8, bytes: usize, align: Option<usize>) -> Option<usize> {
        let _larges = LARGES.lock();
        self.look(ptr).ok()?;
        let (_, behind) = self.slack();
        let old = self.bytes.get();
        let room = old + behind;
        // With less than half of it left a move gives memory back.
        let fits = bytes <= room && bytes * 2 >= room && bytes > 0;
        if !fits || !self.is(GUARDED) && bytes + canary::BYTES > room {
            return None;
        }
        // SAFETY: within the object's pages.
        unsafe {
            let (from, to) = (old.min(bytes), (old + canary::BYTES).min(room));
            ptr.add(from).write_bytes(0, to - from);
        }
        self.bytes.set(bytes);
        if let Some(align) = align {
            self.marks.set_align(align);
        }
        self.write_canaries();
        Some(old)
    }

    /// Frees the object at `ptr`. Otherwise nothing happened.
    pub(super) fn dealloc(self, ptr: *mut u8, told: &Told) -> Result<Freed, Misuse> {
        let _larges = LARGES.lock();
        self.look(ptr)?;
        let bytes = self.bytes.get();
        if told.is_wrong_door(self.marks.door()) {
            return Err(Misuse::WrongDoor);
        }
        if !told.fits(bytes, self.marks.lg_align()) {
            return Err(Misuse::WrongSize);
        }
        self.marks.end(told.trace);
        Ok(Freed::of(&self.marks, bytes, Place::Pages(self)))
    }

    /// A freed object is let go: what is to wait.
    pub(super) fn let_go(self) -> Entry {
        self.shut();
        watched::note_dealloc(self.object.get());
        Entry::large(self.number.get(), self.pages.get() * PAGE)
    }

    /// Takes the memory of the object, which nobody uses any more, and keeps everybody off its pages (G2).
    fn shut(self) {
        let Some(base) = NonNull::new(self.base()) else {
            return;
        };
        let bytes = self.end().addr() - base.addr().get();
        // SAFETY: the object's pages, whose contents are of no use.
        unsafe {
            let is_bare = HEAP.renew(base, Pages(bytes / PAGE));
            if !is_bare {
                base.as_ptr().write_bytes(0, bytes);
            }
            let is_shut = self.is(GUARDED) && memory::protect(base, bytes, false);
            let flag = |is: bool, flag: u32| if is { flag } else { 0 };
            let flags = self.flags.get() | flag(is_shut, SHUT) | flag(is_bare, BARE);
            self.flags.set(flags);
            if is_bare {
                bare::note(bytes / PAGE);
            }
        }
    }

    /// Bare pages of the run.
    fn bare_pages(self) -> usize {
        let guards = usize::from(self.is(GUARDED)) + usize::from(self.is(GUARDED_BEFORE));
        let between = self.pages.get() - guards;
        let pages = if self.is(BARE) { between } else { 0 };
        pages + if self.is(BARE_GUARDS) { guards } else { 0 }
    }

    /// Where the object is.
    #[cfg(test)]
    pub(super) fn object(self) -> *mut u8 {
        self.object.get()
    }

    /// Whether there is a guard behind the object.
    #[cfg(test)]
    pub(super) fn is_guarded(self) -> bool {
        self.is(GUARDED)
    }

    /// Whether nobody may touch any of the run, and none of it has memory.
    pub(super) fn is_bare_and_shut(self) -> bool {
        self.is(SHUT) && self.is(BARE) && self.is(BARE_GUARDS)
    }

    /// It leaves the quarantine; its addresses serve its class again, if that is what `keeps_addresses` says (G4).
    pub(super) fn release(self, keeps_addresses: bool) {
        let (base, bytes) = (self.base(), self.end().addr() - self.base().addr());
        // SAFETY: the object's own pages, readable as nobody shut them.
        if !self.is(SHUT) && unsafe { !canary::is_zero(base, bytes) } {
            misuse::report(Misuse::WriteAfterFree, self.object.get());
        }
        LARGES.lock().unlink(self);
        if keeps_addresses && self.is_bare_and_shut() && asleep::put(self) {
            while let Some(sleeper) = asleep::take_surplus() {
                sleeper.give_back();
            }
        } else {
            self.give_back();
        }
    }

    /// Its run goes back to the page heap; it is in no list, and the caller's.
    fn give_back(self) {
        let Some(run) = NonNull::new(self.run.get()) else {
            return;
        };
        let pages = Pages(self.pages.get());
        // SAFETY: the whole run, which nobody uses.
        if self.is(GUARDED) && !unsafe { guard::lower(run, pages, self.bare_pages()) } {
            // The system refuses: nobody ever gets these addresses again.
            return;
        }
        {
            let _larges = LARGES.lock();
            self.kind.set(Kind::Free);
        }
        self.name(None);
        // SAFETY: the whole run, which nobody uses and the page map names no more; the record likewise.
        unsafe {
            watched::allow(run.as_ptr(), pages.bytes());
            bare::forget_run(pages);
            if !self.is(GUARDED) {
                bare::unnote(self.bare_pages());
            }
            // What nobody could touch has no memory still, its guards included.
            if self.is_bare_and_shut() {
                HEAP.dealloc_bare(run, pages);
            } else {
                HEAP.dealloc(run, pages);
            }
            if let Some(record) = MetaRef::from_number(self.number.get()) {
                meta::recycle(record, meta::units_of::<Large>());
            }
        }
    }
}

/// The object within whose run `addr` lies, beyond the pages that name its record (G3): looked for downwards, as far as a run may
/// be long. Takes no lock.
pub(super) fn around(addr: usize) -> Option<LargeRef> {
    let mut page = addr & !(PAGE - 1);
    for _ in 0..FAR {
        let ptr = core::ptr::without_provenance(page);
        if !page_map::covers(page) {
            break;
        }
        if let Some(record) = page_map::record(ptr) {
            let large = LargeRef::from_record(record)?;
            let offset = addr.wrapping_sub(large.run.get().addr());
            return (offset < large.pages.get() * PAGE).then_some(large);
        }
        page = page.checked_sub(PAGE)?;
    }
    None
}

/// Frees all objects that the arena with index `arena` has, and calls `each` with them, no lock held. What was written
/// beside them is told.
pub(super) fn discard(arena: usize, mut each: impl FnMut(Freed)) {
    let mut ended: Option<(LargeRef, Freed)> = None;
    loop {
        let next = watched::quietly(|| {
            let larges = LARGES.lock();
            // The one that ended last is in the list until it waits.
            let from = ended.as_ref().map(|(large, _)| large.next.get());
            larges.end_next_of(arena, from.unwrap_or(larges.first))
        });
        if let Some((_, freed)) = core::mem::replace(&mut ended, next) {
            each(freed);
        }
        if ended.is_none() {
            break;
        }
    }
}

/// The large object with that record.
pub(super) fn of_record(number: u32) -> Option<LargeRef> {
    LargeRef::from_record(MetaRef::from_number(number)?)
}

/// Looks at every live object, and tells what was written beside it.
pub(super) fn sweep() {
    let larges = LARGES.lock();
    let mut link = larges.first;
    while let Some(large) = LargeRef::from_link(link) {
        link = large.next.get();
        if large.marks.state() != State::Live {
            continue;
        }
        if let Err(error) = large.look_beside() {
            misuse::report(error, large.object.get());
            let (object, (before, behind)) = (large.object.get(), large.slack());
            // SAFETY: beside the object, within its pages.
            unsafe {
                object.sub(before).write_bytes(0, before);
                object.add(large.bytes.get()).write_bytes(0, behind);
            }
            large.write_canaries();
        }
    }
}

/// Asserts G1, and that the list is one.
#[cfg(test)]
pub(super) fn check() {
    let larges = LARGES.lock();
    let (mut link, mut last) = (larges.first, 0);
    while let Some(large) = LargeRef::from_link(link) {
        assert_eq!(large.prev.get(), last);
        if large.marks.state() == State::Live {
            assert_eq!(large.look_beside(), Ok(()), "G1");
        }
        (last, link) = (link, large.next.get());
    }
}
