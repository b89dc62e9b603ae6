//! Page map: address to class byte and to record.
//!
//! ```text
//! address | 16 zero | 16 root | 20 page | 12 offset |
//!              ROOT[root] ──> leaf of 4 GiB: classes 1 B a page | numbers 4 B a page and 2 MiB
//!
//! numbers  | records of 512 pages | their huge page's descriptor | records of the next 512 pages | ...
//! ```
//! P1  The class byte is twice class index + 1 on every page of a slab and on the first page of a cached large
//!     object; 0 everywhere else, mapped or not.
//! P2  The record number is set on every page of a slab and on the first page of a large object; it is
//!     written before the memory is handed out and cleared after it came back.
//! P3  An unmapped root word is 0 and leads to an all-zero leaf, so a look-up of any address below 2^48
//!     needs no branch; higher ones are told apart by a compare, never by masking.
//! P4  Leaves are never unmapped.
//! P5  Entries count (see `meta::limit`) from the first time that a huge page gets a descriptor.
//! A leaf covers 4 GiB, as the page number is then the low half of the address shifted: one instruction less
//! on every free than with any smaller leaf. What is not touched of it costs nothing.
//! The root holds distances from itself, as 0 must mean the zero leaf behind it.
//! Writers hold the page heap's lock when they add leaves; entries are written by whoever owns the pages.

use crate::ds::table::Table;
use crate::meta::{self, MetaRef, limit};
use crate::size::{HUGE, HUGE_PAGES, LG_HUGE, LG_PAGE, PAGE};
use crate::sys;
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

const LG_LEAF: u32 = 32;
/// Addresses from here up are nobody's.
const LG_SPACE: u32 = 48;
const ROOTS: usize = 1 << (LG_SPACE - LG_LEAF);
const LEAF_PAGES: usize = 1 << (LG_LEAF - LG_PAGE);
const LEAF_HUGES: usize = 1 << (LG_LEAF - LG_HUGE);

#[repr(C)]
struct Leaf {
    classes: [AtomicU8; LEAF_PAGES],
    numbers: [AtomicU32; LEAF_PAGES + LEAF_HUGES],
}

/// A leaf that is mapped, for good (P4).
///
/// No reference to all of it, as in a [`Table`].
#[derive(Clone, Copy)]
struct LeafRef(*const Leaf);

impl LeafRef {
    /// Class byte of the page that holds `addr`.
    #[inline(always)]
    fn class(self, addr: usize) -> &'static AtomicU8 {
        // SAFETY: a whole leaf, mapped for good, all atomics.
        unsafe { &(*self.0).classes[page_index(addr)] }
    }

    /// Number of the record of the page that holds `addr`.
    #[inline(always)]
    fn record(self, addr: usize) -> &'static AtomicU32 {
        let page = page_index(addr);
        self.number(page + page / HUGE_PAGES)
    }

    /// Number of the descriptor of the huge page that holds `addr`: behind those of its records, as whoever
    /// looks for one of them touches the others too.
    #[inline(always)]
    fn huge(self, addr: usize) -> &'static AtomicU32 {
        self.number((page_index(addr) / HUGE_PAGES + 1) * (HUGE_PAGES + 1) - 1)
    }

    #[inline(always)]
    fn number(self, position: usize) -> &'static AtomicU32 {
        // SAFETY: a whole leaf, mapped for good, all atomics.
        unsafe { &(*self.0).numbers[position] }
    }
}

#[repr(C)]
struct Root {
    distances: Table<AtomicUsize, ROOTS>,
    /// Nobody writes it.
    zero_leaf: [u8; LEAF_PAGES],
}

static ROOT: Root = Root {
    distances: Table::new([const { AtomicUsize::new(0) }; ROOTS]),
    zero_leaf: [0; LEAF_PAGES],
};

/// Huge pages that ever got a descriptor.
#[unsafe(link_section = ".data.jemoxide_start")]
static DESCRIBED: AtomicUsize = AtomicUsize::new(0);

fn zero_leaf() -> usize {
    (&raw const ROOT.zero_leaf).expose_provenance()
}

