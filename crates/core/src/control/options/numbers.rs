//! Numbers from text.
//!
//! V1  Whole numbers: blanks, a sign, then decimal, `0x` hexadecimal, or octal after a `0`; all of the text counts.
//! V2  Bytes may end in K, M, G or T, for powers of 1024.
//! V3  Fractions have up to five whole digits, a point, and any number of places, of which 16 binary ones count.
//!
//! Source: jemalloc(3) "TUNING"; V2 is ours.
#![deny(unsafe_code)]

use crate::options::Fixed;

/// A sign (`true`: minus) and a whole number by rule V1. `None`: not one, or beyond 64 bits.
#[cold]
#[inline(never)]
fn whole(text: &[u8]) -> Option<(bool, u64)> {
    let text = text.trim_ascii_start();
    let (minus, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(radix)?;
        number = number
            .checked_mul(radix.into())?
            .checked_add(digit.into())?;
    }
    Some((minus, number))
}

/// A whole number by rule V1; a minus wraps round, as jemalloc reads numbers that cannot be negative.
#[cold]
#[inline(never)]
pub(crate) fn unsigned(text: &[u8]) -> Option<u64> {
    whole(text).map(|(minus, number)| match minus {
        true => number.wrapping_neg(),
        false => number,
    })
}

/// A whole number by rule V1 within 64 bits.
#[cold]
#[inline(never)]
pub(crate) fn signed(text: &[u8]) -> Option<i64> {
    let (minus, number) = whole(text)?;
    match minus {
        true => 0i64.checked_sub_unsigned(number),
        false => i64::try_from(number).ok(),
    }
}

/// A count of bytes by rules V1 and V2.
#[cold]
#[inline(never)]
pub(crate) fn bytes(text: &[u8]) -> Option<u64> {
    let (text, unit) = match text {
        [rest @ .., b'K' | b'k'] => (rest, 1 << 10),
        [rest @ .., b'M' | b'm'] => (rest, 1 << 20),
        [rest @ .., b'G' | b'g'] => (rest, 1 << 30),
        [rest @ .., b'T' | b't'] => (rest, 1 << 40),
        _ => return unsigned(text),
    };
    unsigned(text)?.checked_mul(unit)
}

/// A fraction by rule V3, or -1.
#[cold]
#[inline(never)]
pub(crate) fn fraction(text: &[u8]) -> Option<Fixed> {
    if text == b"-1" {
        return Some(Fixed::NEVER);
    }
    let (whole, places) = match text.iter().position(|&byte| byte == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &text[..0]),
    };
    if whole.is_empty() && places.is_empty() {
        return None;
    }
    let digit = |&byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    let mut number = 0;
    for byte in whole {
        number = number * 10 + digit(byte)?;
        if number > 65_535 {
            return None;
        }
    }
    let (mut part, mut scale) = (0i64, 1i64);
    for (at, byte) in places.iter().enumerate() {
        let digit = digit(byte)?;
        // Fourteen places are more than 16 binary ones tell apart.
        if at < 14 {
            part = part * 10 + digit;
            scale *= 10;
        }
    }
    Some(Fixed((number << 16) + (part << 16) / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_a_sign_and_a_base() {
        for (text, number) in [
            ("0", 0),
            ("12", 12),
            (" \t12", 12),
            ("-1", -1),
            ("+0x10", 16),
            ("010", 8),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(signed(text.as_bytes()), Some(number), "{text}");
        }
        for text in [
            "",
            "-",
            "0x",
            "08",
            "1 ",
            "1x",
            "- 1",
            "18446744073709551616",
        ] {
            assert_eq!(unsigned(text.as_bytes()), None, "{text}");
        }
        assert_eq!(unsigned(b"-1"), Some(u64::MAX));
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(signed(b"9223372036854775808"), None);
    }

    #[test]
    fn bytes_have_suffixes() {
        for (text, number) in [
            ("4K", 4096),
            ("0x10m", 16 << 20),
            ("2G", 2 << 30),
            ("1T", 1 << 40),
            ("7", 7),
        ] {
            assert_eq!(bytes(text.as_bytes()), Some(number), "{text}");
        }
        for text in ["K", "4KB", "4 K", "4KK", "", "99999999T"] {
            assert_eq!(bytes(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn fractions_are_cut_to_sixteen_binary_places() {
        for (text, number) in [
            ("0.25", 1 << 14),
            (".5", 1 << 15),
            ("1", 1 << 16),
            ("1.", 1 << 16),
            ("65535.99999999999999999999", (65536 << 16) - 1),
            ("-1", -(1 << 16)),
        ] {
            assert_eq!(fraction(text.as_bytes()), Some(Fixed(number)), "{text}");
        }
        for text in ["", ".", "65536", "-0.5", "0,5", "1.x", "a"] {
            assert_eq!(fraction(text.as_bytes()), None, "{text}");
        }
    }
}
