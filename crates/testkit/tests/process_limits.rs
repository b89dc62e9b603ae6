//! Memory that is not to be had: limits on address space, refused system calls, strict
//! accounting. Null and ENOMEM, never a crash; and service again once there is memory.

use std::fs;
use std::path::PathBuf;

use jemoxide_testkit::{artifacts, child, compiler};

const MIB: u64 = 1 << 20;

/// The level by default, and one where the hardened arena serves.
const LEVELS: [&str; 2] = ["", "hardening:strong"];

/// `ulimit -v` values in MiB. Below [`SURELY_STARTS`] the loader may not even get the program
/// into memory; from there on it must run.
const ADDRESS_SPACE_MIB: [u64; 24] = [
    4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 24, 32, 40, 48, 64, 80, 100, 128, 200, 512, 1024,
];

/// The program, libc and the library take less than 5 MiB; the allocator must start in the rest.
const SURELY_STARTS: u64 = 8;

/// What the loader exits with when it cannot map a library.
const LOADER_FAILED: i32 = 127;

#[test]
fn every_limit_on_address_space_is_survived() {
    let Some(program) = compiler::c("process/address_space.c", "address_space", &[]) else {
        return;
    };
    let mut without = Vec::new();
    let every = |options| ADDRESS_SPACE_MIB.map(|mib| (options, mib));
    for (options, mib) in LEVELS.into_iter().flat_map(every) {
        let outcome = child::Run::new(&program)
            .arg("started")
            .env("MALLOC_CONF", options)
            .preload(artifacts::library())
            .limit_address_space(mib * MIB)
            .run();
        let loader_failed = outcome.status == Some(LOADER_FAILED)
            && outcome
                .stderr
                .contains("error while loading shared libraries");
        // Nothing of the program ran when exec itself could not map it: the kernel kills it.
        let never_ran = outcome.signal == Some(libc::SIGKILL) && outcome.stdout.is_empty();
        // The loader goes on without a library that it has no room for.
        let without_us = outcome.stderr.contains("cannot be preloaded");
        if mib < SURELY_STARTS && (loader_failed || never_ran || without_us) {
            without.push(mib);
            continue;
        }
        println!("{options} {mib} MiB: {}", outcome.stdout.trim());
        assert!(!without_us, "{outcome}");
        let outcome = outcome.expect_success();
        assert!(outcome.stdout.starts_with("held "), "{outcome}");
    }
    if !without.is_empty() {
        let reason = format!("the loader has no room for the library in {without:?} MiB");
        compiler::announce_untested(&reason);
    }
}

#[test]
fn a_limit_that_drops_and_is_lifted_is_survived() {
    let Some(program) = compiler::c("process/address_space.c", "address_space_run", &[]) else {
        return;
    };
    for case in ["dropped", "zero"] {
        let outcome = child::Run::new(&program)
            .arg(case)
            .preload(artifacts::library())
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, "served again\n", "{case}: {outcome}");
    }
}

#[test]
fn refused_mappings_leave_what_is_there() {
    refused("mappings", "served again\n");
}

#[test]
fn the_second_source_of_pages_serves_when_mappings_are_refused() {
    refused("brk-left", "second source served\n");
}

#[test]
fn large_blocks_grow_when_moving_pages_is_refused() {
    refused("moves", "moved by copying\n");
}

#[test]
fn refused_advice_changes_nothing_but_the_footprint() {
    refused("advice", "kept its memory\n");
}

#[test]
fn a_start_without_memory_is_in_order() {
    refused("start", "answered in order\n");
}

#[test]
fn a_start_from_the_second_source_serves() {
    refused("start-brk", "answered in order\n");
}

/// What a sandbox forbids (EPERM), or a kernel does not know (ENOSYS).
#[test]
fn whatever_else_is_refused_memory_is_served() {
    for error in [libc::EPERM, libc::ENOSYS] {
        refused(&format!("strangers-{error}"), "did without\n");
    }
}

