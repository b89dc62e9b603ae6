//! Any name, mib and length put to mallctl: nothing is written beyond what the caller gave, and every answer is one of the
//! documented error numbers.
//!
//! ```text
//! input   | what | name | lengths | value ... | text ...
//!           how to ask, one of the known names or any text, 0..15 each, what is written
//! ```
//! P1  Nothing is written behind the length that was given, and a length never grows.
//! P2  Values are written to names that take a number only: others take addresses, and any bytes are no address.
//! P3  The place of the old value begins with the address of room for the one name that fills what stands there
//!     (`arena.<i>.name`): 32 bytes, never more.

use core::ffi::c_int;
use jemoxide::mallctl::{self, by_mib, by_name, name_to_mib};
use std::ffi::CString;
use std::sync::LazyLock;

/// Of jemalloc, one a line, first column.
const NAMES: &str = include_str!("../../crates/testkit/facts/mallctl.tsv");
/// Ours.
const OWN: [&str; 8] = [
    "jemoxide.version",
    "jemoxide.purge",
    "jemoxide.rss",
    "jemoxide.heap_used",
    "jemoxide.heap_limit_hard",
    "jemoxide.dirty_max",
    "jemoxide.dirty_share",
    "jemoxide.cgroup.pressure",
];
/// Ends of the names that may be written (P2).
const WRITTEN: [&str; 16] = [
    "epoch",
    "background_thread",
    "dirty_decay_ms",
    "muzzy_decay_ms",
    "thread.arena",
    "thread.tcache.enabled",
    "thread.tcache.max",
    "tcache.flush",
    "tcache.destroy",
    "oversize_threshold",
    "retain_grow_limit",
    "jemoxide.purge",
    "jemoxide.heap_limit_hard",
    "jemoxide.dirty_max",
    "jemoxide.dirty_share",
    "arenas.lookup",
];
const CODES: [c_int; 6] = [
    0,
    libc::ENOENT,
    libc::EINVAL,
    libc::EPERM,
    libc::EFAULT,
    libc::EAGAIN,
];

/// What stands where nothing may be written.
const FENCE: u8 = 0xc5;
const ROOM: usize = 64;
/// Bytes of an arena's name, with the zero behind it.
const NAME_ROOM: usize = 32;

static KNOWN: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let theirs = NAMES
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next());
    theirs.chain(OWN).collect()
});

/// Bytes of the input, zeros behind its end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }
}

/// A known name with numbers for its indexes, or what is left of the input.
fn name(bytes: &mut Bytes) -> CString {
    let which = usize::from(bytes.next()) | usize::from(bytes.next()) << 8;
    if which % 8 == 7 {
        let text: Vec<u8> = bytes
            .0
            .iter()
            .copied()
            .take(200)
            .filter(|&byte| byte != 0)
            .collect();
        return CString::new(text).expect("without zeros");
    }
    let mut name = KNOWN[which / 8 % KNOWN.len()].to_owned();
    while let (Some(from), Some(to)) = (name.find('<'), name.find('>')) {
        let index = [0, 1, 2, 4096, 35, 195, 33, 5000][usize::from(bytes.next() % 8)];
        name.replace_range(from..=to, &index.to_string());
    }
    CString::new(name).expect("names are text")
}

/// Puts what the input says to mallctl.
pub fn run(input: &[u8]) {
    let mut bytes = Bytes(input);
    while !bytes.0.is_empty() {
        ask(&mut bytes);
    }
    // As it was, for the next input.
    for (name, value) in [
        ("jemoxide.heap_limit_hard", 0usize),
        ("jemoxide.dirty_share", 25),
    ] {
        _ = mallctl::write(name, value);
    }
    _ = mallctl::write("thread.arena", 0u32);
    _ = mallctl::write("thread.tcache.enabled", true);
    for arena in jemoxide::arenas().filter(|arena| arena.index() > 0) {
        // SAFETY: nothing was allocated from it.
        _ = unsafe { arena.destroy() };
    }
}

fn ask(bytes: &mut Bytes) {
    let what = bytes.next();
    let name = name(bytes);
    let lengths = bytes.next();
    let (old_room, new_len) = (usize::from(lengths & 15), usize::from(lengths >> 4));
    let mut text = [FENCE; ROOM];
    let mut old = [FENCE; ROOM];
    let place = text.as_mut_ptr().expose_provenance();
    old[..size_of_val(&place)].copy_from_slice(&place.to_ne_bytes());
    let before = old;
    let mut old_len = old_room;
    let mut new = [0u8; 16];
    new.iter_mut().for_each(|byte| *byte = bytes.next());
    let may_write = WRITTEN
        .iter()
        .any(|end| name.to_bytes().ends_with(end.as_bytes()));
    let (new_ptr, new_len) = match what & 2 != 0 && may_write {
        true => (new.as_ptr(), new_len),
        false => (std::ptr::null(), 0),
    };
    let (old_ptr, old_len_ptr) = match what & 1 != 0 {
        true => (old.as_mut_ptr(), &raw mut old_len),
        false => (std::ptr::null_mut(), std::ptr::null_mut()),
    };
    let code = if what & 4 == 0 {
        // SAFETY: a C string, room for so many bytes, and so many bytes of numbers.
        unsafe { by_name(name.as_ptr(), old_ptr, old_len_ptr, new_ptr, new_len) }
    } else {
        let mut mib = [usize::from_ne_bytes([FENCE; 8]); 10];
        let given = usize::from(what >> 3) % 9;
        let mut len = given;
        // SAFETY: a C string and room for so many numbers.
        let found = unsafe { name_to_mib(name.as_ptr(), mib.as_mut_ptr(), &raw mut len) };
        assert!(CODES.contains(&found), "{name:?}: {found}");
        assert!(len <= given, "P1: {name:?}: {len} of {given} numbers");
        assert!(
            mib[given..].iter().all(|&word| word == mib[9]),
            "P1: {name:?}"
        );
        if found == 0 && what & 64 != 0 && len > 0 {
            mib[usize::from(lengths) % len] ^= usize::from(new[0]) << (new[1] % 57);
        } else if found != 0 && new_len > 0 {
            return;
        }
        // A changed number may lead to a name that takes an address.
        let (new_ptr, new_len) = match what & 64 != 0 {
            true => (std::ptr::null(), 0),
            false => (new_ptr, new_len),
        };
        // SAFETY: as above.
        unsafe { by_mib(mib.as_ptr(), len, old_ptr, old_len_ptr, new_ptr, new_len) }
    };
    assert!(CODES.contains(&code), "{name:?}: {code}");
    assert!(old_len <= old_room, "P1: {name:?}: {old_len} of {old_room}");
    assert_eq!(old[old_room..], before[old_room..], "P1: {name:?}");
    assert!(
        text[NAME_ROOM..].iter().all(|&byte| byte == FENCE),
        "P3: {name:?}"
    );
}
