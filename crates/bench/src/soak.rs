//! Soak: days and nights of a server, compressed into minutes, and what each allocator makes of them.
//!
//! `soak/day.c` is the load: growth, bursts, idle time, shifting sizes, threads that come and go, decline, and
//! nights without a single call. Each entrant is an allocator with its settings; the process is looked at ten
//! times a second.
//!
//! ```text
//! entrants x rounds --> watch: live bytes, RSS, lazily freed, CPU time   ten times a second, a child of its own
//!                         |
//!                       figures: RSS over live, in all, by phase, at the end of each night; peak; CPU seconds
//!                         |
//!                       two tables, samples as JSON, a chart with a picture an entrant
//! ```
//! K1  A day here is a minute of a server's hour or more: phases shrink 80 times (three minutes for four
//!     hours), allocators' decay times do not. Whoever lets go by the clock is seen at his worst.
//! K2  Live is what the program asked for and has not freed, counted by itself; RSS is the kernel's count of
//!     the pages of the whole process, stacks and libraries included. Means are over time.
//! K3  The schedule is fixed, the load light, so that several may run side by side (`--at-once`). Processor
//!     time is the child's own; compare it between runs of one round.
//! K4  An entrant whose settings the allocator does not take is shown as failed, not as another's figures.

mod chart;
mod entrants;
mod figures;
mod watch;

use crate::compile;
use crate::goals;
use crate::output::{Output, Progress, display};
use crate::peers::{JEMOXIDE, Peer};
use crate::table::Table;
use clap::Args;
use entrants::Entrant;
use figures::{Figures, PHASES};
use serde::Serialize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use watch::Watched;

/// Keys of the figures that have a goal.
#[cfg(test)]
pub(crate) const KEYS: &[&str] = &[RSS_GOAL, CPU_GOAL];
const RSS_GOAL: &str = "soak_rss_over_live";
const CPU_GOAL: &str = "soak_cpu_over_fastest";

/// What `soak` takes beside the arguments of all tables.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Rounds of all entrants; tables show medians, the chart the last round
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Entrants that run side by side [default: one a processor]
    #[arg(long, value_name = "N")]
    at_once: Option<usize>,
    /// Only entrants whose name contains one of these
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// One more entrant: jemoxide with this MALLOC_CONF
    #[arg(long, value_name = "OPTIONS")]
    conf: Vec<String>,
}

/// The size of the load; see the head of `day.c`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Load {
    days: u32,
    /// Length of the phases by day, in percent.
    pace: u32,
    night_ms: u32,
    /// Number of objects, in percent.
    size: u32,
}

const FULL: Load = Load {
    days: 3,
    pace: 100,
    night_ms: 15_000,
    size: 100,
};
const QUICK: Load = Load {
    days: 1,
    pace: 60,
    night_ms: 13_000,
    size: 100,
};

/// All that was seen of one entrant.
#[derive(Serialize)]
struct Seen {
    entrant: String,
    round: usize,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Watched(Watched),
    Failed(String),
}

#[derive(Serialize)]
struct Raw<'a> {
    load: Load,
    seen: &'a [Seen],
}

/// Runs everything, prints the tables, draws the chart.
pub(crate) fn run(
    peers: &[Peer],
    output: &Output,
    settings: &Settings,
    quick: bool,
) -> Result<(), String> {
    let load = if quick { QUICK } else { FULL };
    let entrants = entrants::of(peers, &settings.conf, &settings.only);
    if entrants.is_empty() {
        return Err("no entrant has such a name".to_owned());
    }
    let seen = all_rounds(&entrants, load, settings, output)?;
    let table: Vec<(&Entrant, Result<Figures, String>)> = entrants
        .iter()
        .map(|entrant| (entrant, figures_of(&entrant.name, &seen)))
        .collect();
    output.print(&summary(&table));
    output.print(&by_phase(&table));
    output.print_lines(&notes(&table, &seen));
    let file = output.file("soak.svg")?;
    let pictures: Vec<_> = entrants
        .iter()
        .filter_map(|entrant| Some((entrant, last_watched(&entrant.name, &seen)?)))
        .collect();
    chart::draw(&pictures, &file)?;
    output.save("soak", peers, &Raw { load, seen: &seen })?;
    println!("chart: {}", display(&file));
    Ok(())
}

