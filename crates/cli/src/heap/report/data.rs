//! Data: the report as JSON: the summary, the views asked for, all rows.
//!
//! Sizes are bytes, times nanoseconds; an amount has its standard error beside it.

use jemoxide_profile::Measure;
use jemoxide_profile::views::{ages, functions, lifetimes, paths, tree};
use serde_json::{Map, Value, json};

use super::aged::{Leaks, lg_within};
use super::sums::{rounding, tag_sums, thread_name, thread_sums};
use super::{Context, View};
use crate::heap::json::{aged, amount, path};

/// The whole report.
pub(super) fn all(context: &Context<'_>, notes: &[String]) -> Value {
    let profile = context.profile;
    let known = |measure: Measure| {
        measure
            .is_known(profile.known())
            .then(|| amount(profile.total(measure)))
    };
    let mut all = Map::new();
    let mut add = |name: &str, value: Value| all.insert(name.to_owned(), value);
    let files = context
        .arguments
        .files
        .iter()
        .map(|file| file.display().to_string());
    add("files", json!(files.collect::<Vec<_>>()));
    add("sampling_period_bytes", json!(profile.period()));
    add(
        "taken_unix_seconds",
        json!(profile.time().map(|time| time.unix_seconds)),
    );
    add(
        "profiled_ns",
        json!(profile.time().map(|time| time.since_start_ns)),
    );
    add("live", json!(known(Measure::Live)));
    add("peak", json!(known(Measure::Peak)));
    add("peak_at_ns", json!(profile.peak().map(|peak| peak.at_ns)));
    add("cumulative", json!(known(Measure::Cumulative)));
    for view in &context.arguments.view {
        let (name, value) = self::view(context, *view);
        add(name, value);
    }
    add("notes", json!(notes));
    Value::Object(all)
}

fn view(context: &Context<'_>, view: View) -> (&'static str, Value) {
    let profile = context.profile;
    let by = context.arguments.by.measure();
    let by_path = |measure: Measure| {
        let paths = paths(profile, |stack| stack.amount(measure));
        json!(paths.iter().map(path).collect::<Vec<_>>())
    };
    match view {
        View::Top => {
            let rows = functions(profile, |stack| stack.amount(by));
            let rows = rows.iter().map(|row| {
                json!({
                    "function": row.name,
                    "file": row.place.map(|place| place.file),
                    "line": row.place.map(|place| place.line),
                    "own": amount(row.own),
                    "total": amount(row.total),
                })
            });
            ("functions", json!(rows.collect::<Vec<_>>()))
        }
        View::Tree => {
            let tree = tree(profile, |stack| stack.amount(by));
            let nodes = (0..tree.len()).map(|index| {
                let node = tree.node(index);
                json!({
                    "function": node.name,
                    "amount": amount(node.amount),
                    "own": amount(node.own),
                    "children": node.children,
                })
            });
            ("tree", json!(nodes.collect::<Vec<_>>()))
        }
        View::Paths => ("paths", by_path(by)),
        View::Peak => ("peak_paths", by_path(Measure::Peak)),
        View::Leaks => {
            let leaks = Leaks::of(profile, context.arguments);
            let by_age = ages(profile, |object| leaks.is_one(object));
            let paths = paths(profile, |stack| leaks.amount(stack));
            (
                "leaks",
                json!({
                    "by_age": by_age.iter().map(aged).collect::<Vec<_>>(),
                    "paths": paths.iter().map(path).collect::<Vec<_>>(),
                }),
            )
        }
        View::Temporary => {
            let lg_ns = lg_within(context.arguments.within);
            let lived = lifetimes(profile);
            let mut paths = paths(profile, |stack| stack.amount(Measure::Temporary { lg_ns }));
            paths.sort_by(|one, two| two.amount.objects.total_cmp(&one.amount.objects));
            (
                "temporary",
                json!({
                    "within_ns": 1u64 << lg_ns,
                    "lifetimes": lived.iter().map(aged).collect::<Vec<_>>(),
                    "paths": paths.iter().map(path).collect::<Vec<_>>(),
                }),
            )
        }
        View::Classes => {
            let rounding = rounding(profile);
            let rows = profile.classes().iter().map(|class| {
                json!({
                    "size": class.size,
                    "objects": class.objects,
                    "slabs": class.slabs,
                    "slab_bytes": class.slab_bytes,
                    "free_bytes": class.free_bytes,
                    "rounding_bytes": rounding.get(&class.size).map(|class| class.lost.round() as u64),
                })
            });
            ("classes", json!(rows.collect::<Vec<_>>()))
        }
        View::Threads => {
            let sums = thread_sums(profile);
            let rows = sums.iter().map(|sum| {
                json!({
                    "thread": thread_name(profile, sum.id),
                    "live": amount(sum.live),
                    "cumulative": amount(sum.cumulative),
                    "most_in": sum.heaviest,
                })
            });
            ("threads", json!(rows.collect::<Vec<_>>()))
        }
        View::Tags => {
            let sums = tag_sums(profile);
            let rows = sums.iter().map(|sum| {
                json!({
                    "tag": sum.tag,
                    "live": amount(sum.live),
                    "cumulative": amount(sum.cumulative),
                    "most_in": sum.heaviest,
                })
            });
            ("tags", json!(rows.collect::<Vec<_>>()))
        }
    }
}
