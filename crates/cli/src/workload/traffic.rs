//! Traffic: which key, which value, how large, for how long.
//!
//! ```text
//! key rank r with weight 1/r (Zipf)       value size in bytes, evenly in its logarithm
//! #                                       90 %   16 ..   512   fields, sessions
//! ##                                       9 %  512 ..  4096   rows, fragments
//! ########___________                      1 % 4096 .. 65536   pages, blobs: a third of all bytes
//! ```

use std::hash::{DefaultHasher, Hasher};
use std::io::Write;

use fastrand::Rng;

use crate::workload::store::TAG_BYTES;

/// A rank below `keys` (at least 1), the low ones much more often.
pub(super) fn popular(random: &mut Rng, keys: u64) -> u64 {
    let rank = (keys as f64).powf(random.f64());
    (rank as u64).saturating_sub(1).min(keys.saturating_sub(1))
}

/// Bytes of a value.
pub(super) fn value_bytes(random: &mut Rng) -> usize {
    let (least, doublings) = match random.u8(..100) {
        0..90 => (16.0, 5.0),
        90..99 => (512.0, 3.0),
        _ => (4096.0, 4.0),
    };
    (least * f64::exp2(doublings * random.f64())) as usize
}

/// Requests until a value expires; one in eight does.
pub(super) fn time_to_live(random: &mut Rng) -> Option<u64> {
    (random.u8(..8) == 0).then(|| random.u64(1_000..60_000))
}

/// The key number `id`, in one of the shapes that applications use.
pub(super) fn key(id: u64) -> Vec<u8> {
    let mut text = Vec::new();
    let scrambled = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Writing to a Vec cannot fail.
    let _ = match scrambled >> 62 {
        0 => write!(text, "user:{id}"),
        1 => write!(text, "session:{scrambled:016x}{id:016x}"),
        2 => write!(text, "cart:{id}:items"),
        _ => write!(text, "page:/products/{id}/reviews?lang=en"),
    };
    text
}

/// A value for `key`: its tag, then a pattern that `version` changes.
pub(super) fn value(key: &[u8], version: u64, bytes: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes);
    value.extend_from_slice(&tag(key));
    let word = version.wrapping_mul(0xd6e8_feb8_6659_fd93).to_le_bytes();
    while value.len() + word.len() <= bytes {
        value.extend_from_slice(&word);
    }
    value.extend_from_slice(&word[..bytes.saturating_sub(value.len())]);
    value
}

/// What a value of `key` begins with.
pub(super) fn tag(key: &[u8]) -> [u8; TAG_BYTES] {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_ranks_are_popular_and_all_are_in_range() {
        let mut random = Rng::with_seed(1);
        let ranks: Vec<u64> = (0..10_000).map(|_| popular(&mut random, 1000)).collect();
        assert!(ranks.iter().all(|&rank| rank < 1000));
        let first = ranks.iter().filter(|&&rank| rank == 0).count();
        assert!(
            (800..1300).contains(&first),
            "{first}: one in ten by weight 1/r over 1000"
        );
        assert!(ranks.iter().any(|&rank| rank > 900));
        assert_eq!(popular(&mut random, 1), 0);
    }

    #[test]
    fn value_sizes_have_a_heavy_tail() {
        let mut random = Rng::with_seed(1);
        let mut sizes: Vec<usize> = (0..100_000).map(|_| value_bytes(&mut random)).collect();
        sizes.sort_unstable();
        assert!(sizes[0] >= 16 && sizes[sizes.len() - 1] <= 65536);
        assert!(sizes[sizes.len() / 2] < 200);
        let all: usize = sizes.iter().sum();
        let tail: usize = sizes[sizes.len() - sizes.len() / 100..].iter().sum();
        assert!(tail * 4 > all, "1 % of the values hold {tail} of {all}");
    }

    #[test]
    fn keys_differ_and_values_are_as_long_as_asked() {
        let keys: std::collections::BTreeSet<_> = (0..1000).map(key).collect();
        assert_eq!(keys.len(), 1000);
        for bytes in [8, 9, 16, 17, 100] {
            let value = value(b"k", 3, bytes);
            assert_eq!(value.len(), bytes);
            assert!(value.starts_with(&tag(b"k")));
        }
    }
}
