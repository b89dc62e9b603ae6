//! Sums: by size class, by thread, by tag.

use std::collections::BTreeMap;

use jemoxide_profile::views::functions;
use jemoxide_profile::{Amount, Measure, Profile, Stack, ThreadId};

use super::{Context, nothing, title};
use crate::heap::names::shortened;
use crate::heap::{error, size, size_share};
use crate::screen::numbers::{bytes, count, exact_bytes, of_them, share};
use crate::screen::style::FAINT;
use crate::screen::table::{Side, Table};

/// What rounding costs in one size class, from the objects that were sampled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounding {
    pub(super) live: Amount,
    /// Bytes given beyond those asked for.
    pub(super) lost: f64,
}

/// Sampled live objects by usable size.
pub(super) fn rounding(profile: &Profile) -> BTreeMap<u64, Rounding> {
    let mut classes: BTreeMap<u64, Rounding> = BTreeMap::new();
    for object in profile.stacks().iter().flat_map(|stack| &stack.objects) {
        let one = Amount::of_one(object.usable, profile.period());
        let class = classes.entry(object.usable).or_default();
        class.live += one;
        class.lost += one.objects * object.usable.saturating_sub(object.requested) as f64;
    }
    classes
}

/// Slabs by size class, and what rounding costs.
pub(super) fn classes(context: &Context<'_>) -> String {
    let profile = context.profile;
    let mut text = title("Size classes");
    let rounding = rounding(profile);
    if profile.classes().is_empty() && rounding.is_empty() {
        return text
            + &nothing(
                context,
                "This profile does not tell sizes. Take one with prof_details:true, or by `jemoxide run --profile`.",
            );
    }
    let mut table = Table::new(&[
        ("size", Side::Right),
        ("objects", Side::Right),
        ("slabs", Side::Right),
        ("bytes", Side::Right),
        ("free in them", Side::Right),
        ("", Side::Right),
        ("rounding", Side::Right),
        ("", Side::Right),
    ]);
    let mut rows: Vec<_> = profile.classes().iter().collect();
    rows.sort_by_key(|class| std::cmp::Reverse(class.slab_bytes));
    for class in rows.iter().take(context.arguments.rows()) {
        let rounded = rounding.get(&class.size).copied().unwrap_or_default();
        table.styled_row([
            (exact_bytes(class.size), Default::default()),
            (count(class.objects), Default::default()),
            (count(class.slabs), Default::default()),
            (bytes(class.slab_bytes), Default::default()),
            (bytes(class.free_bytes), Default::default()),
            (share(class.free_bytes, class.slab_bytes), FAINT),
            (lost(rounded), Default::default()),
            (lost_share(rounded), FAINT),
        ]);
    }
    text.push_str(&table.text_within(2, context.width, &[5, 7, 2, 6, 1]));
    let rest = rows.len().saturating_sub(context.arguments.rows());
    if rest > 0 {
        let rest = of_them(rest as u64, "more class", "more classes");
        text.push_str(&format!("{FAINT}  and {rest} (--limit){FAINT:#}\n"));
    }
    let large = rounding.range(profile.classes().last().map_or(0, |class| class.size + 1)..);
    let large: Vec<_> = large.map(|(_, class)| *class).collect();
    if !large.is_empty() {
        let live: Amount = large.iter().map(|class| class.live).sum();
        let lost: f64 = large.iter().map(|class| class.lost).sum();
        let told = format!(
            "larger objects: {} live, {} of them by rounding",
            size(live),
            bytes(lost.round() as u64)
        );
        text.push_str(&nothing(context, &told));
    }
    text.push_str(&nothing(context,
        "Objects and slabs are counted, but for samples, which lie in slabs of their own. Rounding (bytes given beyond \
         those asked for) is estimated from live samples.",
    ));
    text
}

fn lost(class: Rounding) -> String {
    if class.live.is_zero() {
        return String::new();
    }
    bytes(class.lost.round() as u64)
}

fn lost_share(class: Rounding) -> String {
    if class.live.is_zero() {
        return String::new();
    }
    share(class.lost.round() as u64, class.live.bytes.round() as u64)
}

/// What a thread allocated with all its stacks.
#[derive(Clone, Debug)]
pub(super) struct ThreadSum {
    pub(super) id: ThreadId,
    pub(super) live: Amount,
    pub(super) cumulative: Amount,
    /// The function that allocated most of what counts, if any did.
    pub(super) heaviest: Option<String>,
}

/// All threads, the one with most first.
pub(super) fn thread_sums(profile: &Profile) -> Vec<ThreadSum> {
    let uses_cumulative = profile.known().cumulative;
    let mut sums = Vec::new();
    for id in profile.thread_ids() {
        let thread = profile.thread(id);
        let of = |stack: &Stack| {
            let own = stack.threads.iter().filter(|share| share.thread == id);
            own.map(|share| {
                if uses_cumulative && !share.cumulative.is_zero() {
                    share.cumulative
                } else {
                    share.live
                }
            })
            .sum::<Amount>()
        };
        let rows = functions(profile, of);
        let heaviest = rows.first().filter(|row| !row.own.is_zero());
        sums.push(ThreadSum {
            id,
            live: thread.live,
            cumulative: thread.cumulative,
            heaviest: heaviest.map(|row| row.name.clone().into_owned()),
        });
    }
    sums.sort_by(|one, two| {
        let bytes = |sum: &ThreadSum| sum.cumulative.bytes.max(sum.live.bytes);
        bytes(two).total_cmp(&bytes(one))
    });
    sums
}

