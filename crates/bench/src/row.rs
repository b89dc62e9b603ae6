//! Row: one measure for all allocators, and the table of several.
//!
//! ```text
//! measure | jemoxide | best peer | A | B | goal | every peer ...
//! ```
//! W1  The best peer is never jemoxide, and never one that the row excludes.
//! W2  A peer without a figure shows why (`missing`, `failed`); it is not left out.

use crate::goals::{self, Goal};
use crate::peers::JEMOXIDE;
use crate::statistics::{median, spread_percent};
use crate::table::Table;
use serde::Serialize;
use std::collections::BTreeMap;

/// What one allocator came to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cell {
    /// One value a run.
    Values(Vec<f64>),
    /// The allocator is not here, or the measure does not apply to it.
    Missing,
    /// The run went wrong.
    Failed(String),
}

impl Cell {
    /// The cell of runs that may have failed: one failure fails the cell.
    pub(crate) fn from_runs(runs: Vec<Result<f64, String>>) -> Self {
        match runs.into_iter().collect::<Result<Vec<f64>, String>>() {
            Ok(values) if values.is_empty() => Self::Missing,
            Ok(values) => Self::Values(values),
            Err(reason) => Self::Failed(reason),
        }
    }

    /// Median of the runs.
    pub(crate) fn median(&self) -> Option<f64> {
        match self {
            Self::Values(values) => median(values),
            Self::Missing | Self::Failed(_) => None,
        }
    }

    fn text(&self, decimals: usize, with_spread: bool) -> String {
        match self {
            Self::Missing => "missing".to_owned(),
            Self::Failed(_) => "failed".to_owned(),
            Self::Values(values) => {
                let value = median(values).unwrap_or(f64::NAN);
                match spread_percent(values) {
                    Some(spread) if with_spread => format!("{value:.decimals$} ±{spread:.0}"),
                    _ => format!("{value:.decimals$}"),
                }
            }
        }
    }
}

/// One measure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Name in the goals and in the raw figures.
    pub(crate) key: String,
    /// Name in the table.
    pub(crate) title: String,
    /// Digits after the point.
    pub(crate) decimals: usize,
    /// Peers that do not count as the best one.
    pub(crate) not_best: Vec<String>,
    /// By name of the allocator.
    pub(crate) cells: BTreeMap<String, Cell>,
}

impl Row {
    /// A row without cells.
    pub(crate) fn new(key: &str, title: &str, decimals: usize) -> Self {
        Self {
            key: key.to_owned(),
            title: title.to_owned(),
            decimals,
            not_best: Vec::new(),
            cells: BTreeMap::new(),
        }
    }

    /// A row of one value an allocator.
    #[cfg(test)]
    pub(crate) fn of_values(key: &str, values: &[(&str, f64)]) -> Self {
        let cell = |&(name, value): &(&str, f64)| (name.to_owned(), Cell::Values(vec![value]));
        let mut row = Self::new(key, key, 2);
        row.cells = values.iter().map(cell).collect();
        row
    }

    /// Name and median of the best peer (rule W1).
    pub(crate) fn best_peer(&self) -> Option<(&str, f64)> {
        self.cells
            .iter()
            .filter(|(name, _)| name.as_str() != JEMOXIDE && !self.not_best.contains(name))
            .filter_map(|(name, cell)| Some((name.as_str(), cell.median()?)))
            .min_by(|left, right| left.1.total_cmp(&right.1))
    }

    /// The same row with every value divided by the best peer's median.
    pub(crate) fn over_best_peer(&self) -> Self {
        self.best_peer()
            .map_or_else(|| self.clone(), |(_, best)| self.divided(best))
    }

    /// The same row with every value divided by the median of `name`, which has one.
    pub(crate) fn over(&self, name: &str) -> Self {
        let median = self.cells.get(name).and_then(Cell::median);
        median.map_or_else(|| self.clone(), |median| self.divided(median))
    }

    fn divided(&self, by: f64) -> Self {
        let mut row = self.clone();
        row.decimals = 2;
        for cell in row.cells.values_mut() {
            if let Cell::Values(values) = cell {
                values.iter_mut().for_each(|value| *value /= by);
            }
        }
        row
    }

    fn verdict(&self, goal: Option<Goal>) -> String {
        let ours = self.cells.get(JEMOXIDE).and_then(Cell::median);
        match (goal, ours) {
            (None, _) | (_, None) => "-",
            // A figure is judged as it is printed: rounding must not turn a printed pass into a failure.
            (Some(goal), Some(ours)) if self.rounded(ours) <= goal.b => "B ok",
            (Some(goal), Some(ours)) if self.rounded(ours) <= goal.a => "A ok",
            _ => "FAIL",
        }
        .to_owned()
    }

