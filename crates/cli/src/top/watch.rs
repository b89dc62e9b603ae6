//! Watch: what is known of the process, its history, and the requests under way.
//!
//! ```text
//! step: read ──new figures?──> history, rates ──period over?──> ask: resident set (+ dump while stacks are shown)
//! ```
//! T1  One request at a time. A person's wish (profiling on or off) goes into the next one.
//! T2  A dump is asked for while stacks are shown and the process profiles, the next one [`DUMP_REST`] after the last was
//!     read.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jemoxide::stats::live::{Figures, ask, profiling};

use super::stacks::{Picture, Stacks};
use crate::failure::Failure;
use crate::live::{Channel, Found, Subject};
use crate::report::Unreadable;
use crate::stats::unreadable;

/// Points of history that are kept: an hour at one a second.
const HISTORY: usize = 3600;
/// How long figures may stay the same before the process counts as silent; it writes once a second at least.
const SILENCE: Duration = Duration::from_secs(4);
/// Rule T2.
const DUMP_REST: Duration = Duration::from_secs(4);
/// How long an answer is waited for before the request is made anew.
const ANSWER: Duration = Duration::from_secs(15);

/// How long a message stays.
const TOLD: Duration = Duration::from_secs(8);
/// How long a process that has just opened its channel may take to write its first figures.
const FIRST: Duration = Duration::from_secs(3);

/// One moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Seconds since the watch began.
    pub(super) at: f64,
    pub(super) resident: u64,
    pub(super) allocated: u64,
}

/// What happens a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Objects allocated, as far as caches and slabs have counted them.
    pub(super) allocations: f64,
    /// Bytes given back to the system.
    pub(super) purged: f64,
}

/// A process being watched.
pub(super) struct Watch {
    pub(super) subject: Subject,
    pub(super) title: String,
    pub(super) figures: Box<Figures>,
    pub(super) history: VecDeque<Point>,
    pub(super) rates: Rates,
    /// The hottest stacks, once there are any.
    pub(super) picture: Option<Picture>,
    /// When the dump behind it was written.
    pub(super) pictured: Option<Instant>,
    /// Whether a person had profiling switched on here.
    has_begun_profiling: bool,
    /// What the last request came to, where that is worth a word, and since when it is told.
    message: Option<(String, Instant)>,
    pub(super) has_ended: bool,
    pub(super) is_silent: bool,
    /// Whether somebody looks at stacks (T2).
    pub(super) wants_stacks: bool,
    channel: Channel,
    stacks: Stacks,
    period: Duration,
    begun: Instant,
    changed: Instant,
    shown: Instant,
    last: Option<Last>,
    asked: Option<Asked>,
    wishes: u64,
    dump_due: Instant,
    /// When the last dump was written.
    dumped: Option<Instant>,
}

/// What rates are taken from.
struct Last {
    at: Instant,
    requests: u64,
    purged: u64,
}

/// A request under way.
struct Asked {
    ticket: u64,
    wanted: u64,
    at: Instant,
}

impl Watch {
    /// Begins to watch, with a new look each `period`.
    pub(super) fn new(found: Found, period: Duration) -> Result<Self, Failure> {
        let Found { subject, channel } = found;
        let figures = first(&subject, &channel)?;
        let (now, title) = (Instant::now(), subject.title());
        let stacks = Stacks::new(&subject, channel.dump.clone());
        let mut watch = Self {
            subject,
            title,
            figures,
            history: VecDeque::new(),
            rates: Rates::default(),
            picture: None,
            pictured: None,
            has_begun_profiling: false,
            message: None,
            has_ended: false,
            is_silent: false,
            wants_stacks: false,
            channel,
            stacks,
            period,
            begun: now,
            changed: now,
            shown: now,
            last: None,
            asked: None,
            wishes: 0,
            dump_due: now,
            dumped: None,
        };
        watch.note(now);
        watch.ask(now);
        Ok(watch)
    }