/// Each round all entrants, several at once; each round begins one further down the list.
fn all_rounds(
    entrants: &[Entrant],
    load: Load,
    settings: &Settings,
    output: &Output,
) -> Result<Vec<Seen>, String> {
    let dir = compile::build_dir()?;
    let program = compile::c_program("soak", "day", &dir)?;
    let at_once = settings
        .at_once
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
        .max(1);
    let progress = Progress::new(output, (entrants.len() * settings.rounds) as u64, "soak");
    let seen = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let round = turn / entrants.len();
                    if round >= settings.rounds {
                        return;
                    }
                    let entrant = &entrants[(turn + round) % entrants.len()];
                    let outcome = watch_one(entrant, &program, &dir, load);
                    progress.step(&entrant.name);
                    if let Ok(mut seen) = seen.lock() {
                        seen.push(Seen {
                            entrant: entrant.name.clone(),
                            round,
                            outcome: outcome.map_or_else(Outcome::Failed, Outcome::Watched),
                        });
                    }
                }
            });
        }
    });
    seen.into_inner().map_err(|error| error.to_string())
}

fn watch_one(entrant: &Entrant, program: &Path, dir: &Path, load: Load) -> Result<Watched, String> {
    if let Some(reason) = &entrant.missing {
        return Err(reason.clone());
    }
    let watched = watch::watch(entrant, program, dir, load)?;
    entrant.check(&watched).map(|()| watched)
}

fn watched_of<'a>(name: &'a str, seen: &'a [Seen]) -> impl Iterator<Item = &'a Watched> {
    seen.iter()
        .filter(move |seen| seen.entrant == name)
        .filter_map(|seen| match &seen.outcome {
            Outcome::Watched(watched) => Some(watched),
            Outcome::Failed(_) => None,
        })
}

fn last_watched<'a>(name: &'a str, seen: &'a [Seen]) -> Option<&'a Watched> {
    watched_of(name, seen).last()
}

/// Medians of the rounds of one entrant; one failure fails it.
fn figures_of(name: &str, seen: &[Seen]) -> Result<Figures, String> {
    let failed = seen.iter().find_map(|seen| match &seen.outcome {
        Outcome::Failed(reason) if seen.entrant == name => Some(reason.clone()),
        _ => None,
    });
    if let Some(reason) = failed {
        return Err(reason);
    }
    let rounds: Vec<Figures> = watched_of(name, seen).map(Figures::of).collect();
    Figures::median(&rounds).ok_or_else(|| "it was not watched".to_owned())
}

/// A cell of an entrant that has no figures.
fn absent(entrant: &Entrant) -> &'static str {
    match entrant.missing {
        Some(_) => "missing",
        None => "failed",
    }
}

type Rows<'a> = [(&'a Entrant, Result<Figures, String>)];

/// The least processor time of the peers.
fn fastest_peer(table: &Rows<'_>) -> Option<f64> {
    let peers = table.iter().filter(|(entrant, _)| entrant.peer != JEMOXIDE);
    peers
        .filter_map(|(_, figures)| Some(figures.as_ref().ok()?.cpu_s))
        .min_by(f64::total_cmp)
}

fn verdict(value: f64, key: &str) -> String {
    // Judged as it is printed.
    let rounded = (value * 100.0).round() / 100.0;
    match goals::of(key) {
        Some(goal) if rounded <= goal.a => format!("{value:.2} ok"),
        _ => format!("{value:.2}"),
    }
}

fn summary(table: &Rows<'_>) -> Table {
    let fastest = fastest_peer(table);
    let row = |(entrant, figures): &(&Entrant, Result<Figures, String>)| {
        let mut row = vec![entrant.name.clone()];
        match figures {
            Ok(figures) => {
                let nights: Vec<String> = figures
                    .nights
                    .iter()
                    .map(|night| format!("{night:.2}"))
                    .collect();
                let cpu = fastest.map_or("-".to_owned(), |fastest| {
                    verdict(figures.cpu_s / fastest, CPU_GOAL)
                });
                row.extend([
                    verdict(figures.rss_over_live, RSS_GOAL),
                    format!("{:.2}", figures.kept_over_live),
                    nights.join(" "),
                    format!("{:.0}", figures.peak_mib),
                    format!("{:.2}", figures.cpu_s),
                    cpu,
                ]);
            }
            Err(_) => row.resize(7, absent(entrant).to_owned()),
        }
        row
    };
    let limit = |key| goals::of(key).map_or(String::new(), |goal| format!("{:.2}", goal.a));
    Table {
        title: format!(
            "Soak: resident memory over live bytes (goal {}), processor time (goal {})",
            limit(RSS_GOAL),
            limit(CPU_GOAL)
        ),
        header: [
            "allocator",
            "RSS/live",
            "less lazily freed",
            "ends of nights",
            "peak MiB",
            "CPU s",
            "CPU/fastest peer",
        ]
        .map(str::to_owned)
        .to_vec(),
        repeated: 1,
        rows: table.iter().map(row).collect(),
    }
}

