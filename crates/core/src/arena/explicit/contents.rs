//! What an explicit cache holds: a magazine for each class, one owner's objects, and what the owner is to know of them
//! (rules P1, P7 and P8).

use super::Owner;
use crate::arena::magazine::{Magazine, STARTER, full_room};
use crate::arena::manual::ArenaRef;
use crate::size::{CACHED_CLASSES, SizeClass, magazine_capacity};
use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

/// Objects of one class: the last `count` of a magazine that ends at `end`.
#[derive(Clone, Copy)]
pub(super) struct Bin {
    end: *mut *mut u8,
    /// Number of the magazine; 0: none yet.
    magazine: u32,
    pub(super) count: u16,
    /// Objects that it may hold.
    room: u16,
}

impl Bin {
    pub(super) const EMPTY: Self = Self {
        end: ptr::null_mut(),
        magazine: 0,
        count: 0,
        room: 0,
    };

    /// Of a magazine, for at most `capacity` objects.
    pub(super) fn of(magazine: Magazine, capacity: usize) -> Self {
        let (end, count, room) = magazine.shape();
        Self {
            end,
            magazine: magazine.into_number(),
            count: count as u16,
            room: room.min(capacity) as u16,
        }
    }

    /// The magazine, with its objects; the bin has none from now on.
    pub(super) fn take(&mut self) -> Option<Magazine> {
        let bin = core::mem::replace(self, Self::EMPTY);
        // SAFETY: put here by `of`, and nobody else's.
        let mut magazine = unsafe { Magazine::from_number(bin.magazine) }?;
        magazine.set_count(bin.count.into());
        Some(magazine)
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<*mut u8> {
        let less = self.count.checked_sub(1)?;
        // SAFETY: the last `count` slots before the end are filled.
        let object = unsafe { *self.end.sub(self.count.into()) };
        self.count = less;
        Some(object)
    }

    /// `false`: there is no room.
    #[inline(always)]
    fn push(&mut self, object: *mut u8) -> bool {
        let more = self.count + 1;
        if more > self.room {
            return false;
        }
        // SAFETY: the magazine has `room` slots before its end.
        unsafe { *self.end.sub(more.into()) = object };
        // The slot first (P7).
        compiler_fence(Ordering::Release);
        self.count = more;
        true
    }
}

/// What is in a cache, behind its claim.
pub(super) struct Inner {
    pub(super) alive: bool,
    pub(super) owner: Owner,
    pub(super) bins: [Bin; CACHED_CLASSES],
    /// Objects served, by class, that the owner was not told of (P8), and those that it was told that the cache holds.
    pub(super) served: [u64; CACHED_CLASSES],
    told: [u64; CACHED_CLASSES],
}

impl Inner {
    pub(super) const EMPTY: Self = Self {
        alive: true,
        owner: Owner::AUTOMATIC,
        bins: [Bin::EMPTY; CACHED_CLASSES],
        served: [0; CACHED_CLASSES],
        told: [0; CACHED_CLASSES],
    };

    pub(super) fn is_empty(&self) -> bool {
        self.bins.iter().all(|bin| bin.count == 0)
    }

    #[inline(always)]
    pub(super) fn pop(&mut self, owner: Owner, class: SizeClass) -> Option<*mut u8> {
        let index = class.index();
        if self.owner != owner {
            return None;
        }
        let object = self.bins.get_mut(index)?.pop()?;
        self.served[index] += 1;
        Some(object)
    }

    /// `false`: there is no room, or it is another owner's, or ends.
    #[inline(always)]
    pub(super) fn push(&mut self, owner: Owner, class: SizeClass, object: *mut u8) -> bool {
        let bin = self.bins.get_mut(class.index());
        self.alive && self.owner == owner && bin.is_some_and(|bin| bin.push(object))
    }

    /// Has it hold `owner`'s objects, if it holds none of another's. `false`: it does.
    pub(super) fn become_of(&mut self, owner: Owner) -> bool {
        if self.owner != owner && self.is_empty() {
            self.tell(self.owner.arena());
            self.owner = owner;
        }
        self.owner == owner
    }

    /// Gives a class a magazine, or a larger one. `false`: it has the largest, or out of memory.
    pub(super) fn enlarge(&mut self, class: usize) -> bool {
        let Some(bin) = self.bins.get_mut(class) else {
            return false;
        };
        let capacity = magazine_capacity(class);
        let room = match bin.magazine {
            0 => STARTER,
            _ if capacity <= usize::from(bin.room) => return false,
            _ => full_room(capacity),
        };
        let Some(mut more) = Magazine::empty(room) else {
            return false;
        };
        if let Some(mut less) = bin.take() {
            more.set_count(less.count());
            more.objects().copy_from_slice(less.objects());
            less.set_count(0);
            less.recycle();
        }
        *bin = Bin::of(more, capacity);
        true
    }

    /// Brings what the owner, if it is an arena made by request, is to know to its books (P8).
    pub(super) fn tell(&mut self, owner: Option<ArenaRef>) {
        let served = core::mem::replace(&mut self.served, [0; CACHED_CLASSES]);
        let Some(arena) = owner else {
            return;
        };
        let held = self.bins.map(|bin| bin.count.into());
        let before = core::mem::replace(&mut self.told, held);
        arena.note_cached(&served, &before, &held);
    }

    /// Takes everything out.
    pub(super) fn empty(&mut self, owner: Option<ArenaRef>) -> [Bin; CACHED_CLASSES] {
        let bins = core::mem::replace(&mut self.bins, [Bin::EMPTY; CACHED_CLASSES]);
        self.tell(owner);
        bins
    }
}

/// Gives the objects of each class to `each`, and the magazines back.
pub(super) fn give_all(
    bins: [Bin; CACHED_CLASSES],
    mut each: impl FnMut(SizeClass, &mut [*mut u8]),
) {
    for (index, mut bin) in bins.into_iter().enumerate() {
        if let (Some(mut magazine), Some(class)) = (bin.take(), SizeClass::new(index)) {
            each(class, magazine.objects());
            magazine.set_count(0);
            magazine.recycle();
        }
    }
}
