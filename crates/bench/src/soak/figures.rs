//! Figures: what the samples of one entrant come to.

use super::watch::{Sample, Watched};
use crate::statistics::median;

/// The phases of a day, in the order of `day.c`.
pub(super) const PHASES: [&str; 7] = [
    "growth", "burst", "idle", "shift", "churn", "decline", "night",
];
const NIGHT: usize = 6;

/// Samples at the end of a night whose mean is its end: half a second.
const END: usize = 5;

/// All figures of one run, or the medians of several.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Mean RSS over mean live bytes.
    pub(super) rss_over_live: f64,
    /// The same without what was freed lazily.
    pub(super) kept_over_live: f64,
    /// RSS over live bytes at the end of each night.
    pub(super) nights: Vec<f64>,
    /// Mean RSS over mean live bytes of each phase, all days together.
    pub(super) phases: Vec<f64>,
    /// Mean live bytes of each phase.
    pub(super) live_mib: Vec<f64>,
    pub(super) peak_mib: f64,
    pub(super) cpu_s: f64,
}

impl Figures {
    /// The figures of one run.
    pub(super) fn of(watched: &Watched) -> Self {
        let all = &watched.samples;
        let of_phase = |phase: usize| all.iter().filter(move |sample| sample.phase == phase);
        let phases = 0..PHASES.len();
        Self {
            rss_over_live: over_live(all.iter(), |sample| sample.rss_kib),
            kept_over_live: over_live(all.iter(), |sample| {
                sample.rss_kib.saturating_sub(sample.lazy_kib)
            }),
            nights: nights(all)
                .map(|night| {
                    let end = &night[night.len().saturating_sub(END)..];
                    over_live(end.iter(), |sample| sample.rss_kib)
                })
                .collect(),
            phases: phases
                .clone()
                .map(|phase| over_live(of_phase(phase), |sample| sample.rss_kib))
                .collect(),
            live_mib: phases
                .map(|phase| {
                    let count = of_phase(phase).count().max(1) as f64;
                    let sum: u64 = of_phase(phase).map(|sample| sample.live).sum();
                    sum as f64 / count / f64::from(1 << 20)
                })
                .collect(),
            peak_mib: watched.peak_rss_kib as f64 / 1024.0,
            cpu_s: watched.cpu_s,
        }
    }

    /// The median of each figure; `None` without runs.
    pub(super) fn median(runs: &[Self]) -> Option<Self> {
        let of = |pick: &dyn Fn(&Self) -> Option<f64>| {
            let values: Vec<f64> = runs.iter().filter_map(pick).collect();
            median(&values)
        };
        let each = |pick: &dyn Fn(&Self) -> &Vec<f64>, count: usize| {
            (0..count)
                .filter_map(|index| of(&|run| pick(run).get(index).copied()))
                .collect()
        };
        let nights = runs.iter().map(|run| run.nights.len()).max()?;
        Some(Self {
            rss_over_live: of(&|run| Some(run.rss_over_live))?,
            kept_over_live: of(&|run| Some(run.kept_over_live))?,
            nights: each(&|run| &run.nights, nights),
            phases: each(&|run| &run.phases, PHASES.len()),
            live_mib: each(&|run| &run.live_mib, PHASES.len()),
            peak_mib: of(&|run| Some(run.peak_mib))?,
            cpu_s: of(&|run| Some(run.cpu_s))?,
        })
    }
}

/// The samples of each night.
pub(super) fn nights(samples: &[Sample]) -> impl Iterator<Item = &[Sample]> {
    samples
        .chunk_by(|left, right| left.phase == right.phase && left.day == right.day)
        .filter(|chunk| chunk[0].phase == NIGHT)
}

/// Sum of `kib` over sum of live bytes; `NaN` where nothing lives.
fn over_live<'a>(samples: impl Iterator<Item = &'a Sample>, kib: impl Fn(&Sample) -> u64) -> f64 {
    let (sum, live) = samples.fold((0, 0), |(sum, live), sample| {
        (sum + kib(sample) * 1024, live + sample.live)
    });
    sum as f64 / live as f64
}

#[cfg(test)]
mod tests {
    use super::{Figures, NIGHT, Sample, Watched, nights};

    fn sample(phase: usize, day: usize, live: u64, rss_kib: u64) -> Sample {
        Sample {
            ms: 0,
            phase,
            day,
            live: live << 10,
            rss_kib,
            pss_kib: rss_kib,
            lazy_kib: rss_kib / 2,
            cpu_ms: 0,
        }
    }

    #[test]
    fn means_are_over_time_and_nights_stand_apart() {
        let mut samples = vec![sample(0, 0, 100, 200), sample(0, 0, 300, 400)];
        samples.extend((0..10).map(|look| sample(NIGHT, 0, 10, 100 - look * 10)));
        samples.push(sample(NIGHT, 1, 10, 20));
        assert_eq!(nights(&samples).count(), 2);
        let watched = Watched {
            samples,
            cpu_s: 3.0,
            ..Watched::default()
        };
        let figures = Figures::of(&watched);
        assert_eq!(figures.rss_over_live, 1170.0 / 510.0);
        assert_eq!(figures.kept_over_live, 585.0 / 510.0);
        // The last five looks of the first night have 50, 40, 30, 20 and 10 KiB.
        assert_eq!(figures.nights, [3.0, 2.0]);
        assert_eq!(figures.phases[0], 1.5);
        assert!(figures.phases[1].is_nan());
        let mut slower = figures.clone();
        slower.cpu_s = 5.0;
        let median = Figures::median(&[figures, slower]).unwrap();
        assert_eq!((median.cpu_s, median.nights), (4.0, vec![3.0, 2.0]));
        assert!(Figures::median(&[]).is_none());
    }
}
