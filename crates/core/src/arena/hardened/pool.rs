//! Pool: a few pages between guards, for objects chosen now and then at any level.
//!
//! ```text
//! | guard | slot 0 | guard | slot 1 | guard | ... | guard |      a page each; of a slot nobody uses, no access
//! slot    | object | canary, zeros                 |  or  | zeros, canary | object, up to the guard |      by chance
//! ```
//! L1  A slot is given to an object of a page at most; the one that was freed longest ago first, so that who still uses a freed
//!     object meets a page that nobody may touch for as long as possible.
//! L2  While an object is out its page may be touched, the guards never. A freed object's memory goes at once.
//! L3  Who is chosen is left to chance: one in so many allocations that come by a slow path. If all slots are out, nobody is.
//! L4  What its canary is made of is drawn for each object: a forked child, whose seed is another, knows its parent's objects.
//! Lock: rank 2, held during the system calls: objects are chosen rarely.
//! Idea: GWP-ASan (K. Serebryany et al., "GWP-ASan: Sampling-Based Detection of Memory-Safety Bugs in Production", 2024).

use super::about::About;
use super::bare;
use super::canary;
use super::door::{Ask, Door, Told};
use super::random::{self, Random};
use super::slab::{Marks, State};
use super::{Freed, Place, watched};
use crate::arena::cells::{Address, Number};
use crate::arena::misuse::{self, Misuse};
use crate::extent::{HEAP, Purpose};
use crate::size::{PAGE, Pages};
use crate::sync::Mutex;
use crate::sys::memory;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

/// Slots.
pub(super) const SLOTS: usize = 64;
/// Tells the generator from those of the bins.
const SHARD: usize = 1001;

/// What is known of a slot.
struct Slot {
    marks: Marks,
    object: Address,
    /// What its canary is made of (L4).
    secret: AtomicU64,
    /// When it was freed, counted in frees; 0: never.
    freed: Number,
    /// 1 from a free until its object is let go: nobody gets the slot meanwhile.
    leaving: Number,
    /// 1 if its page is bare.
    bare: Number,
}

static SLOT: [Slot; SLOTS] = [const {
    Slot {
        marks: Marks::new(),
        object: Address::new(),
        secret: AtomicU64::new(0),
        freed: Number::new(0),
        leaving: Number::new(0),
        bare: Number::new(0),
    }
}; SLOTS];

/// Where the first guard is; null while there is no pool.
static BASE: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
/// One in so many is chosen, on average.
static SHARE: AtomicUsize = AtomicUsize::new(0);
/// Allocations until the next is.
static LEFT: AtomicIsize = AtomicIsize::new(0);

struct Pool {
    /// Frees so far.
    turn: u32,
    random: Random,
}

static POOL: Mutex<Pool, 2> = Mutex::new(Pool {
    turn: 0,
    random: Random::new(),
});

const PAGES: Pages = Pages(2 * SLOTS + 1);

/// Makes the pool and has one in `share` allocations come from it. Called once, by the boot; where the system refuses there
/// is no pool.
pub(super) fn prepare(share: usize) {
    let Some(run) = HEAP.alloc(PAGES, 1, Purpose::Zeroed) else {
        return;
    };
    let is_bare = bare::clear(&run, PAGES);
    // SAFETY: the run just handed out, of no use yet.
    unsafe {
        if !memory::protect(run.addr, PAGES.bytes(), false) {
            bare::forget_run(PAGES);
            HEAP.dealloc(run.addr, PAGES);
            return;
        }
    }
    if is_bare {
        bare::note(PAGES.0);
        SLOT.iter().for_each(|slot| slot.bare.set(1));
    }
    SHARE.store(share.max(1), Ordering::Relaxed);
    LEFT.store(
        (random::secret(9) % share.max(1) as u64) as isize,
        Ordering::Relaxed,
    );
    BASE.store(run.addr.as_ptr(), Ordering::Relaxed);
}

/// Whether the allocation that is asked for is to come from here (L3).
pub(super) fn is_due() -> bool {
    if LEFT.fetch_sub(1, Ordering::Relaxed) > 0 {
        return false;
    }
    let share = SHARE.load(Ordering::Relaxed) as u64;
    let next = POOL.lock().random.next(SHARD) % (2 * share).max(1);
    LEFT.store(next as isize, Ordering::Relaxed);
    share > 0
}

