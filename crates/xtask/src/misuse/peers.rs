//! Other allocators that the suite runs on: the distribution's, and those that the bench builds from crates, here with the checks
//! that they can be built with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jemoxide_testkit::artifacts;

/// An allocator that is here.
pub(super) struct Peer {
    pub(super) name: String,
    /// Package and version.
    pub(super) version: String,
    /// What is preloaded; nothing for the C library's own.
    pub(super) library: Option<PathBuf>,
}

/// Name, package, file as the package has it.
const PACKAGED: [(&str, &str, &str); 5] = [
    (
        "jemalloc",
        "libjemalloc2",
        "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
    ),
    (
        "mimalloc",
        "libmimalloc2.0",
        "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2",
    ),
    (
        "tcmalloc",
        "libtcmalloc-minimal4",
        "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
    ),
    (
        "tbbmalloc",
        "libtbbmalloc2",
        "/usr/lib/x86_64-linux-gnu/libtbbmalloc_proxy.so.2",
    ),
    (
        "scudo",
        "libclang-rt-14-dev",
        "/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.scudo_standalone-x86_64.so",
    ),
];

/// Name, crate of the source, member of crates/bench/peers/preload, feature to build it with, file that comes out.
const BUILT: [(&str, &str, &str, &str, &str); 3] = [
    (
        "mimalloc-3",
        "libmimalloc-sys",
        "preload-mimalloc",
        "",
        "libpeer_mimalloc.so",
    ),
    (
        "mimalloc-3-secure",
        "libmimalloc-sys",
        "preload-mimalloc",
        "libmimalloc-sys/secure",
        "libpeer_mimalloc.so",
    ),
    (
        "snmalloc-checks",
        "snmalloc-sys",
        "preload-snmalloc",
        "snmalloc-sys/check",
        "libpeer_snmalloc.so",
    ),
];

/// Builds what can be built; needs clang, cmake and make.
pub(super) fn build() -> Result<(), String> {
    for (name, _, package, feature, _) in BUILT {
        let output = artifacts::cargo()
            .current_dir(workspace())
            .args(["build", "--release", "--locked", "--package", package])
            .args(["--features", feature])
            .arg("--target-dir")
            .arg(folder(name))
            .env("CC", "clang")
            .env("CXX", "clang++")
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "{name}: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
    }
    Ok(())
}

fn workspace() -> PathBuf {
    artifacts::workspace().join("crates/bench/peers/preload")
}

fn folder(name: &str) -> PathBuf {
    artifacts::workspace()
        .join("target/misuse-peers")
        .join(name)
}

/// All that are here; the C library's own comes first.
pub(super) fn find() -> Vec<Peer> {
    let glibc = Peer {
        name: "glibc".to_owned(),
        version: version("libc6"),
        library: None,
    };
    let packaged = PACKAGED
        .iter()
        .filter(|(_, _, file)| Path::new(file).is_file())
        .map(|&(name, package, file)| Peer {
            name: name.to_owned(),
            version: version(package),
            library: Some(PathBuf::from(file)),
        });
    let built = BUILT.iter().filter_map(|&(name, source, _, _, file)| {
        let library = folder(name).join("release").join(file);
        library.is_file().then(|| Peer {
            name: name.to_owned(),
            version: locked(source),
            library: Some(library),
        })
    });
    std::iter::once(glibc)
        .chain(packaged)
        .chain(built)
        .collect()
}

/// Crate and version, as the lock file of the bench's peers has it.
fn locked(source: &str) -> String {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap_or_default();
    let version = lock
        .split_once(&format!("name = \"{source}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split('"').next());
    format!("{source} {}", version.unwrap_or("unknown"))
}

fn version(package: &str) -> String {
    let told = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", package])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    format!("{package} {}", told.as_deref().unwrap_or("unpackaged"))
}
