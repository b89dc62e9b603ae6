//! Adaptation: how fast idle pages age, by what becomes of those that were purged.
//!
//! A page that is handed out again soon after its purge cost a system call and a fault for nothing; a program that asks
//! for no pages at all is not going to miss them.
//!
//! ```text
//! refaults above 30 % of what was purged,
//!   at 1 % of a processor or more             decay time x 2, x 4        pages are kept longer
//! a whole decay time without such a rate      decay time / 2, at least x 1
//! a whole decay time with purges and with
//!   refaults below 0.1 % of a processor       decay time / 2, / 4        pages go sooner
//! no pages asked for, second after second     what is left of it halves  pages go sooner
//! ```
//! A1  A refault is a page handed out without memory from a huge page of which pages were purged within the decay
//!     time, as many as were purged. A stamp and a count for each huge page are all that is kept of it: a page that
//!     never had memory counts in the place of one that had, which the order of search (lowest address first) makes
//!     rare.
//! A2  A rate is nothing by itself: what refaults cost decides, at [`FAULT_NS`] each.
//! A3  A second of silence is as many seconds as the decay time was lengthened.
//! A4  Switched off, the decay is the documented curve.
//! A5  What counts as a refault goes by the decay time as it was set, or lengthened: one that was shortened too much is
//!     seen by the pages that it would have kept.
//! Units: nanoseconds since boot, pages. Lock: the caller holds the page heap's lock. Pure arithmetic.

/// Doublings of the decay time at most, and halvings.
const STRETCH_MAX: i8 = 2;
const STRETCH_MIN: i8 = -2;
/// Refaults of a hundred pages purged above which purging came too early.
const RATE_PERCENT: usize = 30;
/// What a fault of a page without memory takes.
const FAULT_NS: u64 = 2_000;
/// Shares of a processor's time that are dear, and cheap (A2).
const DEAR: u64 = 100;
const CHEAP: u64 = 1000;
/// Pages purged that are enough to tell whether anybody misses them.
const MANY: usize = 1024;
/// Reviews in a decay time, and the shortest time between two.
const REVIEWS: u64 = 10;
const REVIEW_MIN_NS: u64 = 100_000_000;
/// What a review forgets of the sums.
const FORGOTTEN: usize = 8;
/// Silence after which what is left of the decay time halves.
const SILENCE_NS: u64 = 1_000_000_000;
/// More halvings than any decay time lasts.
const HALVINGS_MAX: u64 = 64;

/// What it goes by.
pub(super) struct Adapt {
    is_on: bool,
    /// Doublings of the decay time in force; less than 0: halvings.
    stretch: i8,
    /// Sums over the last reviews, older ones counting less.
    purged: usize,
    refaults: usize,
    /// Refaults since the last review.
    fresh: usize,
    review_ns: u64,
    /// Reviews since the rate was last too high, or the decay time was last changed.
    calm: u64,
    /// Reviews since refaults were last more than cheap, or the decay time was last changed.
    cheap: u64,
    /// When pages were last asked for, or the decay time was last halved.
    quiet_ns: u64,
}

impl Adapt {
    pub(super) const fn new() -> Self {
        Self {
            is_on: false,
            stretch: 0,
            purged: 0,
            refaults: 0,
            fresh: 0,
            review_ns: 0,
            calm: 0,
            cheap: 0,
            quiet_ns: 0,
        }
    }

    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Switches it on or off (A4) and forgets everything.
    pub(super) fn switch(&mut self, is_on: bool) {
        *self = Self::new();
        self.is_on = is_on;
    }

    /// Doublings of the decay time in force; less than 0: halvings.
    pub(super) const fn stretch(&self) -> i8 {
        self.stretch
    }

    /// Doublings alone.
    pub(super) const fn lengthened(&self) -> u32 {
        if self.stretch > 0 {
            self.stretch as u32
        } else {
            0
        }
    }

    /// `pages` were purged.
    pub(super) fn note_purged(&mut self, pages: usize) {
        self.purged = self.purged.saturating_add(pages);
    }

    /// `pages` were handed out again (A1).
    pub(super) fn note_refaults(&mut self, pages: usize) {
        self.fresh = self.fresh.saturating_add(pages);
    }

    /// Looks at what happened until `now_ns`; `asked`: pages were asked for since the last time. Answers how often what
    /// is left of the decay time halves now.
    pub(super) fn advance(&mut self, now_ns: u64, decay_ms: isize, asked: bool) -> u32 {
        if !self.is_on || decay_ms <= 0 {
            return 0;
        }
        self.review(now_ns, decay_ms as u64);
        if asked || self.quiet_ns == 0 {
            self.quiet_ns = now_ns;
            return 0;
        }
        let silence = SILENCE_NS << self.lengthened();
        let halvings = now_ns.saturating_sub(self.quiet_ns) / silence;
        self.quiet_ns += halvings * silence;
        halvings.min(HALVINGS_MAX) as u32
    }

