//! Where profiles are written, when, and under which names; and what is said where that fails (rule H3).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use jemoxide_testkit::artifacts;
use jemoxide_testkit::child::Run;
use jemoxide_testkit::folder::Folder;

use crate::{program, run};

#[test]
fn files_have_names_with_numbers() {
    let folder = Folder::new();
    let options = "prof:true,prof_final:true,prof_prefix:first";
    let Some(outcome) = run("names", options, &folder) else {
        return;
    };
    let outcome = outcome.expect_success();
    let child = outcome
        .stdout
        .lines()
        .next()
        .unwrap()
        .strip_prefix("child ");
    let child = child.unwrap();
    let names = folder.names();
    let own = names.iter().find_map(|name| name.strip_prefix("first."));
    let own = own.unwrap().split('.').next().unwrap().to_owned();
    let mut expected = vec![
        format!("first.{own}.0.m0.heap"),
        format!("first.{own}.1.m1.heap"),
        "named.heap".to_owned(),
        format!("other.{own}.2.m2.heap"),
        format!("other.{own}.3.f.heap"),
        format!("other.{child}.3.m3.heap"),
    ];
    expected.sort();
    assert_eq!(names, expected);
    let mode = fs::metadata(folder.join("named.heap"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o700, 0o600);
}

#[test]
fn the_namespace_of_the_process_is_in_names_that_ask_for_it() {
    let folder = Folder::new();
    let options = "prof:true,prof_final:true,prof_pid_namespace:true";
    let Some(outcome) = run("allocate", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let names = folder.names();
    let link = fs::read_link("/proc/self/ns/pid").unwrap();
    let number = link
        .to_str()
        .unwrap()
        .trim_matches(|c: char| !c.is_ascii_digit());
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(
        names[0].starts_with(&format!("jeprof.{number}.")),
        "{names:?}"
    );
}

#[test]
fn what_cannot_be_written_is_refused_and_leaves_nothing() {
    let folder = Folder::new();
    let Some(outcome) = run("refusals", "prof:true", &folder) else {
        return;
    };
    let outcome = outcome.expect_success();
    assert_eq!(outcome.stderr, "", "one that was asked for answers");
    assert_eq!(folder.names(), [""; 0], "H3");
    for (prefix, says) in [
        ("missing/x", "the folder does not exist"),
        ("/proc/x", "the folder does not exist|not allowed|error"),
    ] {
        let options = format!("prof:true,prof_final:true,prof_prefix:{prefix}");
        let outcome = run("allocate", &options, &folder).unwrap().expect_success();
        let told = says.split('|').any(|says| outcome.stderr.contains(says));
        assert!(told, "H3 {outcome}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    }
    let options = "prof:true,prof_final:true,prof_prefix:missing/x,abort:true";
    let outcome = run("allocate", options, &folder).unwrap();
    outcome.expect_death("the folder does not exist");
    let options = "prof:true,prof_final:true,prof_prefix:";
    run("allocate", options, &folder).unwrap().expect_success();
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_file_that_outgrows_its_limit_leaves_what_was_there() {
    let folder = Folder::new();
    let Some(program) = program() else {
        return;
    };
    fs::write(folder.join("truth.heap"), "old").unwrap();
    let outcome = Run::new(program)
        .args(["truth", "truth.heap"])
        .preload(artifacts::library())
        .env("MALLOC_CONF", "prof:true,lg_prof_sample:10")
        .current_dir(&folder)
        .limit(libc::RLIMIT_FSIZE, 100)
        .run();
    // The signal of the limit ends it in the middle of a file.
    assert!(!outcome.stdout.contains("done"), "{outcome}");
    assert_eq!(fs::read(folder.join("truth.heap")).unwrap(), b"old", "H3");
}

#[test]
fn files_come_by_interval_and_at_new_highs() {
    let folder = Folder::new();
    // 60 MB, a file each 8 MiB.
    let options = "prof:true,lg_prof_sample:12,lg_prof_interval:23,prof_gdump:true,prof_prefix:p";
    let Some(outcome) = run("allocate", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let names = folder.names();
    let count = |letter: &str| names.iter().filter(|name| name.contains(letter)).count();
    assert!((5..=8).contains(&count(".i")), "{names:?}");
    assert!(count(".u") > 3, "{names:?}");
}

#[test]
fn there_is_one_last_profile_however_many_logs_there_were() {
    let folder = Folder::new();
    let options = "prof:true,prof_final:true,prof_prefix:logs";
    let Some(outcome) = run("logs", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let names = folder.names();
    let last = names.iter().filter(|name| name.ends_with(".f.heap"));
    assert_eq!(last.count(), 1, "{names:?}");
}
