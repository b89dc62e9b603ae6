//! Aged: what is still alive and how old it is; what was freed and how soon.

use jemoxide_profile::views::{AgedAmount, Path, ages, lifetimes, paths};
use jemoxide_profile::{Amount, Measure, Object, Profile, Stack};

use super::{Context, nothing, title};
use crate::arguments::heap::ReportArguments;
use crate::heap::paths::path_list;
use crate::heap::{error, size, size_share};
use crate::screen::numbers::{age, count};
use crate::screen::style::FAINT;
use crate::screen::table::{Side, Table};

const DETAILS: &str = "Take a profile with prof_details:true, or by `jemoxide run --profile`.";

/// Which objects count as leaks.
pub(super) struct Leaks<'a> {
    profile: &'a Profile,
    older_than: u64,
    before_generation: u64,
}

impl<'a> Leaks<'a> {
    pub(super) fn of(profile: &'a Profile, arguments: &ReportArguments) -> Self {
        Self {
            profile,
            older_than: arguments.older_than.unwrap_or(0),
            before_generation: arguments.before_generation.unwrap_or(u64::MAX),
        }
    }

    /// Whether all that is alive counts.
    fn is_everything(&self) -> bool {
        self.older_than == 0 && self.before_generation == u64::MAX
    }

    pub(super) fn is_one(&self, object: &Object) -> bool {
        object.age_ns >= self.older_than && object.generation < self.before_generation
    }

    /// What of a stack counts. Single objects are known with details only.
    pub(super) fn amount(&self, stack: &Stack) -> Amount {
        if self.is_everything() {
            return stack.live;
        }
        let leaks = stack.objects.iter().filter(|object| self.is_one(object));
        leaks
            .map(|object| Amount::of_one(object.usable, self.profile.period()))
            .sum()
    }
}

/// What is alive, oldest paths told apart.
pub(super) fn leaks(context: &Context<'_>) -> String {
    let profile = context.profile;
    let leaks = Leaks::of(profile, context.arguments);
    let mut text = title("Alive when the profile was taken");
    if !profile.known().ages && !leaks.is_everything() {
        return text
            + &nothing(
                context,
                &format!("This profile does not tell how old objects are. {DETAILS}"),
            );
    }
    let paths = paths(profile, |stack| leaks.amount(stack));
    if paths.is_empty() {
        return text + &nothing(context, "Nothing of that kind was sampled.");
    }
    if profile.known().ages {
        let ages = ages(profile, |object| leaks.is_one(object));
        text.push_str(&age_table(context, &ages, "age"));
        text.push('\n');
    }
    let whole: Amount = paths.iter().map(|path| path.amount).sum();
    text.push_str(&path_list(&paths, whole, context.style(), |path| {
        span(path, &leaks)
    }));
    text
}

/// `0.1 s to 9.0 s old`.
fn span(path: &Path<'_>, leaks: &Leaks<'_>) -> String {
    let objects = path.stacks.iter().flat_map(|stack| &stack.objects);
    let ages = objects
        .filter(|object| leaks.is_one(object))
        .map(|object| object.age_ns);
    let (youngest, oldest) = ages.fold((u64::MAX, 0), |(least, most), age| {
        (least.min(age), most.max(age))
    });
    match (youngest, oldest) {
        (u64::MAX, _) => String::new(),
        _ if age(youngest) == age(oldest) => format!("{} old", age(oldest)),
        _ => format!("{} to {} old", age(youngest), age(oldest)),
    }
}

/// The power of two that is nearest to what was asked for.
pub(super) fn lg_within(within_ns: u64) -> u8 {
    let lg = (within_ns.max(1) as f64).log2().round();
    (lg as u8).min(63)
}

/// What was freed soon.
pub(super) fn temporary(context: &Context<'_>) -> String {
    let profile = context.profile;
    let lg_ns = lg_within(context.arguments.within);
    let mut text = title("How long lived what was freed");
    if !profile.known().lifetimes {
        return text
            + &nothing(
                context,
                &format!("This profile does not tell how long objects lived. {DETAILS}"),
            );
    }
    text.push_str(&age_table(context, &lifetimes(profile), "lived"));
    text.push('\n');
    text.push_str(&title(&format!("Freed within {}", age(1 << lg_ns))));
    let measure = Measure::Temporary { lg_ns };
    let mut paths = paths(profile, |stack| stack.amount(measure));
    // Each costs a malloc and a free, whatever its size.
    paths.sort_by(|one, two| two.amount.objects.total_cmp(&one.amount.objects));
    if paths.is_empty() {
        return text + &nothing(context, "Nothing that was freed so soon was sampled.");
    }
    let whole = profile.total(Measure::Cumulative);
    text.push_str(&path_list(&paths, whole, context.style(), |path| {
        let all: Amount = path.stacks.iter().map(|stack| stack.cumulative).sum();
        let share = path.amount.objects * 100.0 / all.objects.max(1.0);
        format!("{:.0} % of this path's", share.min(100.0))
    }));
    text + &nothing(
        context,
        "Most objects first; shares are of all bytes allocated.",
    )
}

fn age_table(context: &Context<'_>, ranges: &[AgedAmount], what: &str) -> String {
    if ranges.is_empty() {
        return String::new();
    }
    let whole: Amount = ranges.iter().map(|range| range.amount).sum();
    let mut table = Table::new(&[
        (what, Side::Right),
        ("objects", Side::Right),
        ("bytes", Side::Right),
        ("error", Side::Right),
        ("share", Side::Right),
    ]);
    for range in ranges.iter().filter(|range| !range.amount.is_zero()) {
        let AgedAmount {
            from_ns,
            to_ns,
            amount,
        } = *range;
        let bounds = match (from_ns, to_ns) {
            (0, to) => format!("under {}", age(to)),
            (from, u64::MAX) => format!("{} and more", age(from)),
            (from, to) => format!("{} to {}", age(from), age(to)),
        };
        table.styled_row([
            (bounds, Default::default()),
            (count(amount.objects.round() as u64), Default::default()),
            (size(amount), Default::default()),
            (error(amount).unwrap_or_default(), FAINT),
            (size_share(amount, whole), Default::default()),
        ]);
    }
    table.text_within(2, context.width, &[4, 3, 1])
}