/// Limits that have nothing to do with the library, or little: on data, open files, processes, files' lengths, locked memory.
#[test]
fn other_limits_are_survived() {
    let Some(program) = compiler::c("process/address_space.c", "address_space_others", &[]) else {
        return;
    };
    let data = [1, 2, 4, 8, 16, 40, 100].map(|mib| (libc::RLIMIT_DATA, mib * MIB));
    let nothing = [
        libc::RLIMIT_NOFILE,
        libc::RLIMIT_NPROC,
        libc::RLIMIT_FSIZE,
        libc::RLIMIT_MEMLOCK,
        libc::RLIMIT_RSS,
    ];
    for (resource, value) in data
        .into_iter()
        .chain(nothing.map(|resource| (resource, 0)))
    {
        // Without a descriptor to open, the loader finds no library: the limit comes when the program runs.
        let is_set_late = [libc::RLIMIT_NOFILE, libc::RLIMIT_DATA].contains(&resource);
        let run = child::Run::new(&program).preload(artifacts::library());
        let run = match is_set_late {
            true => run
                .arg("bounded")
                .args([resource.to_string(), value.to_string()]),
            // Exhaustion is for limits on memory.
            false => run.arg("dropped").limit(resource, value),
        };
        let outcome = run.run().expect_success();
        assert_eq!(
            outcome.stdout, "served again\n",
            "{resource} {value}: {outcome}"
        );
    }
}

fn refused(case: &str, expected: &str) {
    let name = format!("refused_calls_{case}");
    let Some(program) = compiler::c("process/refused_calls.c", &name, &[]) else {
        return;
    };
    let outcome = child::Run::new(program)
        .arg(case)
        .preload(artifacts::library())
        .run()
        .expect_success();
    if outcome.stdout == "refused\n" {
        compiler::announce_untested("the system refuses seccomp filters");
        return;
    }
    assert_eq!(outcome.stdout, expected, "{case}: {outcome}");
}

/// The setting is the whole machine's, so it is changed only where the caller says that is fine.
const MAY_CHANGE_OVERCOMMIT: &str = "JEMOXIDE_TEST_OVERCOMMIT";

/// Strict accounting: reservations count, so large ones that are not used must not be made.
#[test]
fn strict_accounting_of_memory_is_survived() {
    let Some(program) = compiler::c("process/address_space.c", "address_space_strict", &[]) else {
        return;
    };
    if std::env::var_os(MAY_CHANGE_OVERCOMMIT).is_none() {
        compiler::announce_untested(&format!(
            "overcommit_memory=2, a setting of the whole machine; set {MAY_CHANGE_OVERCOMMIT}=1 to allow it"
        ));
        return;
    }
    let Some(_strict) = StrictAccounting::set() else {
        compiler::announce_untested("overcommit_memory cannot be set here");
        return;
    };
    for (case, expected) in [("dropped", "served again\n"), ("zero", "served again\n")] {
        let outcome = child::Run::new(&program)
            .arg(case)
            .preload(artifacts::library())
            .run()
            .expect_success();
        assert_eq!(outcome.stdout, expected, "{case}: {outcome}");
    }
}

/// overcommit_memory=2 until dropped.
struct StrictAccounting {
    before: String,
}

impl StrictAccounting {
    fn file() -> PathBuf {
        PathBuf::from("/proc/sys/vm/overcommit_memory")
    }

    fn set() -> Option<Self> {
        let before = fs::read_to_string(Self::file()).ok()?;
        let strict = Self { before };
        fs::write(Self::file(), "2").ok()?;
        let is_set = fs::read_to_string(Self::file()).ok()?.trim() == "2";
        is_set.then_some(strict)
    }
}

impl Drop for StrictAccounting {
    fn drop(&mut self) {
        let _ = fs::write(Self::file(), self.before.trim());
    }
}