    /// Looks for news. `true`: there is something new to be shown.
    pub(super) fn step(&mut self) -> bool {
        let now = Instant::now();
        if !self.has_ended && !self.subject.is_there() {
            self.has_ended = true;
            return true;
        }
        let mut is_new = false;
        if let Some(picture) = self.stacks.take() {
            self.picture = Some(picture);
            self.pictured = self.dumped;
            self.dump_due = now + DUMP_REST;
            is_new = true;
        }
        if self.has_ended {
            return is_new;
        }
        match self.channel.read() {
            Ok(figures) => {
                if figures.sequence != self.figures.sequence {
                    self.changed = now;
                }
                self.figures = figures;
            }
            // Cut off, or being written for long: it may come back.
            Err(_) => self.tell("the figures cannot be read at the moment"),
        }
        if self
            .message
            .take_if(|(_, since)| now - *since > TOLD)
            .is_some()
        {
            is_new = true;
        }
        let is_silent = now - self.changed > SILENCE;
        is_new |= is_silent != self.is_silent;
        self.is_silent = is_silent;
        is_new |= self.hear(now);
        if now - self.shown >= self.period {
            self.shown = now;
            self.note(now);
            self.ask(now);
            is_new = true;
        }
        is_new
    }

    /// Whether the process goes on with what a person began here.
    pub(super) fn goes_on_profiling(&self) -> bool {
        self.has_begun_profiling && !self.has_ended
    }

    /// What is to be told now.
    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_ref().map(|(message, _)| &**message)
    }

    pub(super) fn tell(&mut self, message: &str) {
        self.message = Some((message.to_owned(), Instant::now()));
    }

    /// Has profiling switched on, or off if it is on.
    pub(super) fn switch_profiling(&mut self) {
        let is_on = self.figures.profiling == profiling::ON;
        self.wishes = if is_on {
            ask::STOP_SAMPLING
        } else {
            ask::SAMPLE
        };
        self.has_begun_profiling = !is_on;
        self.tell(if is_on {
            "profiling is to stop ..."
        } else {
            "profiling is to begin ..."
        });
        self.asked = None;
        self.ask(Instant::now());
    }

    /// Looks whether the request was dealt with.
    fn hear(&mut self, now: Instant) -> bool {
        let Some(asked) = self
            .asked
            .take_if(|asked| self.figures.answered == asked.ticket)
        else {
            return false;
        };
        let refused = self.figures.refused & asked.wanted;
        if asked.wanted & (ask::SAMPLE | ask::STOP_SAMPLING) != 0 {
            self.wishes = 0;
            self.message = None;
            if refused & (ask::SAMPLE | ask::STOP_SAMPLING) != 0 {
                self.has_begun_profiling = false;
                self.tell("the process cannot switch profiling");
            }
        }
        if asked.wanted & ask::DUMP != 0 {
            if refused & ask::DUMP == 0 {
                self.dumped = Some(now);
                self.stacks.read();
            } else {
                self.tell(&format!(
                    "the process cannot write {}",
                    self.channel.dump.display()
                ));
                self.dump_due = now + DUMP_REST;
            }
        }
        true
    }

    /// Asks for what is wanted next (T1).
    fn ask(&mut self, now: Instant) {
        if self
            .asked
            .as_ref()
            .is_some_and(|asked| now - asked.at < ANSWER)
        {
            return;
        }
        let mut wanted = ask::RSS | self.wishes;
        let profiles = self.figures.profiling == profiling::ON;
        if self.wants_stacks && profiles && now >= self.dump_due && !self.stacks.is_busy() {
            wanted |= ask::DUMP;
        }
        if let Ok(Some(ticket)) = self.channel.ask(wanted) {
            self.asked = Some(Asked {
                ticket,
                wanted,
                at: now,
            });
        }
    }

    /// Adds this moment to the history.
    fn note(&mut self, now: Instant) {
        let figures = &self.figures;
        let requests = figures.now.allocations.max(
            figures
                .classes
                .iter()
                .fold(0, |sum, class| sum.saturating_add(class.requests)),
        );
        let purged = figures.dirty_purges[2].saturating_add(figures.muzzy_purges[2]);
        if let Some(last) = &self.last {
            let seconds = (now - last.at).as_secs_f64().max(1e-3);
            self.rates = Rates {
                allocations: requests.saturating_sub(last.requests) as f64 / seconds,
                purged: purged.saturating_sub(last.purged) as f64 / seconds,
            };
        }
        self.last = Some(Last {
            at: now,
            requests,
            purged,
        });
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Point {
            at: (now - self.begun).as_secs_f64(),
            resident: figures.resident,
            allocated: figures
                .now
                .allocated
                .saturating_add(figures.by_request_bytes),
        });
    }
}

/// The first figures.
fn first(subject: &Subject, channel: &Channel) -> Result<Box<Figures>, Failure> {
    let begun = Instant::now();
    loop {
        match channel.read() {
            Ok(figures) => return Ok(figures),
            Err(Unreadable::Truncated(_)) if begun.elapsed() < FIRST && subject.is_there() => {}
            Err(why) => return Err(unreadable(subject, &why)),
        }
    }
}
