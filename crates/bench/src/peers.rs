//! Peers: the allocators that are compared, where they are, and which version they have.
//!
//! A peer is a shared library to preload, or nothing at all (glibc). The library is one of the
//! distribution's, or one that is built from the crates below `peers/` when it is wanted. Before anything
//! is measured each one is asked, in a process of its own, whose `malloc` it really runs on: a preload that
//! the loader ignored would otherwise show glibc's figures under another name.
//!
//! ```text
//! discover      jemoxide | jemalloc mimalloc tcmalloc tbbmalloc | jemalloc-5.3.1 mimalloc-3 ... | glibc
//!               ours       the distribution's                     built                           no preload
//! rust_builds   jemoxide |                                        jemalloc-5.3.1 mimalloc-3 ... | glibc
//!               the workloads as one Rust program for each
//! ```
//! P1  The list has jemoxide first and every known peer, here or not.
//! P2  A peer that is here serves `malloc` from its own file.

mod built;
mod installed;
mod rust_builds;
mod tools;
mod workshop;

pub(crate) use rust_builds::{RustBuild, rust_builds};
pub(crate) use workshop::Workshop;

use crate::process::Program;
use serde::Serialize;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of our own allocator in every table.
pub(crate) const JEMOXIDE: &str = "jemoxide";

/// Name of the allocator that needs no preloading.
pub(crate) const GLIBC: &str = "glibc";

/// What `--levels` adds: names in the tables, and options.
const LEVELS: [(&str, &str); 4] = [
    ("off", "hardening:off"),
    ("sampled", "guarded_sampling:1000"),
    ("strong", "hardening:strong"),
    ("paranoid", "hardening:paranoid"),
];

/// File name of our own library.
const LIBRARY: &str = "libjemoxide.so";

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
    /// `MALLOC_CONF` that it gets; `None` for none.
    pub(crate) conf: Option<String>,
    /// Why it can't be measured; `None` if it can.
    pub(crate) missing: Option<String>,
}

impl Peer {
    /// Whether it can be measured.
    pub(crate) fn is_here(&self) -> bool {
        self.missing.is_none()
    }

    /// Whether this is jemoxide, with whatever options.
    pub(crate) fn is_ours(&self) -> bool {
        self.name == JEMOXIDE || self.conf.is_some()
    }

    /// jemoxide at the levels of hardening other than the default, after jemoxide itself.
    pub(crate) fn at_levels(&self) -> Vec<Self> {
        let level = |(name, conf): &(&str, &str)| Self {
            name: (*name).to_owned(),
            conf: Some((*conf).to_owned()),
            ..self.clone()
        };
        LEVELS.iter().map(level).collect()
    }

    /// `program` with the options of this allocator.
    pub(crate) fn configure(&self, program: Program) -> Program {
        match &self.conf {
            Some(conf) => program.env("MALLOC_CONF", conf),
            None => program,
        }
    }

    /// `program`, made to run on this allocator.
    pub(crate) fn run_on(&self, program: Program) -> Program {
        let program = self.configure(program);
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
            conf: None,
            missing: None,
        }
    }

    fn not_here(name: &str, reason: String) -> Self {
        Self {
            name: name.to_owned(),
            version: "missing".to_owned(),
            library: None,
            conf: None,
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
/// empty keeps all. `workshop`: where those come from that are built.
pub(crate) fn discover(
    library: Option<&Path>,
    only: &[String],
    workshop: &Workshop,
) -> Result<Vec<Peer>, String> {
    let known = || {
        [JEMOXIDE]
            .into_iter()
            .chain(installed::KNOWN.iter().map(|&(name, ..)| name))
            .chain(built::RECIPES.iter().map(|recipe| recipe.name))
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
            GLIBC => Peer::here(GLIBC, installed::glibc_version(), None),
            _ => match built::RECIPES.iter().find(|recipe| recipe.name == name) {
                Some(recipe) => built::library(recipe, workshop),
                None => installed::library(name),
            },
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
    let lines = peers
        .iter()
        .map(|peer| line(&peer.name, &peer.version, peer.missing.as_deref()));
    lines.collect::<Vec<_>>().join("\n")
}

/// The same for Rust builds.
pub(crate) fn describe_rust(builds: &[RustBuild]) -> String {
    let lines = builds
        .iter()
        .map(|build| line(&build.name, &build.version, build.missing.as_deref()));
    lines.collect::<Vec<_>>().join("\n")
}

fn line(name: &str, version: &str, missing: Option<&str>) -> String {
    match missing {
        Some(reason) => format!("  {name:<15} missing: {reason}"),
        None => format!("  {name:<15} {version}"),
    }
}

/// Names in column order.
pub(crate) fn names(peers: &[Peer]) -> Vec<String> {
    peers.iter().map(|peer| peer.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::{GLIBC, JEMOXIDE, Workshop, built, describe, discover, owner_of_malloc};
    use std::path::Path;

    #[test]
    fn a_library_that_is_not_there_is_missing_with_the_way_to_build_it() {
        let library = Path::new("/nonexistent/lib.so");
        let peers = discover(Some(library), &[JEMOXIDE.into()], &Workshop::closed()).unwrap();
        assert_eq!(peers.len(), 1);
        let reason = peers[0].missing.as_deref().unwrap();
        assert!(reason.contains("cargo build --release"), "{reason}");
    }

    #[test]
    fn unknown_names_are_an_error_and_glibc_is_always_here() {
        assert!(discover(None, &["nobody".into()], &Workshop::closed()).is_err());
        let peers = discover(None, &[GLIBC.into()], &Workshop::closed()).unwrap();
        assert!(peers[0].is_here() && !peers[0].version.is_empty());
        assert!(owner_of_malloc().is_some());
    }
    #[test]
    fn peers_that_cannot_be_built_stay_in_the_list_with_the_cure() {
        let dir = std::env::temp_dir().join(format!("jemoxide-no-tools-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let names: Vec<String> = built::RECIPES
            .iter()
            .map(|recipe| recipe.name.into())
            .collect();
        let workshop = Workshop::new(&dir, true).with_tools_of(&dir);
        let peers = discover(None, &names, &workshop).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(peers.len(), names.len());
        for peer in &peers {
            let reason = peer.missing.as_deref().unwrap();
            assert!(reason.contains("install package"), "{reason}");
        }
        assert_eq!(describe(&peers).matches("missing: ").count(), peers.len());
    }

    #[test]
    fn a_built_peer_is_shown_with_the_version_of_the_lock_file() {
        // Kept files stand for built ones; no process runs on them, so they are not libraries here.
        let dir = std::env::temp_dir().join(format!("jemoxide-kept-{}", std::process::id()));
        let kept = dir.join("peers/kept");
        std::fs::create_dir_all(&kept).unwrap();
        let workshop = Workshop::new(&dir, false).with_tools_of(&dir);
        for recipe in built::RECIPES {
            let version = recipe.version("preload").unwrap();
            let file = format!("preload-{}-{}", recipe.name, version.replace(' ', "-"));
            std::fs::write(kept.join(file), "").unwrap();
            let peer = built::library(recipe, &workshop);
            assert!(peer.is_here(), "{:?}", peer.missing);
            assert_eq!(peer.version, version);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
