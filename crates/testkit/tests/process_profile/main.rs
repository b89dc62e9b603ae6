//! Heap profiles of processes: files, their names and their numbers, against what the program did.
//!
//! H1  Estimates are within four standard deviations of the truth, over many seeds also on average.
//! H2  Every file is of one moment: what stands for the process is the sum of its stacks and of its threads.
//! H3  A file appears whole or not at all, and who cannot write says why.
//!
//! Each test runs one case of `programs/process/profile.c` in a folder of its own.

use std::path::{Path, PathBuf};

use jemoxide_testkit::child::{Outcome, Run};
use jemoxide_testkit::{artifacts, compiler};

mod contents;
mod estimates;
mod file;
mod files;
mod hooks;
mod moments;
mod switching;

/// Profiles come often.
const OFTEN: &str =
    "prof:true,lg_prof_sample:10,lg_prof_interval:16,prof_prefix:p,prof_unbias:false";

fn program() -> Option<PathBuf> {
    compiler::c("process/profile.c", "profile", &["-pthread", "-O1"])
}

fn run(case: &str, options: &str, folder: &Path) -> Option<Outcome> {
    Some(
        Run::new(program()?)
            .arg(case)
            .arg(format!("{case}.heap"))
            .preload(artifacts::library())
            .env("MALLOC_CONF", options)
            .current_dir(folder)
            .run(),
    )
}
