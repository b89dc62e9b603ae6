//! Estimates against the objects that a program is known to keep (rule H1).

use std::process::Command;

use jemoxide_testkit::compiler;
use jemoxide_testkit::folder::Folder;

use crate::file::read;
use crate::{program, run};

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
    let folder = Folder::new();
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
        let of_stacks = profile.scaled_by_stacks();
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
}

#[test]
fn jeprof_reads_the_same_totals() {
    if Command::new("jeprof").arg("--version").output().is_err() {
        compiler::announce_untested("no jeprof (install libjemalloc-dev)");
        return;
    }
    let folder = Folder::new();
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
    let ours = profile.scaled_by_stacks();
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
}