/// The slot whose page or guard behind it `addr` lies in, as its number and whether it is in the page itself.
fn locate(addr: usize) -> Option<(usize, bool)> {
    let base = BASE.load(Ordering::Relaxed).addr();
    let page = addr.checked_sub(base)? / PAGE;
    if base == 0 || page >= PAGES.0 {
        return None;
    }
    Some((page.saturating_sub(1) / 2, page % 2 == 1))
}

/// The slot whose page `ptr` lies in; the last one for guards, so that whoever looks finds no object there.
pub(super) fn slot_of(ptr: *const u8) -> Option<usize> {
    locate(ptr.addr()).map(|(slot, _)| slot)
}

fn page_of(slot: usize) -> Option<NonNull<u8>> {
    NonNull::new(
        BASE.load(Ordering::Relaxed)
            .wrapping_add((2 * slot + 1) * PAGE),
    )
}

/// Bytes that an object for `ask` lies off the places that its alignment lets it have, and how many its page has beside. `None`:
/// the pool has no such objects.
fn room_for(ask: &Ask) -> Option<(usize, usize)> {
    // Rust knows an object of ours by its address, 8 above a multiple of 16, but for those up to 8 bytes (see `api::free`).
    let by_address = ask.door == Door::Rust && ask.align <= 8;
    if by_address && ask.bytes <= 8 || ask.bytes == 0 || ask.align > PAGE {
        return None;
    }
    let odd = if by_address { 8 } else { 0 };
    Some((odd, PAGE.checked_sub(ask.bytes)?.checked_sub(odd)?))
}

/// Whether there may be an object for `ask`: cheaper than a stack that nobody needs. May be wrong for an instant.
pub(super) fn may_serve(ask: &Ask) -> bool {
    room_for(ask).is_some() && SLOT.iter().any(Slot::is_free)
}

/// An object for `ask`, which reads zero. `None`: it does not fit, all slots are out, or the system refuses.
pub(super) fn alloc(ask: &Ask) -> Option<*mut u8> {
    let (odd, room) = room_for(ask)?;
    let mut pool = POOL.lock();
    let slots = SLOT.iter().enumerate();
    let (number, slot) = slots
        .filter(|(_, slot)| slot.is_free())
        .min_by_key(|(_, slot)| slot.freed.get())?;
    let page = page_of(number)?;
    let was_bare = slot.bare.get() == 1;
    if was_bare && !bare::reserve(1) {
        return None;
    }
    // SAFETY: the slot's page, which nobody uses; it reads zero (L2).
    if !unsafe { memory::protect(page, PAGE, true) } {
        bare::note(usize::from(was_bare));
        return None;
    }
    slot.bare.set(0);
    let least = if ask.bytes < 16 { 8 } else { 16 };
    let most = room & !(ask.align.max(least).max(2 * odd) - 1);
    let at_end = pool.random.next(SHARD) & 1 == 0;
    let offset = odd + if at_end { most } else { 0 };
    let object = page.as_ptr().wrapping_add(offset);
    slot.object.set(object);
    slot.marks.begin(ask);
    let secret = pool.random.next(SHARD);
    slot.secret.store(secret, Ordering::Relaxed);
    slot.write_canaries(page);
    Some(object)
}

impl Slot {
    fn is_free(&self) -> bool {
        self.leaving.get() == 0 && matches!(self.marks.state(), State::Free | State::Waiting)
    }

    /// Bytes of the page before the object, and behind it.
    fn slack(&self, page: NonNull<u8>) -> (usize, usize) {
        let before = self.object.get().addr() - page.addr().get();
        (before, PAGE - before - self.marks.bytes())
    }

    /// Writes what nobody may change beside the slot's object, which is live. Under the lock.
    fn write_canaries(&self, page: NonNull<u8>) {
        let (before, behind) = self.slack(page);
        let (object, secret) = (self.object.get(), self.secret.load(Ordering::Relaxed));
        // SAFETY: beside the object, within its page, which may be touched while it is live (L2).
        unsafe {
            canary::write_before(object, before, secret);
            canary::write_behind(object.wrapping_add(self.marks.bytes()), behind, secret);
        }
    }
}

