//! Numbers: bytes, counts and times in the unit that suits their size.

use std::time::Duration;

/// Three or four digits and a binary unit: `12.3 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would print as 1024.0 belongs to the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A size class as people name it: exact, in the largest unit that divides it.
pub(crate) fn exact_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = match bytes {
        0..10_240 => 0,
        _ => (bytes.trailing_zeros() as usize / 10).min(UNITS.len() - 1),
    };
    format!("{} {}", bytes >> (10 * unit), UNITS[unit])
}

/// Digits in groups of three: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds to the millisecond: `1.234 s`; minutes above two: `3 min 12.5 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 120.0 {
        return format!("{seconds:.3} s");
    }
    let minutes = time.as_secs() / 60;
    format!(
        "{} min {:.1} s",
        count(minutes),
        seconds - (minutes * 60) as f64
    )
}

/// A latency: `850 ns`, `12.3 us`, `4.5 ms`.
pub(crate) fn latency(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..10_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// An age: as a latency up to a second, then `12.3 s`, `4.5 min`, `6.7 h`, `8.9 d`.
pub(crate) fn age(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    match seconds {
        ..1.0 => latency(ns),
        ..100.0 => format!("{seconds:.1} s"),
        ..6000.0 => format!("{:.1} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

/// The opposite, in nanoseconds: `100ms`, `90s`, `10m`, `1.5h`, `2d`.
pub(crate) fn duration_ns(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
        ("d", 86_400e9),
    ];
    let digits = text.trim_end_matches(|each: char| each.is_ascii_alphabetic());
    let unit = UNITS
        .iter()
        .find(|(name, _)| *name == &text[digits.len()..]);
    let number = digits
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|number| *number >= 0.0);
    match (number, unit) {
        (Some(number), Some((_, ns))) => Ok((number * ns) as u64),
        _ => Err("a number with a unit is wanted: 100ms, 90s, 10m, 2h, 1d".to_owned()),
    }
}

/// The base-2 logarithm of a size such as `64K`, `1M` or `512`, rounded to the nearest.
pub(crate) fn lg_size(text: &str) -> Result<u8, String> {
    const UNITS: [(&str, u32); 8] = [
        ("", 0),
        ("b", 0),
        ("k", 10),
        ("kib", 10),
        ("m", 20),
        ("mib", 20),
        ("g", 30),
        ("gib", 30),
    ];
    let unit = text.trim_start_matches(|each: char| each.is_ascii_digit());
    let lg_unit = UNITS
        .iter()
        .find(|(name, _)| unit.trim().eq_ignore_ascii_case(name));
    let number = text[..text.len() - unit.len()]
        .parse::<u32>()
        .ok()
        .filter(|&number| number > 0);
    match (number, lg_unit) {
        (Some(number), Some((_, lg_unit))) => {
            Ok((f64::from(number).log2().round() as u32 + lg_unit) as u8)
        }
        _ => Err("a size is wanted: 512, 64K, 1M".to_owned()),
    }
}

/// A moment by the wall clock: `2026-11-28 16:40:12 UTC`.
pub(crate) fn date(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Years begin in March here, so that the leap day is the last: Hinnant, "chrono-compatible date algorithms".
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// `part` of `whole` in percent: `12.3 %`; nothing of nothing is `-`.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.1} %", part as f64 * 100.0 / whole as f64)
}

/// `one`, or `many` with its number: `3 processes`.
pub(crate) fn of_them(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_the_unit_that_suits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (12_897_485, "12.3 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (number, text) in cases {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn exact_bytes_lose_nothing() {
        let cases = [
            (8, "8 B"),
            (1280, "1280 B"),
            (10_240, "10 KiB"),
            (14_336, "14 KiB"),
            (7 << 60, "7 EiB"),
        ];
        for (number, text) in cases {
            assert_eq!(exact_bytes(number), text);
        }
        assert_eq!(exact_bytes(10_241), "10241 B");
    }

    #[test]
    fn counts_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn ages_are_read_and_written() {
        assert_eq!(age(4_500_000), "4.5 ms");
        assert_eq!(age(99_000_000_000), "99.0 s");
        assert_eq!(age(270_000_000_000), "4.5 min");
        assert_eq!(age(9 * 3600 * 1_000_000_000), "9.0 h");
        assert_eq!(age(9 * 86_400 * 1_000_000_000), "9.0 d");
        assert_eq!(duration_ns("1.5h"), Ok(5400 * 1_000_000_000));
        assert_eq!(duration_ns("100ms"), Ok(100_000_000));
        for bad in ["", "5", "x", "-1s", "1 year", "NaNs"] {
            assert!(duration_ns(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_become_powers_of_two() {
        for (text, lg) in [
            ("1", 0),
            ("512", 9),
            ("64K", 16),
            ("1MiB", 20),
            ("3k", 12),
            ("1 G", 30),
        ] {
            assert_eq!(lg_size(text), Ok(lg), "{text}");
        }
        for bad in ["", "0", "K", "-1", "1x", "99999999999"] {
            assert!(lg_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_know_leap_years() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_795_884_012), "2026-11-28 16:40:12 UTC");
        assert_eq!(date(4_107_542_399), "2100-02-28 23:59:59 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }

    #[test]
    fn times_and_shares() {
        assert_eq!(seconds(Duration::from_millis(1234)), "1.234 s");
        assert_eq!(seconds(Duration::from_millis(192_500)), "3 min 12.5 s");
        assert_eq!(latency(850), "850 ns");
        assert_eq!(latency(12_345), "12.3 us");
        assert_eq!(latency(4_500_000), "4.5 ms");
        assert_eq!(latency(12_000_000_000), "12.0 s");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(0, 0), "-");
        assert_eq!(of_them(1, "process", "processes"), "1 process");
        assert_eq!(of_them(2000, "process", "processes"), "2,000 processes");
    }
}