/// What each thread allocated.
pub(super) fn threads(context: &Context<'_>) -> String {
    let profile = context.profile;
    let mut text = title("Threads");
    let sums = thread_sums(profile);
    if sums.is_empty() {
        return text + &nothing(context, "This profile does not tell threads apart.");
    }
    let has_cumulative = sums.iter().any(|sum| !sum.cumulative.is_zero());
    let mut columns = vec![
        ("thread", Side::Left),
        ("live", Side::Right),
        ("error", Side::Right),
    ];
    if has_cumulative {
        columns.push(("in all", Side::Right));
    }
    columns.push(("most in", Side::Left));
    let mut table = Table::new(&columns);
    for sum in sums.iter().take(context.arguments.rows()) {
        let name = thread_name(profile, sum.id);
        let name = context.width.map_or(name.clone(), |_| shortened(&name, 22));
        let mut cells = vec![
            (name, Default::default()),
            (size(sum.live), Default::default()),
            (error(sum.live).unwrap_or_default(), FAINT),
        ];
        if has_cumulative {
            cells.push((size(sum.cumulative), Default::default()));
        }
        cells.push((
            most(context, sum.heaviest.as_deref(), 53),
            Default::default(),
        ));
        table.styled_row(cells);
    }
    text.push_str(&table.text_within(2, context.width, &[2, 3]));
    let rest = sums.len().saturating_sub(context.arguments.rows());
    if rest > 0 {
        let rest = of_them(rest as u64, "more thread", "more threads");
        text.push_str(&format!("{FAINT}  and {rest} (--limit){FAINT:#}\n"));
    }
    text
}

/// `3 worker`, with the profile it comes from when there are several.
pub(super) fn thread_name(profile: &Profile, id: ThreadId) -> String {
    let thread = profile.thread(id);
    let mut name = format!("{} {}", thread.uid, thread.name);
    if profile.sources() > 1 {
        name = format!("{} of profile {}", name.trim_end(), thread.source + 1);
    }
    name.trim_end().to_owned()
}

fn most(context: &Context<'_>, name: Option<&str>, taken: usize) -> String {
    let name = name.unwrap_or_default();
    match context.width {
        None => name.to_owned(),
        Some(width) => shortened(name, width.saturating_sub(taken).max(12)),
    }
}

/// What was allocated under a tag.
#[derive(Clone, Debug)]
pub(super) struct TagSum {
    pub(super) tag: u16,
    pub(super) live: Amount,
    pub(super) cumulative: Amount,
    pub(super) heaviest: Option<String>,
}

/// All tags, the one with most first; 0 is what was allocated under none.
pub(super) fn tag_sums(profile: &Profile) -> Vec<TagSum> {
    let mut sums: BTreeMap<u16, (Amount, Amount)> = BTreeMap::new();
    for stack in profile.stacks() {
        for share in &stack.tags {
            sums.entry(share.tag).or_default().1 += share.cumulative;
        }
        for object in &stack.objects {
            sums.entry(object.tag).or_default().0 +=
                Amount::of_one(object.usable, profile.period());
        }
    }
    let tagged: Amount = sums.values().map(|(_, cumulative)| *cumulative).sum();
    if tagged.is_zero() {
        return Vec::new();
    }
    let all = profile.total(Measure::Cumulative);
    sums.entry(0).or_default().1 = Amount::estimated(
        all.objects - tagged.objects,
        all.bytes - tagged.bytes,
        profile.period(),
    );
    let mut sums: Vec<TagSum> = sums
        .into_iter()
        .map(|(tag, (live, cumulative))| {
            let of = |stack: &Stack| {
                let own = stack.tags.iter().filter(|share| share.tag == tag);
                own.map(|share| share.cumulative).sum::<Amount>()
            };
            let rows = functions(profile, of);
            let heaviest = rows.first().filter(|row| !row.own.is_zero());
            TagSum {
                tag,
                live,
                cumulative,
                heaviest: heaviest.map(|row| row.name.clone().into_owned()),
            }
        })
        .collect();
    sums.sort_by(|one, two| two.cumulative.bytes.total_cmp(&one.cumulative.bytes));
    sums
}

/// What was allocated under each tag.
pub(super) fn tags(context: &Context<'_>) -> String {
    let mut text = title("Tags");
    let sums = tag_sums(context.profile);
    if sums.is_empty() {
        return text
            + &nothing(
                context,
                "Nothing was allocated under a tag, or the profile has no details. docs/PROFILING.md tells how a program \
                 sets tags.",
            );
    }
    let whole = context.profile.total(Measure::Cumulative);
    let mut table = Table::new(&[
        ("tag", Side::Right),
        ("in all", Side::Right),
        ("error", Side::Right),
        ("share", Side::Right),
        ("live", Side::Right),
        ("most in", Side::Left),
    ]);
    for sum in sums.iter().take(context.arguments.rows()) {
        let tag = if sum.tag == 0 {
            "none".to_owned()
        } else {
            sum.tag.to_string()
        };
        table.styled_row([
            (tag, Default::default()),
            (size(sum.cumulative), Default::default()),
            (error(sum.cumulative).unwrap_or_default(), FAINT),
            (size_share(sum.cumulative, whole), Default::default()),
            (size(sum.live), Default::default()),
            (
                most(context, sum.heaviest.as_deref(), 52),
                Default::default(),
            ),
        ]);
    }
    text.push_str(&table.text_within(2, context.width, &[2, 3, 4]));
    let rest = sums.len().saturating_sub(context.arguments.rows());
    if rest > 0 {
        let rest = of_them(rest as u64, "more tag", "more tags");
        text.push_str(&format!("{FAINT}  and {rest} (--limit){FAINT:#}\n"));
    }
    text
}
