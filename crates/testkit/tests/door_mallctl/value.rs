//! What keys read as: constants that are known, switches of 0 or 1, texts, and numbers that are no accident.

use std::ffi::{CStr, c_char};
use std::ptr;

use jemoxide_testkit::control::UNTOUCHED;
use jemoxide_testkit::facts::Row;
use libc::EINVAL;

use crate::rows::Key;

/// Whole numbers that are the same in every process.
const CONSTANTS: [(&str, u64); 10] = [
    ("arena.<i>.retain_grow_limit", 7 << 60),
    ("arenas.quantum", 16),
    ("arenas.page", 4096),
    ("arenas.hugepage", 2 << 20),
    ("arenas.tcache_max", 32 << 10),
    ("arenas.nbins", 36),
    ("arenas.nhbins", 41),
    ("arenas.nlextents", 196),
    ("arenas.bin.<i>.size", 8),
    ("arenas.lextent.<i>.size", 16 << 10),
];

/// Numbers of a process that has not run for long stay below this.
const SANE: u64 = 1 << 47;

/// Reads a key with rooms of all lengths: any but its own is refused, and gets what fits. The value.
pub(crate) fn readable(key: &Key<'_>, size: usize) -> Vec<u8> {
    let name = key.name;
    assert_eq!(key.call(None, None).code, 0, "{name}: is it there?");
    let answer = key.call(Some(size), None);
    assert_eq!((answer.code, answer.len), (0, size), "{name}");
    assert!(answer.bytes[size..].iter().all(|&byte| byte == UNTOUCHED));
    for len in [0, size - 1, size + 1, 64] {
        let odd = key.call(Some(len), None);
        let copied = len.min(size);
        assert_eq!((odd.code, odd.len), (EINVAL, copied), "{name}: {len}");
        assert!(odd.bytes[copied..].iter().all(|&byte| byte == UNTOUCHED));
    }
    answer.bytes[..size].to_vec()
}

/// Checks the value that a row read as.
pub(crate) fn check(row: Row<'_>, value: &[u8]) {
    let name = row.get("name");
    let mut word = [0; 8];
    word[..value.len()].copy_from_slice(value);
    let number = u64::from_ne_bytes(word);
    if let Some((_, constant)) = CONSTANTS.iter().find(|(constant, _)| *constant == name) {
        assert_eq!(number, *constant, "{name}");
        return;
    }
    match row.get("type") {
        "bool" => assert!(number <= 1, "{name}: {number}"),
        "ssize_t" | "int64_t" => assert!(number as i64 >= -1, "{name}: {number}"),
        "const char *" => {
            let text = ptr::with_exposed_provenance::<c_char>(number as usize);
            assert!(!text.is_null(), "{name}");
            // SAFETY: the key gives a text that stays.
            let text = unsafe { CStr::from_ptr(text) }.to_str();
            assert!(text.is_ok_and(|text| text.len() < 4096), "{name}");
        }
        // Addresses have tests of their own, and some options are as large as numbers are.
        kind if kind.ends_with('*') || name.starts_with("opt.") => {}
        _ => assert!(number < SANE, "{name}: {number}"),
    }
}
