//! Exchange: whole loads between a thread's magazines, the depot and the slabs.
//!
//! ```text
//! draw   depot ──load──> active magazine; the empty one goes to the empties
//! fill   slabs ──some──> active magazine
//! make_room   grow: a larger magazine, a higher limit     pass on: the load, or its deeper half, to the depot
//! ```
//! What happens at each visit is kept short; what happens while a class warms up stands apart. Rules of the cache.

use super::CacheRef;
use super::counting::Totals;
use super::growth::{LINE, LOOKS, per_line};
use super::supply::{dealloc_uncached, fill_objects, flush_magazine, flush_past};
use crate::arena::depot;
use crate::arena::magazine::{Magazine, STARTER, full_room, next_room};
use crate::arena::{bin, misuse};
use crate::size::{SizeClass, magazine_capacity};

impl CacheRef {
    /// Takes a load from the depot in exchange for the empty active magazine. `false`: there is none.
    #[inline]
    pub(super) fn draw(&mut self, class: SizeClass) -> bool {
        if self.slots(class).is_bound() {
            return false;
        }
        let arena = self.arena();
        let cold = self.cold(class);
        cold.drawn = true;
        let Some(load) = depot::take(class, arena) else {
            return false;
        };
        // Whole loads of the class are going round: this thread works with it.
        cold.limit = magazine_capacity(class.index()) as u8;
        cold.strange = false;
        // SAFETY: the active magazine of this thread's bin, empty; the load takes its place.
        let empty = unsafe { Magazine::from_number(self.bin(class).active) };
        self.install(class, load);
        if let Some(empty) = empty {
            empty.recycle();
        }
        true
    }

    /// Fills the active magazine, which is empty or missing, from the slabs (H2). `false`: out of memory.
    #[cold]
    #[inline(never)]
    pub(super) fn fill(&mut self, class: SizeClass) -> bool {
        let capacity = self.capacity(class);
        let line = per_line(class).min(capacity);
        let wanted = match self.cold(class).fill as usize {
            0 => line,
            fill => fill.min(capacity),
        };
        // Whole lines (H5).
        let most = capacity - capacity % line;
        let grown = (wanted + wanted.div_ceil(2)).next_multiple_of(line);
        let next = grown.min(most);
        let cold = self.cold(class);
        cold.fill = next as u8;
        cold.strange = false;
        let limit = if next == most { capacity } else { next / 4 };
        cold.limit = cold.limit.max(limit as u8);
        let Some(mut magazine) = self.magazine_for(class, wanted) else {
            return false;
        };
        let wanted = wanted.min(magazine.room());
        magazine.set_count(wanted);
        let filled = fill_objects(class, self.arena(), magazine.objects());
        // What came is at the front of the slots meant for `wanted`: move it to the end.
        magazine.objects().copy_within(0..filled, wanted - filled);
        magazine.set_count(filled);
        self.install(class, magazine);
        filled > 0
    }

    /// The active magazine, taken out of its place, or a larger one if `wanted` objects do not fit into that.
    fn magazine_for(&mut self, class: SizeClass, wanted: usize) -> Option<Magazine> {
        let capacity = self.capacity(class);
        // SAFETY: the active magazine of this thread's bin, empty; the caller installs what comes back.
        let active = unsafe { Magazine::from_number(self.bin(class).active) };
        match active {
            Some(active) if active.room() < wanted && capacity > STARTER => {
                match Magazine::empty(full_room(capacity)) {
                    Some(full) => {
                        active.recycle();
                        Some(full)
                    }
                    None => Some(active),
                }
            }
            Some(active) => Some(active),
            None if wanted > STARTER => Magazine::empty(full_room(capacity)),
            None => Magazine::empty(STARTER),
        }
    }

    /// Makes room in the active magazine, which was looked at and holds `count` objects. `true`: that was impossible or
    /// wrong and `object` is dealt with, and counted.
    pub(super) fn make_room(&mut self, class: SizeClass, count: usize, object: *mut u8) -> bool {
        // SAFETY: the active magazine of this thread's bin; every path below puts it somewhere.
        let Some(mut active) = (unsafe { Magazine::from_number(self.bin(class).active) }) else {
            return self.first_free(class, object);
        };
        let room = active.room();
        active.set_count(count);
        if !self.grant(class).is_grown() {
            return self.grow(class, active, room, object);
        }
        self.pass_on(class, active, count, room);
        false
    }

