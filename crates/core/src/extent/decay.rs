//! Decay: how many idle pages may stay as time passes.
//!
//! An idle page costs memory; a purged page costs a fault on reuse. The number of idle pages allowed
//! therefore falls along a smooth curve over `decay_ms`, which is cut into 200 epochs.
//!
//! ```text
//! limit |####          limit = sum over the last 200 epochs e of
//!       |    ####              pages_added[e] * curve(age(e))
//!       +--------#### t        curve: 6x^5 - 15x^4 + 10x^3, x from 1 (new) to 0 (decay_ms old)
//! ```
//! D1  Between two epochs the limit grows only by pages added.
//! D2  `decay_ms == 0` gives limit 0; `-1` gives no limit.
//! D3  Pages added are counted net: those that were there when the epoch began are not added again by
//!     being used and freed once more.
//! D4  A stretch doubles or halves the length of the epochs, so that what is idle ages slower or faster from then on;
//!     hastening halves the time that is left to every page. Without either the curve is the documented one.
//! Units: nanoseconds since boot, pages. Lock: the caller holds the page heap's lock, or that of an
//! arena made by request. Pure arithmetic.
//! Source: jemalloc(3) `opt.dirty_decay_ms`.

/// Epochs in the decay time.
pub(super) const EPOCHS: usize = 200;
/// Fraction bits of the curve.
const LG_ONE: u32 = 24;

/// The curve at `(index + 1) / 200`: the weight of pages added `199 - index` epochs ago.
const CURVE: [u32; EPOCHS] = {
    let mut table = [0; EPOCHS];
    let mut step = 1u128;
    while step <= EPOCHS as u128 {
        let epochs = EPOCHS as u128;
        let cube = step * step * step;
        let sum = 6 * cube * step * step + 10 * cube * epochs * epochs;
        let value = ((sum - 15 * cube * step * epochs) << LG_ONE)
            / (epochs * epochs * epochs * epochs * epochs);
        table[step as usize - 1] = value as u32;
        step += 1;
    }
    table
};

const _: () = assert!(CURVE[EPOCHS - 1] == 1 << LG_ONE);

/// The decay of one kind of idle pages.
pub(crate) struct Decay {
    decay_ms: isize,
    epoch_ns: u64,
    started: bool,
    /// Doublings of the decay time; less than 0: halvings (D4).
    stretch: i8,
    /// Pages that may stay as of the last epoch, by [`CURVE`].
    limit: usize,
    /// Pages that were idle at the last epoch and have not been purged since; at least `limit`.
    settled: usize,
    /// Pages added in each of the last epochs, newest last. 16 TiB of them are enough.
    added: [u32; EPOCHS],
}

impl Decay {
    pub(crate) const fn new(decay_ms: isize) -> Self {
        Self {
            decay_ms,
            epoch_ns: 0,
            started: false,
            stretch: 0,
            limit: 0,
            settled: 0,
            added: [0; EPOCHS],
        }
    }

    /// Sets the first decay time, before any page was idle.
    pub(super) fn begin(&mut self, decay_ms: isize) {
        self.decay_ms = decay_ms;
    }

    pub(crate) const fn decay_ms(&self) -> isize {
        self.decay_ms
    }

    /// Starts over with another decay time: what is idle now counts as added in the next epoch.
    pub(crate) fn set_decay_ms(&mut self, decay_ms: isize) {
        *self = Self::new(decay_ms);
    }

    /// Doubles the length of epochs so many times, or halves it (D4).
    pub(super) fn set_stretch(&mut self, stretch: i8) {
        self.stretch = stretch;
    }

    /// Halves the time left to all that is idle since the last epoch or longer (D4).
    pub(super) fn hasten(&mut self) {
        for index in 0..EPOCHS {
            let pages = core::mem::take(&mut self.added[index]);
            // The weight at `index` is that of pages with `index + 1` epochs to go.
            if let Some(sooner) = index.div_ceil(2).checked_sub(1) {
                self.added[sooner] = self.added[sooner].saturating_add(pages);
            }
        }
        self.weigh();
    }

    /// Length of an epoch. 0: time plays no part.
    const fn interval_ns(&self) -> u64 {
        if self.decay_ms <= 0 {
            return 0;
        }
        let epoch_of_ms = 1_000_000 / EPOCHS as u64;
        let factor = match self.stretch {
            0.. => epoch_of_ms << self.stretch,
            ..0 => epoch_of_ms >> -self.stretch,
        };
        (self.decay_ms as u64).saturating_mul(factor)
    }

    /// When the next epoch begins. `None`: never.
    pub(crate) fn next_epoch_ns(&self) -> Option<u64> {
        match self.interval_ns() {
            0 => None,
            _ if !self.started => Some(0),
            interval => Some(self.epoch_ns.saturating_add(interval)),
        }
    }

    /// Passes the epochs that ended by `now_ns`, `current` pages being idle.
    pub(crate) fn advance(&mut self, now_ns: u64, current: usize) {
        let interval = self.interval_ns();
        if interval == 0 {
            return;
        }
        if !self.started {
            self.started = true;
            self.epoch_ns = now_ns;
            self.pass(1, current);
            return;
        }
        let passed = now_ns.saturating_sub(self.epoch_ns) / interval;
        if passed > 0 {
            self.epoch_ns += passed * interval;
            self.pass(passed.min(EPOCHS as u64) as usize, current);
        }
    }

