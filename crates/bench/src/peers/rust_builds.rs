//! Rust builds: the workloads as one program for each allocator, which has it as `#[global_allocator]`.
//!
//! Preloading shows what a C program gets. A Rust program that names its allocator gets more: with fat
//! link-time optimisation an allocator in Rust is inlined, and one in C saves the PLT.

use super::built::{RECIPES, Recipe};
use super::installed::glibc_version;
use super::tools::{CC, Compiler};
use super::workshop::{Job, Workshop};
use super::{GLIBC, JEMOXIDE};
use crate::process::Program;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// How long the first run of a program may take.
const TRIAL: Duration = Duration::from_secs(20);

/// The workloads on one allocator.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RustBuild {
    /// Name in the tables: that of the peer which is preloaded, `glibc` for the system's allocator.
    pub(crate) name: String,
    /// Exact version.
    pub(crate) version: String,
    /// The program; `None` if it can't be measured.
    pub(crate) program: Option<PathBuf>,
    /// Why it can't be measured; `None` if it can.
    pub(crate) missing: Option<String>,
}

impl RustBuild {
    /// The program that does `amount` of `workload` and tells it as the bench's own `workload` does:
    /// one line of JSON, `jemoxide_workloads::Told`. The reason if it is not here.
    pub(crate) fn workload(&self, workload: &str, amount: u64) -> Result<Program, String> {
        match (&self.program, &self.missing) {
            (Some(program), None) => Ok(Program::new(program)
                .arg("workload")
                .arg(workload)
                .arg(amount.to_string())),
            (_, reason) => Err(reason.clone().unwrap_or_default()),
        }
    }

    /// Runs the smallest workload once: a program that cannot do that is not measured.
    fn tried(mut self) -> Self {
        let tried = self
            .workload("ping-pong-64", 1)
            .and_then(|program| program.deadline(TRIAL).run());
        if let Err(reason) = tried {
            self.missing = Some(reason);
            self.program = None;
        }
        self
    }
}

/// The workloads on every allocator: jemoxide, the built peers and the system's, here or not. `only`:
/// names to keep, those of preloaded peers included; empty keeps all.
pub(crate) fn rust_builds(workshop: &Workshop, only: &[String]) -> Vec<RustBuild> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    let built = RECIPES.iter().map(|recipe| (recipe.name, Some(recipe)));
    [(JEMOXIDE, None)]
        .into_iter()
        .chain(built)
        .chain([(GLIBC, None)])
        .filter(|(name, _)| wanted(name))
        .map(|(name, recipe)| provide(name, recipe, workshop).tried())
        .collect()
}

fn provide(name: &'static str, recipe: Option<&Recipe>, workshop: &Workshop) -> RustBuild {
    let version = match recipe {
        Some(recipe) => recipe.version("rust"),
        None if name == JEMOXIDE => Ok(env!("CARGO_PKG_VERSION").to_owned()),
        None => Ok(glibc_version()),
    };
    let feature = match recipe {
        Some(recipe) => Some(recipe.key),
        None if name == JEMOXIDE => Some(JEMOXIDE),
        None => None,
    };
    let product = version.and_then(|version| {
        workshop.provide(&Job {
            name,
            workspace: "rust",
            arguments: feature
                .map(|feature| format!("--features={feature}"))
                .into_iter()
                .collect(),
            product: "workloads-on-peer".to_owned(),
            version,
            tools: recipe.map_or(&[CC], |recipe| recipe.tools),
            compiler: recipe.map_or(Compiler::None, |recipe| recipe.compiler),
        })
    });
    let (version, program, missing) = match product {
        Ok(product) => (product.version, Some(product.file), None),
        Err(reason) => ("missing".to_owned(), None, Some(reason)),
    };
    RustBuild {
        name: name.to_owned(),
        version,
        program,
        missing,
    }
}

#[cfg(test)]
mod tests {
    use super::rust_builds;
    use crate::peers::Workshop;

    #[test]
    fn all_are_listed_and_what_is_not_built_says_how_to_build_it() {
        let workshop = Workshop::closed();
        let builds = rust_builds(&workshop, &[]);
        let names: Vec<&str> = builds.iter().map(|build| build.name.as_str()).collect();
        let expected = "jemoxide jemalloc-5.3.1 mimalloc-3 snmalloc rpmalloc rusty_alloc glibc";
        assert_eq!(names.join(" "), expected);
        for build in &builds {
            let reason = build.workload("tree", 1).unwrap_err();
            assert!(reason.contains("peers --build"), "{reason}");
        }
        assert_eq!(rust_builds(&workshop, &["mimalloc-3".into()]).len(), 1);
    }
}
