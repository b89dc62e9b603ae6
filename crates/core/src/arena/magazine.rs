//! Magazine: an array of pointers to free objects of one class, the unit of transfer.
//!
//! ```text
//! header 16 bytes: link 4 | count 4 | room 4 | unused 4        then `room` pointers
//! filled from the end down: | ... empty ... | top | ... | bottom |
//!                                            ^head              ^end
//! ```
//! Several sizes: starters of 14 pointers (128 bytes), so that a thread that touched many classes stays
//! cheap, and full ones of up to 254 (2 KiB), as many as a class may load: larger ones mean fewer visits to the
//! depot. The objects themselves are never touched.
//!
//! G1  A magazine has one owner: a thread's bin, the depot, or the stack of empties; or it is none, but a
//!     recycled record, whose memory the metadata may give back.
//! G2  `count` is true while the magazine is not a thread's active one; the bin's head is then the truth.

use crate::meta::{self, MetaRef, UNIT};
use crate::sync::stack::{Links, Stack};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// Pointers in a starter.
pub(crate) const STARTER: usize = 14;
/// Pointers in the largest magazine.
pub(crate) const FULL: usize = 254;
/// Pointers in magazines: 128, 512 bytes, 1 and 2 KiB, by how many objects a class may load.
const ROOMS: [usize; 4] = [STARTER, 62, 126, FULL];

/// Empty magazines, waiting, by [`ROOMS`].
#[unsafe(link_section = ".data.jemoxide_start")]
static EMPTIES: [Stack; ROOMS.len()] = [const { Stack::new() }; ROOMS.len()];

/// Room of the magazine for loads of `capacity` objects, more than a starter's and at most [`FULL`].
pub(crate) const fn full_room(capacity: usize) -> usize {
    if capacity <= ROOMS[1] {
        ROOMS[1]
    } else if capacity <= ROOMS[2] {
        ROOMS[2]
    } else {
        ROOMS[3]
    }
}

/// Room of the next larger magazine than one of `room`, for loads of `capacity` objects; `room` where there is none.
pub(crate) fn next_room(room: usize, capacity: usize) -> usize {
    if capacity <= STARTER || room >= full_room(capacity) {
        return room;
    }
    ROOMS
        .into_iter()
        .find(|&larger| larger > room)
        .unwrap_or(room)
}

/// The empties with that room.
fn empties(room: usize) -> &'static Stack {
    // With the header 16, 64, 128 and 256 words: 0, 1, 2 and 4 times 64, numbers of 0 to 3 bits.
    let words = room + size_of::<Header>() / size_of::<*mut u8>();
    let bits = (usize::BITS - (words / 64).leading_zeros()) as usize;
    &EMPTIES[bits % EMPTIES.len()]
}

/// Relaxed atomics: statistics look at magazines of other threads.
#[repr(C)]
struct Header {
    next: AtomicU32,
    count: AtomicU32,
    room: AtomicU32,
    unused: u32,
}

const fn units(room: usize) -> usize {
    (size_of::<Header>() + room * size_of::<*mut u8>()) / UNIT
}

const _: () = assert!(units(STARTER) * UNIT == 128 && units(FULL) * UNIT == 2048);

/// The links of magazines on lock-free stacks.
pub(super) struct MagazineLinks;

impl MagazineLinks {
    fn link(&self, number: u32) -> Option<NonNull<AtomicU32>> {
        Some(MetaRef::from_number(number)?.resolve())
    }
}

impl Links for MagazineLinks {
    fn next(&self, number: u32) -> u32 {
        // SAFETY: the first word of a magazine is its link, in memory that stays mapped; stale reads
        //         are harmless (stack rule T2).
        self.link(number)
            .map_or(0, |link| unsafe { link.as_ref() }.load(Ordering::Relaxed))
    }

    fn set_next(&self, number: u32, next: u32) {
        if let Some(link) = self.link(number) {
            // SAFETY: as above.
            unsafe { link.as_ref() }.store(next, Ordering::Relaxed);
        }
    }
}

