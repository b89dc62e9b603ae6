//! Programs whose allocations are sampled behave as ever: counted to the byte, forked, ended by threads, interrupted by
//! signals. With a period of one byte everything is a sample, with one of 4 KiB objects of both kinds meet everywhere.

use std::time::Duration;

use jemoxide_testkit::{artifacts, child, compiler};

/// Far above the seconds that a run takes on two processors.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Every object, and some of most sizes. What is recorded goes nowhere.
const ALL: &str = "prof:true,lg_prof_sample:0";
const SOME: &str = "prof:true,lg_prof_sample:12";

/// Runs `source` with `args` and answers what it wrote.
fn run(source: &str, args: &[&str], options: &str) -> Option<String> {
    let name = format!("sampled_{}", source.trim_end_matches(".c"));
    let flags = ["-pthread", "-fno-builtin"];
    let program = compiler::c(&format!("process/{source}"), &name, &flags)?;
    let outcome = child::Run::new(program)
        .timeout(TIMEOUT)
        .args(args)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .run()
        .expect_success();
    Some(outcome.stdout)
}

/// Expects that `source` with `args` writes `expected`.
fn expect(source: &str, args: &[&str], options: &str, expected: &str) {
    if let Some(written) = run(source, args, options) {
        assert_eq!(written, expected, "{options}");
    }
}

#[test]
fn what_threads_allocate_is_counted_to_the_byte() {
    for options in [ALL, SOME] {
        expect("thread_counters.c", &[], options, "counted\n");
    }
}

#[test]
fn forks_meet_threads_in_the_middle_of_a_sample() {
    for options in [ALL, SOME] {
        expect("fork_storm.c", &["main", "6", "60"], options, "60 forks\n");
        expect(
            "fork_storm.c",
            &["handlers", "4", "20"],
            options,
            "20 forks\n",
        );
    }
}

#[test]
fn arenas_made_by_request_are_sampled_too() {
    for options in [ALL, SOME] {
        for case in ["objects", "life"] {
            let options = format!("{options},narenas:1");
            expect("arenas.c", &[case], &options, "done\n");
        }
    }
}

#[test]
fn signals_interrupt_samples() {
    for options in [ALL, SOME] {
        expect("signals.c", &["storm"], options, "signals handled\n");
    }
}

#[test]
fn threads_come_and_go() {
    for options in [ALL, SOME] {
        let written = run("thread_churn.c", &["50"], options);
        assert!(written.is_none_or(|text| text.contains("threads 400")));
    }
}

/// Runs `sudden_ends.c`, compiled with `flag`, where all or some objects are samples.
fn end_suddenly(case: &str, flag: &str, options: &str) {
    let name = format!("sampled_ends{flag}");
    let flags = ["-ldl", "-pthread", "-O2", flag];
    let Some(program) = compiler::c("process/sudden_ends.c", &name, &flags) else {
        return;
    };
    let shared = ["-shared", "-fPIC", flag];
    let Some(plugin) = compiler::c("process/plugin.c", &format!("{name}_plugin.so"), &shared)
    else {
        return;
    };
    child::Run::new(program)
        .timeout(TIMEOUT)
        .arg(case)
        .arg(plugin)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .run()
        .expect_success();
}

#[test]
fn stacks_are_walked_in_dying_threads_and_through_libraries_that_come_and_go() {
    for flag in ["-fomit-frame-pointer", "-fno-omit-frame-pointer"] {
        for case in ["cancel", "exit", "plugins"] {
            end_suddenly(case, flag, ALL);
        }
        end_suddenly("fork", flag, SOME);
    }
}
