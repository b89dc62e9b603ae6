//! Magazine: an array of pointers to free objects of one class, the unit of transfer.
//!
//! ```text
//! header 16 bytes: link 4 | count 4 | room 4 | unused 4        then `room` pointers
//! filled from the end down: | ... empty ... | top | ... | bottom |
//!                                            ^head              ^end
//! ```
//! Two sizes: starters of 14 pointers (128 bytes), so that a thread that touched many classes stays
//! cheap, and full ones of 126 (1 KiB). The objects themselves are never touched.
//!
//! G1  A magazine has one owner: a thread's bin, the depot, or the stack of empties.
//! G2  `count` is true while the magazine is not a thread's active one; the bin's head is then the truth.

use crate::meta::{self, MetaRef, UNIT};
use crate::sync::stack::{Links, Stack};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// Pointers in a starter.
pub(crate) const STARTER: usize = 14;
/// Pointers in a full-size magazine.
pub(crate) const FULL: usize = 126;

/// Empty full-size magazines, waiting.
static EMPTIES: Stack = Stack::new();

#[repr(C)]
struct Header {
    next: AtomicU32,
    count: u32,
    room: u32,
    unused: u32,
}

const fn units(room: usize) -> usize {
    (size_of::<Header>() + room * size_of::<*mut u8>()) / UNIT
}

const _: () = assert!(units(STARTER) * UNIT == 128 && units(FULL) * UNIT == 1024);

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
    /// An empty magazine with room for `room` pointers: [`STARTER`] or [`FULL`]. `None`: out of memory.
    pub(crate) fn empty(room: usize) -> Option<Self> {
        debug_assert!(room == STARTER || room == FULL);
        if room == FULL
            && let Some(number) = EMPTIES.pop(&MagazineLinks)
        {
            let mut magazine = Self(MetaRef::from_number(number)?);
            magazine.header_mut().count = 0;
            return Some(magazine);
        }
        let magazine = Self(meta::allocate(units(room))?);
        let header: NonNull<Header> = magazine.0.resolve();
        // SAFETY: a fresh record of that many units, ours alone; the link is written atomically as a
        //         stale pop may still read it.
        unsafe {
            let header = header.as_ptr();
            (*header).next.store(0, Ordering::Relaxed);
            (*header).count = 0;
            (*header).room = room as u32;
        }
        Some(magazine)
    }

    /// Gives an empty magazine to whoever needs one.
    pub(crate) fn recycle(self) {
        if self.room() == FULL {
            EMPTIES.push(self.0.number(), &MagazineLinks);
        } else {
            // SAFETY: ours, allocated with the same units, on no stack.
            unsafe { meta::recycle(self.0, units(self.room())) };
        }
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
        // SAFETY: written by `empty`; ours (G1).
        unsafe { header.as_ref() }
    }

    fn header_mut(&mut self) -> &mut Header {
        let mut header: NonNull<Header> = self.0.resolve();
        // SAFETY: as above, borrowed mutably.
        unsafe { header.as_mut() }
    }

    /// Pointers it has room for.
    pub(crate) fn room(&self) -> usize {
        self.header().room as usize
    }

    /// Objects in it (G2).
    pub(crate) fn count(&self) -> usize {
        self.header().count as usize
    }

    /// Notes how many objects it holds.
    pub(crate) fn set_count(&mut self, count: usize) {
        debug_assert!(count <= self.room());
        self.header_mut().count = count as u32;
    }

    /// One past its last slot, where it is filled from.
    pub(crate) fn end(&self) -> *mut *mut u8 {
        let first: NonNull<*mut u8> = self.0.resolve::<Header>().cast();
        let header_slots = size_of::<Header>() / size_of::<*mut u8>();
        first.as_ptr().wrapping_add(header_slots + self.room())
    }

    /// The objects in it, top first.
    pub(crate) fn objects(&mut self) -> &mut [*mut u8] {
        let count = self.count();
        // SAFETY: the last `count` slots were filled (G2); ours (G1).
        unsafe { core::slice::from_raw_parts_mut(self.end().sub(count), count) }
    }
}