fn by_phase(table: &Rows<'_>) -> Table {
    let mut header = vec!["allocator".to_owned()];
    header.extend(PHASES.map(str::to_owned));
    let live = table.iter().find_map(|(_, figures)| figures.as_ref().ok());
    let mut first = vec!["live, MiB".to_owned()];
    first.extend(PHASES.iter().enumerate().map(|(phase, _)| {
        live.map_or("-".to_owned(), |live| {
            format!("{:.0}", live.live_mib[phase])
        })
    }));
    let mut rows = vec![first];
    for (entrant, figures) in table {
        let mut row = vec![entrant.name.clone()];
        match figures {
            Ok(figures) => row.extend(figures.phases.iter().map(|ratio| format!("{ratio:.2}"))),
            Err(_) => row.resize(1 + PHASES.len(), absent(entrant).to_owned()),
        }
        rows.push(row);
    }
    Table {
        title: "Soak: the same by phase".to_owned(),
        header,
        repeated: 1,
        rows,
    }
}

/// What failed and why, and whether the machine kept up.
fn notes(table: &Rows<'_>, seen: &[Seen]) -> Vec<String> {
    let mut notes: Vec<String> = table
        .iter()
        .filter_map(|(entrant, figures)| {
            let reason = figures.as_ref().err()?;
            Some(format!("{} {}: {reason}", absent(entrant), entrant.name))
        })
        .collect();
    let late = seen
        .iter()
        .filter_map(|seen| match &seen.outcome {
            Outcome::Watched(watched) => Some(watched.late_ms),
            Outcome::Failed(_) => None,
        })
        .max();
    notes.extend(late.map(|late| {
        let judged = if late > 500 {
            ": the machine was too busy, nights were short"
        } else {
            ""
        };
        format!("the load ran at most {late} ms behind its schedule{judged}")
    }));
    notes
}

#[cfg(test)]
mod tests {
    use super::{Load, Outcome, Seen, Settings, all_rounds, by_phase, chart, entrants, figures_of};
    use super::{last_watched, summary};
    use crate::output::Output;
    use crate::peers::{self, Workshop};

    /// A day of a quarter of a second, and a night that even a busy machine looks into.
    const TINY: Load = Load {
        days: 1,
        pace: 1,
        night_ms: 2000,
        size: 1,
    };

    #[test]
    fn a_tiny_day_is_watched_and_shown() {
        let peers = peers::discover(None, &["glibc".into()], &Workshop::closed()).unwrap();
        let entrants = entrants::of(&peers, &[], &[]);
        let settings = Settings {
            rounds: 2,
            at_once: Some(2),
            only: Vec::new(),
            conf: Vec::new(),
        };
        let output = Output::new(100, std::env::temp_dir());
        let seen = match all_rounds(&entrants, TINY, &settings, &output) {
            Err(error) if error.contains("cannot run") => {
                println!("NOT TESTED: {error}");
                return;
            }
            seen => seen.unwrap(),
        };
        assert_eq!(seen.len(), 2);
        for seen in &seen {
            let Outcome::Watched(watched) = &seen.outcome else {
                let Outcome::Failed(reason) = &seen.outcome else {
                    unreachable!()
                };
                panic!("{reason}");
            };
            assert!(watched.operations > 1000, "{}", watched.operations);
            assert!(watched.samples.iter().any(|sample| sample.live > 100_000));
            assert!(watched.samples.iter().all(|sample| sample.rss_kib > 100));
        }
        let table: Vec<_> = entrants
            .iter()
            .map(|entrant| (entrant, figures_of(&entrant.name, &seen)))
            .collect();
        let text = summary(&table).render(200) + &by_phase(&table).render(200);
        assert!(text.contains("glibc") && text.contains("night"), "{text}");
        assert!(!text.contains("failed"), "{text}");
        let svg = chart::picture(&[(&entrants[0], last_watched("glibc", &seen).unwrap())]).unwrap();
        assert!(svg.contains("glibc"), "the caption is missing");
    }

    #[test]
    fn a_failed_entrant_is_shown_with_its_reason() {
        let peers = peers::discover(None, &["glibc".into()], &Workshop::closed()).unwrap();
        let entrants = entrants::of(&peers, &[], &[]);
        let seen = [Seen {
            entrant: "glibc".into(),
            round: 0,
            outcome: Outcome::Failed("it fell".into()),
        }];
        let table = vec![(&entrants[0], figures_of("glibc", &seen))];
        assert!(summary(&table).render(200).contains("failed"));
        assert!(super::notes(&table, &seen)[0].contains("it fell"));
    }
}
