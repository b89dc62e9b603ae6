//! Workload: a small key-value store under a mix of requests that looks recorded.
//!
//! ```text
//! lane (a client: keys of its own, its own random numbers)
//!   |  request as text          protocol     one buffer
//!   v
//! serve: parse, look up, change  store       arguments, keys, values, index
//!   |  reply as text                         one buffer
//!   v
//! lane checks the reply
//!
//! phases   fill | steady | grow | steady | shrink | steady | rest
//! stored    ####   ####   ######   ######   ##        ##      ##
//! ```
//! W1  The requests depend on the plan alone, not on time, scheduling or the allocator.
//! W2  A key is changed by one lane only, in the lane's order: what the store holds between two phases
//!     depends on the plan alone, so its checksum does.
//! W3  A lane moves to another thread at each phase: what one thread allocated another one frees.
//!
//! The store runs in a process of its own (hidden subcommand `workload`); its result is one line of
//! JSON on standard output. Nothing here chooses an allocator.

mod lane;
mod phases;
mod process;
mod protocol;
mod store;
mod traffic;

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::arguments::WorkloadArguments;
use crate::failure::Failure;
use crate::screen::output;

pub(crate) use phases::serve;

/// How much a run does; equal plans do equal things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Threads, and lanes.
    pub(crate) threads: usize,
    /// Keys of the base population.
    pub(crate) keys: u64,
    /// Requests of the steady phases, all together.
    pub(crate) requests: u64,
    /// Where the random numbers start.
    pub(crate) seed: u64,
    /// Length of the rest.
    pub(crate) rest_ms: u64,
}

/// What a run found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Outcome {
    /// Requests served, without those of the rest.
    pub(crate) requests: u64,
    /// Time they took, all phases together.
    pub(crate) busy_ns: u64,
    /// Half of the requests were faster.
    pub(crate) p50_ns: u64,
    /// All but one in a hundred were faster.
    pub(crate) p99_ns: u64,
    /// Resident bytes when the store was largest, and after the rest.
    pub(crate) rss_grown: u64,
    pub(crate) rss_rested: u64,
    /// Sum over the store's content when it was largest, and at the end.
    pub(crate) content_grown: u64,
    pub(crate) content_rested: u64,
    /// Entries at the end.
    pub(crate) entries: u64,
    /// Values that came back other than they were stored.
    pub(crate) damaged: u64,
    /// Files mapped into the process as code.
    pub(crate) code: Vec<String>,
}

impl Plan {
    /// The command line's plan.
    pub(crate) fn from_arguments(arguments: &WorkloadArguments) -> Self {
        Self {
            threads: arguments.threads.max(1) as usize,
            keys: arguments.keys,
            requests: arguments.requests,
            seed: arguments.seed,
            rest_ms: arguments.rest_ms,
        }
    }

    /// The other way round.
    pub(crate) fn to_words(self) -> [String; 11] {
        let Self {
            threads,
            keys,
            requests,
            seed,
            rest_ms,
        } = self;
        let word = str::to_owned;
        [
            word("workload"),
            word("--threads"),
            threads.to_string(),
            word("--keys"),
            keys.to_string(),
            word("--requests"),
            requests.to_string(),
            word("--seed"),
            seed.to_string(),
            word("--rest-ms"),
            rest_ms.to_string(),
        ]
    }
}

/// One run in this process; the result goes to standard output.
pub(crate) fn serve_and_print(arguments: &WorkloadArguments) -> Result<ExitCode, Failure> {
    let outcome = serve(&Plan::from_arguments(arguments));
    let text = serde_json::to_string(&outcome).map_err(Failure::broken)?;
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser;

    const TINY: Plan = Plan {
        threads: 3,
        keys: 300,
        requests: 6000,
        seed: 7,
        rest_ms: 0,
    };

    #[test]
    fn equal_plans_leave_equal_content() {
        let (one, two) = (serve(&TINY), serve(&TINY));
        assert_eq!(one.content_grown, two.content_grown);
        assert_eq!(one.content_rested, two.content_rested);
        assert_eq!((one.requests, one.entries), (two.requests, two.entries));
        assert_eq!(one.damaged, 0);
        assert!(one.entries > 0 && one.requests > TINY.requests);
        assert_ne!(
            one.content_grown, one.content_rested,
            "shrinking changes the content"
        );
    }

    #[test]
    fn another_seed_leaves_other_content() {
        let other = serve(&Plan { seed: 8, ..TINY });
        assert_ne!(serve(&TINY).content_rested, other.content_rested);
    }

    #[test]
    fn one_thread_and_no_keys_are_plans_too() {
        let outcome = serve(&Plan {
            threads: 1,
            keys: 0,
            requests: 0,
            seed: 1,
            rest_ms: 0,
        });
        assert_eq!((outcome.entries, outcome.damaged), (0, 0));
        assert!(serve(&Plan { threads: 1, ..TINY }).entries > 0);
    }

    #[test]
    fn a_plan_survives_the_command_line() {
        let words = TINY.to_words();
        let line = ["jemoxide".to_owned()].into_iter().chain(words);
        match Arguments::try_parse_from(line).expect("parses").command {
            Command::Workload(arguments) => assert_eq!(Plan::from_arguments(&arguments), TINY),
            other => panic!("not a workload: {other:?}"),
        }
    }
}
