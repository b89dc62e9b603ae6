//! Big integers: factoring by Pollard's rho, where each step makes and drops a handful of tiny objects.
//!
//! ```text
//! x -> x*x + 1 mod n         the sequence mod p, a factor of n, becomes a cycle after some sqrt(p) steps;
//! n = p * (2^127 - 1)        two walkers, one twice as fast, then differ by a multiple of p
//! ```
//! Numbers of three 64-bit digits live in vectors of 8 to 48 bytes.

use crate::random::Random;
use crate::{Tally, Workload};
use num_bigint::BigUint;

pub(crate) const WORKLOAD: Workload = Workload {
    name: "big-integers",
    about: "numbers of 150 bits factored by Pollard's rho, tiny objects made and dropped",
    full: 100,
    tiny: 1,
    run,
};

/// Range of the small factors.
const FACTORS: (usize, usize) = (1 << 22, 1 << 24);

/// Steps between two greatest common divisors.
const STRIDE: usize = 64;

fn run(numbers: u64, tally: &mut Tally) {
    let mut random = Random::new(STRIDE as u64);
    let large = (BigUint::from(1_u8) << 127_u32) - 1_u8;
    for _ in 0..numbers {
        let small = prime_from(random.within(FACTORS.0, FACTORS.1) as u64);
        let (factor, steps) = factor_of(&(&large * small));
        assert_eq!(factor, BigUint::from(small), "not the factor");
        tally.add(steps, small);
    }
}

/// The smallest prime that is not less than `number`.
fn prime_from(number: u64) -> u64 {
    let is_prime = |n: u64| (2..).take_while(|d| d * d <= n).all(|d| n % d != 0);
    (number..)
        .find(|&n| is_prime(n))
        .expect("there is always one more")
}

/// A factor of `n`, and the steps it took to find it.
fn factor_of(n: &BigUint) -> (BigUint, u64) {
    let one = BigUint::from(1_u8);
    let next = |x: &BigUint| (x * x + &one) % n;
    let (mut slow, mut fast) = (one.clone(), one.clone());
    let mut steps = 0;
    loop {
        let mut product = one.clone();
        for _ in 0..STRIDE {
            slow = next(&slow);
            fast = next(&next(&fast));
            let apart = if slow > fast {
                &slow - &fast
            } else {
                &fast - &slow
            };
            product = product * apart % n;
        }
        steps += STRIDE as u64;
        let divisor = common_divisor(n.clone(), product);
        if divisor != one {
            return (divisor, steps);
        }
    }
}

fn common_divisor(mut a: BigUint, mut b: BigUint) -> BigUint {
    while b != BigUint::ZERO {
        let rest = a % &b;
        a = std::mem::replace(&mut b, rest);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::{common_divisor, factor_of, prime_from};
    use num_bigint::BigUint;

    #[test]
    fn primes_and_divisors() {
        assert_eq!([prime_from(90), prime_from(97), prime_from(2)], [97, 97, 2]);
        let divisor = common_divisor(BigUint::from(84_u8), BigUint::from(36_u8));
        assert_eq!(divisor, BigUint::from(12_u8));
    }

    #[test]
    fn a_factor_divides() {
        let n = BigUint::from(1_000_003_u64) * BigUint::from(18_446_744_073_709_551_557_u64);
        let (factor, steps) = factor_of(&n);
        assert_eq!(factor, BigUint::from(1_000_003_u64));
        assert!(steps > 0);
    }
}
