//! Installed: the peers that the distribution packages, and its C library.

use super::Peer;
use std::ffi::CStr;
use std::path::Path;
use std::process::Command;

/// Peer, library file, Debian package.
pub(super) const KNOWN: &[(&str, &str, &str)] = &[
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
    (
        "tcmalloc",
        "libtcmalloc_minimal.so.4",
        "libtcmalloc-minimal4",
    ),
    ("tbbmalloc", "libtbbmalloc_proxy.so.2", "libtbbmalloc2"),
];

/// The library of the peer `name`, where the distribution puts it.
pub(super) fn library(name: &str) -> Peer {
    let Some(&(_, file, package)) = KNOWN.iter().find(|known| known.0 == name) else {
        return Peer::not_here(name, "unknown".to_owned());
    };
    let dirs = [
        format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH),
        "/usr/lib64".to_owned(),
        "/usr/lib".to_owned(),
        "/usr/local/lib".to_owned(),
    ];
    match dirs
        .iter()
        .map(|dir| Path::new(dir).join(file))
        .find(|path| path.exists())
    {
        Some(path) => {
            let version = package_version(package).unwrap_or_else(|| {
                let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                format!("unpackaged, {}", real.display())
            });
            Peer::here(name, version, Some(path))
        }
        None => Peer::not_here(name, format!("{file} not found: install package {package}")),
    }
}

fn package_version(package: &str) -> Option<String> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", package])
        .output()
        .ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !version.is_empty()).then(|| format!("{package} {version}"))
}

/// Version of the C library.
pub(super) fn glibc_version() -> String {
    package_version("libc6").unwrap_or_else(|| {
        // SAFETY: the call takes nothing and returns a string that lives as long as the library.
        let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
        format!("glibc {}", version.to_string_lossy())
    })
}
