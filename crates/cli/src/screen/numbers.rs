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
