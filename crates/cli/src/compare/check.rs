//! Check: the runs may be compared only if they did the same thing, on what they should have run on.

use crate::compare::{Run, Runs, mapped_as};
use crate::failure::Failure;
use crate::launch::Library;
use crate::workload::Outcome;

/// Compares every run with the first.
pub(super) fn check(runs: &Runs, library: &Library) -> Result<(), Failure> {
    let all = || {
        let glibc = runs.glibc.iter().map(|run| (run, "glibc"));
        glibc.chain(runs.jemoxide.iter().map(|run| (run, "jemoxide")))
    };
    let Some((first, _)) = all().next() else {
        return Ok(());
    };
    for (number, (run, name)) in all().enumerate() {
        let place = format!("run {} on {name}", number % runs.glibc.len().max(1) + 1);
        if run.outcome.damaged > 0 {
            return Err(Failure::broken(format!(
                "{place}: {} values came back damaged. This is a fault in the allocator or the machine.",
                run.outcome.damaged
            )));
        }
        if work(&run.outcome) != work(&first.outcome) {
            return Err(Failure::broken(format!(
                "{place}: the store holds something else than after the first run, though the requests \
                 were the same. This is a fault in the allocator or the machine.\n  first: {:?}\n  now:   {:?}",
                work(&first.outcome),
                work(&run.outcome)
            )));
        }
        right_library(run, name == "jemoxide", library, &place)?;
    }
    Ok(())
}

/// What must be equal in all runs.
fn work(outcome: &Outcome) -> (u64, u64, u64, u64) {
    (
        outcome.requests,
        outcome.entries,
        outcome.content_grown,
        outcome.content_rested,
    )
}

fn right_library(run: &Run, wanted: bool, library: &Library, place: &str) -> Result<(), Failure> {
    let file = mapped_as(library.path());
    if run.outcome.code.contains(&file) == wanted {
        return Ok(());
    }
    let how = if wanted {
        "was not loaded"
    } else {
        "was loaded"
    };
    Err(Failure::broken(format!(
        "{place}: {file} {how}; nothing can be compared."
    )))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::launch::{Ended, HowEnded};
    use std::path::Path;
    use std::time::Duration;

    /// A run of which nothing is known but the code in it.
    pub(in crate::compare) fn run(code: &str) -> Run {
        let outcome = Outcome {
            requests: 10,
            busy_ns: 1,
            p50_ns: 1,
            p99_ns: 1,
            rss_grown: 1,
            rss_rested: 1,
            content_grown: 5,
            content_rested: 6,
            entries: 2,
            damaged: 0,
            code: vec![code.to_owned()],
        };
        let ended = Ended {
            pid: 1,
            how: HowEnded::Exit(0),
            wall: Duration::ZERO,
            user: Duration::ZERO,
            system: Duration::ZERO,
            peak_rss: 1,
            faults: (0, 0),
        };
        Run {
            outcome,
            ended,
            figures: None,
        }
    }

    fn checked(change: impl FnOnce(&mut Runs)) -> Result<(), Failure> {
        let library = Library::find(Some(Path::new("Cargo.toml"))).expect("a file");
        let mut runs = Runs {
            glibc: vec![run("/libc.so")],
            jemoxide: vec![run(&mapped_as(library.path()))],
        };
        change(&mut runs);
        check(&runs, &library)
    }

    #[test]
    fn equal_runs_pass_and_each_difference_fails() {
        assert!(checked(|_| ()).is_ok());
        assert!(checked(|runs| runs.jemoxide[0].outcome.content_grown += 1).is_err());
        assert!(checked(|runs| runs.jemoxide[0].outcome.content_rested += 1).is_err());
        assert!(checked(|runs| runs.jemoxide[0].outcome.requests += 1).is_err());
        assert!(checked(|runs| runs.glibc[0].outcome.damaged = 1).is_err());
        let lost = checked(|runs| runs.jemoxide[0].outcome.code.clear()).expect_err("not loaded");
        assert!(lost.message().contains("was not loaded"));
        let both =
            checked(|runs| runs.glibc[0].outcome.code = runs.jemoxide[0].outcome.code.clone());
        assert!(both.expect_err("loaded").message().contains("was loaded"));
    }
}
