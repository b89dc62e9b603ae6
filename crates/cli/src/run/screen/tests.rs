use std::time::Duration;

use anstream::adapter::strip_str;
use jemoxide::RssReport;
use jemoxide::size::CLASSES;
use jemoxide::stats::report::{LAYOUT, MAGIC};

use super::*;
use crate::screen::assert_fits;

fn snapshot(each: u64) -> Snapshot {
    Snapshot {
        allocated: each,
        active: each,
        dirty: each,
        muzzy: 0,
        retained: each,
        metadata: each,
        internal_slack: each,
        free_slots: each,
        hollow: each,
        thread_caches: each,
        depot: each,
        run_cache: each,
        allocations: each,
        frees: each,
        class_bytes: [0; CLASSES],
    }
}

fn figures(peak: Snapshot, now: Snapshot) -> Figures {
    let report = Report {
        magic: MAGIC,
        layout: LAYOUT,
        sequence: 2,
        pid: 1,
        exited: 1,
        counting: 1,
        peak,
        now,
        rss: RssReport::default(),
    };
    Figures {
        report,
        settled: true,
    }
}

fn ended(how: HowEnded) -> Ended {
    Ended {
        pid: 1,
        how,
        wall: Duration::from_millis(1500),
        user: Duration::from_millis(1000),
        system: Duration::from_millis(250),
        peak_rss: 34 << 20,
        faults: (1234, 0),
    }
}

fn text(memory: Result<Figures, String>, how: HowEnded, others: Others) -> String {
    let shown = Shown {
        command_line: "prog --flag",
        ended: &ended(how),
        memory: &memory,
        others,
        whereabouts: Whereabouts::default(),
    };
    let text = shown.text();
    assert_fits(&text);
    strip_str(&text).to_string()
}

#[test]
fn figures_stand_in_their_rows() {
    let mut peak = snapshot(10 << 20);
    peak.class_bytes[2] = 3200;
    peak.class_bytes[40] = 40960;
    let mut now = snapshot(1 << 10);
    now.allocations = 1_000_000;
    now.frees = 999_000;
    let text = text(Ok(figures(peak, now)), HowEnded::Exit(3), Others::default());
    for part in [
        "jemoxide: prog --flag\n",
        "exit status 3\n",
        "1.500 s  (1.000 s user, 0.250 s system)\n",
        "34.0 MiB  (1,234 page faults)\n",
        "allocated  10.0 MiB  1.0 KiB",
        "1,000,000 allocations, 999,000 frees (1,000 not freed)\n",
        "           32 B      100   3.1 KiB   7.2 %\n",
        "   up to 32 KiB  about 2  40.0 KiB  92.8 %\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert!(!text.contains("more process"));
}

#[test]
fn extreme_figures_fit_too() {
    let mut huge = snapshot(u64::MAX);
    huge.class_bytes = [u64::MAX; CLASSES];
    let mut broken = figures(huge, huge);
    broken.settled = false;
    let others = Others {
        processes: u64::MAX,
        still_running: u64::MAX,
        peak_active: u64::MAX,
        allocations: Some(u64::MAX),
    };
    let text = text(
        Ok(broken),
        HowEnded::Signal {
            number: 255,
            dumped_core: true,
        },
        others,
    );
    assert!(text.contains("killed by signal 255"));
    assert!(text.contains("may not fit together"));
}

#[test]
fn without_figures_the_reason_stands_alone() {
    let others = Others {
        processes: 5,
        peak_active: 12 << 20,
        ..Others::default()
    };
    let reason = format!("A very long {} reason.", "word ".repeat(30));
    let text = text(
        Err(reason),
        HowEnded::Signal {
            number: 9,
            dumped_core: false,
        },
        others,
    );
    assert!(text.contains("killed by signal 9 (SIGKILL)\n"));
    assert!(text.contains("No allocator figures. A very long"));
    assert!(text.contains("and 5 more processes: peaks of 12.0 MiB active together\n"));
    assert!(!text.contains("at peak"));
}

#[test]
fn uncounted_calls_say_how_to_count_them() {
    let mut uncounted = figures(snapshot(1), snapshot(1));
    uncounted.report.counting = 0;
    let text = text(Ok(uncounted), HowEnded::Exit(0), Others::default());
    assert!(text.contains("not counted") && text.contains("--no-count"));
    assert!(!text.contains("allocations,"));
}
