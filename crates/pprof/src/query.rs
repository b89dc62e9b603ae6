//! Query: the part of an address behind the question mark.

use std::time::Duration;

/// `seconds=N` in `query`, 0 where it is absent; other keys are somebody else's.
pub(crate) fn seconds(query: &str, most: u64) -> Result<Duration, String> {
    let wanted = query
        .trim_start_matches('?')
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|&(key, _)| key == "seconds")
        .map_or("0", |(_, value)| value);
    match wanted.parse::<u64>() {
        Ok(seconds) if seconds <= most => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("seconds must be a whole number from 0 to {most}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_found_and_bounded() {
        let of = |query| seconds(query, 300).map(|found| found.as_secs());
        assert_eq!(of(""), Ok(0));
        assert_eq!(of("?seconds=5"), Ok(5));
        assert_eq!(of("debug=1&seconds=300&x"), Ok(300));
        for wrong in [
            "seconds=301",
            "seconds=-1",
            "seconds=",
            "seconds=1e3",
            "seconds=99999999999999999999",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
