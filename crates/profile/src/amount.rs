//! Amount: how much memory samples stand for, and how well that is known.
//!
//! A profiler that samples on average every `R` bytes sees an object of `s` bytes with probability
//! `p = 1 - exp(-s/R)`. Each one seen stands for `1/p` objects and `s/p` bytes:
//!
//! ```text
//! R = 512 KiB    s = 64 B     p = 0.0001   one sample stands for 8192.5 objects, 512 KiB
//!                s = 512 KiB  p = 0.63     one sample stands for 1.6 objects, 809 KiB
//!                s = 16 MiB   p = 1        one sample stands for itself
//! ```
//! A1  Objects and bytes are estimates without bias; they add up.
//! A2  The variance of the bytes is `n (1-p) (s/p)^2` for `n` samples of one size; it adds up, too.
//! A3  A fully sampled profile (`R = 1`) has variance 0: its numbers are exact.
//!
//! Source: `surface/prof_format.md` sections 2 and 3; Horvitz and Thompson 1952 for the variance.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// An estimated number of objects and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    /// Estimated objects.
    pub objects: f64,
    /// Estimated bytes.
    pub bytes: f64,
    /// Objects that were really seen. 0 with bytes: not known (collapsed stacks have none).
    pub samples: f64,
    /// Variance of the bytes, in bytes squared.
    pub variance: f64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self {
        objects: 0.0,
        bytes: 0.0,
        samples: 0.0,
        variance: 0.0,
    };

    /// What a pair printed in a dump stands for, by the formula of every reader of that form: `count` objects seen of
    /// `bytes` bytes together, sampled every `period` bytes.
    pub fn scaled(count: u64, bytes: u64, period: u64) -> Self {
        if count == 0 || bytes == 0 {
            return Self::ZERO;
        }
        let (count, bytes) = (count as f64, bytes as f64);
        let p = probability(bytes / count, period);
        Self::estimated(count / p, bytes / p, period)
    }

    /// An estimate that was already made, sampled every `period` bytes; 0: nobody knows how.
    pub fn estimated(objects: f64, bytes: f64, period: u64) -> Self {
        if !(objects > 0.0 && bytes > 0.0) || period == 0 {
            return Self {
                objects: objects.max(0.0),
                bytes: bytes.max(0.0),
                ..Self::ZERO
            };
        }
        let size = bytes / objects;
        let p = probability(size, period);
        let samples = objects * p;
        Self {
            objects,
            bytes,
            samples,
            variance: samples * (1.0 - p) * (size / p).powi(2),
        }
    }

    /// What one sampled object of `size` bytes stands for.
    pub fn of_one(size: u64, period: u64) -> Self {
        Self::scaled(1, size, period)
    }

    /// The pair to print so that a reader's formula gives this amount back: the opposite of [`Amount::scaled`].
    pub fn unscaled(self, period: u64) -> (u64, u64) {
        if !(self.objects > 0.0 && self.bytes > 0.0) {
            return (0, 0);
        }
        let p = probability(self.bytes / self.objects, period);
        // A cast saturates. What is there at all is printed as at least one object of one byte.
        let whole = |number: f64| (number.round() as u64).max(1);
        (whole(self.objects * p), whole(self.bytes * p))
    }

    /// Standard error of the bytes: two in three estimates are no further off.
    pub fn error(self) -> f64 {
        self.variance.max(0.0).sqrt()
    }

    /// Mean size of an object, bytes; 0 where objects are not known.
    pub fn mean_size(self) -> f64 {
        if self.objects > 0.0 {
            self.bytes / self.objects
        } else {
            0.0
        }
    }

    /// Whether there is nothing.
    pub fn is_zero(self) -> bool {
        self.bytes <= 0.0 && self.objects <= 0.0
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            objects: self.objects + other.objects,
            bytes: self.bytes + other.bytes,
            samples: self.samples + other.samples,
            variance: self.variance + other.variance,
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Probability that an object of `size` bytes is sampled.
fn probability(size: f64, period: u64) -> f64 {
    // The exact form: `1 - exp(-x)` has no digits left for small x.
    let p = -(-size / period.max(1) as f64).exp_m1();
    // With a period of 1 every object is taken, whatever the formula says of very small ones.
    if period <= 1 {
        1.0
    } else {
        p.max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: f64, right: f64, tolerance: f64) {
        assert!(
            (left - right).abs() <= tolerance * right.abs().max(1.0),
            "{left} is not near {right}"
        );
    }

    #[test]
    fn printed_pairs_come_back() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..10_000 {
            let period = 1 << random.u32(0..24);
            let size = random.u64(8..4 << 20);
            let count = random.u64(1..1000);
            let amount = Amount::scaled(count, count * size, period);
            let (again, bytes) = amount.unscaled(period);
            assert_eq!((again, bytes), (count, count * size), "period {period}");
            near(amount.samples, count as f64, 1e-9);
        }
    }

    #[test]
    fn numbers_at_the_edges_stay_finite() {
        for period in [0, 1, 2, u64::MAX] {
            for count in [0, 1, u64::MAX] {
                for bytes in [0, 1, u64::MAX] {
                    let amount = Amount::scaled(count, bytes, period);
                    assert!(amount.objects.is_finite() && amount.bytes.is_finite());
                    assert!(amount.error() >= 0.0, "{amount:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_fully_sampled_is_exact() {
        let amount = Amount::scaled(3, 24, 1);
        assert_eq!((amount.objects, amount.bytes), (3.0, 24.0));
        assert_eq!(amount.error(), 0.0);
    }

    /// Rules A1 and A2: over many random samplings of a known heap the estimates are right on average, and stray as far
    /// as the error says.
    #[test]
    fn estimates_are_unbiased_and_stray_as_told() {
        const PERIOD: u64 = 4096;
        let heap = [(64u64, 2000u64), (1000, 500), (20_000, 20)];
        let truth: f64 = heap.iter().map(|&(size, n)| (size * n) as f64).sum();
        let (mut sum, mut off, mut told) = (0.0, 0.0, 0.0);
        let seeds = 300;
        for seed in 0..seeds {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut estimate = Amount::ZERO;
            for (size, n) in heap {
                let p = -(-(size as f64) / PERIOD as f64).exp_m1();
                let seen = (0..n).filter(|_| random.f64() < p).count() as u64;
                estimate += Amount::scaled(seen, seen * size, PERIOD);
            }
            sum += estimate.bytes;
            off += (estimate.bytes - truth).powi(2);
            told += estimate.variance;
        }
        let n = seeds as f64;
        near(sum / n, truth, 0.01);
        near((off / n).sqrt(), (told / n).sqrt(), 0.15);
    }
}
