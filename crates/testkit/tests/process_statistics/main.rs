//! Statistics: true by a program's own books, and printed in jemalloc's schema.
//!
//! S1  Every path of `facts/stats_json.tsv` is in the JSON with its type, unless the build or the run has nothing of the
//!     kind, which the table says; and nothing else is.
//! S2  The text has the table's sections in their order, and the headings of Debian's jemalloc.

use std::path::Path;

use jemoxide_testkit::child::{Outcome, Run};
use jemoxide_testkit::{artifacts, compiler};
use serde_json::Value;

mod books;
mod json;
mod text;

fn prepare(library: &Path, case: &str, letters: Option<&str>, options: &str) -> Option<Run> {
    let flags = ["-pthread"];
    let program = compiler::c("process/stats_print.c", "stats_print", &flags)?;
    Some(
        Run::new(program)
            .arg(case)
            .args(letters)
            .preload(library)
            .env("MALLOC_CONF", options),
    )
}

fn print(case: &str, letters: Option<&str>, options: &str) -> Option<Outcome> {
    Some(prepare(&artifacts::library(), case, letters, options)?.run())
}

fn text_of(case: &str, letters: Option<&str>, options: &str) -> Option<String> {
    let outcome = print(case, letters, options)?.expect_success();
    assert_eq!(outcome.stderr, "", "{outcome}");
    Some(outcome.stdout)
}

#[test]
fn messages_go_where_the_program_says() {
    let Some(outcome) = print("message", Some("g"), "") else {
        return;
    };
    let outcome = outcome.expect_death("");
    assert!(
        outcome
            .stdout
            .starts_with("___ Begin jemalloc statistics ___\n")
    );
    let (_, after) = outcome
        .stdout
        .split_once("--- End jemalloc statistics ---\n")
        .unwrap();
    assert!(
        after.starts_with("<jemoxide>: invalid pointer"),
        "{outcome}"
    );
    assert_eq!(outcome.stderr, "", "{outcome}");
    let plain = print("plain", None, "").unwrap().expect_success();
    assert_eq!(plain.stdout, "");
    assert!(plain.stderr.ends_with("--- End jemalloc statistics ---\n"));
}

#[test]
fn statistics_are_printed_at_exit_and_on_the_way() {
    let Some(outcome) = print("exit", None, "stats_print:true,stats_print_opts:J") else {
        return;
    };
    let outcome = outcome.expect_success();
    let json: Value = serde_json::from_str(&outcome.stderr).expect("JSON at exit");
    assert_eq!(json["jemalloc"]["opt"]["stats_print"], true);
    assert_eq!(json["jemalloc"]["opt"]["stats_print_opts"], "J");
    let count = |interval: &str| {
        let options = format!("stats_interval:{interval},stats_interval_opts:gadblxeh");
        let text = print("interval", None, &options)
            .unwrap()
            .expect_success()
            .stderr;
        let ends = text.matches("--- End jemalloc statistics ---\n").count();
        assert_eq!(
            text.matches("___ Begin jemalloc statistics ___\n").count(),
            ends
        );
        ends
    };
    // 115 MiB are allocated, and looked at now and then.
    let times = count("16777216");
    assert!((3..=7).contains(&times), "{times}");
    assert_eq!(count("1073741824"), 0);
    assert_eq!(count("-1"), 0);
    assert!(count("0") >= 4);
}
