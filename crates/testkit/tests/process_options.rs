//! Options as a process reads them: sources and their order, messages, and what some of them do.

use std::path::Path;

use jemoxide_testkit::{artifacts, child, compiler};

#[test]
fn sources_are_read_in_order_and_told() {
    let outcome = child::Run::new("/bin/cat")
        .preload(artifacts::library())
        .env("MALLOC_CONF", "narenas:3,dirty_maxx:1M,preset:container")
        .env("_RJEM_MALLOC_CONF", "hpa_sec_nshards:8")
        .env("JEMOXIDE_CONF", "confirm_conf:true")
        .run()
        .expect_success();
    let expected = [
        "<jemoxide>: MALLOC_CONF: narenas:3,dirty_maxx:1M,preset:container",
        "<jemoxide>: -- narenas:3",
        "<jemoxide>: unknown option, ignored: dirty_maxx:1M (did you mean dirty_max?)",
        "<jemoxide>: -- preset:container",
        "<jemoxide>: -- dirty_decay_ms:3000",
        "<jemoxide>: _RJEM_MALLOC_CONF: hpa_sec_nshards:8",
        "<jemoxide>: -- hpa_sec_nshards:8",
        "<jemoxide>: option without effect: hpa_sec_nshards:8 (page runs have no cache in shards)",
        "<jemoxide>: JEMOXIDE_CONF: confirm_conf:true",
        "<jemoxide>: -- confirm_conf:true",
    ];
    let mut lines = outcome.stderr.lines();
    for line in expected {
        assert!(lines.any(|told| told == line), "{line}\n{outcome}");
    }
}

#[test]
fn a_program_carries_options_of_its_own() {
    let library = artifacts::library();
    let (path, folder) = (
        library.display(),
        library.parent().expect("a folder").display(),
    );
    let (path, search) = (path.to_string(), format!("-Wl,-rpath,{folder}"));
    let flags = [path.as_str(), search.as_str()];
    let Some(program) = compiler::c("process/own_options.c", "own_options", &flags) else {
        return;
    };
    let outcome = child::Run::new(program)
        .env("MALLOC_CONF", "dirty_max:2M")
        .run()
        .expect_success();
    let told: Vec<&str> = outcome.stderr.lines().collect();
    let expected = [
        "<jemoxide>: variable malloc_conf: confirm_conf:true,narenas:3,dirty_max:1M",
        "<jemoxide>: -- confirm_conf:true",
        "<jemoxide>: -- narenas:3",
        "<jemoxide>: -- dirty_max:1M",
        "<jemoxide>: MALLOC_CONF: dirty_max:2M",
        "<jemoxide>: -- dirty_max:2M",
        "<jemoxide>: variable malloc_conf_2_conf_harder: dirty_max:3M",
        "<jemoxide>: -- dirty_max:3M",
    ];
    // What the link /etc/malloc.conf says on this machine, if there is one, stands between.
    let from_link = |line: &&&str| line.contains("/etc/malloc.conf");
    if told.iter().any(|line| from_link(&line)) {
        compiler::announce_untested("this machine has a link /etc/malloc.conf");
        return;
    }
    assert_eq!(told, expected, "{outcome}");
}

#[test]
fn the_link_of_the_system_is_read_before_the_environment() {
    let folder = artifacts::target().join("etc_with_link");
    let link = folder.join("malloc.conf");
    std::fs::create_dir_all(&folder).expect("a folder");
    let _before = std::fs::remove_file(&link);
    std::os::unix::fs::symlink("narenas:3,dirty_max:1M", &link).expect("a link");
    // In name spaces of its own the process has another /etc.
    let apart = |command: &str| {
        child::Run::new("/usr/bin/unshare")
            .args(["--map-root-user", "--mount", "/bin/sh", "-c", command])
            .env("FOLDER", &folder)
            .env("LIBRARY", artifacts::library())
            .run()
    };
    if apart("mount --bind \"$FOLDER\" /etc").status != Some(0) {
        compiler::announce_untested("the system gives no name spaces to mount in");
        return;
    }
    let outcome = apart(
        "mount --bind \"$FOLDER\" /etc && \
         LD_PRELOAD=\"$LIBRARY\" MALLOC_CONF=confirm_conf:true,dirty_max:2M exec /bin/cat",
    )
    .expect_success();
    let told: Vec<&str> = outcome.stderr.lines().collect();
    let expected = [
        "<jemoxide>: /etc/malloc.conf: narenas:3,dirty_max:1M",
        "<jemoxide>: -- narenas:3",
        "<jemoxide>: -- dirty_max:1M",
        "<jemoxide>: MALLOC_CONF: confirm_conf:true,dirty_max:2M",
        "<jemoxide>: -- confirm_conf:true",
        "<jemoxide>: -- dirty_max:2M",
    ];
    assert_eq!(told, expected, "{outcome}");
}

#[test]
fn what_the_build_was_given_comes_first() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/process/build_conf");
    let target = artifacts::target().join("build_conf");
    let given = "narenas:3,dirty_max:1M,confirm_conf:true";
    let output = artifacts::cargo()
        .current_dir(package)
        .args(["build", "--target-dir"])
        .arg(&target)
        .env("JEMOXIDE_BUILD_CONF", given)
        .output()
        .expect("cargo starts");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let outcome = child::Run::new(target.join("debug/build-conf"))
        .env("MALLOC_CONF", "dirty_max:2M")
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, format!("{given} 3\n"), "{outcome}");
    let line = |wanted: &str| {
        let at = outcome.stderr.lines().position(|line| line == wanted);
        at.unwrap_or_else(|| panic!("no line {wanted}: {outcome}"))
    };
    assert!(line(&format!("<jemoxide>: build: {given}")) < line("<jemoxide>: -- dirty_max:1M"));
    assert!(line("<jemoxide>: -- dirty_max:1M") < line("<jemoxide>: MALLOC_CONF: dirty_max:2M"));
}

#[test]
fn a_wrong_option_ends_the_process_where_that_is_asked_for() {
    let run = |options: &str| {
        child::Run::new("/bin/cat")
            .preload(artifacts::library())
            .env("MALLOC_CONF", options)
            .run()
    };
    run("narenas:0,abort_conf:true").expect_death("wants default, or a number from 1 to 32");
    run("retain:false,abort_conf:true").expect_success();
    run("narenas:0").expect_success();
}

#[test]
fn records_are_advised_to_be_huge_only_when_asked() {
    let advised = |options: &str| {
        let outcome = child::Run::new("/bin/cat")
            .arg("/proc/self/smaps")
            .preload(artifacts::library())
            .env("MALLOC_CONF", options)
            .run()
            .expect_success();
        let flags = outcome
            .stdout
            .lines()
            .filter(|line| line.starts_with("VmFlags:"));
        flags
            .filter(|line| line.split(' ').any(|flag| flag == "hg"))
            .count()
    };
    if !Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        compiler::announce_untested("the system has no transparent huge pages");
        return;
    }
    assert!(advised("metadata_thp:always") > 0);
    assert_eq!(advised("metadata_thp:auto"), 0);
    assert_eq!(advised("metadata_thp:disabled"), 0);
}