    fn rounded(&self, value: f64) -> f64 {
        format!("{value:.*}", self.decimals)
            .parse()
            .unwrap_or(value)
    }
}

/// Draws `rows` for `peers` (names in column order, jemoxide among them or not).
pub(crate) fn table(title: &str, rows: &[Row], peers: &[String], with_spread: bool) -> Table {
    let others = || peers.iter().filter(|name| name.as_str() != JEMOXIDE);
    let mut header: Vec<String> = ["measure", JEMOXIDE, "best peer", "A", "B", "goal"]
        .map(str::to_owned)
        .to_vec();
    header.extend(others().cloned());
    let rows = rows
        .iter()
        .map(|row| {
            let goal = goals::of(&row.key);
            let cell = |name: &str| {
                row.cells
                    .get(name)
                    .unwrap_or(&Cell::Missing)
                    .text(row.decimals, with_spread)
            };
            let best = row.best_peer().map_or("-".to_owned(), |(name, value)| {
                format!("{value:.*} {name}", row.decimals)
            });
            let limit = |value: Option<f64>| {
                value.map_or("-".to_owned(), |value| format!("{value:.*}", row.decimals))
            };
            let mut line = vec![
                row.title.clone(),
                cell(JEMOXIDE),
                best,
                limit(goal.map(|goal| goal.a)),
                limit(goal.map(|goal| goal.b)),
                row.verdict(goal),
            ];
            line.extend(others().map(|name| cell(name)));
            line
        })
        .collect();
    Table {
        title: title.to_owned(),
        header,
        // Ours: peers of every panel are compared with it.
        repeated: 2,
        rows,
    }
}

/// One line for each allocator and reason: what failed under it. Reasons that differ in numbers alone
/// (addresses, process numbers) count as the same.
pub(crate) fn failures(rows: &[Row]) -> Vec<String> {
    let mut failures = BTreeMap::<(&str, String), (Vec<&str>, &str)>::new();
    for row in rows {
        for (name, cell) in &row.cells {
            if let Cell::Failed(reason) = cell {
                let alike = reason.chars().filter(|letter| !letter.is_ascii_digit());
                failures
                    .entry((name, alike.collect()))
                    .or_insert((Vec::new(), reason))
                    .0
                    .push(&row.key);
            }
        }
    }
    failures
        .into_iter()
        .map(|((name, _), (keys, reason))| {
            format!("failed: {} under {name}: {reason}", keys.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Cell, Row, failures, table};
    use crate::peers::JEMOXIDE;

    fn row(key: &str, ours: f64) -> Row {
        let mut row = Row::new(key, "title", 0);
        row.cells.insert(JEMOXIDE.into(), Cell::Values(vec![ours]));
        row.cells
            .insert("other".into(), Cell::Values(vec![60.0, 70.0, 80.0]));
        row.cells.insert("glibc".into(), Cell::Values(vec![65.0]));
        row.cells.insert("gone".into(), Cell::Missing);
        row
    }

    #[test]
    fn verdicts_follow_the_goals() {
        // Goals of this row: A 50, B 44.
        for (ours, verdict) in [(44.0, "B ok"), (50.4, "A ok"), (51.0, "FAIL")] {
            let row = row("ping_pong", ours);
            assert_eq!(row.verdict(crate::goals::of("ping_pong")), verdict);
        }
        assert_eq!(row("unknown", 1.0).verdict(None), "-");
    }

    #[test]
    fn the_best_peer_is_neither_ours_nor_excluded() {
        let mut row = row("ping_pong", 1.0);
        assert_eq!(row.best_peer(), Some(("glibc", 65.0)));
        row.not_best.push("glibc".into());
        assert_eq!(row.best_peer(), Some(("other", 70.0)));
        let ratios = row.over_best_peer();
        assert_eq!(ratios.cells["other"].median(), Some(1.0));
    }

    #[test]
    fn a_missing_peer_is_shown_and_a_failure_told() {
        let mut row = row("ping_pong", 1.0);
        row.cells.insert(
            "bad".into(),
            Cell::from_runs(vec![Ok(1.0), Err("killed".into())]),
        );
        let peers = ["gone", "bad", "other"].map(String::from).to_vec();
        let text = table("t", std::slice::from_ref(&row), &peers, false).render(200);
        assert!(
            text.contains("missing") && text.contains("failed"),
            "{text}"
        );
        let mut other = row.clone();
        other.key = "burst".to_owned();
        let failed = |reason: &str| Cell::Failed(reason.to_owned());
        row.cells
            .insert("worse".into(), failed("process 12 aborted"));
        other
            .cells
            .insert("worse".into(), failed("process 34 aborted"));
        assert_eq!(
            failures(&[row, other]),
            [
                "failed: ping_pong, burst under bad: killed",
                "failed: ping_pong, burst under worse: process 12 aborted"
            ]
        );
    }
}
