//! Link arguments of every peer: which names its library exports, and which function each name is.
//!
//! Rust would export its own functions only, so a peer written in C would need a Rust function for every
//! name, and that function is an instruction or two on each call which nobody has who links the peer
//! itself. Therefore the names are given to the peer's own functions by the linker:
//!
//! - `exports.map` names all that may be exported, and all of it that exists is;
//! - `NAME/aliases` has a line `exported own` for each function whose own name differs.

use std::path::Path;

/// Pulls the peer's object out of its archive where nothing refers to it.
const ROOT: &str = "malloc";

fn main() {
    let member = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let member = Path::new(&member);
    let exports = member.with_file_name("exports.map");
    println!("cargo::rerun-if-changed={}", exports.display());
    argument(&format!("--version-script={}", exports.display()));
    argument("--undefined-version");
    argument(&format!("--undefined={ROOT}"));
    // Threads end after a dlclose, and what peers do then lies in the library.
    argument("-z,nodelete");
    argument("-z,defs");
    argument("--gc-sections");
    // A library without Rust's standard library names the C library itself.
    argument("-lc");

    let aliases = member.join("aliases");
    println!("cargo::rerun-if-changed={}", aliases.display());
    let text = std::fs::read_to_string(aliases).unwrap_or_default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(exported), Some(own)) = (words.next(), words.next()) {
            argument(&format!("--defsym={exported}={own}"));
        }
    }
}

fn argument(argument: &str) {
    println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
}
