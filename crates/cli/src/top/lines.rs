//! Lines: who and how much above the picture, keys or a message below it.
//!
//! The most needed comes first: what does not fit is left out as a whole.

use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::view::Face;
use super::watch::Watch;
use crate::screen::fitted;
use crate::screen::numbers::{bytes, count, of_them};
use crate::stats::{sampling, time};

pub(super) fn header(watch: &Watch, width: u16) -> Paragraph<'static> {
    let figures = &watch.figures;
    let inside = match watch.subject {
        crate::live::Subject::Process(pid) if u64::from(pid) != figures.pid => {
            format!(" ({} in its container)", figures.pid)
        }
        _ => String::new(),
    };
    let title = fitted(&watch.title, 32);
    let who = [
        format!("{title}{inside}"),
        sampling(figures),
        format!("up {}", time(figures.uptime_ns)),
        of_them(figures.threads, "thread", "threads"),
    ];
    let books = &figures.now;
    let much = [
        format!("resident {}", bytes(figures.resident)),
        format!(
            "allocated {}",
            bytes(books.allocated.saturating_add(figures.by_request_bytes))
        ),
        format!("idle {}", bytes(books.dirty.saturating_add(books.muzzy))),
        format!("{} allocs/s", count(watch.rates.allocations as u64)),
        format!("{}/s back", bytes(watch.rates.purged as u64)),
    ];
    let width = usize::from(width);
    Paragraph::new(vec![
        Line::from(joined(&who, width)).bold(),
        Line::from(joined(&much, width)),
    ])
}

/// As many of `parts` as fit, the first in any case.
fn joined(parts: &[String], width: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let gap = if text.is_empty() { "" } else { "  " };
        if !text.is_empty() && text.chars().count() + gap.len() + part.chars().count() > width {
            break;
        }
        text.push_str(gap);
        text.push_str(part);
    }
    fitted(&text, width)
}

pub(super) fn footer(watch: &Watch, face: &Face, width: usize) -> Line<'static> {
    let told: Vec<&str> = if watch.has_ended {
        vec![
            "The process has ended; these are its last figures. q leaves.",
            "The process has ended. q leaves.",
            "ended; q leaves",
        ]
    } else if watch.is_silent {
        vec![
            "No news: the process is stopped, or its channel closed. q leaves.",
            "No news: stopped, or closed. q leaves.",
            "no news; q leaves",
        ]
    } else if let Some(message) = watch.message() {
        vec![message]
    } else {
        return keys(face, width);
    };
    let fits = told.iter().find(|form| form.chars().count() <= width);
    let shortest = told.last().copied().unwrap_or_default();
    Line::from(fitted(fits.unwrap_or(&shortest), width)).yellow()
}

fn keys(face: &Face, width: usize) -> Line<'static> {
    let held = if face.is_held { " go on" } else { " hold" };
    let keys = [
        ("q", " quit"),
        ("?", " help"),
        ("Tab", " table"),
        ("p", " profiling"),
        ("space", held),
    ];
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut taken = 0;
    for (key, meaning) in keys {
        let gap = if taken == 0 { "" } else { "  " };
        taken += gap.len() + key.len() + meaning.len();
        if taken > width {
            break;
        }
        spans.extend([Span::from(gap), Span::from(key).bold(), Span::from(meaning)]);
    }
    Line::from(spans)
}
