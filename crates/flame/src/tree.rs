//! Tree: stacks with common beginnings, merged; each node has bytes of its own for every view.
//!
//! ```text
//! main;serve;parse 4096        node 0 (all)
//! main;serve       1024          1 main
//!                                  2 serve 1024
//!                                      3 parse 4096
//! ```
//! T1  A node's parent has a smaller number than the node.

use std::collections::HashMap;

/// Weights of a node: one for each view, or two, before and after.
pub(crate) type Weights = Vec<f64>;

/// A function as called along one path.
#[derive(Debug)]
pub(crate) struct Node {
    /// The number of its parent; of the root, 0.
    pub(crate) parent: usize,
    /// The number of its name.
    pub(crate) name: usize,
    /// Bytes that end here, for each view.
    pub(crate) own: Weights,
}

/// All paths.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) names: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    numbers: HashMap<String, usize>,
    children: HashMap<(usize, usize), usize>,
    weights: usize,
}

impl Tree {
    /// A tree without paths, whose nodes have so many weights.
    pub(crate) fn new(weights: usize) -> Self {
        let mut tree = Self {
            names: Vec::new(),
            nodes: Vec::new(),
            numbers: HashMap::new(),
            children: HashMap::new(),
            weights,
        };
        let name = tree.name("all");
        tree.nodes.push(Node {
            parent: 0,
            name,
            own: vec![0.0; weights],
        });
        tree
    }

    /// Adds `bytes` of view number `view` at the end of the path of `frames`, the outermost first.
    pub(crate) fn add(&mut self, frames: &[String], view: usize, bytes: f64) {
        if bytes <= 0.0 {
            return;
        }
        let mut at = 0;
        for frame in frames {
            at = self.child(at, frame);
        }
        self.nodes[at].own[view] += bytes;
    }

    /// Bytes of each node and all below it.
    pub(crate) fn totals(&self) -> Vec<Weights> {
        let mut totals: Vec<Weights> = self.nodes.iter().map(|node| node.own.clone()).collect();
        // Rule T1: children first.
        for at in (1..self.nodes.len()).rev() {
            let below = totals[at].clone();
            for (total, more) in totals[self.nodes[at].parent].iter_mut().zip(below) {
                *total += more;
            }
        }
        totals
    }

    fn child(&mut self, parent: usize, frame: &str) -> usize {
        let name = self.name(frame);
        let weights = self.weights;
        let nodes = &mut self.nodes;
        *self.children.entry((parent, name)).or_insert_with(|| {
            nodes.push(Node {
                parent,
                name,
                own: vec![0.0; weights],
            });
            nodes.len() - 1
        })
    }

    fn name(&mut self, text: &str) -> usize {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.names.len();
        self.names.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split(';').map(str::to_owned).collect()
    }

    #[test]
    fn common_beginnings_are_one_path_and_totals_add_up() {
        let mut tree = Tree::new(2);
        tree.add(&path("main;serve;parse"), 0, 4096.0);
        tree.add(&path("main;serve"), 0, 1024.0);
        tree.add(&path("main;serve;parse"), 1, 7.0);
        tree.add(&path("never"), 1, 0.0);
        assert_eq!(tree.nodes.len(), 4, "{tree:?}");
        let totals = tree.totals();
        assert_eq!(totals[0], [5120.0, 7.0]);
        assert_eq!(totals[2], [5120.0, 7.0], "serve");
        assert_eq!(totals[3], [4096.0, 7.0], "parse");
        assert!((1..4).all(|at| tree.nodes[at].parent < at), "T1");
    }
}
