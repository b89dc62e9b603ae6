//! `cargo xtask`: work on the project's own files.
//!
//! ```text
//! headers   facts/header.tsv, facts/symbols.tsv, tables/header.tsv ──> crates/capi/include
//! compat    docs/compat, facts, the options of this build ──> docs/COMPAT.md
//! install   target/release, include ──> PREFIX: libraries, headers, pkg-config, scripts
//! ```
//! Nothing here is part of the allocator; what is made is checked in or installed, and tests compare it with the build.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use jemoxide_xtask::{compat, headers, install};

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
