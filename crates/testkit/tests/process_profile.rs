//! Heap profiles of processes: files, their names and their numbers, against what the program did.
//!
//! H1  Estimates are within four standard deviations of the truth, over many seeds also on average.
//! H2  Every file is of one moment: what stands for the process is the sum of its stacks and of its threads.
//! H3  A file appears whole or not at all, and who cannot write says why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use jemoxide_testkit::child::{Outcome, Run};
use jemoxide_testkit::{artifacts, compiler};

/// A folder of a test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = env::temp_dir().join(format!("jemoxide-profile-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn program() -> Option<PathBuf> {
    compiler::c("process/profile.c", "profile", &["-pthread", "-O1"])
}

fn run(case: &str, options: &str, folder: &Path) -> Option<Outcome> {
    Some(
        Run::new(program()?)
            .arg(case)
            .arg(format!("{case}.heap"))
            .preload(artifacts::library())
            .env("MALLOC_CONF", options)
            .current_dir(folder)
            .run(),
    )
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Count and bytes alive, and ever.
type Numbers = [u64; 4];

/// A file, taken apart.
struct Profile {
    period: u64,
    total: Numbers,
    threads: BTreeMap<u64, Numbers>,
    stacks: Vec<(String, BTreeMap<String, Numbers>)>,
    rest: String,
}

fn numbers(line: &str) -> Numbers {
    let numbers: Vec<u64> = line
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect();
    numbers[..4].try_into().unwrap()
}

fn read(path: &Path) -> Profile {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (head, rest) = text
        .split_once("\nMAPPED_LIBRARIES:\n")
        .expect("the process's maps follow");
    let mut lines = head.lines();
    let period = lines.next().unwrap().strip_prefix("heap_v2/").unwrap();
    let mut profile = Profile {
        period: period.parse().unwrap(),
        total: [0; 4],
        threads: BTreeMap::new(),
        stacks: Vec::new(),
        rest: rest.to_owned(),
    };
    for line in lines {
        if let Some(frames) = line.strip_prefix('@') {
            profile
                .stacks
                .push((frames.trim().to_owned(), BTreeMap::new()));
            continue;
        }
        let (tag, counts) = line.strip_prefix("  t").unwrap().split_once(": ").unwrap();
        let counts = numbers(counts);
        match (profile.stacks.last_mut(), tag) {
            (Some((_, lines)), tag) => {
                lines.insert(tag.to_owned(), counts);
            }
            (None, "*") => profile.total = counts,
            (None, uid) => {
                profile.threads.insert(uid.parse().unwrap(), counts);
            }
        }
    }
    profile
}

impl Profile {
    /// A reader's estimates of count and bytes alive.
    fn scaled(&self, [count, bytes, ..]: Numbers) -> (f64, f64) {
        if count == 0 {
            return (0.0, 0.0);
        }
        let mean = bytes as f64 / count as f64;
        let factor = 1.0 / -f64::exp_m1(-mean / self.period as f64);
        (count as f64 * factor, bytes as f64 * factor)
    }

    fn stacks_total(&self) -> Numbers {
        let mut sum = [0; 4];
        for (_, lines) in &self.stacks {
            for (sum, number) in sum.iter_mut().zip(lines["*"]) {
                *sum += number;
            }
        }
        sum
    }
}

/// The objects that case `truth` keeps: how many, of how many usable bytes.
const TRUTH: [(f64, f64); 3] = [(200_000.0, 112.0), (20_000.0, 3072.0), (1000.0, 53_248.0)];
/// The arrays of pointers to them.
const ARRAYS: [f64; 3] = [1_601_536.0, 163_840.0, 8192.0];

/// Bytes alive in case `truth`, and the standard deviation of their estimate at a period.
fn truth(period: f64) -> (f64, f64) {
    let (mut bytes, mut variance) = (0.0, 0.0);
    let arrays = ARRAYS.map(|size| (1.0, size));
    for (count, size) in TRUTH.into_iter().chain(arrays) {
        let p = -f64::exp_m1(-size / period);
        bytes += count * size;
        variance += count * size * size * (1.0 - p) / p;
    }
    (bytes, variance.sqrt())
}

#[test]
fn estimates_are_true_within_their_error() {
    const LG: u32 = 16;
    const SEEDS: u32 = 100;
    let folder = folder("truth");
    let (bytes, deviation) = truth(f64::from(1 << LG));
    let (mut sum, mut worst) = (0.0, 0.0_f64);
    for seed in 1..=SEEDS {
        let options = format!("prof:true,lg_prof_sample:{LG},prof_seed:{seed}");
        let Some(outcome) = run("truth", &options, &folder) else {
            return;
        };
        outcome.expect_success();
        let profile = read(&folder.join("truth.heap"));
        let (_, estimate) = profile.scaled(profile.total);
        let of_stacks: f64 = profile
            .stacks
            .iter()
            .map(|(_, lines)| profile.scaled(lines["*"]).1)
            .sum();
        assert!((of_stacks / estimate - 1.0).abs() < 0.01, "H2 {of_stacks}");
        sum += estimate - bytes;
        worst = worst.max((estimate - bytes).abs() / deviation);
    }
    // The program's own start is in it too: some kilobytes.
    let bias = sum / f64::from(SEEDS) / (deviation / f64::from(SEEDS).sqrt());
    assert!(worst < 4.5, "H1 off by {worst} deviations");
    assert!(
        bias.abs() < 4.0,
        "H1 biased by {bias} deviations of the mean"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn jeprof_reads_the_same_totals() {
    if Command::new("jeprof").arg("--version").output().is_err() {
        compiler::announce_untested("no jeprof (install libjemalloc-dev)");
        return;
    }
    let folder = folder("jeprof");
    let options = "prof:true,lg_prof_sample:14,prof_seed:5,prof_details:true";
    let Some(outcome) = run("truth", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let path = folder.join("truth.heap");
    let profile = read(&path);
    assert!(profile.rest.contains("\n\nJEMOXIDE_DETAILS/1\ntime "));
    assert!(profile.rest.ends_with("\nend\n"));
    assert!(profile.rest.contains("\nclass 112 2"), "slabs are told");
    let output = Command::new("jeprof")
        .args(["--text", "--show_bytes"])
        .arg(program().unwrap())
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let total = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("Total: "));
    let total: f64 = total
        .and_then(|total| total.split(' ').next())
        .unwrap_or_else(|| panic!("{text}"))
        .parse()
        .unwrap();
    let ours: f64 = profile
        .stacks
        .iter()
        .map(|(_, lines)| profile.scaled(lines["*"]).1)
        .sum();
    assert!((total / ours - 1.0).abs() < 0.001, "{total} {ours}");
    // The sites are named, and have what they keep.
    for (site, (count, size)) in ["site_small", "site_middle", "site_large"]
        .iter()
        .zip(TRUTH)
    {
        let line = text.lines().find(|line| line.ends_with(site));
        let line = line.unwrap_or_else(|| panic!("no {site} in {text}"));
        let own: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
        assert!((own / (count * size) - 1.0).abs() < 0.2, "{line}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_have_names_with_numbers() {
    let folder = folder("names");
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
    let names = files(&folder);
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
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(mode.mode() & 0o700, 0o600);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_namespace_of_the_process_is_in_names_that_ask_for_it() {
    let folder = folder("namespace");
    let options = "prof:true,prof_final:true,prof_pid_namespace:true";
    let Some(outcome) = run("allocate", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let names = files(&folder);
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
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_cannot_be_written_is_refused_and_leaves_nothing() {
    let folder = folder("refusals");
    let Some(outcome) = run("refusals", "prof:true", &folder) else {
        return;
    };
    let outcome = outcome.expect_success();
    assert_eq!(outcome.stderr, "", "one that was asked for answers");
    assert_eq!(files(&folder), [""; 0], "H3");
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
    assert_eq!(files(&folder), [""; 0]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_outgrows_its_limit_leaves_what_was_there() {
    let folder = folder("full");
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
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_are_of_one_moment_while_threads_go_on_and_processes_fork() {
    let folder = folder("busy");
    let options = "prof:true,lg_prof_sample:8,prof_unbias:false,prof_accum:true";
    let Some(outcome) = run("busy", options, &folder) else {
        return;
    };
    outcome.expect_success();
    for round in 0..12 {
        for name in ["busy", "child"] {
            let profile = read(&folder.join(format!("{name}.{round}.heap")));
            assert_eq!(profile.stacks_total(), profile.total, "H2 {name} {round}");
            let mut by_thread = [0; 4];
            for numbers in profile.threads.values() {
                for (sum, number) in by_thread.iter_mut().zip(numbers) {
                    *sum += number;
                }
            }
            assert_eq!(by_thread, profile.total, "H2 {name} {round}");
            for (frames, lines) in &profile.stacks {
                let mut sum = [0; 4];
                for (_, numbers) in lines.iter().filter(|(tag, _)| *tag != "*") {
                    for (sum, number) in sum.iter_mut().zip(numbers) {
                        *sum += number;
                    }
                }
                assert_eq!(sum, lines["*"], "H2 {name} {round} {frames}");
            }
            // After the reset threads may not have run yet.
            assert!(profile.total[2] > 0 || round > 6, "{name} {round}");
        }
    }
    assert_eq!(files(&folder).len(), 24, "{:?}", files(&folder));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn profiling_starts_in_a_process_that_began_without_it() {
    let folder = folder("late");
    let options = "lg_prof_sample:12,prof_seed:3,prof_final:true";
    let Some(outcome) = run("late", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let profile = read(&folder.join("late.heap"));
    let (_, bytes) = profile.scaled(profile.total);
    assert!((bytes / (10_000.0 * 3072.0) - 1.0).abs() < 0.05, "{bytes}");
    let names = files(&folder);
    assert!(
        names.iter().any(|name| name.ends_with(".f.heap")),
        "{names:?}"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn leaks_are_told_and_can_fail_the_process() {
    let folder = folder("leak");
    let options = "prof_leak:true,prof_final:true,lg_prof_sample:0,prof_prefix:leak";
    let Some(outcome) = run("leak", options, &folder) else {
        return;
    };
    let outcome = outcome.expect_success();
    let line = outcome.stderr.lines().next().unwrap_or_default();
    assert!(
        line.starts_with("<jemoxide>: Leak approximation summary: ~")
            && line.contains(" bytes, ~")
            && line.contains(" objects, >= ")
            && line.ends_with(" contexts"),
        "{outcome}"
    );
    let [bytes, objects, stacks, _] = numbers(&format!("{line} 0"));
    // 50 of 112 bytes, 3 of 3072, and their arrays; what the C library keeps comes on top.
    assert!(
        bytes >= 50 * 112 + 3 * 3072 && objects >= 55 && stacks >= 4,
        "{line}"
    );
    assert_eq!(outcome.stderr.lines().count(), 2, "{outcome}");
    let options = format!("{options},prof_leak_error:true");
    let outcome = run("leak", &options, &folder).unwrap().expect_code(1);
    assert_eq!(outcome.stderr.lines().count(), 3, "{outcome}");
    let outcome = run("leak", "prof_leak_error:true", &folder)
        .unwrap()
        .expect_success();
    assert!(
        outcome.stderr.contains("without prof_final:true"),
        "{outcome}"
    );
    let options = "prof_leak_error:true,abort_conf:true";
    run("leak", options, &folder)
        .unwrap()
        .expect_death("without prof_final:true");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_come_by_interval_and_at_new_highs() {
    let folder = folder("interval");
    // 60 MB, a file each 8 MiB.
    let options = "prof:true,lg_prof_sample:12,lg_prof_interval:23,prof_gdump:true,prof_prefix:p";
    let Some(outcome) = run("allocate", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let names = files(&folder);
    let count = |letter: &str| names.iter().filter(|name| name.contains(letter)).count();
    assert!((5..=8).contains(&count(".i")), "{names:?}");
    assert!(count(".u") > 3, "{names:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn hooks_are_told_of_dumps_and_samples() {
    let folder = folder("hooks");
    if let Some(outcome) = run("hooks", "prof:true,lg_prof_sample:0", &folder) {
        outcome.expect_success();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_last_samples_and_lives_are_told_as_json() {
    let folder = folder("lives");
    let options = "prof:true,lg_prof_sample:0,prof_recent_alloc_max:15,prof_time_resolution:high";
    let Some(outcome) = run("lives", options, &folder) else {
        return;
    };
    let outcome = outcome.expect_success();
    let line = outcome.stdout.lines().find(|line| line.starts_with('{'));
    let recent: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(recent["sample_interval"], 1);
    assert_eq!(recent["recent_alloc_max"], 15);
    let entries = recent["recent_alloc"].as_array().unwrap();
    assert_eq!(entries.len(), 15);
    let of_site = entries.iter().filter(|entry| entry["size"] == 3000);
    for entry in of_site.clone() {
        assert_eq!(entry["usize"], 3072);
        assert_eq!(entry["alloc_thread_name"], "the main one".to_owned());
        assert!(!entry["alloc_trace"].as_array().unwrap().is_empty());
        if entry["released"] == true {
            assert!(entry["dalloc_time"].as_u64() >= entry["alloc_time"].as_u64());
            assert!(!entry["dalloc_trace"].as_array().unwrap().is_empty());
        }
    }
    assert!(of_site.count() >= 10);
    let log = fs::read_to_string(folder.join("lives.json")).unwrap();
    let log: serde_json::Value = serde_json::from_str(&log).unwrap();
    let lives = log["allocations"].as_array().unwrap();
    let of_site = lives.iter().filter(|life| life["usize"] == 3072);
    assert_eq!(of_site.clone().count(), 10);
    let traces = log["stack_traces"].as_array().unwrap();
    for life in of_site {
        assert!(life["free_timestamp"].as_u64() >= life["alloc_timestamp"].as_u64());
        let trace = &traces[life["alloc_trace"].as_u64().unwrap() as usize];
        assert!(trace[0].as_str().unwrap().starts_with("0x"));
        assert_ne!(life["alloc_trace"], life["free_trace"]);
    }
    assert_eq!(log["info"]["lg_sample_rate"], 0);
    assert_eq!(log["threads"][0]["thr_name"], "the main one");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn details_tell_tags_and_generations() {
    let folder = folder("tags");
    let options = "prof:true,lg_prof_sample:0,prof_details:true";
    let Some(outcome) = run("tags", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let profile = read(&folder.join("tags.heap"));
    let (_, details) = profile.rest.split_once("\n\nJEMOXIDE_DETAILS/1\n").unwrap();
    let objects = |usable: &str| -> Vec<Vec<&str>> {
        let lines = details.lines().filter_map(|line| line.strip_prefix("  o "));
        let objects = lines.map(|line| line.split(' ').collect::<Vec<_>>());
        objects.filter(|object| object[0] == usable).collect()
    };
    let small = objects("112");
    assert_eq!(small.len(), 10, "{details}");
    assert!(
        small
            .iter()
            .all(|object| object[1] == "100" && object[4..] == ["7", "0"])
    );
    let large = objects("53248");
    assert_eq!(large.len(), 3, "{details}");
    assert!(
        large
            .iter()
            .all(|object| object[1] == "50000" && object[4..] == ["7", "1"])
    );
    assert!(
        details.lines().any(|line| line == "  g 7 80 1120"),
        "{details}"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_signal_switches_sampling_and_has_a_profile_written() {
    let folder = folder("signal");
    // SIGUSR1. Once with calls that come by, once in a program that only rests.
    for options in ["prof_signal:10", "prof_signal:10,background_thread:false"] {
        let options = format!("{options},lg_prof_sample:12,prof_seed:3");
        let Some(outcome) = run("signalled", &options, &folder) else {
            return;
        };
        let outcome = outcome.expect_success();
        assert_eq!(outcome.stderr, "", "{outcome}");
        let name = files(&folder).pop().unwrap();
        let profile = read(&folder.join(&name));
        let (_, bytes) = profile.scaled(profile.total);
        assert!((bytes / (10_000.0 * 3072.0) - 1.0).abs() < 0.05, "{bytes}");
        fs::remove_file(folder.join(name)).unwrap();
    }
    let outcome = run("leak", "prof_signal:9", &folder).unwrap();
    let outcome = outcome.expect_success();
    assert!(
        outcome.stderr.contains("prof_signal:9 has no effect"),
        "{outcome}"
    );
    fs::remove_dir_all(folder).unwrap();
}

/// Profiles come often.
const OFTEN: &str =
    "prof:true,lg_prof_sample:10,lg_prof_interval:16,prof_prefix:p,prof_unbias:false";

#[test]
fn who_reads_the_profilers_text_may_come_back_to_it() {
    let folder = folder("reader");
    let recent = "prof_recent_alloc_max:1000,prof_gdump:true";
    let Some(outcome) = run("reader", &format!("{OFTEN},{recent}"), &folder) else {
        return;
    };
    outcome.expect_success();
    assert!(!files(&folder).contains(&"inner.heap".to_owned()));
    let profile = read(&folder.join("reader.heap"));
    assert_eq!(profile.stacks_total()[0], profile.total[0], "H2");
    let options = "prof:true,lg_prof_sample:0,prof_recent_alloc_max:100,prof_final:true";
    let outcome = run("reader_ends", options, &folder).unwrap();
    let outcome = outcome.expect_success();
    assert!(
        outcome.stderr.contains("no heap profile at exit: "),
        "{outcome}"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_reset_that_a_fork_cuts_short_is_finished_by_the_child() {
    let folder = folder("fork_reset");
    for details in [false, true] {
        let options = format!(
            "prof:true,lg_prof_sample:0,prof_accum:true,prof_unbias:false,prof_details:{details}"
        );
        let Some(outcome) = run("fork_reset", &options, &folder) else {
            return;
        };
        outcome.expect_success();
        for round in 0..3 {
            let path = folder.join(format!("child.{round}.heap"));
            let profile = read(&path);
            // 5000 objects of one stack; or all paths, where the first child was there before the reset had begun.
            let (stacks, is_first) = (profile.stacks.len(), round == 0);
            assert!(
                stacks < 100 || is_first && stacks >= 1 << 15,
                "{round}: {stacks}"
            );
            assert_eq!(profile.stacks_total(), profile.total, "H2 {round}");
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn there_is_one_last_profile_however_many_logs_there_were() {
    let folder = folder("logs");
    let options = "prof:true,prof_final:true,prof_prefix:logs";
    let Some(outcome) = run("logs", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let names = files(&folder);
    let last = names.iter().filter(|name| name.ends_with(".f.heap"));
    assert_eq!(last.count(), 1, "{names:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn hooks_leave_errno_and_take_no_samples_of_their_own() {
    let folder = folder("hook_errno");
    let Some(outcome) = run("hook_errno", OFTEN, &folder) else {
        return;
    };
    outcome.expect_success();
    let outcome = run("nested_hooks", "prof:true,lg_prof_sample:0", &folder);
    outcome.unwrap().expect_success();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_child_logs_though_it_was_forked_while_a_log_was_written() {
    let folder = folder("fork_log");
    let options = "prof:true,lg_prof_sample:0";
    let Some(outcome) = run("fork_log", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let log = fs::read_to_string(folder.join("child.json")).unwrap();
    let log: serde_json::Value = serde_json::from_str(&log).unwrap();
    assert_eq!(log["allocations"].as_array().unwrap().len(), 1, "{log}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn hooks_are_told_of_dumps_however_long_their_path() {
    let folder = folder("far");
    if let Some(outcome) = run("far", "prof:true", &folder) {
        outcome.expect_success();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn tags_beyond_those_told_apart_count_together_and_that_is_said_once() {
    let folder = folder("many_tags");
    let options = "prof:true,lg_prof_sample:0,prof_details:true,prof_accum:true";
    let Some(outcome) = run("many_tags", options, &folder) else {
        return;
    };
    let said = outcome.expect_success().stderr;
    let words = "more than 192 tags: what comes with others counts as tag 65535";
    assert_eq!(said.matches(words).count(), 1, "{said}");
    let profile = read(&folder.join("many_tags.heap"));
    // The objects of the site; its arrays have other lines.
    let of_tags = |bytes: usize| {
        let lines = profile.rest.lines();
        lines
            .filter(|line| line.starts_with("  g ") && line.ends_with(&format!(" {bytes}")))
            .count()
    };
    assert_eq!(of_tags(112), 192, "one each");
    assert!(profile.rest.contains("\n  g 65535 64 896\n"), "eight");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn sampling_goes_on_and_off_while_threads_run() {
    let folder = folder("switched");
    let rate = "lg_prof_sample:12,prof_stats:true";
    for (case, options) in [
        ("switched", "prof:true"),
        ("switched", "prof:true,prof_active:false"),
        (
            "signalled_often",
            "prof:true,prof_active:false,prof_signal:10,prof_prefix:",
        ),
        ("signalled_often", "prof:true,prof_signal:10,prof_prefix:"),
    ] {
        let Some(outcome) = run(case, &format!("{rate},{options}"), &folder) else {
            return;
        };
        outcome.expect_success();
    }
    assert_eq!(files(&folder), [""; 0]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_name_of_the_systems_stays_on_its_line() {
    let folder = folder("system_name");
    let options = "prof:true,lg_prof_sample:0,prof_sys_thread_name:true";
    let Some(outcome) = run("system_name", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let text = fs::read_to_string(folder.join("system_name.heap")).unwrap();
    assert!(text.contains("] a?@ 0x1 0x2\n"), "{text}");
    let _ = read(&folder.join("system_name.heap"));
    fs::remove_dir_all(folder).unwrap();
}
