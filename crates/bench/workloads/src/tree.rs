//! Tree: binary trees built of boxes and torn down again, one long-lived among many short-lived.

use crate::{Tally, Workload};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "tree",
    about: "binary trees of 65 535 boxes built, walked and torn down",
    full: 200,
    tiny: 1,
    run,
};

const DEPTH: u32 = 16;

struct Node {
    value: u64,
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
}

fn run(trees: u64, tally: &mut Tally) {
    let long_lived = build(DEPTH, 1);
    for _ in 0..trees {
        let tree = build(DEPTH, 1);
        let (nodes, sum) = walk(tree.as_deref());
        tally.add(nodes, sum);
    }
    let (nodes, sum) = walk(long_lived.as_deref());
    tally.add(nodes, sum);
}

fn build(depth: u32, value: u64) -> Option<Box<Node>> {
    (depth > 0).then(|| {
        Box::new(Node {
            value,
            left: build(depth - 1, 2 * value),
            right: build(depth - 1, 2 * value + 1),
        })
    })
}

/// Number of nodes and sum of their values.
fn walk(node: Option<&Node>) -> (u64, u64) {
    node.map_or((0, 0), |node| {
        let (left, right) = (walk(node.left.as_deref()), walk(node.right.as_deref()));
        (1 + left.0 + right.0, node.value + left.1 + right.1)
    })
}

#[cfg(test)]
mod tests {
    use super::{DEPTH, WORKLOAD};

    #[test]
    fn a_tree_numbers_its_nodes_from_one() {
        let nodes = (1_u64 << DEPTH) - 1;
        let told = WORKLOAD.run(2);
        assert_eq!(told.operations, 3 * nodes);
        assert_eq!(told.checksum, 3 * nodes * (nodes + 1) / 2);
    }
}