    fn pass(&mut self, epochs: usize, current: usize) {
        if epochs >= EPOCHS {
            self.added = [0; EPOCHS];
        } else {
            self.added.copy_within(epochs.., 0);
            let (_, fresh) = self.added.split_at_mut(EPOCHS - epochs);
            fresh.fill(0);
        }
        let added = current.saturating_sub(self.settled);
        self.added[EPOCHS - 1] = u32::try_from(added).unwrap_or(u32::MAX);
        self.weigh();
        self.settled = current.max(self.limit);
    }

    fn weigh(&mut self) {
        let sum: u64 = self
            .added
            .iter()
            .zip(&CURVE)
            .map(|(&pages, &weight)| u64::from(pages) * u64::from(weight))
            .sum();
        self.limit = (sum >> LG_ONE) as usize;
    }

    /// Pages to purge now, `current` being idle (D1, D2).
    pub(crate) fn excess(&self, current: usize) -> usize {
        match self.decay_ms {
            0 => current,
            ..0 => 0,
            _ => self.settled.min(current).saturating_sub(self.limit),
        }
    }

    /// `pages` have been purged.
    pub(crate) fn purged(&mut self, pages: usize) {
        self.settled = self.settled.saturating_sub(pages).max(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::dice::rounds;
    use std::vec::Vec;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_curve_is_the_formula() {
        for (index, &weight) in CURVE.iter().enumerate() {
            let x = (index + 1) as f64 / EPOCHS as f64;
            let exact = 6.0 * x.powi(5) - 15.0 * x.powi(4) + 10.0 * x.powi(3);
            let error = f64::from(weight) / f64::from(1u32 << LG_ONE) - exact;
            assert!(error.abs() < 1e-6, "{index}: off by {error}");
        }
        assert!(CURVE.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn a_burst_decays_along_the_curve_and_is_gone_after_decay_ms() {
        let mut decay = Decay::new(10_000);
        let mut now = 5_000 * MS;
        decay.advance(now, 0);
        let mut current = 100_000;
        for epoch in 0..EPOCHS + 1 {
            now += 50 * MS;
            decay.advance(now, current);
            let x = EPOCHS.saturating_sub(epoch) as f64 / EPOCHS as f64;
            let exact = 100_000.0 * (6.0 * x.powi(5) - 15.0 * x.powi(4) + 10.0 * x.powi(3));
            let excess = decay.excess(current);
            current -= excess;
            decay.purged(excess);
            assert!(
                (current as f64 - exact).abs() <= 2.0,
                "epoch {epoch}: {current}, not {exact}"
            );
        }
        assert_eq!(current, 0);
    }

    /// The naive twin: a list of (epoch, pages added), weights by floating point.
    struct Naive {
        added: Vec<(u64, usize)>,
        settled: usize,
        limit: usize,
        epoch: u64,
    }

    impl Naive {
        fn advance(&mut self, epoch: u64, current: usize) {
            if epoch == self.epoch {
                return;
            }
            self.epoch = epoch;
            self.added
                .push((epoch, current.saturating_sub(self.settled)));
            let sum: f64 = self
                .added
                .iter()
                .map(|&(e, pages)| {
                    let x = (200.0 - (epoch - e) as f64).max(0.0) / 200.0;
                    pages as f64 * (6.0 * x.powi(5) - 15.0 * x.powi(4) + 10.0 * x.powi(3))
                })
                .sum();
            self.limit = sum as usize;
            self.settled = current.max(self.limit);
        }
    }

    #[test]
    fn random_use_agrees_with_the_naive_twin() {
        let mut seed = 3u64;
        let mut random = move |below: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        for lazy in [1, 3] {
            let mut decay = Decay::new(2_000);
            let start = 77 * MS;
            decay.advance(start, 0);
            let mut naive = Naive {
                added: Vec::new(),
                settled: 0,
                limit: 0,
                epoch: 0,
            };
            let (mut now, mut current) = (start, 0usize);
            for _ in 0..rounds(20_000) {
                now += match random(50) {
                    0 => random(900) * MS,
                    1..10 => random(11) * MS,
                    _ => 0,
                };
                match random(3) {
                    0 => current += random(5000) as usize,
                    1 => current = current.saturating_sub(random(6000) as usize),
                    _ => {}
                }
                decay.advance(now, current);
                naive.advance((now - start) / (10 * MS), current);
                let excess = decay.excess(current);
                let expected = naive.settled.min(current).saturating_sub(naive.limit);
                assert!(excess.abs_diff(expected) <= 2, "{excess}, not {expected}");
                // Purging may lag behind.
                let purge = excess / lazy;
                current -= purge;
                decay.purged(purge);
                naive.settled = naive.settled.saturating_sub(purge).max(naive.limit);
                naive.limit = decay.limit;
                naive.settled = decay.settled;
            }
        }
    }

    #[test]
    fn nothing_is_due_without_limit_and_everything_at_limit_zero() {
        let mut decay = Decay::new(-1);
        decay.advance(1_000_000 * MS, 500);
        assert_eq!((decay.excess(500), decay.next_epoch_ns()), (0, None));
        decay.set_decay_ms(0);
        assert_eq!((decay.excess(500), decay.next_epoch_ns()), (500, None));
        decay.set_decay_ms(1000);
        assert_eq!(decay.next_epoch_ns(), Some(0));
        decay.advance(MS, 500);
        assert_eq!(
            (decay.excess(500), decay.next_epoch_ns()),
            (0, Some(6 * MS))
        );
        // D1: pages added between two epochs may stay.
        assert_eq!(decay.excess(900), 0);
        decay.advance(2_000 * MS, 900);
        // All 500 are older than the decay time; the 400 are new.
        assert_eq!(decay.excess(900), 500);
    }
}
