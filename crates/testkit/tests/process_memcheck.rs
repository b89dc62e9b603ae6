//! Memcheck: at `hardening:strong` the library tells Valgrind which memory is an object, so that memcheck finds mistakes in it.
//!
//! Valgrind leaves our `malloc` in place (`nouserintercepts`).

use jemoxide_testkit::{artifacts, child, compiler};
use std::process::Command;
use std::time::Duration;

/// A mistake that the program makes, and what memcheck says of it.
const MISTAKES: [(&str, &[&str]); 4] = [
    (
        "use_after_free",
        &["Invalid read of size 1", "inside a block of size 70 free'd"],
    ),
    (
        "overflow",
        &[
            "Invalid write of size 1",
            "0 bytes after a block of size 40 alloc'd",
        ],
    ),
    ("uninitialised", &["depends on uninitialised value"]),
    ("leak", &["definitely lost", "777"]),
];

#[test]
fn memcheck_finds_mistakes_in_the_librarys_objects() {
    if artifacts::is_stand_in() {
        return;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        compiler::announce_untested("no valgrind");
        return;
    }
    let Some(program) = compiler::c("process/watched.c", "watched", &[]) else {
        return;
    };
    let run = |mistake: &str| {
        child::Run::new("valgrind")
            .args([
                "--tool=memcheck",
                "--soname-synonyms=somalloc=nouserintercepts",
                "--leak-check=full",
                "--error-exitcode=9",
                "--num-callers=20",
            ])
            .arg(&program)
            .arg(mistake)
            .env("MALLOC_CONF", "hardening:strong")
            .preload(artifacts::library())
            .timeout(Duration::from_secs(120))
            .run()
    };
    let clean = run("none").expect_success();
    assert!(clean.stderr.contains("ERROR SUMMARY: 0 errors"), "{clean}");
    for (mistake, words) in MISTAKES {
        let outcome = run(mistake);
        for word in words {
            assert!(
                outcome.stderr.contains(word),
                "{mistake}: no {word:?} in {outcome}"
            );
        }
    }
}