/// Class byte of the page that holds `addr`, or 0 for "look closer" (P1). `None`: no address of
/// ours can be up there, look closer too.
#[inline(always)]
pub(crate) fn class_byte_below(addr: *const u8) -> Option<u8> {
    let addr = addr.addr();
    // Opaque: the compare then reuses the index instead of shifting once more.
    let index = sys::opaque(addr >> LG_LEAF);
    let distance = ROOT.distances.get(index)?.load(Ordering::Relaxed);
    let root = (&raw const ROOT).expose_provenance();
    // SAFETY: a distance leads to a leaf's classes, or, being 0, to the zero leaf (P3, P4).
    let byte = unsafe {
        sys::cpu::byte_at::<{ core::mem::offset_of!(Root, zero_leaf) }>(
            root.wrapping_add(distance),
            page_index(addr),
        )
    };
    Some(byte)
}

/// As [`class_byte_below`], 0 for addresses that cannot be ours.
#[inline(always)]
pub(crate) fn class_byte(addr: *const u8) -> u8 {
    class_byte_below(addr).unwrap_or(0)
}

/// The leaf that covers `addr`, if any of its addresses is ours.
#[inline]
fn leaf(addr: usize) -> Option<LeafRef> {
    // Acquire: pairs with the Release in `cover`.
    match ROOT.distances.get(addr >> LG_LEAF)?.load(Ordering::Acquire) {
        0 => None,
        // `cover` stored the distance of a whole leaf.
        distance => Some(LeafRef(ptr::with_exposed_provenance(
            zero_leaf().wrapping_add(distance),
        ))),
    }
}

#[inline(always)]
const fn page_index(addr: usize) -> usize {
    addr as u32 as usize >> LG_PAGE
}

const _: () = assert!(page_index(usize::MAX) == LEAF_PAGES - 1);

