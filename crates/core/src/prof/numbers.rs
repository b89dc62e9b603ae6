//! Numbers: how far it is to the next sample, and what a sample stands for.
//!
//! ```text
//! allocated bytes  ----x-------x---x------------x----->   a Poisson process: gaps are exponential, mean R
//! an object of s bytes is a sample with probability p = 1 - exp(-s/R), and stands for 1/p objects
//! ```
//! N1  `W = round(s/p)` bytes and `N = round(8/p)` eighths of objects are what a sample of size `s` stands for. Their
//!     sums over samples are unbiased estimates, whatever the mixture of sizes.
//! N2  A reader scales a printed pair (c, b) by `1/(1 - exp(-(b/c)/R))`. [`printed`] turns sums into the pair that it
//!     scales back to them.
//! N3  No intermediate result cancels: both functions are good to a few units in the last place for every argument.
//! Units: bytes; periods R as base-2 logarithms. Pure arithmetic: the core library has neither `exp` nor `ln`.
//! Source: the testkit's facts of jemalloc's format; exponential and logarithm by their series, reduced by ln 2.
#![deny(unsafe_code)]

/// What samples stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Estimate {
    /// Objects, times eight.
    pub(crate) eighths: u64,
    pub(crate) bytes: u64,
}

impl Estimate {
    pub(super) const ZERO: Self = Self {
        eighths: 0,
        bytes: 0,
    };

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            eighths: self.eighths.saturating_add(other.eighths),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            eighths: self.eighths.saturating_sub(other.eighths),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// Bytes of a period, for dividing by.
fn period(lg: u32) -> f64 {
    power_of_two(lg as i32)
}

/// 2 to the `exponent`, which is small enough for a normal number.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// The nearest whole number, halves upwards; the largest there is where there is none.
fn round(value: f64) -> u64 {
    (value + 0.5) as u64
}

/// `1 - exp(-x)`, for `x` from 0 on.
fn one_minus_exp(x: f64) -> f64 {
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    if x > 64.0 {
        return 1.0;
    }
    // x = halvings * ln 2 + rest, |rest| below 0.35.
    let halvings = (x * core::f64::consts::LOG2_E + 0.5) as u32;
    let rest = (x - f64::from(halvings) * LN_2_HIGH) - f64::from(halvings) * LN_2_LOW;
    // exp(-rest) - 1, by Horner's rule from the term where nothing is added any more.
    let mut series = 0.0;
    for term in (1..=16).rev() {
        series = -rest / f64::from(term) * (1.0 + series);
    }
    let scale = power_of_two(-(halvings as i32));
    (1.0 - scale) - scale * series
}

/// `-ln u`, for `u` above 0 and up to 1.
fn minus_ln(u: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = u.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits((bits & MANTISSA) | 1023 << 52);
    if mantissa > core::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1)/(m + 1)).
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let mut series = 0.0;
    for odd in (1..=25).rev().step_by(2) {
        series = 1.0 / f64::from(odd) + square * series;
    }
    -(f64::from(exponent) * core::f64::consts::LN_2 + 2.0 * s * series)
}

/// What a sample of `size` bytes stands for (N1).
pub(crate) fn weight(size: usize, lg: u32) -> Estimate {
    let size = size.max(1) as f64;
    let probability = one_minus_exp(size / period(lg));
    Estimate {
        eighths: round(8.0 / probability),
        bytes: round(size / probability),
    }
}

/// The pair of count and bytes that a reader scales back to `sums` (N2).
pub(crate) fn printed(sums: Estimate, lg: u32) -> (u64, u64) {
    if sums.eighths == 0 || sums.bytes == 0 {
        return (0, 0);
    }
    let bytes = sums.bytes as f64;
    let mean = bytes / (sums.eighths as f64 / 8.0);
    let sampled = bytes * one_minus_exp(mean / period(lg));
    (round(sampled / mean), round(sampled))
}

/// Count and bytes as a reader scales them, of a pair that was not made by [`printed`].
pub(crate) fn scaled(count: u64, bytes: u64, lg: u32) -> (u64, u64) {
    if count == 0 || bytes == 0 {
        return (0, 0);
    }
    let mean = bytes as f64 / count as f64;
    let factor = 1.0 / one_minus_exp(mean / period(lg));
    (
        (count as f64 * factor) as u64,
        (bytes as f64 * factor) as u64,
    )
}

/// The next number of a sequence that looks random, from its state.
pub(crate) fn next_random(state: &mut u64) -> u64 {
    // SplitMix64: any state is good, and states that are close give sequences that are not.
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// An exponentially distributed number with mean 1.
fn exponential(random: &mut u64) -> f64 {
    const LG_UNIT: u32 = 53;
    let number = next_random(random) >> (u64::BITS - LG_UNIT);
    match number {
        0 => 0.0,
        number => minus_ln(number as f64 / power_of_two(LG_UNIT as i32)),
    }
}

/// Objects of `size` bytes up to the next that is a sample, itself included: at least 1. `size` is not 0; 1 counts bytes.
pub(crate) fn gap_objects(random: &mut u64, size: usize, lg: u32) -> u64 {
    if lg == 0 {
        return 1;
    }
    let objects = exponential(random) * period(lg) / size as f64;
    (objects as u64).saturating_add(1)
}

#[cfg(test)]
mod tests;
