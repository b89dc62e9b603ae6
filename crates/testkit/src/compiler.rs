//! Compiler: C and C++ programs under `programs/`, made into executables or shared objects.
//!
//! A compiler is needed by tests only. `CC` and `CXX` choose one; else the usual names are tried.
//! Without one, the test that asked is told so, loudly, and gets `None` (rule T1).

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::artifacts;

/// Compiles C `source` (a path below `programs/`) to `out_name`; see `compile` below.
pub fn c(source: &str, out_name: &str, flags: &[&str]) -> Option<PathBuf> {
    match find("CC", &["cc", "gcc", "clang"]) {
        Some(compiler) => Some(compile(&compiler, source, out_name, "-std=gnu11", flags)),
        None => {
            announce_untested("no C compiler (install gcc)");
            None
        }
    }
}

/// Compiles C++ `source` (a path below `programs/`) to `out_name`; see `compile` below.
pub fn cxx(source: &str, out_name: &str, flags: &[&str]) -> Option<PathBuf> {
    match find("CXX", &["c++", "g++", "clang++"]) {
        Some(compiler) => Some(compile(&compiler, source, out_name, "-std=gnu++17", flags)),
        None => {
            announce_untested("no C++ compiler (install g++)");
            None
        }
    }
}

/// Says on the real standard error that the running test could not test, and why.
///
/// Goes round libtest's capture, which takes only what the print macros write. One write, begun with
/// a line break, keeps it readable among libtest's own lines.
pub fn announce_untested(reason: &str) {
    let current = thread::current();
    let test = current.name().unwrap_or("unnamed");
    let line = format!("\nNOT TESTED: {reason}: {test}\n");
    // Nobody is left to tell when standard error is closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Compiles one program, once per test process; panics with the compiler's words if that fails.
///
/// `flags` follow the source on the command line, so libraries may stand among them. Built-in
/// knowledge of malloc is off: a compiler may otherwise drop a pair of calls that the test is
/// about. The result appears by rename: two tests may build the same name at once.
fn compile(compiler: &Path, source: &str, out_name: &str, std: &str, flags: &[&str]) -> PathBuf {
    /// Results by everything they follow from.
    static BUILT: Mutex<BTreeMap<Vec<String>, PathBuf>> = Mutex::new(BTreeMap::new());
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    let key: Vec<String> = [source, out_name]
        .iter()
        .chain(flags)
        .map(|&part| part.to_owned())
        .collect();
    // The lock is not held while compiling: two tests may do the same work, but none waits.
    if let Some(out) = BUILT.lock().expect("nobody panics inside").get(&key) {
        return out.clone();
    }
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let folder = artifacts::target().join("programs");
    fs::create_dir_all(&folder).expect("target folder is writable");
    let out = folder.join(out_name);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let fresh = folder.join(format!("{out_name}.{}.{serial}", process::id()));
    let mut command = Command::new(compiler);
    command
        .args([
            std,
            "-O1",
            "-g",
            "-Wall",
            "-Wextra",
            "-fno-builtin",
            "-pthread",
        ])
        .arg("-I")
        .arg(&programs)
        .arg(programs.join(source))
        .arg("-o")
        .arg(&fresh)
        .args(flags)
        .env_remove("LD_PRELOAD");
    let output = command.output().expect("the compiler starts");
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&fresh, &out).expect("target folder is writable");
    BUILT
        .lock()
        .expect("nobody panics inside")
        .insert(key, out.clone());
    out
}

/// Returns the compiler that `variable` names, or the first of `names` found on the path.
fn find(variable: &str, names: &[&str]) -> Option<PathBuf> {
    let chosen = env::var_os(variable).filter(|name| !name.is_empty());
    let candidates = match chosen {
        Some(name) => vec![name],
        None => names.iter().map(OsString::from).collect(),
    };
    let path = env::var_os("PATH").unwrap_or_default();
    candidates.into_iter().find_map(|name| {
        env::split_paths(&path)
            .map(|folder| folder.join(&name))
            .find(|file| file.is_file())
    })
}
