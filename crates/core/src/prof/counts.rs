//! Counts: what is counted of samples, and how it was at a moment.
//!
//! ```text
//! moments     ...    m          m+1: a dump begins here
//! changes     +  +      +            +  -        first change after m+1: `then` = `now`, `moment` = m+1
//! ```
//! K1  Until a counter changes after a moment, what it was then is what it is now. So a moment costs nothing, and a dump
//!     reads numbers of one instant while threads go on.
//! K2  Cumulative counts never fall, and are at least the live ones.
//! Units: objects, bytes of usable size; [`Estimate`]s as in `numbers`.

use super::numbers::Estimate;
use core::cell::Cell;

/// Samples, as they are and as what they stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) estimate: Estimate,
}

impl Sums {
    pub(super) const ZERO: Self = Self {
        objects: 0,
        bytes: 0,
        estimate: Estimate::ZERO,
    };

    /// One sample of `usable` bytes.
    pub(super) fn one(usable: usize, estimate: Estimate) -> Self {
        Self {
            objects: 1,
            bytes: usable as u64,
            estimate,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            objects: self.objects + other.objects,
            bytes: self.bytes.saturating_add(other.bytes),
            estimate: self.estimate.plus(other.estimate),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            objects: self.objects.saturating_sub(other.objects),
            bytes: self.bytes.saturating_sub(other.bytes),
            estimate: self.estimate.minus(other.estimate),
        }
    }
}

/// Samples that are alive, and all there were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) live: Sums,
    pub(crate) cumulative: Sums,
}

impl Counts {
    pub(super) const ZERO: Self = Self {
        live: Sums::ZERO,
        cumulative: Sums::ZERO,
    };

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            live: self.live.plus(other.live),
            cumulative: self.cumulative.plus(other.cumulative),
        }
    }
}

/// Counts now and at the last moment (K1).
pub(super) struct Kept {
    now: Cell<Counts>,
    then: Cell<Counts>,
    moment: Cell<u32>,
}

impl Kept {
    /// Zero now, and at every moment up to `moment`.
    pub(super) const fn born(moment: u32) -> Self {
        Self {
            now: Cell::new(Counts::ZERO),
            then: Cell::new(Counts::ZERO),
            moment: Cell::new(moment),
        }
    }

    /// Begins at zero again, the last moment being `moment`.
    pub(super) fn reset(&self, moment: u32) {
        self.now.set(Counts::ZERO);
        self.then.set(Counts::ZERO);
        self.moment.set(moment);
    }

    pub(super) fn now(&self) -> Counts {
        self.now.get()
    }

    /// As of the last moment, which is `moment`.
    pub(super) fn then(&self, moment: u32) -> Counts {
        if self.moment.get() == moment {
            self.then.get()
        } else {
            self.now.get()
        }
    }

    /// Changes what is counted now, the last moment being `moment`.
    pub(super) fn change(&self, moment: u32, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.now.get();
        if self.moment.replace(moment) != moment {
            self.then.set(counts);
        }
        change(&mut counts);
        self.now.set(counts);
    }
}

/// Counts of the era under way: those of an earlier one read zero, without anybody going round to clear them.
pub(super) struct Current {
    kept: Kept,
    era: Cell<u32>,
}

impl Current {
    /// Zero now, and at every moment up to `moment`.
    pub(super) const fn born(moment: u32, era: u32) -> Self {
        Self {
            kept: Kept::born(moment),
            era: Cell::new(era),
        }
    }

    /// As of now, in the era `era`.
    pub(super) fn now(&self, era: u32) -> Counts {
        if self.era.get() == era {
            self.kept.now()
        } else {
            Counts::ZERO
        }
    }

    /// As of the last moment, which is `moment`, in the era `era`.
    pub(super) fn then(&self, moment: u32, era: u32) -> Counts {
        if self.era.get() == era {
            self.kept.then(moment)
        } else {
            Counts::ZERO
        }
    }

    /// Changes what is counted now; `moment` is the last one, `era` the one under way.
    pub(super) fn change(&self, moment: u32, era: u32, change: impl FnOnce(&mut Counts)) {
        if self.era.replace(era) != era {
            self.kept.reset(moment);
        }
        self.kept.change(moment, change);
    }
}

/// What is alive of a stack, and was at the peak of the process.
///
/// ```text
/// peak raised:  the number of the peak grows; no stack is touched
/// first change of the stack after that:  what was alive until now is what was alive at the peak
/// ```
pub(super) struct Tide {
    live: Cell<Estimate>,
    high: Cell<Estimate>,
    peak: Cell<u32>,
}

impl Tide {
    /// Nothing, now and at every peak up to `peak`.
    pub(super) const fn born(peak: u32) -> Self {
        Self {
            live: Cell::new(Estimate::ZERO),
            high: Cell::new(Estimate::ZERO),
            peak: Cell::new(peak),
        }
    }

    /// Begins at nothing again, the last peak being `peak`.
    pub(super) fn reset(&self, peak: u32) {
        self.live.set(Estimate::ZERO);
        self.high.set(Estimate::ZERO);
        self.peak.set(peak);
    }

    /// What is alive.
    #[cfg(test)]
    pub(super) fn live(&self) -> Estimate {
        self.live.get()
    }

    /// At the last peak, which is `peak`.
    pub(super) fn high(&self, peak: u32) -> Estimate {
        if self.peak.get() == peak {
            self.high.get()
        } else {
            self.live.get()
        }
    }

    /// Sets what is alive now, the last peak being `peak`.
    pub(super) fn change(&self, peak: u32, change: impl FnOnce(Estimate) -> Estimate) {
        let live = self.live.get();
        if self.peak.replace(peak) != peak {
            self.high.set(live);
        }
        self.live.set(change(live));
    }
}
