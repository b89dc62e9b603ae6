//! Other allocators that the suite runs on, where this machine has them.

use std::path::{Path, PathBuf};
use std::process::Command;

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
    std::iter::once(glibc).chain(packaged).collect()
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
