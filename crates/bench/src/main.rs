//! The bench: jemoxide against other allocators, in instructions, memory, time and scale.
//!
//! Every allocator is measured by preloading it under the same programs; the report names each one's
//! exact version. See `docs/BENCH.md` for what each row means.

mod compare;
mod compile;
mod forking;
mod goals;
mod instructions;
mod memory;
mod output;
mod palette;
mod peers;
mod process;
mod row;
mod scale;
mod soak;
mod stall;
mod statistics;
mod table;

use clap::{Args, Parser, Subcommand};
use output::Output;
use peers::{Peer, RustBuild, Workshop};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures jemoxide against the other allocators of this machine.
///
/// A peer that is not installed is shown as missing. Build the library first: cargo build --release.
#[derive(Debug, Parser)]
#[command(name = "jemoxide-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count the instructions of single operations (needs valgrind and cc)
    Instructions(TableArguments),
    /// Measure resident memory: at start, with idle threads, after frees (needs cc)
    Memory {
        #[command(flatten)]
        table: TableArguments,
        /// Runs of each program that idles [default: 5; quick: 1]
        #[arg(long)]
        runs: Option<usize>,
    },
    /// Time whole workloads and real programs, all allocators in turn
    Compare {
        #[command(flatten)]
        table: TableArguments,
        #[command(flatten)]
        plan: compare::Plan,
    },
    /// Name the allocators, their versions, and why some are missing
    Peers {
        /// Build those that are built from their crates, as library and as Rust program
        #[arg(long)]
        build: bool,
    },
    /// Follow the cost of operations as threads, objects and address space grow
    Scale {
        #[command(flatten)]
        table: TableArguments,
        /// Rounds of all steps under all allocators [default: 3; quick: 1]
        #[arg(long)]
        rounds: Option<usize>,
        /// Only series whose name contains one of these
        #[arg(long, value_delimiter = ',', value_name = "NAMES")]
        only: Vec<String>,
    },
    /// Days and nights of a server: resident memory against live bytes over time (needs cc)
    Soak {
        #[command(flatten)]
        table: TableArguments,
        #[command(flatten)]
        settings: soak::Settings,
    },
    /// Time forks of a large program with a thousand threads (needs cc)
    Fork {
        #[command(flatten)]
        table: TableArguments,
        /// Runs of each allocator [default: 3; quick: 1]
        #[arg(long)]
        runs: Option<usize>,
    },
    /// Measure the longest calls while a large heap is given back (needs cc)
    Stall {
        #[command(flatten)]
        table: TableArguments,
        /// Runs of each allocator [default: 5; quick: 1]
        #[arg(long)]
        runs: Option<usize>,
    },
    /// Name the workloads and programs of `compare` and what each does
    Workloads,
    /// Name the file whose malloc this process runs on
    #[command(hide = true)]
    Owner,
    /// Do one step of a series of `scale` in this process and tell its figures as a line of JSON
    #[command(hide = true)]
    Step {
        /// Name of the series
        series: String,
        /// Size of the step
        size: u64,
    },
    /// Do one workload in this process and tell the result as a line of JSON
    #[command(hide = true)]
    Workload {
        /// Name of the workload
        name: String,
        /// How much of it
        amount: Option<u64>,
    },
}

/// Arguments of all tables.
#[derive(Args, Debug)]
struct TableArguments {
    /// Our library [default: libjemoxide.so beside this program]
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Only these allocators, by name [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    peers: Vec<String>,
    /// Folder for raw figures [default: target/bench]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Width of the tables [default: the terminal's]
    #[arg(long)]
    width: Option<usize>,
    /// Shorter and coarser
    #[arg(long)]
    quick: bool,
    /// Build no peer; those that were built before are measured
    #[arg(long)]
    no_build: bool,
    /// jemoxide at its levels of hardening, too: off, sampled, strong, paranoid
    #[arg(long)]
    levels: bool,
}

impl TableArguments {
    /// Where peers are built that the distribution does not have.
    fn workshop(&self) -> Result<Workshop, String> {
        Ok(Workshop::new(&compile::build_dir()?, !self.no_build))
    }

