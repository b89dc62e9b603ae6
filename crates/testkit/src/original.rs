//! Original: the installed jemalloc, for tests that compare this library's answers with its.

use std::env;
use std::path::{Path, PathBuf};

use crate::{child, compiler};

/// Where Debian's package puts jemalloc; `JEMALLOC` in the environment names another place.
const JEMALLOC: &str = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";

/// The installed jemalloc; `None`, said loudly (rule T1), where there is none.
pub fn library() -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os("JEMALLOC").unwrap_or_else(|| JEMALLOC.into()));
    if path.is_file() {
        return Some(path);
    }
    compiler::announce_untested(
        "no jemalloc to compare with (install libjemalloc2, or set JEMALLOC)",
    );
    None
}

/// Writes down answers for [`transcript`]: to be called in the child, an answer a line.
pub fn tell(answers: &str) {
    // What libtest prints may stand at the beginning of a line.
    println!();
    for answer in answers.lines() {
        println!("> {answer}");
    }
}

/// The lines that the body of `test` [told](tell), run again on `library` under `options`.
///
/// Panics inside that child, and where it fails.
pub fn transcript(test: &str, library: &Path, options: &str) -> Vec<String> {
    let run = child::rerun(test).expect("not inside it");
    let run = run.preload(library).env("MALLOC_CONF", options);
    let stdout = run.run().expect_success().stdout;
    let lines = stdout.lines().filter_map(|line| line.strip_prefix("> "));
    lines.map(str::to_owned).collect()
}
