//! Whole texts through the parser.

use super::*;
use crate::options::{Dss, Preset, Thp, ZeroRealloc};
use crate::sys::simulated::dice::stride;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// The options after `text`, and the lines that were told.
fn read(text: &str) -> (Options, Vec<String>) {
    let text: &'static str = String::from(text).leak();
    let mut options = Options::DEFAULT;
    let mut lines = Vec::new();
    apply(
        &mut options,
        Origin::MallocConf,
        text.as_bytes(),
        &mut |_, news| {
            if let News::Wrong(line) | News::Unheard(line) = news {
                lines.push(String::from_utf8_lossy(line).into_owned());
            }
        },
    );
    (options, lines)
}

#[test]
fn good_pairs_are_taken_and_later_ones_win() {
    let (options, lines) =
        read("narenas:3,dirty_decay_ms:-1,dss:primary,zero_realloc:abort,count:true,narenas:4,");
    assert_eq!(lines, [""; 0]);
    assert_eq!((options.narenas, options.dirty_decay_ms), (4, -1));
    assert_eq!(
        (options.dss, options.zero_realloc),
        (Dss::Primary, ZeroRealloc::Abort)
    );
    assert!(options.count);
    let (options, _) = read("report_dir:/tmp/x");
    assert_eq!(options.report_dir, b"/tmp/x");
}

#[test]
fn bad_ones_are_named_and_the_rest_counts() {
    let (options, lines) = read("narena:3,narenas:0,dss,count:yes,muzzy_decay_ms:5,dirty_share:-1");
    assert_eq!(options.muzzy_decay_ms, 5);
    assert_eq!(options.narenas, 0);
    let wrong = "<jemoxide>: invalid option value, ignored: ";
    assert_eq!(
        lines,
        [
            "<jemoxide>: unknown option, ignored: narena:3 (did you mean narenas?)\n".to_string(),
            format!("{wrong}narenas:0 (wants default, or a number from 1 to 32)\n"),
            "<jemoxide>: option without a value (write key:value): dss\n".to_string(),
            format!("{wrong}count:yes (wants true or false)\n"),
            format!("{wrong}dirty_share:-1 (wants a percentage from 0 to 1000)\n"),
        ]
    );
}

#[test]
fn decay_times_are_limited() {
    for (text, taken) in [
        ("-2", false),
        ("-1", true),
        ("0", true),
        ("18446744072000", true),
        ("18446744072001", false),
        ("", false),
    ] {
        let (_, lines) = read(&format!("dirty_decay_ms:{text}"));
        assert_eq!(lines.is_empty(), taken, "{text}");
    }
}

#[test]
fn bytes_and_shares_are_read() {
    let (options, lines) = read(
        "heap_limit_hard:2G,dirty_max:0x1000,cache_max:0,hpa_hugification_threshold_ratio:0.5,\
         hpa_dirty_mult:0.25,hpa_purge_threshold:1,thp:al",
    );
    assert_eq!(lines, [""; 0]);
    assert_eq!(
        (options.heap_limit_hard, options.dirty_max),
        (2 << 30, 4096)
    );
    assert_eq!(options.hpa_hugification_threshold, 1 << 20);
    assert_eq!(
        (options.hpa_purge_threshold, options.thp),
        (4096, Thp::Always)
    );
}

#[test]
fn what_cannot_be_honoured_is_told() {
    let (options, lines) = read("retain:true,oversize_threshold:0,hpa_sec_nshards:8");
    assert_eq!(options.hpa_sec_nshards, 8);
    assert_eq!(
        lines,
        [
            "<jemoxide>: option without effect: hpa_sec_nshards:8 (page runs have no cache in shards)\n"
        ]
    );
    let (_, lines) = read("hardening:standard,hardening:off,hardening:strong,narenas:33");
    assert_eq!(
        lines,
        ["<jemoxide>: option honoured in part: narenas:33 (there are 32 of them at most)\n"]
    );
}

#[test]
fn a_preset_stands_where_it_is_said() {
    let (options, lines) = read("dirty_max:7M,preset:low_memory,dirty_decay_ms:500");
    assert_eq!(lines, [""; 0]);
    assert_eq!(options.preset, Preset::LowMemory);
    assert_eq!((options.dirty_max, options.narenas), (1 << 20, 1));
    assert_eq!(options.dirty_decay_ms, 500);
}

#[test]
fn letters_add_up_and_are_kept_once() {
    let (options, lines) = read("stats_print_opts:Jgz,stats_print_opts:gJm,stats_interval:0");
    assert_eq!(lines, [""; 0]);
    assert_eq!(options.stats_print_opts.as_bytes(), b"Jgm");
    assert_eq!(options.stats_print_opts.as_c_str(), c"Jgm");
    assert_eq!(options.stats_interval, 0);
    let (options, _) = read("stats_interval_opts:JgmdablxehJgmdablxeh");
    assert_eq!(options.stats_interval_opts.as_bytes(), b"Jgmdablxeh");
    let (_, lines) = read("stats_interval:-2");
    assert_eq!(lines.len(), 1);
}

#[test]
fn what_is_shown_reads_back() {
    let texts = [
        "hpa_dirty_mult:3.7",
        "hpa_dirty_mult:-1",
        "hpa_hugification_threshold_ratio:0.123",
        "dirty_max:123456789",
        "heap_limit_soft:3T",
        "muzzy_decay_ms:-1",
        "background_thread:false",
        "report_dir:/x/y",
        "stats_print_opts:hJ",
        "narenas:9",
    ];
    // Where each takes long, every key is looked at with one of the texts.
    let part = stride().min(texts.len());
    for (turn, text) in texts.into_iter().enumerate() {
        let (options, _) = read(text);
        for (at, key) in KEYS.iter().enumerate().skip(turn % part).step_by(part) {
            let value = String::from_utf8(shown(at, &options).as_bytes().to_vec()).unwrap();
            if value.is_empty() {
                continue;
            }
            let (again, lines) = read(&format!("{text},{}:{value}", key.name()));
            assert!(
                lines.iter().all(|line| line.contains("without effect")),
                "T2 {text} {lines:?}"
            );
            let back = shown(at, &again);
            assert_eq!(back.as_bytes(), value.as_bytes(), "T2 {}", key.name());
        }
    }
}
