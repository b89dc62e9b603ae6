//! Profiles tell the truth: a program whose allocation sites and sizes are known, profiled by jemalloc and by this
//! library, read by our reader, by jeprof and by Go's pprof.
//!
//! | site | objects | bytes asked for | usable size |
//! | --- | --- | --- | --- |
//! | `small_site` | 1000 | 100 | 112 |
//! | `medium_site` | 200 | 5000 | 5120 |
//! | `large_site` | 5 | 1 MiB | 1 MiB |
//! | `freed_site` | 500, all freed | 64 | 64 |

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jemoxide_profile::symbols::{Fold, Options, symbolize};
use jemoxide_profile::views::functions;
use jemoxide_profile::{Amount, Measure, Profile};
use jemoxide_testkit::child::Run;
use jemoxide_testkit::compiler::{self, announce_untested};
use jemoxide_testkit::folder::Folder;
use jemoxide_testkit::{artifacts, original};

/// Function, objects, usable size of each, whether they stay.
const SITES: [(&str, u64, u64, bool); 4] = [
    ("small_site", 1000, 112, true),
    ("medium_site", 200, 5120, true),
    ("large_site", 5, 1 << 20, true),
    ("freed_site", 500, 64, false),
];

/// Runs the program on `library` and returns its last dump.
fn dump(program: &Path, library: &Path, folder: &Path, lg_sample: u32) -> PathBuf {
    dump_with(program, library, folder, lg_sample, "")
}

/// The same with more options.
fn dump_with(program: &Path, library: &Path, folder: &Path, lg_sample: u32, more: &str) -> PathBuf {
    let prefix = folder.join("truth").display().to_string();
    let options = format!(
        "prof:true,prof_final:true,prof_accum:true,lg_prof_sample:{lg_sample},prof_prefix:{prefix}{more}"
    );
    Run::new(program)
        .preload(library)
        .env("MALLOC_CONF", &options)
        .run()
        .expect_success();
    let mut dumps = fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.to_string_lossy().ends_with(".f.heap"));
    dumps.next().expect("a dump at the end")
}

fn program() -> Option<PathBuf> {
    compiler::c("profile/sites.c", "profile-sites", &[])
}

fn read(file: &Path) -> Profile {
    let mut profile = Profile::read_file(file).unwrap_or_else(|why| panic!("{why}"));
    // The program has its own debug information; that of the system's libraries is large and not asked for.
    let options = Options {
        debug_folders: Vec::new(),
        ..Options::default()
    };
    symbolize(&mut profile, &options, &mut |_| {});
    profile.hide_allocator(Fold::Allocator);
    profile
}

fn own(profile: &Profile, function: &str, measure: Measure) -> Amount {
    let rows = functions(profile, |stack| stack.amount(measure));
    let row = rows.iter().find(|row| row.name == function);
    row.map_or(Amount::ZERO, |row| row.own)
}

fn line_of(function: &str) -> u32 {
    let source = include_str!("../programs/profile/sites.c");
    let mark = format!("// SITE {function}");
    let index = source.lines().position(|line| line.ends_with(&mark));
    index.expect("marked") as u32 + 1
}

/// With every allocation sampled the numbers are exact, at the right lines.
fn exact_profile_is_right(name: &str, library: &Path) {
    let Some(program) = program() else { return };
    let folder = Folder::new();
    let profile = read(&dump(&program, library, &folder, 0));
    for (function, objects, size, stays) in SITES {
        let truth = (objects as f64, (objects * size) as f64);
        let all = own(&profile, function, Measure::Cumulative);
        assert_eq!((all.objects, all.bytes), truth, "{name}: {function}");
        let live = own(&profile, function, Measure::Live);
        let live_truth = if stays { truth } else { (0.0, 0.0) };
        assert_eq!((live.objects, live.bytes), live_truth, "{name}: {function}");
        assert_eq!(live.error(), 0.0);
        let rows = functions(&profile, |stack| stack.cumulative);
        let row = rows.iter().find(|row| row.name == function).expect("there");
        let place = row.place.expect("built with -g");
        assert!(place.file.ends_with("profile/sites.c"), "{place}");
        assert_eq!(place.line, line_of(function), "{name}: {function}");
    }
}

/// Sampled, the estimates stray around the truth as far as they say.
fn estimates_keep_their_error(name: &str, library: &Path) {
    const RUNS: u32 = 100;
    let Some(program) = program() else { return };
    let mut estimates = [const { Vec::new() }; SITES.len()];
    for _ in 0..RUNS {
        let folder = Folder::new();
        let file = dump(&program, library, &folder, 13);
        let profile = read(&file);
        for (index, (function, ..)) in SITES.iter().enumerate() {
            estimates[index].push(own(&profile, function, Measure::Cumulative));
        }
    }
    for ((function, objects, size, _), estimates) in SITES.into_iter().zip(&estimates) {
        let truth = (objects * size) as f64;
        // Its own error bars are estimates, too: of the true one, all samples of one size taken.
        let p = -(-(size as f64) / 8192.0).exp_m1();
        let error = (truth * size as f64 * (1.0 - p) / p).sqrt();
        let n = f64::from(RUNS);
        let mean = estimates.iter().map(|estimate| estimate.bytes).sum::<f64>() / n;
        let off = (mean - truth).abs();
        // A mean of a hundred, four of its own errors wide: once in 16,000 times.
        assert!(
            off <= 4.0 * error / n.sqrt() + 1.0,
            "{name}: {function}: mean {mean}, truth {truth}"
        );
        let told = estimates
            .iter()
            .map(|estimate| estimate.error())
            .sum::<f64>()
            / n;
        assert!(
            (told - error).abs() <= 0.2 * error + 1.0,
            "{name}: {function}: told {told}, true {error}"
        );
        let within = estimates
            .iter()
            .filter(|one| (one.bytes - truth).abs() <= error)
            .count();
        if p < 0.99 {
            assert!(
                (45..=90).contains(&within),
                "{name}: {function}: {within} of 100 within one error"
            );
        }
    }
}