    /// Finds the peers and says what will be measured.
    fn prepare(&self) -> Result<(Vec<Peer>, Output), String> {
        let dir = match &self.out {
            Some(dir) => dir.clone(),
            None => compile::build_dir()?,
        };
        let output = Output::new(self.width.unwrap_or_else(table::terminal_width), dir);
        let workshop = self.workshop()?;
        let mut peers = peers::discover(self.library.as_deref(), &self.peers, &workshop)?;
        if self.levels {
            let ours = peers.iter().position(|peer| peer.name == peers::JEMOXIDE);
            if let Some(at) = ours.filter(|&at| peers[at].is_here()) {
                let levels = peers[at].at_levels();
                peers.splice(at + 1..at + 1, levels);
            }
        }
        println!("{}\n{}\n", output::machine_line(), peers::describe(&peers));
        Ok((peers, output))
    }

    /// The Rust binaries, and says what they are.
    fn rust_builds(&self) -> Result<Vec<RustBuild>, String> {
        let builds = peers::rust_builds(&self.workshop()?, &self.peers);
        println!("Rust binaries:\n{}\n", peers::describe_rust(&builds));
        Ok(builds)
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("jemoxide-bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Instructions(table) => {
            let (peers, output) = table.prepare()?;
            instructions::run(&peers, &output, table.quick)
        }
        Command::Memory { table, runs } => {
            let (peers, output) = table.prepare()?;
            let runs = runs.unwrap_or(if table.quick { 1 } else { 5 });
            memory::run(&peers, &output, runs)
        }
        Command::Compare { table, plan } => {
            let (peers, output) = table.prepare()?;
            let builds = if plan.has_rust() {
                table.rust_builds()?
            } else {
                Vec::new()
            };
            compare::run(&peers, &builds, &output, &plan, table.quick)
        }
        Command::Peers { build } => {
            let workshop = Workshop::new(&compile::build_dir()?, build);
            let peers = peers::discover(None, &[], &workshop)?;
            println!("to preload:\n{}", peers::describe(&peers));
            let rust = peers::rust_builds(&workshop, &[]);
            println!("Rust programs:\n{}", peers::describe_rust(&rust));
            Ok(())
        }
        Command::Scale {
            table,
            rounds,
            only,
        } => {
            let (peers, output) = table.prepare()?;
            scale::run(&peers, &output, rounds, &only, table.quick)
        }
        Command::Soak { table, settings } => {
            let (peers, output) = table.prepare()?;
            soak::run(&peers, &output, &settings, table.quick)
        }
        Command::Fork { table, runs } => {
            let (peers, output) = table.prepare()?;
            let runs = runs.unwrap_or(if table.quick { 1 } else { 3 });
            forking::run(&peers, &output, runs, table.quick)
        }
        Command::Stall { table, runs } => {
            let (peers, output) = table.prepare()?;
            let runs = runs.unwrap_or(if table.quick { 1 } else { 5 });
            stall::run(&peers, &output, runs, table.quick)
        }
        Command::Step { series, size } => {
            let told = scale::run_step(&series, size)?;
            let line = serde_json::to_string(&told).map_err(|error| error.to_string())?;
            println!("{line}");
            Ok(())
        }
        Command::Workloads => {
            println!("{}", compare::list());
            Ok(())
        }
        Command::Owner => {
            let owner = peers::owner_of_malloc().ok_or("the loader does not know")?;
            println!("{}", owner.display());
            Ok(())
        }
        Command::Workload { name, amount } => {
            let workload =
                jemoxide_workloads::find(&name).ok_or_else(|| format!("no workload {name}"))?;
            let told = workload.run(amount.unwrap_or(workload.full));
            println!("{}", told.line());
            Ok(())
        }
    }
}
