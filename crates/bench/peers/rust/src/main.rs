//! One workload on the allocator that this program was built with: `workloads-on-peer workload NAME [AMOUNT]`
//! does it and tells the result as a line of JSON, as the hidden command of the bench does.

use jemoxide_workloads::find;
use std::process::ExitCode;

#[cfg(feature = "jemoxide")]
#[global_allocator]
static ALLOCATOR: jemoxide::Jemoxide = jemoxide::Jemoxide;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "snmalloc")]
#[global_allocator]
static ALLOCATOR: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

#[cfg(feature = "rpmalloc")]
#[global_allocator]
static ALLOCATOR: rpmalloc::RpMalloc = rpmalloc::RpMalloc;

#[cfg(feature = "rusty_alloc")]
#[global_allocator]
static ALLOCATOR: rusty_alloc_api::RustyAlloc = rusty_alloc_api::RustyAlloc;

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("workloads-on-peer: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, String> {
    let mut arguments = std::env::args().skip(1);
    let (Some("workload"), Some(name)) = (arguments.next().as_deref(), arguments.next()) else {
        return Err("usage: workloads-on-peer workload NAME [AMOUNT]".to_owned());
    };
    let workload = find(&name).ok_or_else(|| format!("no workload {name}"))?;
    let amount = match arguments.next() {
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text} is not an amount"))?,
        None => workload.full,
    };
    Ok(workload.run(amount).line())
}
