//! `cargo xtask`: work on the project's own files.
//!
//! ```text
//! headers   facts/header.tsv, facts/symbols.tsv, tables/header.tsv ──> crates/capi/include
//! compat    docs/compat, facts, the options of this build ──> docs/COMPAT.md
//! dependencies   each Cargo.toml ──> docs/DEPENDENCIES.md
//! sbom      cargo metadata, Cargo.lock ──> a bill of materials on standard output
//! misuse    facts/misuse*.tsv, which --measure writes anew ──> docs/SECURITY-TESTS.md
//! install   target/release, include ──> PREFIX: libraries, headers, pkg-config, scripts
//! ```
//! Nothing here is part of the allocator; what is made is checked in or installed, and tests compare it with the build.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jemoxide_xtask::{compat, dependencies, headers, install, misuse, sbom};

#[derive(Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write jemalloc/jemalloc.h and jemoxide.h.
    Headers,
    /// Write docs/COMPAT.md.
    Compat,
    /// Write docs/DEPENDENCIES.md: every dependency and its reason.
    Dependencies,
    /// Print a bill of materials of one package, as CycloneDX.
    Sbom {
        /// The package: jemoxide-capi is the library, jemoxide-cli the command, jemoxide the crate.
        #[arg(long, default_value = "jemoxide-capi")]
        package: String,
    },
    /// Write docs/SECURITY-TESTS.md; or run the misuse suite and write the verdicts of which the next call makes it.
    Misuse {
        /// Run the suite at the levels named (all that the table has) and write crates/testkit/facts/misuse.tsv.
        #[arg(long, num_args = 0.., value_name = "LEVEL")]
        measure: Option<Vec<String>>,
        /// With --measure: run so many times and keep the worst verdicts, as strong and paranoid act at random.
        #[arg(long, default_value_t = 1)]
        repeat: usize,
        /// Run the suite on the other allocators of this machine (all, or those named) and write
        /// crates/testkit/facts/misuse_peers.tsv.
        #[arg(long, num_args = 0.., value_name = "NAME")]
        peers: Option<Vec<String>>,
        /// With --peers: build those first that no distribution has (clang, cmake and make are needed).
        #[arg(long, requires = "peers")]
        build: bool,
    },
    /// Build the libraries and install them with headers, pkg-config files and scripts.
    Install {
        /// Folder that the files are to be used from.
        #[arg(long, default_value = "/usr/local")]
        prefix: PathBuf,
        /// Folder that stands for the root of the file system while packages are made.
        #[arg(long)]
        destdir: Option<PathBuf>,
        /// Folder of a finished build, instead of building.
        #[arg(long)]
        from: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Headers => headers::write(),
        Task::Compat => compat::write(),
        Task::Dependencies => dependencies::write(),
        Task::Sbom { package } => sbom::text(&package),
        Task::Misuse {
            measure,
            repeat,
            peers,
            build,
        } => misuse_task(measure.as_deref(), repeat, peers.as_deref(), build),
        Task::Install {
            prefix,
            destdir,
            from,
        } => install::run(&prefix, destdir.as_deref(), from),
    };
    match done {
        Ok(lines) => {
            print!("{lines}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cargo xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn misuse_task(
    levels: Option<&[String]>,
    repeat: usize,
    peers: Option<&[String]>,
    is_building: bool,
) -> jemoxide_xtask::Done {
    let mut lines = String::new();
    if let Some(levels) = levels {
        lines += &misuse::measure(levels, repeat)?;
    }
    if let Some(names) = peers {
        lines += &misuse::measure_peers(names, is_building)?;
    }
    match lines.is_empty() {
        true => misuse::write(),
        false => Ok(lines + "now `cargo xtask misuse` makes the document\n"),
    }
}
