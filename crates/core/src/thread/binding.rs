//! Binding: a thread whose allocations come from an arena made by request, and a thread that is away in the
//! application's code.
//!
//! W1  A bound thread works by way of its shadow bins: every operation goes slow, and there is sent to its arena. Its small
//!     objects come from a cache of its own (see `arena::explicit`), at best by [`pop`] and [`push`] before the slow path
//!     begins, and go there. What it frees of automatic arenas goes to its cache as ever.
//! W2  While a hook of the application runs on it, the thread is outside the fork gate and counts as not bound: what the
//!     hook allocates comes from an automatic arena.
//! W3  An arena counts the threads bound to it, which keeps it from ending; a thread's end ends its binding. The thread's cache
//!     of that arena is emptied before it is counted off.

use super::CacheRef;
use super::bins;
use super::cache::counting::Totals;
use super::explicit;
use super::passage;
use super::registry;
use crate::arena::explicit::{ExplicitRef, Owner, own};
use crate::arena::manual::{self, ArenaRef};
use crate::extent::hooks::Outside;
use crate::size::SizeClass;
use crate::sys::process;
use crate::sys::thread as system;
use core::hint::assert_unchecked;

/// What a cache knows of it; its thread's alone.
#[derive(Clone, Copy)]
pub(super) struct Binding {
    /// Index of the arena; 0, which is an automatic one, for none.
    arena: u16,
    /// Hooks that the thread is in.
    away: u16,
    /// Number of its cache of that arena; 0: it is not bound, or there was no memory for one.
    cache: u32,
}

impl Binding {
    pub(super) const NEW: Self = Self {
        arena: 0,
        away: 0,
        cache: 0,
    };
}

impl CacheRef {
    /// Whether the thread is bound.
    pub(crate) fn is_bound(self) -> bool {
        self.get().binding.arena != 0
    }

    /// Whether the thread does without live bins.
    pub(super) fn is_shadowed(self) -> bool {
        !self.is_enabled() || self.is_bound()
    }

    /// The arena that the thread is bound to, whether it is away or not.
    pub(crate) fn binding(self) -> Option<ArenaRef> {
        match self.get().binding.arena {
            0 => None,
            index => manual::held(index as usize),
        }
    }

    /// The arena that an allocation of the thread goes to, unless it is an automatic one (W2).
    #[inline]
    pub(crate) fn bound(self) -> Option<ArenaRef> {
        let Binding { arena, away, .. } = self.get().binding;
        if arena == 0 || away != 0 {
            return None;
        }
        manual::held(arena as usize)
    }

    /// Whether the thread is in a hook of the application.
    pub(crate) fn is_away(self) -> bool {
        self.get().binding.away != 0
    }

    /// The thread's cache of the arena that it is bound to, where it uses caches.
    #[inline]
    pub(crate) fn own_cache(self) -> Option<ExplicitRef> {
        ExplicitRef::from_number(self.get().binding.cache).filter(|_| self.is_enabled())
    }

    /// Empties the thread's cache of the arena that it is bound to.
    pub(crate) fn empty_own_cache(self, inside: Inside) {
        if let Some(own) = ExplicitRef::from_number(self.get().binding.cache) {
            explicit::empty(own, false, inside);
        }
    }

    /// Changes the binding, and the arenas' counts (W3); the word is the caller's to set. `false`: the arena has ended
    /// meanwhile, and nothing was changed.
    pub(super) fn rebind(mut self, arena: Option<ArenaRef>, inside: Inside) -> bool {
        // Hooks may run, and a fork in their midst finds counts that agree with the binding.
        self.empty_own_cache(inside);
        if arena.is_some_and(|arena| !arena.bind()) {
            return false;
        }
        self.release_binding();
        let binding = &mut self.get_mut().binding;
        if let Some(arena) = arena {
            let own = own(Owner::manual(arena.index()));
            binding.cache = own.map_or(0, ExplicitRef::number);
            binding.arena = arena.index() as u16;
        }
        true
    }

    /// Ends the binding, of a thread whose cache of the arena is empty, or which is gone in a forked child.
    pub(super) fn release_binding(mut self) {
        let before = self.binding();
        let binding = &mut self.get_mut().binding;
        if let Some(own) = ExplicitRef::from_number(binding.cache) {
            own.disown();
        }
        (binding.cache, binding.arena) = (0, 0);
        if let Some(before) = before {
            before.unbind();
        }
    }

    /// Ends a stay in a hook that a thread did not come back from: the cache is about to be another's.
    pub(super) fn forget_stay(mut self) {
        self.get_mut().binding.away = 0;
    }

    /// Has what `body` allocates come from an automatic arena.
    pub(crate) fn unbound<R>(mut self, body: impl FnOnce() -> R) -> R {
        self.get_mut().binding.away += 1;
        let result = body();
        let away = &mut self.get_mut().binding.away;
        *away = away.saturating_sub(1);
        result
    }
}

/// The calling thread, its cache of the arena that it is bound to, and whose that is; where nothing but the binding makes
/// its operations go slow. Called outside any passage.
#[inline]
fn bound() -> Option<(CacheRef, ExplicitRef, Owner)> {
    let word = system::word();
    // SAFETY: the word always points at an array of bins.
    unsafe { assert_unchecked(!word.is_null()) };
    if bins::marker(word) != bins::SHADOW {
        return None;
    }
    let cache = CacheRef::from_shadow(word);
    let Binding { arena, away, .. } = cache.get().binding;
    let is_plain = away == 0 && cache.is_unwatched() && !registry::is_shadowed();
    let own = cache.own_cache().filter(|_| is_plain)?;
    Some((cache, own, Owner::manual(arena.into())))
}

/// An object of `class`, which is cached, for a bound thread, where one is at hand.
#[inline]
pub(crate) fn pop(class: SizeClass) -> Option<*mut u8> {
    let (cache, own, owner) = bound()?;
    let object = own.try_pop(owner, class)?;
    cache.note(class, Totals::POPPED);
    Some(object)
}

/// Frees the object at `ptr` on a bound thread, if it is a small one of its arena and there is room. `false`: nothing happened.
#[inline]
pub(crate) fn push(ptr: *mut u8) -> bool {
    let Some((cache, own, owner)) = bound() else {
        return false;
    };
    let small = manual::small_at(ptr).filter(|&(_, arena)| Owner::manual(arena) == owner);
    small.is_some_and(|(class, _)| {
        let pushed = own.try_push(owner, class, ptr);
        if pushed {
            cache.note(class, Totals::PUSHED);
        }
        pushed
    })
}

/// The calling thread inside a passage, by its cache if it has one.
#[derive(Clone, Copy)]
pub(crate) struct Inside(pub(crate) Option<CacheRef>);

impl Outside for Inside {
    fn outside<R>(self, body: impl FnOnce() -> R) -> R {
        // What the application's code leaves in `errno` is not the caller's business.
        let body = || process::keep_errno(body);
        match self.0 {
            // What is allocated there is no sample: it is we who run it.
            Some(cache) => cache.unsampled(|| passage::leave(self.0, || cache.unbound(body))),
            None => passage::leave(None, body),
        }
    }
}
