//! Heap profiles and memory metrics of a running service, for any HTTP framework.
//!
//! ```text
//! GET /debug/pprof/heap             pprof, gzipped, with names     go tool pprof, Pyroscope, Parca, speedscope
//!     /debug/pprof/heap?seconds=30  the same, sampled for so long where profiling is off
//!     /debug/pprof/heap/flamegraph  an interactive page in one file (the same ?seconds=)
//!     /metrics                      OpenMetrics: where the memory is, purging, limits
//! ```
//! [`Handlers::answer`] takes a path and a query and gives status, headers and body: a few lines mount it in axum, hyper,
//! actix or anything else (`examples/service.rs`). It blocks while it works: call it where that is allowed
//! (`tokio::task::spawn_blocking`).
//!
//! ```
//! use jemoxide_pprof::Handlers;
//!
//! let handlers = Handlers::new();
//! let response = handlers.answer("/metrics", "").expect("one of ours");
//! assert_eq!(response.status, 200);
//! assert!(handlers.answer("/index.html", "").is_none(), "somebody else's");
//! ```
//! The program's allocator must be `jemoxide::Jemoxide`.
//!
//! N1  Nothing is changed behind the program's back: profiling is switched on by `?seconds=` alone, for so long, and
//!     only where it is off. Where the program profiles all the time (`prof:true`), nothing is ever switched; and where it
//!     has switched profiling itself in that time, it stays as the program wants it.
//! N2  One profile is made at a time in a process, whatever the number of [`Handlers`]; who asks meanwhile is told to come
//!     again (503, `retry-after`). Requests that sample for a while do so side by side, and hold nobody up until then.
//! N3  Memory is bounded: a dump is given up when it has [`Handlers::dump_max`] bytes, debug information beyond
//!     [`Handlers::debug_max`] is left alone, which a comment in the profile tells, and a profile is made from a finished file,
//!     not inside the allocator.
//! N4  These pages tell much about a program: serve them on an address that is not public.

#![forbid(unsafe_code)]

mod metrics;
mod profile;
mod query;
mod sampling;
mod threshold;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

pub use threshold::{Percent, Threshold, dump_at};

/// An answer for whatever framework asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers: names in small letters.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Response {
    fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![
                ("content-type", kind.to_owned()),
                ("cache-control", "no-store".to_owned()),
                ("x-content-type-options", "nosniff".to_owned()),
            ],
            body: body.into(),
        }
    }

    /// A sentence that says what is wrong, and the cure.
    fn refusal(status: u16, why: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{why}\n"))
    }

    /// Somebody else is at it, for about so long.
    fn busy(why: &str, for_about: Duration) -> Self {
        let mut busy = Self::refusal(503, why);
        let seconds = for_about.as_secs().max(1);
        busy.headers.push(("retry-after", seconds.to_string()));
        busy
    }
}

/// Who has it makes a profile (rule N2): what is profiled is the process, of which there is one.
static TURN: Mutex<()> = Mutex::new(());
/// What making a profile mostly takes, at most.
const TURN_TAKES: Duration = Duration::from_secs(5);

/// The pages of this crate. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handlers {
    metrics: Arc<metrics::Metrics>,
    dump_max: u64,
    debug_max: u64,
    seconds_max: u64,
}

impl Default for Handlers {
    fn default() -> Self {
        Self::new()
    }
}

impl Handlers {
    /// Pages with bounds that suit most: dumps up to 64 MiB (some hundred thousand call paths), debug information up to
    /// 128 MiB, up to 300 seconds.
    pub fn new() -> Self {
        Self {
            metrics: Arc::default(),
            dump_max: 64 << 20,
            debug_max: 128 << 20,
            seconds_max: 300,
        }
    }

    /// Refuses dumps of more than `bytes`; a profile takes a few times as much memory while it is made.
    #[must_use]
    pub fn dump_max(self, bytes: u64) -> Self {
        Self {
            dump_max: bytes,
            ..self
        }
    }

    /// Leaves debug information alone of which a file has more than `bytes`, unpacked: functions are named all the same, without
    /// lines and inlined ones. While a profile is made, it takes about as much memory; a service near its limit must not end by
    /// looking at itself.
    #[must_use]
    pub fn debug_max(self, bytes: u64) -> Self {
        Self {
            debug_max: bytes,
            ..self
        }
    }

