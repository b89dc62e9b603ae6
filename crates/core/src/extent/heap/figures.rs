//! What is told of the page heap: its figures of one instant, and some that are asked for by themselves.

use super::{HEAP, PageHeap};
use crate::extent::descriptor::{self, Kind};
use crate::extent::fence;
use crate::extent::huge::HugeFigures;
use crate::meta::UNIT;
use crate::size::PAGE;
use crate::sync::LockFigures;
use core::ptr;

/// What purging of one kind did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PurgeFigures {
    /// Steps.
    pub(crate) npurge: usize,
    /// System calls.
    pub(crate) nmadvise: usize,
    /// Pages whose memory was given back.
    pub(crate) purged_pages: usize,
}

impl PurgeFigures {
    pub(in crate::extent) const ZERO: Self = Self {
        npurge: 0,
        nmadvise: 0,
        purged_pages: 0,
    };
}

/// The heap's figures: bytes, but for the counts of purging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// In pages handed out.
    pub(crate) active: usize,
    /// Idle, the memory still there.
    pub(crate) dirty: usize,
    /// Idle, the system may take the memory.
    pub(crate) muzzy: usize,
    /// Address range without memory.
    pub(crate) retained: usize,
    /// Active, dirty and muzzy, and idle in huge pages.
    pub(crate) mapped: usize,
    /// Huge pages.
    pub(crate) huge: HugeFigures,
    /// Descriptors that wait to be used.
    pub(crate) spare_descriptors: usize,
    /// Bytes of all descriptors.
    pub(crate) descriptor_bytes: usize,
    /// Purging of dirty pages.
    pub(crate) dirty_purges: PurgeFigures,
    /// Purging of muzzy pages.
    pub(crate) muzzy_purges: PurgeFigures,
}

impl Figures {
    pub(crate) const ZERO: Self = Self {
        active: 0,
        dirty: 0,
        muzzy: 0,
        retained: 0,
        mapped: 0,
        huge: HugeFigures::ZERO,
        spare_descriptors: 0,
        descriptor_bytes: 0,
        dirty_purges: PurgeFigures::ZERO,
        muzzy_purges: PurgeFigures::ZERO,
    };
}

impl PageHeap {
    /// What was counted of its lock.
    pub(crate) fn lock_figures(&self) -> LockFigures {
        self.state.figures()
    }

    /// Counts that anew.
    pub(crate) fn forget_lock_figures(&self) {
        self.state.forget_figures();
    }

    /// The figures of this instant.
    pub(crate) fn figures(&self) -> Figures {
        let state = self.state.lock();
        let idle =
            |kind: Kind| (state.idle[kind as usize] + state.transit_idle[kind as usize]) * PAGE;
        let (dirty, muzzy) = (idle(Kind::Dirty), idle(Kind::Muzzy));
        // Fences have no memory, and are no idle pages either.
        let fences = if ptr::eq(self, &raw const HEAP) {
            fence::bytes()
        } else {
            0
        };
        let active = ((state.active + state.giant_pages) * PAGE).saturating_sub(fences);
        let huge = state.huges.figures();
        let retained = (state.owned - state.active) * PAGE - dirty - muzzy - huge.idle;
        Figures {
            active,
            dirty,
            muzzy,
            retained,
            mapped: active + dirty + muzzy + huge.idle,
            huge,
            spare_descriptors: state.spare_count,
            descriptor_bytes: state.descriptors * descriptor::UNITS * UNIT,
            dirty_purges: state.purges[Kind::Dirty as usize],
            muzzy_purges: state.purges[Kind::Muzzy as usize],
        }
    }

    /// Bytes of the pages that are in use or hold memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.state.lock().held() * PAGE
    }

    /// Whether pages are on their way to the system at this instant: they count until they are there.
    pub(crate) fn is_purging(&self) -> bool {
        let state = self.state.lock();
        state.transit + state.pledged > 0
    }

    /// Bytes of idle pages that hold memory.
    pub(crate) fn idle_bytes(&self) -> usize {
        let state = self.state.lock();
        Kind::BOTH
            .iter()
            .map(|&kind| (state.idle[kind as usize] + state.transit_idle[kind as usize]) * PAGE)
            .sum()
    }

    /// Pages in use, at an address that stays; only ever looked at.
    pub(crate) fn active_pages(&self) -> *const usize {
        let state = self.state.lock();
        &raw const state.active
    }
}
