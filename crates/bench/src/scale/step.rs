//! Step: the programs of the series, run in a process of their own at one size.

mod block;
mod idle_threads;
mod live_objects;
mod mapped;
mod threads;

use super::{Figures, series};
use std::time::Duration;

/// Does one step of the series `name` at `size` and tells its figures.
pub(crate) fn run(name: &str, size: u64) -> Result<Figures, String> {
    let size = usize::try_from(size).map_err(|error| error.to_string())?;
    let series = series::find(name).ok_or_else(|| format!("no series {name}"))?;
    match series.name {
        "threads" => Ok(threads::run(size)),
        "live-objects" => Ok(live_objects::run(size)),
        "idle-threads" => idle_threads::run(size),
        _ => Ok(mapped::run(size)),
    }
}

/// Figures of pairs of name and value.
fn figures<const N: usize>(pairs: [(&str, f64); N]) -> Figures {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Processor time that this thread has used.
fn thread_time() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Processor time that this process has used.
fn process_time() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one timespec, to which the pointer leads.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Nanoseconds of this thread's processor time that one of `operations` took.
fn cost(operations: usize, work: impl FnOnce()) -> f64 {
    let start = thread_time();
    work();
    (thread_time() - start).as_nanos() as f64 / operations.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::series::SERIES;
    use super::run;

    #[test]
    fn every_step_tells_all_figures_of_its_series() {
        for series in SERIES {
            let told = run(series.name, series.tiny).unwrap();
            let names: Vec<&str> = series.figures.iter().map(|figure| figure.name).collect();
            assert_eq!(told.len(), names.len(), "{}", series.name);
            for name in names {
                assert!(told[name].is_finite(), "{} of {}", name, series.name);
            }
        }
        assert!(run("nothing", 1).is_err());
    }
}