/// A magazine that is ours (G1). Not `Copy`: it is moved from owner to owner.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Magazine(MetaRef);

impl Magazine {
    /// An empty magazine with room for `room` pointers: [`STARTER`] or what [`full_room`] says. `None`: out of memory.
    pub(crate) fn empty(room: usize) -> Option<Self> {
        debug_assert!(ROOMS.contains(&room));
        if let Some(number) = empties(room).pop(&MagazineLinks) {
            let mut magazine = Self(MetaRef::from_number(number)?);
            magazine.set_count(0);
            return Some(magazine);
        }
        let mut magazine = Self(meta::allocate(units(room))?);
        magazine.header().room.store(room as u32, Ordering::Relaxed);
        magazine.set_count(0);
        Some(magazine)
    }

    /// Gives an empty magazine to whoever needs one.
    pub(crate) fn recycle(self) {
        empties(self.room()).push(self.0.number(), &MagazineLinks);
    }

    /// The number to keep it by; [`Magazine::from_number`] takes it back.
    pub(crate) fn into_number(self) -> u32 {
        self.0.number()
    }

    /// The magazine with that number; `None` for 0.
    ///
    /// # Safety
    /// The number came from [`Magazine::into_number`] and is used once.
    pub(crate) unsafe fn from_number(number: u32) -> Option<Self> {
        MetaRef::from_number(number).map(Self)
    }

    fn header(&self) -> &Header {
        let header: NonNull<Header> = self.0.resolve();
        // SAFETY: atomics, in memory that stays mapped.
        unsafe { header.as_ref() }
    }

    /// Pointers it has room for.
    pub(crate) fn room(&self) -> usize {
        self.header().room.load(Ordering::Relaxed) as usize
    }

    /// Objects in it (G2).
    pub(crate) fn count(&self) -> usize {
        self.header().count.load(Ordering::Relaxed) as usize
    }

    /// Notes how many objects it holds.
    pub(crate) fn set_count(&mut self, count: usize) {
        debug_assert!(count <= self.room());
        self.header().count.store(count as u32, Ordering::Relaxed);
    }

    /// One past its last slot, where it is filled from.
    pub(crate) fn end(&self) -> *mut *mut u8 {
        self.shape().0
    }

    /// Its end, count and room, for the price of one look.
    #[inline]
    pub(crate) fn shape(&self) -> (*mut *mut u8, usize, usize) {
        let at: NonNull<Header> = self.0.resolve();
        // SAFETY: atomics, in memory that stays mapped.
        let header = unsafe { at.as_ref() };
        let room = header.room.load(Ordering::Relaxed) as usize;
        let header_slots = size_of::<Header>() / size_of::<*mut u8>();
        let first: *mut *mut u8 = at.as_ptr().cast();
        let count = header.count.load(Ordering::Relaxed) as usize;
        (first.wrapping_add(header_slots + room), count, room)
    }

    /// The objects in it, top first.
    pub(crate) fn objects(&mut self) -> &mut [*mut u8] {
        let (end, count, _) = self.shape();
        // SAFETY: the last `count` slots were filled (G2); ours (G1).
        unsafe { core::slice::from_raw_parts_mut(end.sub(count), count) }
    }
}

/// Makes the empties that wait recycled records, so that a purge of the metadata finds their pages.
pub(crate) fn release_empties() {
    for (stack, room) in EMPTIES.iter().zip(ROOMS) {
        // Taken as a whole: a thread that needs one meanwhile gets a new record.
        let Some(first) = stack.take_all().and_then(MetaRef::from_number) else {
            continue;
        };
        let mut last = first;
        while let Some(next) = MetaRef::from_number(MagazineLinks.next(last.number())) {
            last = next;
        }
        // SAFETY: empties are nobody's, of that many units, and linked by their first words.
        unsafe { meta::recycle_chain(first, last, units(room)) };
    }
}

#[cfg(test)]
mod tests;
