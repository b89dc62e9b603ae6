//! Scale: what an operation costs as its surroundings grow.
//!
//! Four series, each a program that is run at every step of its size, in a process of its own: threads at
//! work, live objects, threads that idle, address space that is mapped.
//!
//! ```text
//! series x steps x allocators x rounds  ->  medians  ->  a table and a chart a figure:
//!   cost at each step, cost at the far end over that at the near end, growth exponent
//! ```
//! S1  A step does the same number of operations whatever its size: only the surroundings grow.
//! S2  Costs are processor time of the threads that work; where a program's own misses grow with its
//!     size, the cost of touching the same objects without the allocator is measured beside and taken off.
//! S3  In one round every allocator does every step once; who begins changes from round to round.
//! S4  The exponent is the slope of log cost over log size (least squares): 0 is flat, 1 is linear.

mod chart;
mod growth;
mod series;
mod step;

use crate::output::{Output, Progress, display};
use crate::peers::{self, Peer};
use crate::process::Program;
use crate::row::{self, Cell, Row};
use growth::Curve;
use serde::Serialize;
use series::{SERIES, Series};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use step::run as run_step;

/// Rounds, and rounds of `--quick`.
const ROUNDS: usize = 3;
const ROUNDS_QUICK: usize = 1;

/// How long one step may take.
const DEADLINE: Duration = Duration::from_secs(180);

/// What a step tells: figures by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// One run in the raw figures.
#[derive(Serialize)]
struct Raw {
    series: &'static str,
    size: u64,
    peer: String,
    round: usize,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Figures(Figures),
    Failed(String),
}

/// Keys of the rows that have a goal.
#[cfg(test)]
pub(crate) fn keys() -> Vec<&'static str> {
    let figures = SERIES.iter().flat_map(|series| series.figures);
    figures.map(|figure| figure.key).collect()
}

/// Runs everything and prints the tables.
pub(crate) fn run(
    peers: &[Peer],
    output: &Output,
    rounds: Option<usize>,
    only: &[String],
    quick: bool,
) -> Result<(), String> {
    let rounds = rounds.unwrap_or(if quick { ROUNDS_QUICK } else { ROUNDS });
    let wanted = |series: &&Series| {
        only.is_empty() || only.iter().any(|only| series.name.contains(only.as_str()))
    };
    let chosen: Vec<&Series> = SERIES.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = SERIES.iter().map(|series| series.name).collect();
        return Err(format!(
            "no series has such a name; there are {}",
            names.join(", ")
        ));
    }
    let raw = all_rounds(&chosen, peers, rounds, quick, output)?;
    let names = peers::names(peers);
    let mut curves = Vec::new();
    for series in chosen {
        let sizes = series.sizes(quick);
        for figure in series.figures {
            let steps = steps(series, figure.name, sizes, &raw);
            let curve = Curve::new(series, figure, sizes, steps);
            let title = format!("{}: {}, {}", series.name, figure.about, figure.unit.name());
            output.print(&row::table(&title, &curve.rows(&names), &names, rounds > 2));
            curves.push(curve);
        }
    }
    let failed: Vec<String> = raw
        .iter()
        .filter_map(|raw| match &raw.outcome {
            Outcome::Failed(reason) => Some(format!(
                "failed: {} {} under {}: {reason}",
                raw.series, raw.size, raw.peer
            )),
            Outcome::Figures(_) => None,
        })
        .collect();
    output.print_lines(&failed);
    let file = output.file("scale.svg")?;
    chart::draw(&curves, &names, &file)?;
    output.save("scale", peers, &raw)?;
    println!("chart: {}", display(&file));
    if failed.is_empty() {
        Ok(())
    } else {
        Err("some steps failed".to_owned())
    }
}

fn all_rounds(
    chosen: &[&'static Series],
    peers: &[Peer],
    rounds: usize,
    quick: bool,
    output: &Output,
) -> Result<Vec<Raw>, String> {
    let ourselves = std::env::current_exe().map_err(|error| error.to_string())?;
    let here: Vec<&Peer> = peers.iter().filter(|peer| peer.is_here()).collect();
    let steps: usize = chosen.iter().map(|series| series.sizes(quick).len()).sum();
    let progress = Progress::new(output, (rounds * steps * here.len()) as u64, "scale");
    let mut raw = Vec::new();
    for round in 0..rounds {
        for series in chosen {
            for &size in series.sizes(quick) {
                let program = Program::new(&ourselves)
                    .arg("step")
                    .arg(series.name)
                    .arg(size.to_string())
                    .deadline(DEADLINE);
                for turn in 0..here.len() {
                    let peer = here[(turn + round) % here.len()];
                    progress.step(&format!("{} {size} on {}", series.name, peer.name));
                    raw.push(Raw {
                        series: series.name,
                        size,
                        peer: peer.name.clone(),
                        round,
                        outcome: told(peer, &program)
                            .map_or_else(Outcome::Failed, Outcome::Figures),
                    });
                }
            }
        }
    }
    Ok(raw)
}

fn told(peer: &Peer, program: &Program) -> Result<Figures, String> {
    let finished = peer.run_on(program.clone()).run()?;
    serde_json::from_str(finished.stdout.trim())
        .map_err(|error| format!("{error} in {:?}", finished.stdout))
}

/// One row a size: the figure `name` of every allocator.
fn steps(series: &Series, name: &str, sizes: &[u64], raw: &[Raw]) -> Vec<Row> {
    let row = |&size: &u64| {
        let mut runs = BTreeMap::<&str, Vec<Result<f64, String>>>::new();
        let of_step = |raw: &&Raw| raw.series == series.name && raw.size == size;
        for raw in raw.iter().filter(of_step) {
            runs.entry(&raw.peer).or_default().push(match &raw.outcome {
                Outcome::Figures(figures) => figures
                    .get(name)
                    .copied()
                    .ok_or_else(|| format!("it told no {name}")),
                Outcome::Failed(reason) => Err(reason.clone()),
            });
        }
        let title = series.size_title(size);
        let mut row = Row::new(&format!("{} {name} at {size}", series.name), &title, 1);
        for (peer, runs) in runs {
            row.cells.insert(peer.to_owned(), Cell::from_runs(runs));
        }
        row
    };
    sizes.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Raw, steps};
    use crate::row::Cell;
    use crate::scale::series::SERIES;

    fn raw(size: u64, figure: &str, value: f64) -> Raw {
        Raw {
            series: SERIES[0].name,
            size,
            peer: "a".into(),
            round: 0,
            outcome: Outcome::Figures([(figure.to_owned(), value)].into()),
        }
    }

    #[test]
    fn a_step_without_its_figure_fails_and_others_keep_theirs() {
        let all = [raw(1, "x", 3.0), raw(1, "x", 5.0), raw(2, "y", 7.0)];
        let rows = steps(&SERIES[0], "x", &[1, 2], &all);
        assert_eq!(rows[0].cells["a"].median(), Some(4.0));
        assert!(matches!(rows[1].cells["a"], Cell::Failed(_)));
    }
}
