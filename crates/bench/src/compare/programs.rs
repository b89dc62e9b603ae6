//! Programs: real programs of the machine, each with a check of what it came to.
//!
//! A program is prepared once (its files are generated, its tools looked for) and then run as often as
//! there are allocators and rounds. Its files live in a folder of their own that is gone at the end.
//!
//! ```text
//! program runs to its end      python3, lua, gs, z3, cc1plus, cargo     its whole life is timed
//! server under load            redis, PostgreSQL, nginx                 its processor time, start included
//! ```
//! X1  The same work in every run; where the load generator has dice, they fall before the check.
//! X2  Only the program under test is preloaded, never what puts load to it or looks at its result.
//! X3  A program whose own allocator comes before any preloaded one is missing, with that reason.

mod build;
mod compiler;
mod database;
mod document;
mod key_store;
mod script;
mod server;
mod solver;
mod web_server;

use super::job::{Clock, Run};
use crate::peers::Peer;
use crate::process::{Finished, Program};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One run of a prepared program on an allocator.
pub(crate) type Work = Box<dyn Fn(&Peer) -> Result<Run, String>>;

/// A real program.
pub(crate) struct Real {
    /// Name in the tables.
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) about: &'static str,
    /// Its clock, if it has one of its own.
    pub(crate) clock: Option<Clock>,
    /// Amount of work of a full run.
    pub(crate) full: u64,
    /// About how long that takes, for the estimate.
    pub(crate) lasts: Duration,
    /// What is added whatever the amount.
    pub(crate) starts: Duration,
    /// Generates its files in the folder, which is its own. An error says what is missing.
    prepare: fn(&Path, u64) -> Result<Work, String>,
}

/// All real programs, in table order.
pub(crate) const REAL: &[Real] = &[
    script::PYTHON,
    script::LUA,
    document::GHOSTSCRIPT,
    solver::Z3,
    compiler::CXX,
    build::CARGO,
    key_store::REDIS,
    database::POSTGRESQL,
    web_server::NGINX,
];

/// Prepares `amount` of `real` in its own folder below `dir`.
pub(crate) fn prepare(real: &Real, dir: &Path, amount: u64) -> Result<Work, String> {
    let dir = dir.join(real.name);
    std::fs::create_dir_all(&dir).map_err(|error| told(&dir, &error))?;
    (real.prepare)(&dir, amount)
}

/// The first of `files` that is there.
fn find(files: &[&str]) -> Result<PathBuf, String> {
    let found = files.iter().map(Path::new).find(|file| file.exists());
    found
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} not found", files.join(", ")))
}

/// Writes a generated file.
fn write(file: &Path, text: impl AsRef<[u8]>) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| told(file, &error))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| told(file, &error))
}

fn told(file: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", file.display())
}

/// Runs something that is not under test.
fn tool(program: Program) -> Result<String, String> {
    program.run().map(|finished| finished.stdout)
}

/// The run of a program that went to its end.
fn whole_life(finished: &Finished, result: String) -> Run {
    Run {
        wall_ns: finished.wall.as_nanos() as u64,
        cpu_ns: finished.cpu.as_nanos() as u64,
        peak_rss_kib: finished.peak_rss_kib,
        result,
        parts: BTreeMap::new(),
    }
}

/// A short name of many bytes (FNV-1a).
fn digest(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{} bytes, {hash:016x}", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::{REAL, digest, prepare};
    use crate::peers;

    #[test]
    fn every_real_program_that_is_here_comes_to_the_same_twice() {
        let dir = std::env::temp_dir().join(format!("jemoxide-real-{}", std::process::id()));
        let glibc = peers::discover(None, &["glibc".into()], &peers::Workshop::closed())
            .unwrap()
            .remove(0);
        for real in REAL {
            let work = match prepare(real, &dir, 1) {
                Ok(work) => work,
                Err(reason) => {
                    println!("NOT TESTED: {}: {reason}", real.name);
                    continue;
                }
            };
            let run = || work(&glibc).unwrap_or_else(|error| panic!("{}: {error}", real.name));
            let (first, second) = (run(), run());
            assert!(!first.result.is_empty(), "{}", real.name);
            assert_eq!(first.result, second.result, "{}", real.name);
            assert!(first.wall_ns > 0 && first.cpu_ns > 0, "{}", real.name);
            assert!(first.peak_rss_kib > 500, "{}", real.name);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn digests_tell_texts_apart() {
        assert_ne!(digest(b"ab"), digest(b"ba"));
        assert_eq!(digest(b""), "0 bytes, cbf29ce484222325");
    }
}