    fn review(&mut self, now_ns: u64, decay_ms: u64) {
        let interval = decay_ms
            .saturating_mul(1_000_000 / REVIEWS)
            .max(REVIEW_MIN_NS);
        if self.review_ns == 0 {
            self.review_ns = now_ns;
        }
        let passed = now_ns.saturating_sub(self.review_ns) / interval;
        if passed == 0 {
            return;
        }
        self.review_ns = now_ns;
        let fresh = core::mem::take(&mut self.fresh);
        self.refaults = self.refaults.saturating_add(fresh);
        let rate_is_high =
            self.refaults.saturating_mul(100) > self.purged.saturating_mul(RATE_PERCENT);
        // The sums are those of so many reviews, when they go on alike.
        let sum_ns = (self.refaults as u64).saturating_mul(FAULT_NS);
        if sum_ns >= FORGOTTEN as u64 * interval / DEAR && rate_is_high {
            self.change(1);
            return;
        }
        self.calm = self.calm.saturating_add(passed);
        while self.stretch > 0 && self.calm >= REVIEWS << self.stretch {
            self.calm -= REVIEWS << self.stretch;
            self.stretch -= 1;
        }
        let is_cheap = (fresh as u64).saturating_mul(FAULT_NS) < interval / CHEAP;
        self.cheap = if is_cheap { self.cheap + 1 } else { 0 };
        if self.stretch <= 0 && self.cheap >= REVIEWS && self.purged >= MANY {
            self.change(-1);
            return;
        }
        for _ in 0..passed.min(HALVINGS_MAX) {
            self.purged -= self.purged / FORGOTTEN;
            self.refaults -= self.refaults / FORGOTTEN;
        }
    }

    /// Doubles the decay time, or halves it, and looks anew from here on.
    fn change(&mut self, doublings: i8) {
        self.stretch = (self.stretch + doublings).clamp(STRETCH_MIN, STRETCH_MAX);
        (self.purged, self.refaults, self.calm, self.cheap) = (0, 0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn adapt() -> Adapt {
        let mut adapt = Adapt::new();
        adapt.switch(true);
        assert_eq!(adapt.advance(5 * SECOND, 10_000, true), 0);
        adapt
    }

    /// A second in which `purged` pages go and `refaults` come back.
    fn second(adapt: &mut Adapt, now: &mut u64, purged: usize, refaults: usize) -> i8 {
        adapt.note_purged(purged);
        adapt.note_refaults(refaults);
        *now += SECOND;
        assert_eq!(adapt.advance(*now, 10_000, true), 0);
        adapt.stretch()
    }

    #[test]
    fn a_rate_above_thirty_percent_doubles_the_decay_time_twice_at_most() {
        for (refaults, most) in [(5800, 0), (6600, 2), (20_000, 2)] {
            let (mut adapt, mut now) = (adapt(), 5 * SECOND);
            let reached = (0..60)
                .map(|_| second(&mut adapt, &mut now, 20_000, refaults))
                .max();
            assert_eq!(reached, Some(most), "{refaults} of 20000");
        }
    }

    #[test]
    fn refaults_that_cost_little_do_not_lengthen_it_whatever_their_rate() {
        // One percent of a second is 5000 faults.
        let (mut adapt, mut now) = (adapt(), 5 * SECOND);
        assert!(
            (0..60).all(|_| second(&mut adapt, &mut now, 4900, 4900) == 0),
            "A2"
        );
        assert!((0..30).any(|_| second(&mut adapt, &mut now, 5400, 5400) == 1));
    }

    #[test]
    fn without_refaults_the_decay_time_comes_back_step_by_step() {
        let (mut adapt, mut now) = (adapt(), 5 * SECOND);
        while second(&mut adapt, &mut now, 20_000, 20_000) < 2 {}
        let seconds: std::vec::Vec<i8> = (0..61)
            .map(|_| second(&mut adapt, &mut now, 100, 0))
            .collect();
        let of = |stretch: i8| seconds.iter().filter(|&&had| had == stretch).count();
        assert_eq!((of(2), of(1), of(0)), (39, 20, 2));
    }

    #[test]
    fn where_nobody_misses_what_was_purged_the_decay_time_is_shortened_until_somebody_does() {
        let (mut adapt, mut now) = (adapt(), 5 * SECOND);
        let seconds: std::vec::Vec<i8> = (0..40)
            .map(|_| second(&mut adapt, &mut now, 2000, 450))
            .collect();
        let of = |stretch: i8| seconds.iter().filter(|&&had| had == stretch).count();
        assert_eq!((of(0), of(-1), of(-2)), (9, 10, 21));
        // Some do, and then many.
        assert!((0..40).all(|_| second(&mut adapt, &mut now, 2000, 2000) == -2));
        let last = (0..40).map(|_| second(&mut adapt, &mut now, 20_000, 10_000));
        assert_eq!(last.last(), Some(2));
    }

    #[test]
    fn little_that_was_purged_tells_nothing() {
        let (mut adapt, mut now) = (adapt(), 5 * SECOND);
        assert!((0..80).all(|_| second(&mut adapt, &mut now, 100, 0) == 0));
    }

    #[test]
    fn silence_halves_second_by_second_and_longer_seconds_where_it_was_lengthened() {
        for stretch in 0..=2 {
            let (mut adapt, mut now) = (adapt(), 5 * SECOND);
            while adapt.lengthened() < stretch {
                second(&mut adapt, &mut now, 20_000, 20_000);
            }
            assert_eq!(adapt.advance(now, 10_000, true), 0);
            let mut halvings = 0;
            for _ in 0..80 {
                now += SECOND / 10;
                halvings += adapt.advance(now, 10_000, false);
            }
            assert_eq!(halvings, 8 >> stretch, "A3");
        }
    }

    #[test]
    fn switched_off_it_says_nothing() {
        let (mut adapt, mut now) = (Adapt::new(), 5 * SECOND);
        for _ in 0..20 {
            adapt.note_purged(1000);
            adapt.note_refaults(1000);
            now += SECOND;
            assert_eq!(adapt.advance(now, 10_000, false), 0, "A4");
        }
        assert_eq!(adapt.stretch(), 0);
    }
}
