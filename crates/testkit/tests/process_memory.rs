//! Memory as the system sees it: given back when asked for, and laid out by the calls alone.

use jemoxide_testkit::child::Outcome;
use jemoxide_testkit::{artifacts, child, compiler};

/// Allowed above the start after freeing 300 MB and `malloc_trim(0)`.
const LEFT_KIB: usize = 4 * 1024;

#[test]
fn trimming_gives_freed_memory_back() {
    let Some(program) = compiler::c("process/giving_back.c", "giving_back", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .preload(artifacts::library())
        .run()
        .expect_success();
    println!("{}", outcome.stdout);
    let before = figure(&outcome, "before");
    assert!(figure(&outcome, "full") > before + 290_000, "{outcome}");
    assert!(
        figure(&outcome, "trimmed") <= before + LEFT_KIB,
        "{outcome}"
    );
    assert_eq!(figure(&outcome, "effect"), 1, "{outcome}");
}

#[test]
fn one_thread_gets_the_same_addresses_every_time() {
    let Some(program) = compiler::c("process/same_layout.c", "same_layout", &[]) else {
        return;
    };
    let run = |seed: &str| {
        child::Run::new(&program)
            .arg(seed)
            .preload(artifacts::library())
            // Nothing ages: what the clock does, a busy machine could do differently the second time.
            .env("MALLOC_CONF", "dirty_decay_ms:-1")
            .run()
            .expect_success()
    };
    let (first, second, other) = (run("1"), run("1"), run("2"));
    if first.stdout == "refused\n" {
        compiler::announce_untested("the system refuses to switch off address randomisation");
        return;
    }
    assert_eq!(first.stdout.lines().count(), 8, "{first}");
    assert_eq!(first.stdout, second.stdout);
    assert_ne!(first.stdout, other.stdout, "the digest sees no addresses");
}

/// Pages of the library's writable segments: what the loader binds and where zeroes begin; after the first allocation
/// the start's own page or two, and one of the page map's root.
const TABLE_PAGES: (usize, usize) = (2, 7);

#[test]
fn the_first_allocation_touches_few_pages_of_our_tables() {
    let Some(program) = compiler::c("process/first_pages.c", "first_pages", &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .preload(artifacts::library())
        .run()
        .expect_success();
    let (before, after) = (figure(&outcome, "before"), figure(&outcome, "after"));
    assert!(before > 0 && before <= TABLE_PAGES.0, "{outcome}");
    assert!(after > before && after <= TABLE_PAGES.1, "{outcome}");
}

/// The number after the word `name` on standard output.
fn figure(outcome: &Outcome, name: &str) -> usize {
    let mut words = outcome.stdout.split_whitespace();
    words
        .find(|&word| word == name)
        .and_then(|_| words.next()?.parse().ok())
        .unwrap_or_else(|| panic!("no figure {name}: {outcome}"))
}
