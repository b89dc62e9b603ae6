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
//!     only where it is off. Where the program profiles all the time (`prof:true`), nothing is ever switched.
//! N2  One profile at a time; who asks meanwhile is told to come again (503).
//! N3  Memory is bounded: dumps beyond [`Handlers::dump_max`] are refused, and a profile is made from a finished file, not
//!     inside the allocator.
//! N4  These pages tell much about a program: serve them on an address that is not public.

#![forbid(unsafe_code)]

mod metrics;
mod profile;
mod query;
mod threshold;

use std::sync::{Arc, Mutex};

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
}

/// The pages of this crate. Cheap to clone; all clones take turns (rule N2).
#[derive(Clone, Debug)]
pub struct Handlers {
    turn: Arc<Mutex<()>>,
    metrics: Arc<metrics::Metrics>,
    dump_max: u64,
    seconds_max: u64,
}

impl Default for Handlers {
    fn default() -> Self {
        Self::new()
    }
}

impl Handlers {
    /// Pages with bounds that suit most: dumps up to 256 MiB, up to 300 seconds.
    pub fn new() -> Self {
        Self {
            turn: Arc::default(),
            metrics: Arc::default(),
            dump_max: 256 << 20,
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
            let title = format!("heap of process {}", std::process::id());
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
        // A panic while somebody had his turn leaves nothing half done: each turn begins anew.
        let turn = match self.turn.try_lock() {
            Err(std::sync::TryLockError::WouldBlock) => {
                let mut busy = Response::refusal(
                    503,
                    "Another profile is being taken; try again in a moment.",
                );
                busy.headers.push(("retry-after", "5".to_owned()));
                return busy;
            }
            Err(std::sync::TryLockError::Poisoned(turn)) => turn.into_inner(),
            Ok(turn) => turn,
        };
        let response = match profile::take(seconds, self.dump_max) {
            Ok(profile) => show(&profile),
            Err(profile::Failed { status, why }) => Response::refusal(status, &why),
        };
        drop(turn);
        response
    }
}