/// Whether a word is 0, found out by writing: had memory that was never touched been read first, it would be a page of
/// zeros to the system, and the write that follows a second fault.
fn is_zero(word: &AtomicUsize) -> bool {
    word.compare_exchange(0, 0, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
}

/// Makes the map cover `[addr, addr + bytes)`. `None`: out of memory, nothing lost.
///
/// The caller holds the page heap's lock.
pub(crate) fn cover(addr: usize, bytes: usize) -> Option<()> {
    for index in addr >> LG_LEAF..=(addr + bytes - 1) >> LG_LEAF {
        let word = ROOT.distances.get(index)?;
        if is_zero(word) {
            let leaf = meta::table(size_of::<Leaf>())?.as_ptr().expose_provenance();
            // Release: pairs with the Acquire in `leaf`.
            word.store(leaf.wrapping_sub(zero_leaf()), Ordering::Release);
        }
    }
    Some(())
}

/// Record of the object or slab whose page holds `addr` (P2).
#[inline]
pub(crate) fn record(addr: *const u8) -> Option<MetaRef> {
    let addr = addr.addr();
    // Acquire: pairs with the Release in `set_record`, for the record's contents.
    MetaRef::from_number(leaf(addr)?.record(addr).load(Ordering::Acquire))
}

/// Bytes of the entries of a huge page.
const ENTRIES: usize =
    HUGE_PAGES * size_of::<AtomicU8>() + (HUGE_PAGES + 1) * size_of::<AtomicU32>();

/// Counts the entries of `[addr, addr + bytes)`, all huge pages of which are about to get a descriptor and of which some
/// may have had one (P5). `false`: the limit refuses them.
///
/// The caller holds the page heap's lock, covers the range, and describes all of it now.
pub(crate) fn count_entries(addr: usize, bytes: usize) -> bool {
    let bases = (addr & !(HUGE - 1)..addr + bytes).step_by(HUGE);
    let fresh = bases.filter(|&base| huge(base).is_none()).count();
    limit::reserve(fresh * ENTRIES)
}

/// Bytes of entries that count.
#[cfg(test)]
pub(crate) fn counted_bytes() -> usize {
    DESCRIBED.load(Ordering::Relaxed) * ENTRIES
}

/// Bytes of the map that take memory: entries of huge pages with a descriptor, and what the first of them round up to.
pub(crate) fn used_bytes() -> usize {
    // Of the root, of the classes, of the numbers.
    const PARTS: usize = 3;
    match DESCRIBED.load(Ordering::Relaxed) {
        0 => 0,
        huges => (huges * ENTRIES).next_multiple_of(PAGE) + PARTS * PAGE,
    }
}

/// Bytes that a leaf covers.
pub(crate) const LEAF_SPAN: usize = 1 << LG_LEAF;

/// Whether a leaf covers `addr`: any of the [`LEAF_SPAN`] bytes around it may be ours.
pub(crate) fn covers(addr: usize) -> bool {
    leaf(addr).is_some()
}

/// Where the leaves are, one after the other, and how many bytes each has.
pub(crate) fn leaves() -> impl Iterator<Item = (usize, usize)> {
    let addr = |index| leaf(index << LG_LEAF).map(|leaf| leaf.0.addr());
    (0..ROOTS)
        .filter_map(addr)
        .map(|at| (at, size_of::<Leaf>()))
}

/// Names the record of the page at `addr`, which the map covers; `None` clears it.
#[inline]
pub(crate) fn set_record(addr: *const u8, record: Option<MetaRef>) {
    if let Some(leaf) = leaf(addr.addr()) {
        let number = record.map_or(0, MetaRef::number);
        // Release: pairs with the Acquire in `record`.
        leaf.record(addr.addr()).store(number, Ordering::Release);
    }
}

/// Sets the class byte of the page at `addr`, which the map covers (P1).
#[inline]
pub(crate) fn set_class_byte(addr: *const u8, byte: u8) {
    if let Some(leaf) = leaf(addr.addr()) {
        leaf.class(addr.addr()).store(byte, Ordering::Relaxed);
    }
}

/// Descriptor of the huge page that holds `addr`.
#[inline]
pub(crate) fn huge(addr: usize) -> Option<MetaRef> {
    // Acquire: pairs with the Release in `set_huge`.
    MetaRef::from_number(leaf(addr)?.huge(addr).load(Ordering::Acquire))
}

/// Sees to it that the entries around the huge page at `addr`, which the map covers and which is about to get a
/// descriptor, are memory: see [`is_zero`].
pub(crate) fn touch(addr: usize) {
    if let Some(leaf) = leaf(addr) {
        let _ = leaf
            .huge(addr)
            .compare_exchange(0, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Names the descriptor of the huge page at `addr`, which the map covers.
pub(crate) fn set_huge(addr: usize, descriptor: MetaRef) {
    debug_assert!(addr % HUGE == 0);
    if let Some(leaf) = leaf(addr) {
        // Release: pairs with the Acquire in `huge`.
        if leaf.huge(addr).swap(descriptor.number(), Ordering::Release) == 0 {
            DESCRIBED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::dice::{rounds, stride};
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    fn at(addr: usize) -> *const u8 {
        ptr::without_provenance(addr)
    }

    #[test]
    fn addresses_that_are_nobodys_read_zero() {
        for addr in [
            0,
            1,
            4095,
            1 << 30,
            (1 << 47) - 1,
            (1 << 48) - 1,
            1 << 48,
            usize::MAX,
        ] {
            assert_eq!(class_byte(at(addr)), 0, "{addr:#x}");
            assert_eq!(record(at(addr)), None);
            assert_eq!(huge(addr), None);
        }
    }

    #[test]
    fn random_writes_agree_with_a_sorted_map() {
        // Far from anything the process maps: three leaves around a boundary.
        let start = (5usize << 40) - (8 << 20);
        cover(start, 16 << 20).unwrap();
        let mut naive: BTreeMap<usize, (u8, u32)> = BTreeMap::new();
        let mut seed = 99u64;
        for _ in 0..rounds(50_000) {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let page = start + ((seed >> 33) as usize % 4096) * 4096;
            let byte = (seed >> 20) as u8;
            let number = (seed >> 24) as u32 & 0xff;
            set_class_byte(at(page), byte);
            set_record(at(page), MetaRef::from_number(number));
            naive.insert(page, (byte, number));
            let probe = start + ((seed >> 11) as usize % (4096 * 4096));
            let (byte, number) = naive.get(&(probe & !4095)).copied().unwrap_or((0, 0));
            assert_eq!(class_byte(at(probe)), byte);
            assert_eq!(record(at(probe)).map_or(0, MetaRef::number), number);
        }
    }

    /// What an address means, whole: every page of a leaf and every huge page has a number of its own, and none is left over.
    #[test]
    fn every_page_and_huge_page_of_a_leaf_has_a_number_of_its_own() {
        let start = 7usize << 40;
        cover(start, LEAF_SPAN).unwrap();
        let leaf = leaf(start).unwrap();
        let first = leaf.number(0);
        let position = |number: &AtomicU32| {
            (ptr::from_ref(number).addr() - ptr::from_ref(first).addr()) / size_of::<AtomicU32>()
        };
        let mut taken = vec![false; LEAF_PAGES + LEAF_HUGES];
        let mut take = |number: &AtomicU32, addr: usize| {
            let was_taken = core::mem::replace(&mut taken[position(number)], true);
            assert!(!was_taken, "{addr:#x} shares its number");
        };
        for page in (0..LEAF_PAGES).step_by(stride()) {
            let (first, last) = (start + page * PAGE, start + page * PAGE + PAGE - 1);
            take(leaf.record(first), first);
            assert_eq!(position(leaf.record(first)), position(leaf.record(last)));
            assert_eq!((page_index(first), page_index(last)), (page, page));
        }
        for base in (start..start + LEAF_SPAN).step_by(HUGE * stride()) {
            take(leaf.huge(base), base);
            for inside in [PAGE, HUGE / 2, HUGE - 1] {
                assert_eq!(
                    position(leaf.huge(base)),
                    position(leaf.huge(base + inside))
                );
            }
        }
        assert!(stride() > 1 || taken.iter().all(|&taken| taken));
    }

    /// Every sequence of four writes to the pages on both sides of the seam of two leaves, which is one of huge pages too.
    #[test]
    fn every_short_sequence_at_a_seam_is_read_back() {
        const WRITES: u32 = 4;
        let seam = (8usize << 40) + LEAF_SPAN;
        let pages = [seam - 2 * PAGE, seam - PAGE, seam, seam + PAGE];
        cover(seam - PAGE, 2 * PAGE).unwrap();
        // Class byte, record, neither; of each page.
        let deeds: Vec<(usize, u8, u32)> = pages
            .iter()
            .flat_map(|&page| [(page, 6, 0), (page, 0, 0x9000_0001), (page, 0, 0)])
            .collect();
        for sequence in (0..deeds.len().pow(WRITES)).step_by(stride()) {
            let mut naive = [(0, 0); 4];
            for turn in 0..WRITES {
                let (page, byte, number) = deeds[sequence / deeds.len().pow(turn) % deeds.len()];
                set_class_byte(at(page), byte);
                set_record(at(page), MetaRef::from_number(number));
                let index = pages.iter().position(|&known| known == page).unwrap();
                naive[index] = (byte, number);
                for (&page, &(byte, number)) in pages.iter().zip(&naive) {
                    for addr in [page, page + PAGE - 1] {
                        assert_eq!(class_byte(at(addr)), byte, "sequence {sequence}");
                        assert_eq!(record(at(addr)).map_or(0, MetaRef::number), number);
                    }
                }
                assert_eq!((huge(seam - 1), huge(seam)), (None, None));
            }
            for page in pages {
                set_class_byte(at(page), 0);
                set_record(at(page), None);
            }
        }
    }

    #[test]
    fn a_refused_leaf_leaves_the_map_as_it_was() {
        let start = 6usize << 40;
        sys::simulated::memory::refuse(0, 1);
        assert!(cover(start, 4096).is_none());
        assert_eq!(class_byte(at(start)), 0);
        assert!(cover(start, 4096).is_some());
    }
}
