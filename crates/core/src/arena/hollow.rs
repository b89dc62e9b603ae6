//! Hollow pages: pages within a slab in use that hold only free slots, and whose memory went back.
//!
//! ```text
//! slots   |used|free|free|free|free|free|used|free|          slot by slot: the bitmap
//! pages   |   0    |   1    |   2    |   3    |              page 1: only free slots touch it
//! hollow        0        1        0        0                 a bit a page, in the slab's record
//! ```
//! K1  A hollow page is touched by free slots only; it has no memory and reads zero.
//! K2  Taking a slot fills its pages again: their bits are cleared, and the first write faults memory in. Slots on
//!     no hollow page are taken before others.
//! K3  While the system is told, the slots are marked taken: advice never meets a slot just handed out.
//! K4  Hollow pages do not count (see `meta::limit`): before slots on them are taken they are reserved, and where the
//!     limit refuses that, these slots stay.
//! Lock: the bin's.

use super::misuse::Misuse;
use super::slab::SlabRef;
use crate::meta::limit;
use crate::size::{PAGE, slab_pages, slab_slots, slots_in_slab};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Pages of a slab as bits; a slab has at most 16.
pub(super) type PageBits = u16;

/// Words of the longest bitmap.
pub(super) const BITMAP_WORDS: usize = slab_slots(0).div_ceil(64);

/// Hollow pages of all slabs.
#[unsafe(link_section = ".data.jemoxide_start")]
static HOLLOW: AtomicUsize = AtomicUsize::new(0);

/// Bytes of hollow pages.
pub(crate) fn bytes() -> usize {
    HOLLOW.load(Ordering::Relaxed) * PAGE
}

/// Notes that `count` pages have become hollow: their memory went.
pub(super) fn note_purged(count: u32) {
    HOLLOW.fetch_add(count as usize, Ordering::Relaxed);
    limit::give(count as usize * PAGE);
}

/// Counts `count` hollow pages that may be about to get memory (K4). `false`: the limit refuses them.
pub(super) fn reserve(count: u32) -> bool {
    limit::reserve(count as usize * PAGE)
}

/// Notes that of `reserved` pages only `filled` are hollow no more.
pub(super) fn note_filled(reserved: u32, filled: u32) {
    HOLLOW.fetch_sub(filled as usize, Ordering::Relaxed);
    limit::give((reserved - filled) as usize * PAGE);
}

/// Notes that `count` hollow pages are free pages of the page heap now, still without memory.
pub(super) fn note_left(count: u32) {
    HOLLOW.fetch_sub(count as usize, Ordering::Relaxed);
}

/// The slots of a slab of `class` that touch its page `page`.
fn slots_on(class: usize, page: usize) -> Range<usize> {
    let slots = slots_in_slab(class);
    let last = slots.index(page * PAGE + PAGE - 1);
    slots.index(page * PAGE)..(last + 1).min(slab_slots(class))
}

/// The pages that slot `slot` of a slab of `class` touches.
pub(super) fn pages_of(class: usize, slot: usize) -> PageBits {
    let slots = slots_in_slab(class);
    let (first, end) = (slots.offset(slot), slots.offset(slot + 1));
    let (first, last) = (first / PAGE, (end - 1) / PAGE);
    (PageBits::MAX >> (PageBits::BITS as usize - 1 - (last - first))) << first
}

/// The runs of set bits: first page and length.
pub(super) fn runs(mut pages: PageBits) -> impl Iterator<Item = (usize, usize)> {
    core::iter::from_fn(move || {
        if pages == 0 {
            return None;
        }
        let first = pages.trailing_zeros();
        let len = (pages >> first).trailing_ones();
        pages &= !((PageBits::MAX >> (PageBits::BITS - len)) << first);
        Some((first as usize, len as usize))
    })
}

/// Bits `range` of a bitmap, word by word.
fn words(range: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let (mut at, end) = (range.start, range.end);
    core::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let (word, bit) = (at / 64, at % 64);
        let len = (end - at).min(64 - bit);
        at += len;
        Some((word, (u64::MAX >> (64 - len)) << bit))
    })
}

/// The slots that touch any of `pages`, as a bitmap.
pub(super) fn slots_touching(class: usize, pages: PageBits) -> [u64; BITMAP_WORDS] {
    let mut touching = [0; BITMAP_WORDS];
    for page in (0..slab_pages(class)).filter(|page| pages >> page & 1 != 0) {
        for (word, mask) in words(slots_on(class, page)) {
            touching[word] |= mask;
        }
    }
    touching
}

impl SlabRef {
    /// The pages that only free slots touch and that have memory.
    pub(super) fn idle_pages(&self) -> PageBits {
        let class = self.class();
        let bitmap = self.bitmap();
        let all_free = |page: &usize| {
            words(slots_on(class, *page)).all(|(word, mask)| {
                let bits = bitmap
                    .get(word)
                    .map_or(0, |word| word.load(Ordering::Relaxed));
                bits & mask == mask
            })
        };
        let hollow = self.hollow();
        (0..slab_pages(class))
            .filter(|page| hollow >> page & 1 == 0)
            .filter(all_free)
            .fold(0, |pages, page| pages | 1 << page)
    }

    /// Marks the slots on `pages`, which are idle, taken (K3).
    ///
    /// # Safety
    /// The caller holds the bin's lock.
    pub(super) unsafe fn borrow_pages(&mut self, pages: PageBits) {
        let mut slots = 0;
        for (word, mask) in self
            .bitmap()
            .iter()
            .zip(slots_touching(self.class(), pages))
        {
            word.store(word.load(Ordering::Relaxed) & !mask, Ordering::Relaxed);
            slots += mask.count_ones() as u16;
        }
        // SAFETY: the caller's promise.
        unsafe { self.get_mut() }.free -= slots;
    }

    /// Ends what [`SlabRef::borrow_pages`] began; the pages `hollow` among them have lost their memory.
    ///
    /// # Safety
    /// The caller holds the bin's lock.
    pub(super) unsafe fn return_pages(
        &mut self,
        pages: PageBits,
        hollow: PageBits,
    ) -> Result<(), Misuse> {
        let mut slots = 0;
        for (word, mask) in self
            .bitmap()
            .iter()
            .zip(slots_touching(self.class(), pages))
        {
            let bits = word.load(Ordering::Relaxed);
            if bits & mask != 0 {
                // Nobody held them: they were free when they were marked.
                return Err(Misuse::DoubleFree);
            }
            word.store(bits | mask, Ordering::Relaxed);
            slots += mask.count_ones() as u16;
        }
        note_purged((hollow & !self.hollow()).count_ones());
        // SAFETY: the caller's promise.
        let slab = unsafe { self.get_mut() };
        slab.free += slots;
        slab.hollow |= hollow;
        // Refused pages are idle still: the walk that meets this slab once more is to pass it by.
        slab.recent |= hollow != pages;
        Ok(())
    }

    /// Asserts rule K1.
    #[cfg(test)]
    pub(super) fn check_hollow(&self) {
        let touching = slots_touching(self.class(), self.hollow());
        for (word, mask) in self.bitmap().iter().zip(touching) {
            assert_eq!(word.load(Ordering::Relaxed) & mask, mask, "K1");
        }
    }
}
