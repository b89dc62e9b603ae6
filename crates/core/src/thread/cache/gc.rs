//! Gc: what lies untouched in a cache goes, a class at a time (rule H3).

use super::CacheRef;
use crate::arena::magazine::Magazine;
use crate::size::SizeClass;
use crate::thread::bins::{BINS, mark};
use core::sync::atomic::{AtomicU32, Ordering};

/// Slow entries from one look of the gc to the next, a power of two, by default; and what is taken of their number.
pub(super) const GC_PERIOD: u32 = 32;
#[unsafe(link_section = ".data.jemoxide_start")]
static GC_MASK: AtomicU32 = AtomicU32::new(GC_PERIOD - 1);
/// Bytes that an option says for the default.
const GC_BYTES: usize = 64 << 10;

/// Has the gc look at a class every `bytes` of traffic: the slow entries that stand for them, as those of the default do
/// for [`GC_BYTES`].
pub(crate) fn set_gc_bytes(bytes: usize) {
    let period = (bytes / (GC_BYTES / GC_PERIOD as usize)).clamp(1, 1 << 30);
    let mask = period.next_power_of_two() as u32 - 1;
    GC_MASK.store(mask, Ordering::Relaxed);
}

/// Whether a look is due at the slow entry with this number.
#[inline]
pub(super) fn is_due(entries: u32) -> bool {
    entries & GC_MASK.load(Ordering::Relaxed) == 0
}

impl CacheRef {
    /// Looks at one class (H3).
    pub(super) fn gc_step(&mut self) {
        let cache = self.get_mut();
        let index = cache.gc_class as usize % (BINS - 1);
        cache.gc_class = (index + 1) as u8 % (BINS - 1) as u8;
        let Some(class) = SizeClass::new(index) else {
            return;
        };
        // SAFETY: the active magazine of this thread's bin; it stays there.
        let Some(mut active) = (unsafe { Magazine::from_number(self.bin(class).active) }) else {
            return;
        };
        let end = active.end();
        let count = self.look(class);
        let bin = *self.bin(class);
        let below_mark = mark(end).wrapping_sub(bin.low_water) as usize / size_of::<*mut u8>();
        let untouched = self.lowest(class).unwrap_or(below_mark).min(count);
        if untouched > 0 {
            active.set_count(count);
            self.shed(class, &mut active, count - (untouched - untouched / 4));
            let cold = self.cold(class);
            cold.fill = (cold.fill / 2).max(1);
            cold.limit /= 2;
            cold.looks = 0;
            self.install(class, active);
        }
        let bin = self.bin(class);
        bin.low_water = mark(bin.head);
        self.begin_lowest(class);
    }
}
