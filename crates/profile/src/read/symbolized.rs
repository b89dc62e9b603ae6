//! Symbolized: a dump with the names of its addresses in front, as jeprof reads it, and writes it of another host's.
//!
//! ```text
//! --- symbol
//! binary=/opt/app
//! 0x0000000000401136 parse--load        innermost first, where the compiler put one into another
//! ---
//! --- heap
//! heap_v2/524288                        or `heap profile: ...`
//! ```
//! jeprof takes one off every address but the first of a stack before it looks: a name stands at the call, or at the address
//! behind it.
//!
//! Source: jeprof's options `--raw` and `--symbols`, and its reader.

use std::collections::HashMap;

use crate::build::{FunctionTable, call};
use crate::model::{Function, Location, Profile};

use super::heap_v2::NO_MAP;
use super::lines::{Line, hexadecimal, lines};
use super::{FORMS, Kind, Unreadable, classic, heap_v2};

/// What it begins with.
pub(super) const HEADING: &[u8] = b"--- symbol";
/// What ends the names.
const END: &[u8] = b"---";
/// Between functions of one address.
const INSIDE: &str = "--";

/// Reads both parts.
pub(super) fn read(bytes: &[u8]) -> Result<Profile, Unreadable> {
    let mut names: HashMap<u64, &[u8]> = HashMap::new();
    let mut passed = Passed { bytes: 0, lines: 0 };
    for line in lines(bytes) {
        passed.count(bytes);
        if line.number == 1 {
            continue;
        }
        if line.text == END {
            break;
        }
        match named(line) {
            Some((address, name)) => drop(names.insert(address, name)),
            None if line.text.is_empty() || line.text.contains(&b'=') => {}
            None => {
                return Err(line.wrong(format!(
                    "expected `0x401136 name` or `---`, found {}",
                    line.shown()
                )));
            }
        }
    }
    let mut rest = &bytes[passed.bytes..];
    if rest.starts_with(b"--- ") {
        passed.count(bytes);
        rest = &bytes[passed.bytes..];
    }
    let mut profile = match Kind::of(rest) {
        Kind::HeapV2 if !rest.is_empty() => heap_v2::read(rest),
        Kind::Classic => classic::read(rest),
        _ => Err(Unreadable::new(
            "behind the names there is no heap profile",
            FORMS,
        )),
    }
    .map_err(|why| why.behind(passed.lines))?;
    give_names(&mut profile, &names);
    if !names.is_empty() {
        profile.warnings.retain(|warning| warning != NO_MAP);
    }
    Ok(profile)
}

/// What was read.
struct Passed {
    bytes: usize,
    lines: usize,
}

impl Passed {
    /// One more line.
    fn count(&mut self, bytes: &[u8]) {
        let rest = &bytes[self.bytes..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        self.bytes += end.map_or(rest.len(), |end| end + 1);
        self.lines += 1;
    }
}

fn named(line: Line<'_>) -> Option<(u64, &[u8])> {
    let blank = line.text.iter().position(u8::is_ascii_whitespace)?;
    let (address, name) = line.text.split_at(blank);
    let address = address
        .starts_with(b"0x")
        .then(|| hexadecimal(address))
        .flatten()?;
    Some((address, name.trim_ascii()))
}

/// Locations get the functions that stand at their addresses.
fn give_names(profile: &mut Profile, names: &HashMap<u64, &[u8]>) {
    let mut table = FunctionTable::of(&profile.functions);
    let functions = &mut profile.functions;
    for Location { address, calls, .. } in &mut profile.locations {
        let Some(names) = address
            .checked_sub(1)
            .and_then(|inside| names.get(&inside).or_else(|| names.get(address)))
        else {
            continue;
        };
        let names = String::from_utf8_lossy(names);
        let parts = names.split(INSIDE).filter(|name| !name.is_empty());
        *calls = parts
            .map(|name| {
                let name = table.text(name);
                let function = Function {
                    name: name.clone(),
                    symbol: name,
                    file: table.text(""),
                };
                call(table.id(functions, function), 0)
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Measure;

    const RAW: &str = "--- symbol\nbinary=/opt/app\n0x0000000000001010 parse--load\n0x201f main\n---\n--- heap\n\
        heap_v2/1\n  t*: 1: 64 [0: 0]\n@ 0x1010 0x2020 0x3000\n  t*: 1: 64 [0: 0]\n";

    #[test]
    fn names_in_front_are_taken() {
        let profile = read(RAW.as_bytes()).expect("well formed");
        assert_eq!(
            profile.to_collapsed(Measure::Live).expect("short"),
            "0x3000;main;load;parse 64\n"
        );
        assert_eq!(profile.warnings(), [""; 0]);
    }

    #[test]
    fn errors_name_the_line_of_the_whole_file() {
        let wrong = RAW.replace("t*: 1: 64 [0: 0]\n@", "t*: 1: x\n@");
        assert_eq!(read(wrong.as_bytes()).expect_err("x").line(), Some(8));
        for (text, told) in [
            (
                "--- symbol\nwhat\n---\n",
                "line 2: expected `0x401136 name`",
            ),
            ("--- symbol\n0x1 a\n", "no heap profile"),
            ("--- symbol\n---\n--- profile\n\0\0", "no heap profile"),
        ] {
            let why = read(text.as_bytes()).expect_err("wrong").to_string();
            assert!(why.contains(told), "{text:?}: {why}");
        }
    }
}
