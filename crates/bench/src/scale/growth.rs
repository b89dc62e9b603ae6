//! Growth: one figure over all sizes, and how fast it grows.

use super::series::{Figure, Series};
use crate::row::{Cell, Row};

/// A figure of one series at every size.
pub(super) struct Curve {
    pub(super) series: &'static Series,
    pub(super) figure: &'static Figure,
    pub(super) sizes: Vec<u64>,
    /// One row a size.
    steps: Vec<Row>,
}

impl Curve {
    pub(super) fn new(
        series: &'static Series,
        figure: &'static Figure,
        sizes: &[u64],
        steps: Vec<Row>,
    ) -> Self {
        Self {
            series,
            figure,
            sizes: sizes.to_vec(),
            steps,
        }
    }

    /// The steps, the far end over the near end, the exponent.
    pub(super) fn rows(&self, names: &[String]) -> Vec<Row> {
        let mut rows = self.steps.clone();
        let mut ends = Row::new(self.figure.key, "far end / near end", 2);
        let exponent_key = format!("{}-exponent", self.figure.key);
        let mut exponents = Row::new(&exponent_key, "growth exponent", 2);
        for name in names {
            let points = self.points(name);
            // All sizes or none: another far end would be another measure.
            let whole = points.len() == self.sizes.len();
            let value = |value: Option<f64>| match value {
                Some(value) if whole => Cell::Values(vec![value]),
                _ => Cell::Missing,
            };
            let grown = match (points.first(), points.last()) {
                (Some(near), Some(far)) => Some(far.1 / near.1),
                _ => None,
            };
            ends.cells.insert(name.clone(), value(grown));
            exponents
                .cells
                .insert(name.clone(), value(exponent(&points)));
        }
        rows.push(ends);
        rows.push(exponents);
        rows
    }

    /// Size and cost under `name`, where it has one above 0.
    pub(super) fn points(&self, name: &str) -> Vec<(f64, f64)> {
        let cost = |row: &Row| row.cells.get(name).and_then(Cell::median);
        let pairs = self.sizes.iter().zip(&self.steps);
        pairs
            .filter_map(|(&size, row)| Some((size as f64, cost(row).filter(|&cost| cost > 0.0)?)))
            .collect()
    }
}

/// The slope of log cost over log size. `None` for fewer than two sizes.
fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 2 {
        return None;
    }
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let x_mean = logs.iter().map(|log| log.0).sum::<f64>() / count;
    let y_mean = logs.iter().map(|log| log.1).sum::<f64>() / count;
    let both: f64 = logs.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let square: f64 = logs.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    (square > 0.0).then_some(both / square)
}

#[cfg(test)]
mod tests {
    use super::{Curve, exponent};
    use crate::row::{Cell, Row};
    use crate::scale::series::SERIES;

    #[test]
    fn exponents_of_flat_linear_and_quadratic_costs() {
        let of = |cost: fn(f64) -> f64| {
            let points: Vec<(f64, f64)> = [1.0, 3.0, 50.0, 1e4].map(|n| (n, cost(n))).into();
            exponent(&points).unwrap()
        };
        assert!(of(|_| 7.0).abs() < 1e-9);
        assert!((of(|n| 5.0 * n) - 1.0).abs() < 1e-9);
        assert!((of(|n| n * n) - 2.0).abs() < 1e-9);
        assert_eq!(exponent(&[(1.0, 2.0)]), None);
    }

    #[test]
    fn growth_is_told_of_those_who_reached_the_far_end() {
        let step = |ours: f64, other: Option<f64>| {
            let mut row = Row::new("step", "step", 1);
            row.cells.insert("ours".into(), Cell::Values(vec![ours]));
            let cell = other.map_or(Cell::Missing, |other| Cell::Values(vec![other]));
            row.cells.insert("other".into(), cell);
            row
        };
        let steps = vec![step(10.0, Some(4.0)), step(15.0, None)];
        let curve = Curve::new(&SERIES[0], &SERIES[0].figures[0], &[1, 64], steps);
        let rows = curve.rows(&["ours".into(), "other".into()]);
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[2].cells["ours"].median(), Some(1.5));
        assert_eq!(rows[2].cells["other"].median(), None);
    }
}
