//! Tree: from the outermost function to those that allocate, with sums at every node.
//!
//! A function that calls itself directly is one node. Nodes lie in one vector, children by index: a stack may be deeper than recursion could go.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::amount::Amount;
use crate::frames::Place;
use crate::model::{Profile, Stack};

/// A call tree. Node 0 is the root: the whole process.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

/// A function called by its parent.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// The function's name; empty for the root.
    pub name: Cow<'a, str>,
    /// Where in it the call was that was met first.
    pub place: Option<Place<'a>>,
    /// Allocated in this function, called this way, and below.
    pub amount: Amount,
    /// Of it, in this function itself.
    pub own: Amount,
    /// Indexes of the functions it calls, heaviest first.
    pub children: Vec<usize>,
}

impl<'a> Tree<'a> {
    /// The node with that index; 0 is the root.
    pub fn node(&self, index: usize) -> &Node<'a> {
        &self.nodes[index]
    }

    /// Number of nodes, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "the root is always there")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
}

/// The call tree of all stacks with anything.
pub fn tree<'a>(profile: &'a Profile, of: impl Fn(&Stack) -> Amount) -> Tree<'a> {
    let new = |name, place| Node {
        name,
        place,
        amount: Amount::ZERO,
        own: Amount::ZERO,
        children: Vec::new(),
    };
    let mut nodes = vec![new(Cow::Borrowed(""), None)];
    let mut by_name: HashMap<(usize, Cow<'a, str>), usize> = HashMap::new();
    for stack in profile.stacks() {
        let amount = of(stack);
        if amount.is_zero() {
            continue;
        }
        let mut at = 0;
        nodes[at].amount += amount;
        for frame in profile.frames(stack).rev() {
            if at > 0 && nodes[at].name == frame.name() {
                continue;
            }
            let child = *by_name.entry((at, frame.name())).or_insert_with(|| {
                nodes.push(new(frame.name(), frame.place()));
                let child = nodes.len() - 1;
                nodes[at].children.push(child);
                child
            });
            nodes[child].amount += amount;
            at = child;
        }
        nodes[at].own += amount;
    }
    for index in 0..nodes.len() {
        let mut children = std::mem::take(&mut nodes[index].children);
        children.sort_by(|&one, &two| super::heavier(nodes[one].amount, nodes[two].amount));
        nodes[index].children = children;
    }
    Tree { nodes }
}
