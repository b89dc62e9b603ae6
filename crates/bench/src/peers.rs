//! Peers: the allocators that are compared, where they are, and which version they have.
//!
//! A peer is a shared library to preload, or nothing at all (glibc). Before anything is measured each
//! one is asked, in a process of its own, whose `malloc` it really runs on: a preload that the loader
//! ignored would otherwise show glibc's figures under another name.
//!
//! P1  The list has jemoxide first and every known peer, here or not.
//! P2  A peer that is here serves `malloc` from its own file.

use crate::process::Program;
use serde::Serialize;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Name of our own allocator in every table.
pub(crate) const JEMOXIDE: &str = "jemoxide";

/// Name of the allocator that needs no preloading.
pub(crate) const GLIBC: &str = "glibc";

/// File name of our own library.
const LIBRARY: &str = "libjemoxide.so";

/// Peer, library file, Debian package.
const KNOWN: &[(&str, &str, &str)] = &[
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2"),
    ("mimalloc", "libmimalloc.so.2", "libmimalloc2.0"),
    (
        "tcmalloc",
        "libtcmalloc_minimal.so.4",
        "libtcmalloc-minimal4",
    ),
    ("tbbmalloc", "libtbbmalloc_proxy.so.2", "libtbbmalloc2"),
];

/// How long the question "whose malloc is this" may take.
const QUESTION: Duration = Duration::from_secs(20);

/// One allocator of the comparison.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    /// Name in the tables.
    pub(crate) name: String,
    /// Exact version, as the package or the library tells it.
    pub(crate) version: String,
    /// Library to preload; `None` for glibc and for a peer that is not here.
    pub(crate) library: Option<PathBuf>,
    /// Why it can't be measured; `None` if it can.
    pub(crate) missing: Option<String>,
}

impl Peer {
    /// Whether it can be measured.
    pub(crate) fn is_here(&self) -> bool {
        self.missing.is_none()
    }

    /// `program`, made to run on this allocator.
    pub(crate) fn run_on(&self, program: Program) -> Program {
        match &self.library {
            Some(library) => program.env("LD_PRELOAD", library),
            None => program,
        }
    }

    fn here(name: &str, version: String, library: Option<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            version,
            library,
            missing: None,
        }
    }

    fn not_here(name: &str, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            version: "missing".to_owned(),
            library: None,
            missing: Some(reason),
        }
    }

    /// Checks rule P2 by running ourselves on the peer.
    fn verified(self) -> Self {
        match self.serving_file() {
            Ok(()) => self,
            Err(reason) => Self::not_here(&self.name, reason),
        }
    }

    fn serving_file(&self) -> Result<(), String> {
        let Some(library) = &self.library else {
            return Ok(());
        };
        let ourselves = std::env::current_exe().map_err(|error| error.to_string())?;
        let question = self.run_on(Program::new(ourselves).arg("owner").deadline(QUESTION));
        let answer = question.run()?;
        let serving = Path::new(answer.stdout.trim());
        let same = |path: &Path| path.canonicalize().ok();
        if same(serving).is_some() && same(serving) == same(library) {
            Ok(())
        } else {
            Err(format!(
                "preloading {} leaves malloc to {}",
                library.display(),
                serving.display()
            ))
        }
    }
}

/// All allocators (rule P1). `library`: ours, else the one beside this program. `only`: names to keep;
/// empty keeps all.
pub(crate) fn discover(library: Option<&Path>, only: &[String]) -> Result<Vec<Peer>, String> {
    let known = || {
        [JEMOXIDE]
            .into_iter()
            .chain(KNOWN.iter().map(|&(name, ..)| name))
            .chain([GLIBC])
    };
    if let Some(unknown) = only
        .iter()
        .find(|name| !known().any(|known| known == *name))
    {
        let all: Vec<&str> = known().collect();
        return Err(format!("no peer {unknown}; there are {}", all.join(", ")));
    }
    Ok(known()
        .filter(|&name| only.is_empty() || only.iter().any(|wanted| wanted == name))
        .map(|name| match name {
            JEMOXIDE => find_ours(library),
            GLIBC => Peer::here(GLIBC, glibc_version(), None),
            _ => find_known(name),
        })
        .map(Peer::verified)
        .collect())
}

fn find_ours(library: Option<&Path>) -> Peer {
    let path = match library {
        Some(path) => path.to_owned(),
        None => match std::env::current_exe() {
            Ok(program) => program.with_file_name(LIBRARY),
            Err(error) => return Peer::not_here(JEMOXIDE, error.to_string()),
        },
    };
    match path.canonicalize() {
        Ok(path) => {
            let kib = path.metadata().map_or(0, |meta| meta.len() / 1024);
            // Any library may be named: what it is, only its path can tell.
            let version = match library {
                None => format!("{}, {kib} KiB", env!("CARGO_PKG_VERSION")),
                Some(_) => format!("{}, {kib} KiB", path.display()),
            };
            Peer::here(JEMOXIDE, version, Some(path))
        }
        Err(_) => Peer::not_here(
            JEMOXIDE,
            format!(
                "{} does not exist: build it with `cargo build --release`, or name another with --library",
                path.display()
            ),
        ),
    }
}

fn find_known(name: &str) -> Peer {
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

fn glibc_version() -> String {
    package_version("libc6").unwrap_or_else(|| {
        // SAFETY: the call takes nothing and returns a string that lives as long as the library.
        let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
        format!("glibc {}", version.to_string_lossy())
    })
}

/// The file whose `malloc` this very process runs on.
pub(crate) fn owner_of_malloc() -> Option<PathBuf> {
    // SAFETY: the name is a C string; looking a symbol up runs no code of the libraries.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr()) };
    // SAFETY: Dl_info is plain pointers, for which all zeroes is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; the call writes one Dl_info, to which the pointer leads.
    let found = unsafe { libc::dladdr(address, &raw mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr succeeded, so this is the loader's own string for a library that stays loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(PathBuf::from(name.to_string_lossy().into_owned()))
}

/// One line a peer: version, or why it is missing.
pub(crate) fn describe(peers: &[Peer]) -> String {
    let lines = peers.iter().map(|peer| match &peer.missing {
        Some(reason) => format!("  {:<10} missing: {reason}", peer.name),
        None => format!("  {:<10} {}", peer.name, peer.version),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Names in column order.
pub(crate) fn names(peers: &[Peer]) -> Vec<String> {
    peers.iter().map(|peer| peer.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::{GLIBC, JEMOXIDE, discover, owner_of_malloc};
    use std::path::Path;

    #[test]
    fn a_library_that_is_not_there_is_missing_with_the_way_to_build_it() {
        let peers = discover(Some(Path::new("/nonexistent/lib.so")), &[JEMOXIDE.into()]).unwrap();
        assert_eq!(peers.len(), 1);
        let reason = peers[0].missing.as_deref().unwrap();
        assert!(reason.contains("cargo build --release"), "{reason}");
    }

    #[test]
    fn unknown_names_are_an_error_and_glibc_is_always_here() {
        assert!(discover(None, &["nobody".into()]).is_err());
        let peers = discover(None, &[GLIBC.into()]).unwrap();
        assert!(peers[0].is_here() && !peers[0].version.is_empty());
        assert!(owner_of_malloc().is_some());
    }
}
