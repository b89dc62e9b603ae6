//! Built: the peers that this package builds itself, from their crates.
//!
//! Each comes through two doors: as a library to preload (`peers/preload`) and as the allocator of a Rust
//! program (`peers/rust`). A crate that is one allocator's source has one version for both.
//!
//! V1  The version that is shown is that of the crate in the `Cargo.lock` that the build goes by.

use super::Peer;
use super::tools::{CC, CMAKE, CXX, Compiler, MAKE, Tool};
use super::workshop::{Job, Workshop};
use crate::compile::package_dir;

/// An allocator that is built.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Name in the tables.
    pub(super) name: &'static str,
    /// Member of `peers/preload` and feature of `peers/rust`.
    pub(super) key: &'static str,
    /// The crate that holds the allocator's source.
    source: &'static str,
    pub(super) tools: &'static [Tool],
    pub(super) compiler: Compiler,
}

/// All of them, in table order. Compilers as measured: clang takes 10 instructions off each pair of
/// mimalloc and of rpmalloc; gcc's jemalloc takes fewer in `calloc`, `realloc` and bursts.
pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "jemalloc-5.3.1",
        key: "jemalloc",
        source: "tikv-jemalloc-sys",
        tools: &[CC, MAKE],
        compiler: Compiler::System,
    },
    Recipe {
        name: "mimalloc-3",
        key: "mimalloc",
        source: "libmimalloc-sys",
        tools: &[CC],
        compiler: Compiler::Clang,
    },
    Recipe {
        name: "snmalloc",
        key: "snmalloc",
        source: "snmalloc-sys",
        tools: &[CC, CXX, CMAKE, MAKE],
        compiler: Compiler::Clang,
    },
    Recipe {
        name: "rpmalloc",
        key: "rpmalloc",
        source: "rpmalloc-sys",
        tools: &[CC],
        compiler: Compiler::Clang,
    },
    Recipe {
        name: "rusty_alloc",
        key: "rusty_alloc",
        source: "rusty_alloc",
        tools: &[CC],
        compiler: Compiler::None,
    },
];

impl Recipe {
    /// Name and version of the source in `workspace` (rule V1).
    pub(super) fn version(&self, workspace: &str) -> Result<String, String> {
        let file = package_dir()
            .join("peers")
            .join(workspace)
            .join("Cargo.lock");
        let lock = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let version = locked(&lock, self.source)
            .ok_or_else(|| format!("{} has no {}", file.display(), self.source))?;
        Ok(format!("{} {version}", self.source))
    }
}

/// The library of `recipe` to preload.
pub(super) fn library(recipe: &Recipe, workshop: &Workshop) -> Peer {
    let product = recipe.version("preload").and_then(|version| {
        workshop.provide(&Job {
            name: recipe.name,
            workspace: "preload",
            arguments: vec![
                "--locked".to_owned(),
                format!("--package=preload-{}", recipe.key),
            ],
            product: format!("libpeer_{}.so", recipe.key),
            version,
            tools: recipe.tools,
            compiler: recipe.compiler,
        })
    });
    match product {
        Ok(product) => Peer::here(recipe.name, product.version, Some(product.file)),
        Err(reason) => Peer::not_here(recipe.name, reason),
    }
}

/// The version of `package` in the text of a `Cargo.lock`.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let mut lines = lock.lines();
    lines.find(|line| field(line, "name") == Some(package))?;
    field(lines.next()?, "version")
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.strip_prefix(name)?.strip_prefix(" = \"")?;
    value.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::{RECIPES, locked};

    #[test]
    fn versions_are_read_from_a_lock_file() {
        let lock = "[[package]]\nname = \"ab\"\nversion = \"9.9.9\"\n\n\
                    [[package]]\nname = \"a\"\nversion = \"1.2.3+x\"\ndependencies = [\n \"ab\",\n]\n";
        assert_eq!(locked(lock, "a"), Some("1.2.3+x"));
        assert_eq!(locked(lock, "b"), None);
    }

    #[test]
    fn both_doors_of_an_allocator_have_the_same_version() {
        for recipe in RECIPES {
            let preloaded = recipe.version("preload").unwrap();
            assert_eq!(preloaded, recipe.version("rust").unwrap());
            assert!(preloaded.ends_with(|last: char| last.is_ascii_alphanumeric()));
        }
    }
}