    /// Refuses to wait for longer than so many seconds.
    #[must_use]
    pub fn seconds_max(self, seconds: u64) -> Self {
        Self {
            seconds_max: seconds,
            ..self
        }
    }

    /// The answer to `GET path?query`; `None`: not one of these pages. Blocks while a profile is made.
    pub fn answer(&self, path: &str, query: &str) -> Option<Response> {
        Some(match path.trim_end_matches('/') {
            "/debug/pprof/heap" => self.heap(query),
            "/debug/pprof/heap/flamegraph" => self.flamegraph(query),
            "/metrics" => self.metrics(),
            _ => return None,
        })
    }

    /// A heap profile in pprof's form, gzipped, with names of functions.
    pub fn heap(&self, query: &str) -> Response {
        self.with_profile(query, |profile| {
            let mut response = Response::new(200, "application/octet-stream", profile.to_pprof());
            response.headers.push((
                "content-disposition",
                "attachment; filename=\"heap.pb.gz\"".to_owned(),
            ));
            response
        })
    }

    /// A heap profile as an interactive page.
    pub fn flamegraph(&self, query: &str) -> Response {
        self.with_profile(query, |profile| {
            let mut title = format!("heap of process {}", std::process::id());
            for warning in profile.warnings() {
                title.push_str(". ");
                title.push_str(warning.trim_end_matches('.'));
            }
            let page = jemoxide_flame::Graph::of(profile).page(&title);
            Response::new(200, "text/html; charset=utf-8", page)
        })
    }

    /// Where the memory is, what purging did, limits: OpenMetrics text.
    pub fn metrics(&self) -> Response {
        Response::new(200, metrics::CONTENT_TYPE, self.metrics.text())
    }

    fn with_profile(
        &self,
        query: &str,
        show: impl FnOnce(&jemoxide_profile::Profile) -> Response,
    ) -> Response {
        let seconds = match query::seconds(query, self.seconds_max) {
            Ok(seconds) => seconds,
            Err(why) => return Response::refusal(400, &why),
        };
        let made = match seconds.is_zero() {
            true => self.now(),
            false => self.after(seconds),
        };
        let (profile, turn) = match made {
            Ok(made) => made,
            Err(refusal) => return refusal,
        };
        let response = show(&profile);
        drop(turn);
        response
    }

    /// A profile, where the program has profiling on; and the turn.
    fn now(&self) -> Result<(jemoxide_profile::Profile, MutexGuard<'static, ()>), Response> {
        if !sampling::is_on() {
            return Err(Response::refusal(
                409,
                "Heap profiling is off. Ask with ?seconds=30 to sample for so long, or start the program with \
                 MALLOC_CONF=prof:true, or have it call jemoxide::profile::start.",
            ));
        }
        // A panic while somebody had the turn leaves nothing half done: each begins anew.
        let turn = match TURN.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Response::busy(
                    "Another profile is being made; try again in a moment.",
                    TURN_TAKES,
                ));
            }
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Ok(turn) => turn,
        };
        Ok((self.take(|| ())?, turn))
    }

    /// A profile, after `seconds` of sampling; and the turn.
    fn after(
        &self,
        seconds: Duration,
    ) -> Result<(jemoxide_profile::Profile, MutexGuard<'static, ()>), Response> {
        let window = sampling::Window::open(seconds).map_err(|soonest| {
            Response::busy(
                "Many requests sample for a while already; try again when one is done.",
                soonest,
            )
        })?;
        std::thread::sleep(seconds);
        // Who has waited for so long is not sent away; and there are few of them.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((self.take(|| drop(window))?, turn))
    }

    /// A profile; `dumped` is called as soon as its numbers are known.
    fn take(&self, dumped: impl FnOnce()) -> Result<jemoxide_profile::Profile, Response> {
        profile::take(self.dump_max, self.debug_max, dumped)
            .map_err(|profile::Failed { status, why }| Response::refusal(status, &why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_while_a_profile_is_made_is_told_to_come_again() {
        // The program's own switch, and no other test of this program asks for profiles.
        jemoxide::profile::start();
        let _turn = TURN.lock().expect("nobody else's");
        for handlers in [Handlers::new(), Handlers::new()] {
            let busy = handlers.heap("");
            assert_eq!(busy.status, 503);
            assert!(busy.headers.contains(&("retry-after", "5".to_owned())));
            assert_eq!(handlers.metrics().status, 200, "figures need no turn");
        }
        jemoxide::profile::stop();
    }
}
