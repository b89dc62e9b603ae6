//! Any text as the system's list of mappings: read in two pieces it says what it says in one.

use jemoxide::stats::maps::{Mapping, Maps};

fn read(pieces: &[&[u8]]) -> Vec<Mapping> {
    let mut found = Vec::new();
    let mut maps = Maps::new();
    for piece in pieces {
        maps.feed(piece, &mut |mapping| found.push(*mapping));
    }
    maps.finish(&mut |mapping| found.push(*mapping));
    found
}

/// Reads `text`; its first byte says where it is cut in two.
pub fn run(text: &[u8]) {
    let Some((&cut, text)) = text.split_first() else {
        return;
    };
    let whole = read(&[text]);
    let (one, two) = text.split_at(usize::from(cut).min(text.len()));
    assert_eq!(whole, read(&[one, two]));
    for mapping in whole {
        assert!(mapping.start <= mapping.end, "{mapping:x?}");
    }
}