/// Whether the object at `ptr`, in slot number `number`, is live and whole. Under the lock.
fn look(number: usize, ptr: *const u8) -> Result<&'static Slot, Misuse> {
    let slot = SLOT.get(number).ok_or(Misuse::Foreign)?;
    let is_start = slot.object.get().cast_const() == ptr;
    match slot.marks.state() {
        State::Free => return Err(Misuse::Foreign),
        State::Live if !is_start => return Err(Misuse::Interior),
        State::Live => {}
        State::Waiting | State::Spoilt => return Err(Misuse::DoubleFree),
    }
    let page = page_of(number).ok_or(Misuse::Foreign)?;
    let (before, behind) = slot.slack(page);
    let secret = slot.secret.load(Ordering::Relaxed);
    // SAFETY: beside the object, within its page, which is readable while it is live.
    unsafe {
        if !canary::is_whole_behind(ptr.wrapping_add(slot.marks.bytes()), behind, secret) {
            return Err(Misuse::Overflow);
        }
        if !canary::is_whole_before(ptr, before, secret) {
            return Err(Misuse::Underflow);
        }
    }
    Ok(slot)
}

/// Bytes that the object at `ptr` was asked for with, if it is live and whole.
pub(super) fn inspect(number: usize, ptr: *const u8) -> Result<usize, Misuse> {
    let _pool = POOL.lock();
    look(number, ptr).map(|slot| slot.marks.bytes())
}

/// Frees the object at `ptr`; its slot serves nobody before [`release`]. Otherwise nothing happened.
pub(super) fn dealloc(number: usize, ptr: *mut u8, told: &Told) -> Result<Freed, Misuse> {
    let mut pool = POOL.lock();
    let slot = look(number, ptr)?;
    if told.is_wrong_door(slot.marks.door()) {
        return Err(Misuse::WrongDoor);
    }
    if !told.fits(slot.marks.bytes(), slot.marks.lg_align()) {
        return Err(Misuse::WrongSize);
    }
    let page = page_of(number).ok_or(Misuse::Foreign)?;
    pool.turn += 1;
    slot.freed.set(pool.turn);
    slot.leaving.set(1);
    slot.marks.end(told.trace);
    let freed = Freed::of(&slot.marks, slot.marks.bytes(), Place::Pool(number));
    // SAFETY: the slot's page, whose contents are of no use.
    unsafe {
        let is_bare = HEAP.renew(page, Pages(1));
        if !is_bare {
            page.as_ptr().write_bytes(0, PAGE);
        }
        if !memory::protect(page, PAGE, false) {
            // Anybody may write there: it serves nobody again.
            slot.marks.set_state(State::Spoilt);
        } else if is_bare {
            slot.bare.set(1);
            bare::note(1);
        }
    }
    Ok(freed)
}

/// The object that was in a slot is let go.
pub(super) fn release(number: usize) {
    let _pool = POOL.lock();
    if let Some(slot) = SLOT.get(number) {
        watched::note_dealloc(slot.object.get());
        slot.leaving.set(0);
    }
}

/// In a forked child: nobody lets go of what was freed there.
pub(super) fn forget_leaving() {
    let _pool = POOL.lock();
    SLOT.iter().for_each(|slot| slot.leaving.set(0));
}

/// What is known of the object in a slot.
pub(super) fn marks(number: usize) -> Option<&'static Marks> {
    Some(&SLOT.get(number)?.marks)
}

/// What is known of the object in a slot, as far as can be told without the lock.
pub(super) fn about(number: usize) -> Option<About> {
    let marks = marks(number)?;
    Some(About::of(marks, marks.bytes(), PAGE))
}

/// Looks at every live object, and tells what was written beside it.
pub(super) fn sweep() {
    let _pool = POOL.lock();
    for (number, slot) in SLOT.iter().enumerate() {
        let object = slot.object.get();
        if slot.marks.state() != State::Live {
            continue;
        }
        if let (Err(error), Some(page)) = (look(number, object), page_of(number)) {
            misuse::report(error, object);
            let (before, behind) = slot.slack(page);
            // SAFETY: beside the object, within its page, which may be touched while it is live (L2).
            unsafe {
                page.as_ptr().write_bytes(0, before);
                object
                    .wrapping_add(slot.marks.bytes())
                    .write_bytes(0, behind);
            }
            slot.write_canaries(page);
        }
    }
}

/// What an access of `addr` that the system has refused was: the object that it was meant for, most likely.
pub(super) fn explain(addr: usize) -> Option<(Misuse, usize)> {
    let (slot, is_page) = locate(addr)?;
    if is_page {
        return Some((Misuse::UseAfterFree, slot));
    }
    // A guard: nearer to the slot behind it from its middle on.
    let is_next = addr % PAGE >= PAGE / 2 || addr < BASE.load(Ordering::Relaxed).addr() + PAGE;
    let next = if addr < BASE.load(Ordering::Relaxed).addr() + PAGE {
        0
    } else {
        slot + usize::from(is_next)
    };
    Some((Misuse::OutOfBounds, next.min(SLOTS - 1)))
}