    /// Gives the load of `active`, `count` objects, or its deeper half to the depot (H1).
    #[inline]
    fn pass_on(&mut self, class: SizeClass, mut active: Magazine, count: usize, room: usize) {
        let Some(mut next) = Magazine::empty(room) else {
            // No memory for a magazine: this one's load goes to the slabs.
            self.shed(class, &mut active, 0);
            self.install(class, active);
            return;
        };
        if core::mem::take(&mut self.cold(class).drawn) {
            // The upper half stays: it was freed last.
            let stay = count / 2;
            next.set_count(stay);
            next.objects().copy_from_slice(&active.objects()[..stay]);
            active.set_count(count - stay);
        }
        let arena = self.arena();
        self.install(class, next);
        if let Err(returned) = depot::keep(class, arena, active) {
            flush_magazine(class, returned);
        }
    }

    /// Lets a class that has met its limit, which is not yet a whole load, keep more (H4). As `make_room`.
    #[cold]
    #[inline(never)]
    fn grow(
        &mut self,
        class: SizeClass,
        mut active: Magazine,
        room: usize,
        object: *mut u8,
    ) -> bool {
        let capacity = self.capacity(class);
        if self.cold(class).strange {
            if !self.grant(class).is_full(active.count()) {
                // Own ones above those of others came back.
                self.regrant(class, active.count());
                return false;
            }
            if active.count() < room {
                self.note(class, Totals::PUSHED);
                self.put_under(class, active, object);
                return true;
            }
            self.cold(class).strange = false;
        }
        let limit = self.limit(class);
        let mut wanted = room;
        let looks = core::mem::take(&mut self.cold(class).looks);
        if !self.grant(class).is_full(active.count()) && looks < LOOKS {
            self.cold(class).looks = looks + 1;
            self.regrant(class, active.count());
            return false;
        }
        if looks == LOOKS {
            wanted = next_room(room, capacity);
            self.cold(class).limit = limit.max(wanted.min(capacity)) as u8;
        } else if limit < capacity {
            // Seldom enough for a look: a second free or an inner pointer that the slab knows of stops here.
            if class.is_small() {
                if let Err(error) = bin::inspect(object) {
                    misuse::report(error, object);
                    self.install(class, active);
                    return true;
                }
            }
            self.cold(class).limit = (limit + limit / 4 + 1).min(capacity) as u8;
            if active.count() >= limit {
                let kept = active.count().min(self.limit(class)) / 2;
                self.shed(class, &mut active, kept);
            }
        }
        if active.count() >= self.limit(class) {
            // A bound of its own: nothing grows.
            let stays = self.stays(class, active.count());
            self.shed(class, &mut active, stays);
        }
        if self.limit(class) > room {
            wanted = wanted.max(next_room(room, capacity));
        }
        if wanted > room {
            let Some(mut larger) = Magazine::empty(wanted) else {
                self.install(class, active);
                self.note(class, Totals::PUSHED);
                dealloc_uncached(class, object);
                return true;
            };
            larger.set_count(active.count());
            larger.objects().copy_from_slice(active.objects());
            active.recycle();
            active = larger;
        }
        self.install(class, active);
        false
    }

    /// Gives the objects that lie deepest in `magazine` back to their slabs, all but `kept`.
    pub(super) fn shed(&mut self, class: SizeClass, magazine: &mut Magazine, kept: usize) {
        let gone = magazine.count() - kept;
        let objects = magazine.objects();
        flush_past(class, &mut objects[kept..]);
        objects.copy_within(0..kept, gone);
        magazine.set_count(kept);
    }

    /// The first operation on a class is a free: the object comes from another thread (H5).
    fn first_free(&mut self, class: SizeClass, object: *mut u8) -> bool {
        self.note(class, Totals::PUSHED);
        let Some(mut magazine) = Magazine::empty(STARTER) else {
            dealloc_uncached(class, object);
            return true;
        };
        if class.size() >= LINE || self.slots(class).is_bound() {
            magazine.set_count(1);
            magazine.objects()[0] = object;
            self.install(class, magazine);
            return true;
        }
        let above = per_line(class);
        magazine.set_count(above);
        let filled = fill_objects(class, self.arena(), magazine.objects());
        magazine.objects().copy_within(0..filled, above - filled);
        magazine.set_count(filled);
        self.cold(class).strange = true;
        self.put_under(class, magazine, object);
        true
    }

    /// Puts `object`, which was counted, under all others of `active`, which has room, and sees to it that the next one
    /// comes here too.
    fn put_under(&mut self, class: SizeClass, mut active: Magazine, object: *mut u8) {
        let count = active.count();
        active.set_count(count + 1);
        let objects = active.objects();
        objects.copy_within(1.., 0);
        objects[count] = object;
        self.install(class, active);
        self.grant(class).close(count + 1);
        self.bin(class).left = 0;
    }
}
