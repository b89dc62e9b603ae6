//! Flamegraphs of heap profiles.
//!
//! ```text
//! Profile ── views: a weight for each stack ──┬── svg    inferno draws it
//!              live, peak, cumulative, waste  ├── page   one HTML file: search, zoom, switch of the view
//! two profiles ── weights before and after ───┘          both also as a difference of two
//! ```
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use jemoxide_flame::{Graph, View};
//! use jemoxide_profile::Profile;
//!
//! let profile = Profile::read(b"main;serve;parse 4096\nmain;serve 1024\n")?;
//! let graph = Graph::of(&profile);
//! assert!(graph.svg(View::Live, "where memory is held")?.contains("parse"));
//! assert!(graph.page("where memory is held").starts_with("<!DOCTYPE html>"));
//! assert!(graph.why_not(View::Peak).is_some(), "collapsed stacks know no peak");
//! # Ok(())
//! # }
//! ```
//! Stacks are drawn from the outermost function at the bottom (SVG) or top (page) to the one that allocates. Frames of the
//! allocator are drawn like any other: `Profile::hide_allocator` first. All weights are estimates from samples.

#![forbid(unsafe_code)]

mod graph;
mod page;
mod svg;
mod tree;
mod view;
mod waste;

pub use graph::Graph;
pub use svg::Undrawable;
pub use view::View;
pub use waste::Waste;
