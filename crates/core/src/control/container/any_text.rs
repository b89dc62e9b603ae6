//! Any text as the files of control groups: what the readers must not make of it. For tests and fuzzing alone.
//!
//! A1  Lines come whole and in order; those that are too long, and nothing else, are missing (rule E2 of `reading`).
//! A2  What is found lies in the text: a path begins at a slash, what is unescaped is not longer.
//! A3  A number is what its digits say, or the largest; nothing else is a number (rules T1 and T2 of `text`).

#![allow(unreachable_pub, reason = "public for fuzz targets")]

use super::reading::{LINE_MAX, Lines, value};
use super::text::{self, Controller};
use crate::sys::files::File;
use core::ffi::CStr;

/// Reads `bytes`, which the file at `path` holds, as each of the texts there are.
pub fn container_text(bytes: &[u8], path: &CStr) {
    let mut scratch = [0; LINE_MAX];
    if let Some(mut lines) = Lines::of(path, &mut scratch) {
        // The last one may lack its end; behind an end there is none.
        let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let mut expected = whole
            .split(|&byte| byte == b'\n')
            .filter(|line| line.len() < LINE_MAX && !bytes.is_empty());
        while let Some(line) = lines.next() {
            assert!(expected.next() == Some(line), "A1");
            read_line(line);
        }
        assert!(expected.next().is_none(), "A1: a line is missing");
    }
    let short = File::open(path).and_then(|file| value(file, &mut scratch));
    assert!(short.is_none_or(|short| short == bytes), "A1");
    assert!(short.is_some() || bytes.len() >= LINE_MAX, "A1");
}

fn read_line(line: &[u8]) {
    for controller in [Controller::Memory, Controller::Cpu] {
        if let Some((_, path)) = text::group(line, controller) {
            assert!(path.first() == Some(&b'/') && line.ends_with(path), "A2");
        }
        if let Some(mount) = text::mount(line, controller) {
            assert!(mount.root.first() == Some(&b'/'), "A2");
            assert!(
                text::unescaped(mount.point).count() <= mount.point.len(),
                "A2"
            );
        }
    }
    let digits = line.trim_ascii();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let value = || {
        let digit = |byte: u8| u128::from(byte - b'0');
        let sum = digits.iter().try_fold(0u128, |sum, &byte| {
            Some(sum.saturating_mul(10).saturating_add(digit(byte)))
        });
        sum.map(|sum| u64::try_from(sum).unwrap_or(u64::MAX))
    };
    let expected = if is_number { value() } else { None };
    assert!(text::number(line) == expected, "A3");
    assert!(
        text::limit(line).is_none_or(|limit| Some(limit) == expected),
        "A3"
    );
    assert!(text::cpu_max(line).is_none_or(|count| count > 0), "A3");
    text::keyed(line, b"active_file");
    text::stalled_us(line, b"some");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::dice::Dice;
    use crate::sys::simulated::files;
    use std::fs;
    use std::path::Path;
    use std::vec::Vec;

    fn read(bytes: &[u8], piece: usize) {
        files::place_failing("/any", bytes, usize::MAX, piece);
        container_text(bytes, c"/any");
    }

    #[test]
    fn texts_that_fuzzing_found() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/container");
        let mut count = 0;
        for entry in fs::read_dir(folder).expect("the corpus is part of the source") {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            read(&bytes, usize::MAX);
            read(&bytes, 7);
            count += 1;
        }
        assert!(count > 3, "{count}");
    }

    #[test]
    fn random_texts() {
        const WORDS: [&[u8]; 12] = [
            b"\n",
            b" ",
            b"/",
            b":",
            b"0::/a",
            b"cgroup2",
            b" - ",
            b"\\040",
            b"memory,cpu",
            b"18446744073709551616",
            b"max 100",
            b"some avg10=0 total=7",
        ];
        let mut dice = Dice::new(8);
        for _ in 0..3000 {
            let mut bytes = Vec::new();
            for _ in 0..dice.below(60) {
                match dice.below(8) {
                    0 => bytes.push(dice.next() as u8),
                    1 if dice.once_in(20) => {
                        bytes.resize(bytes.len() + 2040 + dice.below(16), b'7')
                    }
                    _ => bytes.extend_from_slice(WORDS[dice.below(WORDS.len())]),
                }
            }
            read(&bytes, 1 + dice.below(3000));
        }
    }
}
