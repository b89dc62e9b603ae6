//! Means: one figure over many rows, for each allocator.
//!
//! ```text
//! over the best peer of each row:   all rows | workloads | real programs
//! over jemalloc in each row:        all rows
//! ```
//! M1  A mean is over ratios, and geometric: halving one row and doubling another is no change.
//! M2  An allocator that failed in one of the rows has no mean: leaving the row out would flatter it. A row
//!     that nobody could do does not count.

use super::job::Group;
use crate::row::{Cell, Row};
use crate::statistics::geometric_mean;

/// The allocator that everything is also compared with, the newest first.
const JEMALLOC: &[&str] = &["jemalloc-5.3.1", "jemalloc"];

/// The key of the mean over the best peers, which has a goal.
pub(super) const TIME: &str = "time_mean";
pub(super) const SIZE: &str = "rss_mean";

/// The mean rows below `ratios`, whose rows belong to `groups`. `key` is that of the mean over all.
pub(super) fn below(key: &str, ratios: &[Row], groups: &[Group], names: &[String]) -> Vec<Row> {
    let of = |wanted: Option<Group>| -> Vec<Row> {
        let rows = ratios.iter().zip(groups);
        let rows = rows.filter(|(row, group)| {
            row.best_peer().is_some() && wanted.is_none_or(|wanted| wanted == **group)
        });
        rows.map(|(row, _)| row.clone()).collect()
    };
    let all = of(None);
    let mut means = vec![mean(key, "geometric mean", &all, names)];
    let (workloads, programs) = (of(Some(Group::Workload)), of(Some(Group::Program)));
    if !workloads.is_empty() && !programs.is_empty() {
        let partly = |part: &str, rows: &[Row]| {
            mean(
                &format!("{key} of {part}"),
                &format!("- of {part}"),
                rows,
                names,
            )
        };
        means.push(partly("workloads", &workloads));
        means.push(partly("real programs", &programs));
    }
    let jemalloc = JEMALLOC.iter().find(|name| {
        let has = |row: &Row| row.cells.get(**name).and_then(Cell::median).is_some();
        !all.is_empty() && all.iter().all(has)
    });
    if let Some(jemalloc) = jemalloc {
        let over: Vec<Row> = all.iter().map(|row| row.over(jemalloc)).collect();
        means.push(mean(
            &format!("{key} over jemalloc"),
            &format!("- over {jemalloc}"),
            &over,
            names,
        ));
    }
    means
}

/// The geometric mean over `ratios` for each allocator that has a figure in every one of them (rule M2).
fn mean(key: &str, title: &str, ratios: &[Row], names: &[String]) -> Row {
    let mut row = Row::new(key, title, 2);
    for name in names {
        let figures: Option<Vec<f64>> = ratios
            .iter()
            .map(|ratio| ratio.cells.get(name).and_then(Cell::median))
            .collect();
        let mean = figures.and_then(|figures| geometric_mean(&figures));
        let cell = mean.map_or(Cell::Missing, |mean| Cell::Values(vec![mean]));
        row.cells.insert(name.clone(), cell);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::{Group, TIME, below};
    use crate::row::{Cell, Row};

    #[test]
    fn means_are_over_ratios_and_need_every_row() {
        let ratios = [
            Row::of_values("one", &[("a", 2.0), ("jemalloc", 1.0), ("c", 9.0)]),
            Row::of_values("two", &[("a", 8.0), ("jemalloc", 4.0)]),
            Row::of_values("nobody", &[]),
        ];
        let groups = [Group::Workload, Group::Program, Group::Program];
        let names = ["a", "jemalloc", "c"].map(String::from);
        let means = below(TIME, &ratios, &groups, &names);
        let titles: Vec<&str> = means.iter().map(|row| &*row.title).collect();
        assert_eq!(
            titles,
            [
                "geometric mean",
                "- of workloads",
                "- of real programs",
                "- over jemalloc"
            ]
        );
        let figure = |mean: usize, name: &str| {
            let median = means[mean].cells[name].median().unwrap();
            (median * 1e9).round() / 1e9
        };
        assert_eq!(figure(0, "a"), 4.0);
        assert!(matches!(means[0].cells["c"], Cell::Missing), "rule M2");
        assert_eq!(figure(1, "c"), 9.0);
        assert_eq!(figure(2, "jemalloc"), 4.0);
        assert_eq!(figure(3, "a"), 2.0);
    }
}
