//! Arenas made by request and their hooks, as programs use them.

use jemoxide_testkit::folder::Folder;
use jemoxide_testkit::{artifacts, child, compiler};

fn run(case: &str) {
    run_with(case, "narenas:1");
}

/// Whether it ran: there may be no compiler, which has been said.
fn run_with(case: &str, options: &str) -> bool {
    let flags = ["-pthread", "-fno-builtin"];
    let Some(program) = compiler::c("process/arenas.c", "arenas", &flags) else {
        return false;
    };
    let outcome = child::Run::new(program)
        .arg(case)
        .preload(artifacts::library())
        .env("MALLOC_CONF", options)
        .run()
        .expect_success();
    assert_eq!(outcome.stdout, "done\n", "{outcome}");
    let expected = |line: &str| line.contains("option without effect: retain:false");
    assert!(outcome.stderr.lines().all(expected), "{outcome}");
    true
}

#[test]
fn an_arena_hands_out_its_own_in_every_way() {
    run("objects");
}

#[test]
fn reset_and_destruction_touch_nothing_of_others() {
    run("life");
}

#[test]
fn an_arena_has_settings_of_its_own() {
    run("settings");
}

#[test]
fn hooks_that_wrap_the_defaults_keep_pages_out_of_core_files() {
    run("nodump");
}

#[test]
fn an_arena_in_shared_memory_stays_there_and_a_child_sees_it() {
    run("shared");
}

#[test]
fn a_thousand_arenas_cost_little() {
    run("thousand");
}

#[test]
fn threads_are_bound_to_arenas() {
    run("threads");
}

#[test]
fn a_bound_thread_has_a_cache_of_its_arena() {
    run("bound");
}

#[test]
fn a_process_with_arenas_forks() {
    run("fork");
}

#[test]
fn hooks_may_call_the_allocator() {
    run("nested");
}

#[test]
fn without_a_cache_the_fullest_slab_serves_lowest_first() {
    run("nocache");
}

#[test]
fn data_can_be_moved_together() {
    run("defrag");
}

#[test]
fn many_objects_come_at_once() {
    run("batch");
}

#[test]
fn explicit_caches_serve_threads_in_turn() {
    run("caches");
}

#[test]
fn arenas_come_and_go_under_the_ticks_of_other_threads() {
    run("churn");
    // What is given up goes to whoever maps next.
    run_with("churn", "retain:false,narenas:1");
}

#[test]
fn threads_use_the_arena_of_their_processor() {
    run_with("percpu", "percpu_arena:percpu");
}

#[test]
fn a_limit_on_the_heap_counts_what_arenas_have() {
    run_with("limit", "heap_limit_hard:64M,narenas:1");
}

#[test]
fn an_arena_ends_while_its_last_thread_leaves_and_another_forks() {
    run("leave");
}

#[test]
fn threads_bind_and_leave_while_arenas_end() {
    run("rebind");
}

/// Words of the report before the first of its two snapshots, and of a snapshot (`jemoxide::stats::report`).
const HEAD_WORDS: usize = 6;
const SNAPSHOT_WORDS: usize = 14 + 232;

#[test]
fn the_report_of_a_process_has_what_its_arenas_hold() {
    let folder = Folder::new();
    let options = format!("narenas:1,report_dir:{}", folder.display());
    if !run_with("report", &options) {
        return;
    }
    let file = folder.names().pop().expect("the process left its report");
    let bytes = std::fs::read(folder.join(file)).expect("a report");
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
        .collect();
    let kept = (5 << 20) + 1000 * 112;
    for snapshot in 0..2 {
        let at = HEAD_WORDS + snapshot * SNAPSHOT_WORDS;
        let (allocated, active, classes) = (words[at], words[at + 1], &words[at + 14..]);
        assert!((kept..kept + (1 << 20)).contains(&allocated), "{allocated}");
        assert!(active >= allocated, "{active} of {allocated}");
        let by_class: u64 = classes[..232].iter().sum();
        assert_eq!(by_class, allocated);
        assert!(classes[7] >= 1000 * 112, "the class of 112 bytes");
    }
}
