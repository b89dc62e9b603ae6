//! The numbers against exact ones: fractions of 2^120 in whole numbers, and distributions by their moments.

use super::*;
use crate::size::{CLASSES, size_of_class};
use std::vec::Vec;

/// Stands for one.
const ONE: u128 = 1 << 120;

/// Product of two numbers in units of 2^-120, below 2^8 each: by halves of 64 bits.
fn times(a: u128, b: u128) -> u128 {
    let (high_a, low_a) = (a >> 64, a & u128::from(u64::MAX));
    let (high_b, low_b) = (b >> 64, b & u128::from(u64::MAX));
    // All but the highest product are below 2^128; what is lost is below eight units.
    ((high_a * high_b) << 8)
        + ((high_a * low_b) >> 56)
        + ((low_a * high_b) >> 56)
        + ((low_a * low_b) >> 120)
}

/// `1 - exp(-size/2^lg)` in units of 2^-120, exact to a few hundred of them.
fn exact_probability(size: u128, lg: u32) -> u128 {
    // exp(-x) = exp(-x/2^k)^(2^k), with x/2^k below 1.
    let mut doublings = 0;
    while size >> doublings >= 1 << lg {
        doublings += 1;
    }
    if doublings > 7 {
        return ONE;
    }
    let x = match 120u32.checked_sub(lg + doublings) {
        Some(shift) => size << shift,
        None => 0,
    };
    let (mut term, mut n, mut even, mut odd) = (ONE, 0, ONE, 0);
    while term > 0 {
        n += 1;
        term = times(term, x) / n;
        if n % 2 == 0 {
            even += term;
        } else {
            odd += term;
        }
    }
    let mut complement = odd - (even - ONE);
    for _ in 0..doublings {
        // 1 - (1-p)^2 = 2p - p^2.
        complement = 2 * complement - times(complement, complement);
    }
    complement
}

#[test]
fn weights_are_the_exact_quotients_rounded() {
    for lg in [0, 1, 4, 10, 12, 16, 19, 20, 24, 30, 40] {
        for index in 0..CLASSES {
            let size = size_of_class(index) as u128;
            if size >> lg > 80 || size > 1 << 50 {
                continue;
            }
            let probability = exact_probability(size, lg);
            let weight = weight(size as usize, lg);
            for (numerator, rounded) in [(8, weight.eighths), (size, weight.bytes)] {
                if rounded >= 1 << 50 {
                    continue;
                }
                // |rounded * p - numerator| <= p/2, within what doubles can tell apart.
                let product = u128::from(rounded) as f64 * (probability as f64 / ONE as f64);
                let distance = (product - numerator as f64).abs();
                let half = probability as f64 / ONE as f64 * 0.5;
                assert!(
                    distance <= half + numerator as f64 * 4e-16,
                    "N1 {size} at {lg}: {rounded}, off by {distance} of {half}"
                );
            }
        }
    }
}

#[test]
fn edges_of_weights_are_sane() {
    assert_eq!(
        weight(8, 0),
        Estimate {
            eighths: 8,
            bytes: 8
        }
    );
    assert_eq!(
        weight(1 << 40, 19),
        Estimate {
            eighths: 8,
            bytes: 1 << 40
        }
    );
    // Tiny against huge: p is s/R, to all places.
    assert_eq!(weight(8, 63).eighths, 1 << 63);
    assert_eq!(weight(8, 63).bytes, 1 << 63);
    assert!(weight(0, 19).eighths > 0);
    assert!(weight(usize::MAX, 63).bytes > 1 << 63);
}

#[test]
fn the_functions_agree_with_the_systems() {
    let mut x = 1e-19;
    while x < 100.0 {
        let (ours, theirs) = (one_minus_exp(x), -f64::exp_m1(-x));
        assert!((ours - theirs).abs() <= theirs * 8e-16, "N3 {x}");
        x *= 1.0173;
    }
    assert_eq!(one_minus_exp(0.0), 0.0);
    let mut u: f64 = 1.0;
    while u > 1e-16 {
        let (ours, theirs) = (minus_ln(u), -u.ln());
        assert!((ours - theirs).abs() <= theirs * 1e-15, "N3 {u}");
        u *= 0.9973;
    }
    assert_eq!(minus_ln(1.0), 0.0);
}

#[test]
fn a_reader_scales_printed_pairs_back_to_the_sums() {
    let reader = |(count, bytes): (u64, u64), lg: u32| {
        let mean = bytes as f64 / count as f64;
        let factor = 1.0 / -f64::exp_m1(-mean / f64::from(lg).exp2());
        (count as f64 * factor, bytes as f64 * factor)
    };
    for lg in [10, 19] {
        for sizes in [&[8usize, 8, 8][..], &[16, 4096], &[100_000; 40]] {
            let mut sums = Estimate::ZERO;
            for _ in 0..1000 {
                for &size in sizes {
                    sums = sums.plus(weight(size, lg));
                }
            }
            let (count, bytes) = reader(printed(sums, lg), lg);
            let close = |ours: f64, theirs: f64| (ours - theirs).abs() <= theirs * 2e-3;
            assert!(close(bytes, sums.bytes as f64), "N2 {bytes} {sums:?}");
            assert!(close(count, sums.eighths as f64 / 8.0), "N2 {count}");
        }
    }
    assert_eq!(printed(Estimate::ZERO, 19), (0, 0));
    let full = Estimate {
        eighths: u64::MAX,
        bytes: u64::MAX,
    };
    assert!(printed(full, 0).0 > 0);
    assert_eq!(scaled(0, 0, 19), (0, 0));
    assert_eq!(scaled(1, 1 << 30, 19), (1, 1 << 30));
}

#[test]
fn every_object_is_a_sample_at_period_one_and_the_first_can_be() {
    let mut random = 0;
    assert!((0..100).all(|_| gap_objects(&mut random, 8, 0) == 1));
    assert!((0..100).all(|_| gap_objects(&mut random, 1 << 40, 19) == 1));
    let tiny: Vec<u64> = (0..100).map(|_| gap_objects(&mut random, 8, 63)).collect();
    assert!(tiny.iter().all(|&gap| gap >= 1));
}

#[test]
fn gaps_have_the_mean_and_the_spread_of_a_poisson_process() {
    const DRAWS: u32 = 200_000;
    for (size, lg) in [(8usize, 10u32), (4096, 19), (1 << 19, 19)] {
        let mut random = 42;
        let (mut sum, mut ones) = (0.0, 0.0);
        for _ in 0..DRAWS {
            let gap = gap_objects(&mut random, size, lg);
            sum += gap as f64;
            ones += f64::from(u8::from(gap == 1));
        }
        // Geometric: mean 1/p, deviation below the mean.
        let p = one_minus_exp(size as f64 / period(lg));
        let mean = sum / f64::from(DRAWS);
        let error = 4.0 / p / f64::from(DRAWS).sqrt();
        assert!((mean - 1.0 / p).abs() < error, "{size} {lg}: {mean}");
        let share = ones / f64::from(DRAWS);
        let error = 4.0 * (p * (1.0 - p) / f64::from(DRAWS)).sqrt();
        assert!((share - p).abs() <= error, "{size} {lg}: {share} of {p}");
    }
    let mut random = 1;
    let mean = (0..DRAWS)
        .map(|_| gap_objects(&mut random, 1, 12) as f64)
        .sum::<f64>()
        / f64::from(DRAWS);
    assert!((mean - 4096.5).abs() < 4.0 * 4096.0 / f64::from(DRAWS).sqrt());
}
