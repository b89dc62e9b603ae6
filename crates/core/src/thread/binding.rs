//! Binding: a thread whose allocations come from an arena made by request, and a thread that is away in the
//! application's code.
//!
//! W1  A bound thread works by way of its shadow bins: every operation goes slow, and there is sent to its arena. What it
//!     frees of automatic arenas goes to its cache as ever.
//! W2  While a hook of the application runs on it, the thread is outside the fork gate and counts as not bound: what the
//!     hook allocates comes from an automatic arena.
//! W3  An arena counts the threads bound to it, which keeps it from ending; a thread's end ends its binding.

use super::CacheRef;
use super::passage;
use crate::arena::manual::{self, ArenaRef};
use crate::extent::hooks::Outside;
use crate::sys::process;

/// What a cache knows of it; its thread's alone.
#[derive(Clone, Copy)]
pub(super) struct Binding {
    /// Index of the arena; 0, which is an automatic one, for none.
    arena: u16,
    /// Hooks that the thread is in.
    away: u16,
}

impl Binding {
    pub(super) const NEW: Self = Self { arena: 0, away: 0 };
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
        let Binding { arena, away } = self.get().binding;
        if arena == 0 || away != 0 {
            return None;
        }
        manual::held(arena as usize)
    }

    /// Whether the thread is in a hook of the application.
    pub(crate) fn is_away(self) -> bool {
        self.get().binding.away != 0
    }

    /// Changes the binding, and the arenas' counts (W3); the word is the caller's to set. `false`: the arena has ended
    /// meanwhile, and nothing was changed.
    pub(super) fn rebind(mut self, arena: Option<ArenaRef>) -> bool {
        if arena.is_some_and(|arena| !arena.bind()) {
            return false;
        }
        if let Some(before) = self.binding() {
            before.unbind();
        }
        self.get_mut().binding.arena = arena.map_or(0, |arena| arena.index() as u16);
        true
    }

    /// Ends the binding, and a stay in a hook that a thread did not come back from: the cache is about to be another's.
    pub(super) fn release_binding(mut self) {
        self.rebind(None);
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
