//! Metrics: the allocator's figures as OpenMetrics text.
//!
//! M1  A name never changes its unit or kind; what grows only is a counter.
//! M2  The look at each page for the parts of the resident set takes 30 to 80 ms for each GiB: it is done again no sooner
//!     than [`REST`] times as long as it took. Its age is told.
//!
//! Source: OpenMetrics 1.0, "Exposition formats".

use std::fmt::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jemoxide::RssReport;
use jemoxide::mallctl;
use jemoxide::stats::rss::Part;

/// What the body is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Rule M2.
const REST: u32 = 20;

/// The metrics, and the last look at the resident set.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    looked: Mutex<Option<Looked>>,
}

#[derive(Clone, Copy, Debug)]
struct Looked {
    report: RssReport,
    at: Instant,
    took: Duration,
}

impl Metrics {
    /// The text.
    pub(crate) fn text(&self) -> String {
        let mut page = Page(String::new());
        // Figures as of now; where this fails, those of the last epoch are given.
        let _ = mallctl::write("epoch", 1u64);
        for (name, help) in [
            ("allocated", "Bytes of the objects that the program holds."),
            ("active", "Bytes of the pages that hold objects."),
            ("metadata", "Bytes of the allocator's own records."),
            (
                "resident",
                "Bytes of pages of the heap that may have memory.",
            ),
            ("mapped", "Bytes of addresses in use by the heap."),
            ("retained", "Bytes of addresses kept without memory."),
        ] {
            if let Ok(bytes) = mallctl::read::<usize>(&format!("stats.{name}")) {
                let name = format!("jemoxide_{name}_bytes");
                page.gauge(&name, Some("bytes"), help, &[("", bytes as f64)]);
            }
        }
        self.resident_set(&mut page);
        purging(&mut page);
        limits(&mut page);
        page.end()
    }

    fn resident_set(&self, page: &mut Page) {
        let looked = self.look();
        let report = &looked.report;
        let mut parts: Vec<_> = Part::ALL
            .into_iter()
            .map(|part| {
                (
                    format!("part=\"{}\"", part.key()),
                    report.bytes(part) as f64,
                )
            })
            .collect();
        parts.push(("part=\"unexplained\"".to_owned(), report.unexplained as f64));
        let parts: Vec<_> = parts
            .iter()
            .map(|(labels, bytes)| (labels.as_str(), *bytes))
            .collect();
        page.gauge(
            "jemoxide_rss_bytes",
            Some("bytes"),
            "Resident set of the process, by what it is; the parts add up to it.",
            &parts,
        );
        page.gauge(
            "jemoxide_rss_age_seconds",
            Some("seconds"),
            "Time since the parts of the resident set were looked at.",
            &[("", looked.at.elapsed().as_secs_f64())],
        );
    }

    /// The resident set, looked at now or lately (M2).
    fn look(&self) -> Looked {
        let mut looked = self
            .looked
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let old = looked.filter(|looked| looked.at.elapsed() < looked.took * REST);
        *looked.insert(old.unwrap_or_else(|| {
            let begun = Instant::now();
            let report = jemoxide::rss();
            Looked {
                report,
                at: begun,
                took: begun.elapsed(),
            }
        }))
    }
}

fn purging(page: &mut Page) {
    // Of all arenas: jemalloc's number for that.
    let of = |kind: &str, what: &str| {
        mallctl::read::<u64>(&format!("stats.arenas.4096.{kind}_{what}")).unwrap_or(0) as f64
    };
    let page_bytes = mallctl::read::<usize>("arenas.page").unwrap_or(4096) as f64;
    let kinds = [("kind=\"dirty\"", "dirty"), ("kind=\"muzzy\"", "muzzy")];
    for (name, unit, what, scale, help) in [
        (
            "jemoxide_purged_bytes",
            Some("bytes"),
            "purged",
            page_bytes,
            "Bytes given back to the system.",
        ),
        (
            "jemoxide_purges",
            None,
            "npurge",
            1.0,
            "Steps of giving memory back.",
        ),
        (
            "jemoxide_purge_calls",
            None,
            "nmadvise",
            1.0,
            "System calls that gave memory back.",
        ),
    ] {
        let values = kinds.map(|(labels, kind)| (labels, of(kind, what) * scale));
        page.counter(name, unit, help, &values);
    }
}

fn limits(page: &mut Page) {
    let limits = jemoxide::limits();
    let container = jemoxide::api::container();
    page.gauge(
        "jemoxide_heap_used_bytes",
        Some("bytes"),
        "Bytes that count against the heap's limits.",
        &[("", limits.used as f64)],
    );
    let mut all = Vec::new();
    for (labels, limit) in [
        ("limit=\"soft\"", limits.soft as u64),
        ("limit=\"hard\"", limits.hard as u64),
        ("limit=\"container\"", container.memory_limit.unwrap_or(0)),
    ] {
        if limit > 0 {
            all.push((labels, limit as f64));
        }
    }
    page.gauge(
        "jemoxide_limit_bytes",
        Some("bytes"),
        "Limits on memory that are in force.",
        &all,
    );
    let active = jemoxide::profile::is_active();
    page.gauge(
        "jemoxide_profiling",
        None,
        "1 while allocations are sampled.",
        &[("", f64::from(u8::from(active)))],
    );
}

/// The text in the making.
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, unit: Option<&str>, help: &str, values: &[(&str, f64)]) {
        self.family(name, "gauge", unit, help);
        for &(labels, value) in values {
            self.sample(name, labels, value);
        }
    }

    fn counter(&mut self, name: &str, unit: Option<&str>, help: &str, values: &[(&str, f64)]) {
        self.family(name, "counter", unit, help);
        for &(labels, value) in values {
            self.sample(&format!("{name}_total"), labels, value);
        }
    }

    // Writing to a String cannot fail.
    fn family(&mut self, name: &str, kind: &str, unit: Option<&str>, help: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if let Some(unit) = unit {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}