#[test]
fn jemallocs_dumps_are_read_exactly() {
    if let Some(library) = original::library() {
        exact_profile_is_right("jemalloc", &library);
    }
}

#[test]
fn estimates_from_jemallocs_dumps_keep_their_error() {
    if let Some(library) = original::library() {
        estimates_keep_their_error("jemalloc", &library);
    }
}

#[test]
fn our_dumps_are_read_exactly() {
    exact_profile_is_right("jemoxide", &artifacts::library());
}

#[test]
fn estimates_from_our_dumps_keep_their_error() {
    estimates_keep_their_error("jemoxide", &artifacts::library());
}

/// What only our own dumps tell, by the same program, every allocation sampled.
#[test]
fn our_details_are_right() {
    let Some(program) = program() else { return };
    let folder = Folder::new();
    let more = ",prof_details:true";
    let profile = read(&dump_with(
        &program,
        &artifacts::library(),
        &folder,
        0,
        more,
    ));
    assert_eq!(profile.warnings(), [""; 0]);
    let known = profile.known();
    assert!(known.peak && known.lifetimes && known.ages && known.cumulative);
    for (function, objects, size, stays) in SITES {
        let stack = profile.stacks().iter().find(|stack| {
            let mut frames = profile.frames(stack);
            frames.next().is_some_and(|frame| frame.name() == function)
        });
        let stack = stack.unwrap_or_else(|| panic!("{function} is missing"));
        let died: f64 = stack
            .lifetimes
            .iter()
            .map(|lifetime| lifetime.amount.objects)
            .sum();
        if stays {
            assert_eq!(stack.objects.len() as u64, objects, "{function}");
            assert!(
                stack.objects.iter().all(|object| object.usable == size),
                "{function}"
            );
            assert_eq!(died, 0.0, "{function}");
            // All of them are there when most is: nothing large is freed before.
            assert_eq!(stack.peak.objects, objects as f64, "{function}");
        } else {
            assert_eq!(died, objects as f64, "{function}");
            assert!(stack.objects.is_empty(), "{function}");
        }
    }
    let peak = profile.peak().expect("told").bytes as f64;
    assert!(
        (peak - profile.total(Measure::Peak).bytes).abs() <= 0.01 * peak,
        "{peak}"
    );

    // Samples lie in slabs of their own: size classes are counted where hardly anything is sampled.
    let folder = Folder::new();
    let profile = read(&dump_with(
        &program,
        &artifacts::library(),
        &folder,
        19,
        more,
    ));
    let small = profile
        .classes()
        .iter()
        .find(|class| class.size == 112)
        .expect("in use");
    assert!((990..1100).contains(&small.objects), "{small:?}");
    assert!(
        small.slab_bytes >= small.objects * 112 + small.free_bytes,
        "{small:?}"
    );
}

/// Three readers, one total: ours, jeprof of the dump, Go's pprof of what we make of it.
#[test]
fn other_readers_agree_on_totals() {
    let (Some(library), Some(program)) = (original::library(), program()) else {
        return;
    };
    let folder = Folder::new();
    let file = dump(&program, &library, &folder, 13);
    let profile = read(&file);
    let total = profile.total(Measure::Live).bytes;
    let packed = folder.join("truth.pb.gz");
    fs::write(&packed, profile.to_pprof()).expect("writable");

    match output(
        Command::new("jeprof")
            .args(["--text", "--show_bytes"])
            .arg(&program)
            .arg(&file),
    ) {
        None => announce_untested("no jeprof to compare with (install libjemalloc-dev)"),
        Some(text) => {
            let told = text
                .lines()
                .find_map(|line| line.strip_prefix("Total: ")?.strip_suffix(" B"));
            let told: f64 = told.and_then(|word| word.parse().ok()).expect("a total");
            assert!(
                (told - total).abs() <= 0.001 * total,
                "jeprof {told}, ours {total}:\n{text}"
            );
            let small = text
                .lines()
                .find(|line| line.ends_with(" small_site"))
                .expect("named");
            let flat: f64 = small
                .split_whitespace()
                .next()
                .and_then(|word| word.parse().ok())
                .expect("a number");
            let ours = own(&profile, "small_site", Measure::Live).bytes;
            assert!(
                (flat - ours).abs() <= 0.001 * ours + 1.0,
                "jeprof {flat}, ours {ours}"
            );
        }
    }
    let mut go = Command::new("go");
    go.args([
        "tool",
        "pprof",
        "-sample_index=inuse_space",
        "-unit=b",
        "-top",
    ])
    .arg(&packed);
    match output(&mut go) {
        None => announce_untested("no Go to compare with (install golang-go)"),
        Some(text) => {
            let told = text
                .lines()
                .find_map(|line| line.split("% of ").nth(1)?.strip_suffix("B total"));
            let told: f64 = told.and_then(|word| word.parse().ok()).expect("a total");
            assert!(
                (told - total).abs() <= 0.001 * total,
                "pprof {told}, ours {total}:\n{text}"
            );
            assert!(
                text.lines().any(|line| line.ends_with(" large_site")),
                "{text}"
            );
        }
    }
}

/// Standard output of a success; `None`: there is no such program.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        text(&output.stderr)
    );
    Some(text(&output.stdout))
}
