//! Views: what a profile says, by path, by function, as a tree, by age, against another profile.
//!
//! All work on the frames that are shown ([`crate::Profile::frames`]), so symbolise and hide before. Amounts come from a
//! function of a stack, mostly `|stack| stack.amount(measure)`.

mod ages;
mod changes;
mod functions;
mod paths;
mod tree;

pub use ages::{AgedAmount, ages, lifetimes};
pub use changes::{Change, changes, function_changes};
pub use functions::{FunctionRow, functions};
pub use paths::{Path, paths};
pub use tree::{Node, Tree, tree};

use std::cmp::Ordering;

use crate::amount::Amount;

/// Heaviest first.
fn heavier(one: Amount, two: Amount) -> Ordering {
    two.bytes
        .total_cmp(&one.bytes)
        .then_with(|| two.objects.total_cmp(&one.objects))
}
