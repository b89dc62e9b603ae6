//! Paths: stacks that a person cannot tell apart are one.
//!
//! Two addresses may be one line of one function; and with the allocator hidden, `malloc` and `calloc` called from one
//! line are one, too. A function that calls itself directly stands once, however deep it went: a tree walked to many
//! depths is one path.

use std::collections::HashMap;

use crate::amount::Amount;
use crate::frames::Frame;
use crate::model::{Profile, Stack};

/// A call path and what was allocated there.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    /// Innermost first.
    pub frames: Vec<Frame<'a>>,
    /// Of all its stacks.
    pub amount: Amount,
    /// The stacks that it stands for, at least one.
    pub stacks: Vec<&'a Stack>,
}

/// All paths with anything, heaviest first.
pub fn paths<'a>(profile: &'a Profile, of: impl Fn(&Stack) -> Amount) -> Vec<Path<'a>> {
    let mut paths: Vec<Path<'a>> = Vec::new();
    let mut by_frames: HashMap<Vec<FrameKey<'a>>, usize> = HashMap::new();
    for stack in profile.stacks() {
        let amount = of(stack);
        if amount.is_zero() {
            continue;
        }
        let mut frames: Vec<Frame<'a>> = Vec::new();
        for frame in profile.frames(stack) {
            match frames.last_mut() {
                Some(last) if last.function.is_some() && last.function == frame.function => {
                    last.is_recursive = true;
                }
                _ => frames.push(frame),
            }
        }
        let key = frames.iter().map(FrameKey::of).collect();
        match by_frames.get(&key) {
            Some(&index) => {
                paths[index].amount += amount;
                paths[index].stacks.push(stack);
                for (known, frame) in paths[index].frames.iter_mut().zip(frames) {
                    known.is_recursive |= frame.is_recursive;
                }
            }
            None => {
                by_frames.insert(key, paths.len());
                paths.push(Path {
                    frames,
                    amount,
                    stacks: vec![stack],
                });
            }
        }
    }
    paths.sort_by(|one, two| super::heavier(one.amount, two.amount));
    paths
}

/// What makes two frames one.
#[derive(PartialEq, Eq, Hash)]
enum FrameKey<'a> {
    Line(&'a str, &'a str, u32),
    Address(u64),
}

impl<'a> FrameKey<'a> {
    fn of(frame: &Frame<'a>) -> Self {
        match frame.function {
            Some(function) => Self::Line(&function.name, &function.file, frame.line),
            None => Self::Address(frame.address),
        }
    }
}
