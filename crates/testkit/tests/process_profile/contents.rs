//! What is told beside the stacks: leaks, last samples and lives, tags, names of threads.

use std::fs;

use jemoxide_testkit::folder::Folder;

use crate::file::{numbers, read};
use crate::run;

#[test]
fn leaks_are_told_and_can_fail_the_process() {
    let folder = Folder::new();
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
}

#[test]
fn the_last_samples_and_lives_are_told_as_json() {
    let folder = Folder::new();
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
}

#[test]
fn details_tell_tags_and_generations() {
    let folder = Folder::new();
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
}

#[test]
fn tags_beyond_those_told_apart_count_together_and_that_is_said_once() {
    let folder = Folder::new();
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
}

#[test]
fn a_name_of_the_systems_stays_on_its_line() {
    let folder = Folder::new();
    let options = "prof:true,lg_prof_sample:0,prof_sys_thread_name:true";
    let Some(outcome) = run("system_name", options, &folder) else {
        return;
    };
    outcome.expect_success();
    let text = fs::read_to_string(folder.join("system_name.heap")).unwrap();
    assert!(text.contains("] a?@ 0x1 0x2\n"), "{text}");
    let _ = read(&folder.join("system_name.heap"));
}
