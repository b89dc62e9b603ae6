//! Residence: how much of our own records has memory, asked of the system.
//!
//! A page of a segment is touched when the first record in it is handed out, and loses its memory when all of them were
//! recycled and the metadata purged. What is counted in units says nothing of the rest of the page, of books, and of
//! pages that the system took; so the system is asked.

use super::{MAPPED_SEGMENT, METADATA, MetaRef, SEGMENTS_MAX, book};
use crate::size::PAGE;
use crate::sys::memory;

/// System pages asked about at a time.
const AT_ONCE: usize = 256;

/// Bytes of `from..to` that have memory, as far as the system tells. Pages at the ends count as a whole.
pub(crate) fn resident_bytes(from: usize, to: usize) -> usize {
    let system = memory::page_size();
    let (mut at, mut resident) = (from & !(system - 1), 0);
    let mut notes = [0; AT_ONCE];
    while at < to {
        let pages = (to - at).div_ceil(system).min(AT_ONCE);
        let notes = &mut notes[..pages];
        if memory::residence(at, notes) {
            resident += notes.iter().filter(|&&note| note & 1 != 0).count();
        }
        at += pages * system;
    }
    resident * system
}

/// Whether the system tells the truth about memory: a fresh page has none, a written one has. Some emulators say that
/// all of it is there.
pub(crate) fn is_told() -> bool {
    let system = memory::page_size();
    let Some(page) = memory::map(system) else {
        return false;
    };
    let addr = page.addr().get();
    let before = resident_bytes(addr, addr + system);
    // SAFETY: a page just mapped, ours alone; volatile, as it matters to the system only.
    let after = unsafe {
        page.as_ptr().write_volatile(1);
        let after = resident_bytes(addr, addr + system);
        memory::unmap(page, system);
        after
    };
    (before, after) == (0, system)
}

/// Bytes of the segments within `from..to` that have memory.
pub(crate) fn of_records(from: usize, to: usize) -> usize {
    let (last, any) = {
        let base = METADATA.base.lock();
        (base.segment, base.end != 0)
    };
    let segments = if any { last + 1 } else { 0 };
    let in_segment = |segment| {
        let start = MetaRef::segment_base(segment)?.addr().get();
        if start >= to || start + MAPPED_SEGMENT <= from {
            return None;
        }
        // The book is looked at only if it has memory: reading would give it some.
        let bytes = match resident_bytes(start, start + PAGE) {
            0 => MAPPED_SEGMENT,
            _ => match book::short_bytes(segment) {
                0 => MAPPED_SEGMENT,
                bytes => bytes,
            },
        };
        let (first, end) = (start.max(from), (start + bytes).min(to));
        (first < end).then(|| resident_bytes(first, end))
    };
    (0..segments.min(SEGMENTS_MAX)).filter_map(in_segment).sum()
}
