//! Graph: a profile's stacks as paths with a weight for each view; or those of two profiles.

use jemoxide_profile::{Profile, Stack};

use crate::view::View;
use crate::waste::Waste;

/// What is drawn.
#[derive(Debug)]
pub struct Graph {
    pub(crate) paths: Vec<Path>,
    /// Why a view is not there.
    missing: [Option<&'static str>; View::ALL.len()],
    /// Whether paths have weights before and after.
    pub(crate) is_difference: bool,
    /// Waste that is charged to nobody.
    pub(crate) waste_of_nobody: f64,
}

/// A stack and its weights.
#[derive(Debug)]
pub(crate) struct Path {
    /// Functions, the outermost first.
    pub(crate) frames: Vec<String>,
    /// Bytes for each view; of a difference: after.
    pub(crate) bytes: [f64; View::ALL.len()],
    /// Of a difference: bytes for each view before.
    pub(crate) before: [f64; View::ALL.len()],
}

impl Graph {
    /// The graph of `profile`.
    pub fn of(profile: &Profile) -> Self {
        let missing = View::ALL.map(|view| view.missing_in(profile));
        let mut waste_of_nobody = 0.0;
        let paths = weighed(profile, &missing, &mut waste_of_nobody)
            .map(|(frames, bytes)| Path {
                frames,
                bytes,
                before: [0.0; View::ALL.len()],
            })
            .collect();
        Self {
            paths,
            missing,
            is_difference: false,
            waste_of_nobody,
        }
    }

    /// The difference from `before` to `after`: as wide as after, coloured by what grew and what shrank.
    pub fn difference(before: &Profile, after: &Profile) -> Self {
        let missing = View::ALL.map(|view| view.missing_in(before).or(view.missing_in(after)));
        let mut waste_of_nobody = 0.0;
        let mut paths: Vec<Path> = Vec::new();
        for (frames, bytes) in weighed(before, &missing, &mut 0.0) {
            paths.push(Path {
                frames,
                bytes: [0.0; View::ALL.len()],
                before: bytes,
            });
        }
        for (frames, bytes) in weighed(after, &missing, &mut waste_of_nobody) {
            paths.push(Path {
                frames,
                bytes,
                before: [0.0; View::ALL.len()],
            });
        }
        // A path of both stands once; an order that does not depend on chance.
        paths.sort_by(|a, b| a.frames.cmp(&b.frames));
        paths.dedup_by(|more, path| {
            let is_same = more.frames == path.frames;
            if is_same {
                for view in 0..View::ALL.len() {
                    path.bytes[view] += more.bytes[view];
                    path.before[view] += more.before[view];
                }
            }
            is_same
        });
        Self {
            paths,
            missing,
            is_difference: true,
            waste_of_nobody,
        }
    }

    /// Why there is no such view, and what would have it; `None`: it is there.
    pub fn why_not(&self, view: View) -> Option<&'static str> {
        self.missing[view as usize]
    }

    /// Whether anything is drawn in `view`; of a difference: whether anything was there before or after.
    pub fn has_bytes(&self, view: View) -> bool {
        let view = view as usize;
        self.paths
            .iter()
            .any(|path| path.bytes[view] >= 0.5 || path.before[view] >= 0.5)
    }

    /// Waste of size classes without a live sample, which no path has.
    pub fn waste_of_nobody(&self) -> f64 {
        self.waste_of_nobody
    }

    /// Bytes of all paths; of a difference: after.
    pub fn total(&self, view: View) -> f64 {
        self.paths
            .iter()
            .map(|path| path.bytes[view as usize])
            .sum()
    }
}

type Weighed = (Vec<String>, [f64; View::ALL.len()]);

fn weighed<'a>(
    profile: &'a Profile,
    missing: &'a [Option<&'static str>; View::ALL.len()],
    of_nobody: &mut f64,
) -> impl Iterator<Item = Weighed> + 'a {
    let waste = match missing[View::Waste as usize] {
        Some(_) => Waste::default(),
        None => Waste::of(profile),
    };
    *of_nobody = waste.of_nobody;
    profile.stacks().iter().enumerate().map(move |(at, stack)| {
        let bytes = View::ALL.map(|view| match (missing[view as usize], view.measure()) {
            (Some(_), _) => 0.0,
            (None, Some(measure)) => stack.amount(measure).bytes,
            (None, None) => waste.by_stack.get(at).copied().unwrap_or(0.0),
        });
        (frames(profile, stack), bytes)
    })
}

fn frames(profile: &Profile, stack: &Stack) -> Vec<String> {
    let names = profile.frames(stack).map(|frame| frame.name().into_owned());
    let mut frames: Vec<_> = names.collect();
    frames.reverse();
    frames
}
