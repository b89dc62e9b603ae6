//! Stack: a lock-free stack of numbered nodes.
//!
//! ```text
//! head: | tag 32 | index 32 |     index 0 = empty; the tag changes with every change of the head
//!              │
//!              v  next(index) ── links live with the nodes, in memory that is never unmapped
//! ```
//! T1  A node is on one stack at most, and only its owner pushes it.
//! T2  A link read while its node leaves may be stale; the tag then fails the exchange (no ABA until
//!     the tag has wrapped within one pop: 2^32 operations).
//! T3  At every instant the stack is whole: a process may fork at any point.

use super::atomic::{AtomicU64, Ordering};

/// Where the links of the nodes are kept. Links are relaxed atomics.
pub trait Links {
    /// Reads the link of node `index`.
    fn next(&self, index: u32) -> u32;
    /// Writes the link of node `index`.
    fn set_next(&self, index: u32, next: u32);
}

/// The head of a stack.
#[derive(Debug)]
pub struct Stack {
    head: AtomicU64,
}

const fn index(head: u64) -> u32 {
    head as u32
}

const fn after(head: u64, index: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | index as u64
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            head: AtomicU64::new(0),
        }
    }
}

impl Stack {
    /// An empty stack.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            head: AtomicU64::new(0),
        }
    }

    /// Puts node `node`, which is not 0, on top.
    pub fn push(&self, node: u32, links: &impl Links) {
        self.push_chain(node, node, links);
    }

    /// Puts the nodes `first` to `last`, linked already, on top.
    pub fn push_chain(&self, first: u32, last: u32, links: &impl Links) {
        debug_assert!(first != 0 && last != 0);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            links.set_next(last, index(head));
            // Release: pairs with the Acquire in `pop` and `take_all`; the node's contents go with it.
            match self.head.compare_exchange_weak(
                head,
                after(head, first),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Takes the top node.
    pub fn pop(&self, links: &impl Links) -> Option<u32> {
        // Acquire: pairs with the Release in `push_chain`, for the link and the contents.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            if index(head) == 0 {
                return None;
            }
            let next = links.next(index(head));
            match self.head.compare_exchange_weak(
                head,
                after(head, next),
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(index(head)),
                Err(seen) => head = seen,
            }
        }
    }

    /// Takes all nodes, linked in their order; the answer is the first.
    pub fn take_all(&self) -> Option<u32> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if index(head) == 0 {
                return None;
            }
            // Acquire: pairs with the Release in `push_chain`.
            match self.head.compare_exchange_weak(
                head,
                after(head, 0),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(index(head)),
                Err(seen) => head = seen,
            }
        }
    }
}
