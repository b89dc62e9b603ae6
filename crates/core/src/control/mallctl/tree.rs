//! The tree of names, made of the rows while the library is compiled.
//!
//! ```text
//! root ─first─> version ─next─> epoch ─next─> thread ─next─> ...
//!                                               └─first─> arena ─next─> ...
//! ```
//! A number of a mib is a place among such sisters, or an index.
//!
//! T1  Nodes hold no pointer: the loader has nothing to fill in, and a process that never asks does not touch them.
//! T2  A node with an index has one daughter, whatever the index.
#![deny(unsafe_code)]

use super::index::{self, Index};
use super::keys::{Key, SUBTREES};
use super::row::{Access, Facts, Kind};

/// Components of the longest name.
pub(crate) const DEPTH_MAX: usize = 7;

/// No daughter, no sister, no row: the root is none of these.
const NONE: u16 = 0;

#[derive(Clone, Copy)]
struct Node {
    name_at: u16,
    name_len: u8,
    /// What the node stands for, if any index is in its place.
    index: Option<Index>,
    first: u16,
    next: u16,
    /// Number of its row plus one.
    row: u16,
}

const EMPTY: Node = Node {
    name_at: 0,
    name_len: 0,
    index: None,
    first: NONE,
    next: NONE,
    row: NONE,
};

const NODES_MAX: usize = 1024;
const TEXT_MAX: usize = 16 << 10;

struct Draft {
    nodes: [Node; NODES_MAX],
    count: usize,
    text: [u8; TEXT_MAX],
    text_len: usize,
    facts: [Facts; NODES_MAX],
    rows: usize,
}

const DRAFT: Draft = Draft::new();
static NODES: [Node; DRAFT.count] = first_of(&DRAFT.nodes);
static TEXT: [u8; DRAFT.text_len] = first_of(&DRAFT.text);
static FACTS: [Facts; DRAFT.rows] = first_of(&DRAFT.facts);

const fn first_of<T: Copy, const N: usize>(all: &[T]) -> [T; N] {
    let mut some = [all[0]; N];
    let mut at = 0;
    while at < N {
        some[at] = all[at];
        at += 1;
    }
    some
}

impl Draft {
    const fn new() -> Self {
        let nothing = Facts {
            access: Access::Own,
            kind: Kind::None,
            key: Key::NotBuilt,
        };
        let mut draft = Self {
            nodes: [EMPTY; NODES_MAX],
            count: 1,
            text: [0; TEXT_MAX],
            text_len: 0,
            facts: [nothing; NODES_MAX],
            rows: 0,
        };
        let mut subtree = 0;
        while subtree < SUBTREES.len() {
            let rows = SUBTREES[subtree];
            let mut at = 0;
            while at < rows.len() {
                draft.add(rows[at].name.as_bytes(), rows[at].facts);
                at += 1;
            }
            subtree += 1;
        }
        draft
    }

    const fn add(&mut self, name: &[u8], facts: Facts) {
        let (mut node, mut from, mut depth) = (0, 0, 0);
        while from <= name.len() {
            let mut to = from;
            while to < name.len() && name[to] != b'.' {
                to += 1;
            }
            node = self.daughter(node, name, from, to);
            (from, depth) = (to + 1, depth + 1);
        }
        assert!(depth <= DEPTH_MAX);
        assert!(self.nodes[node].row == NONE, "a name twice");
        assert!(self.nodes[node].first == NONE, "a key that is a folder too");
        self.facts[self.rows] = facts;
        self.rows += 1;
        self.nodes[node].row = self.rows as u16;
    }

    /// The daughter of `node` called `name[from..to]`, made if there is none.
    const fn daughter(&mut self, node: usize, name: &[u8], from: usize, to: usize) -> usize {
        assert!(from < to, "an empty component");
        assert!(self.nodes[node].row == NONE, "a key that is a folder too");
        let (mut last, mut at) = (0, self.nodes[node].first as usize);
        while at != 0 {
            if self.is_called(at, name, from, to) {
                return at;
            }
            (last, at) = (at, self.nodes[at].next as usize);
        }
        let new = self.count;
        self.count += 1;
        self.nodes[new] = EMPTY;
        if name[from] == b'<' {
            assert!(last == 0, "T2");
            self.nodes[new].index = Some(index::of_prefix(name, from));
        }
        assert!(last == 0 || self.nodes[last].index.is_none(), "T2");
        self.nodes[new].name_at = self.text_len as u16;
        self.nodes[new].name_len = (to - from) as u8;
        let mut byte = from;
        while byte < to {
            self.text[self.text_len] = name[byte];
            self.text_len += 1;
            byte += 1;
        }
        match last {
            0 => self.nodes[node].first = new as u16,
            _ => self.nodes[last].next = new as u16,
        }
        new
    }

    const fn is_called(&self, node: usize, name: &[u8], from: usize, to: usize) -> bool {
        let Node {
            name_at, name_len, ..
        } = self.nodes[node];
        if name_len as usize != to - from {
            return false;
        }
        let mut at = 0;
        while at < name_len as usize {
            if self.text[name_at as usize + at] != name[from + at] {
                return false;
            }
            at += 1;
        }
        true
    }
}

/// A place in the tree.
#[derive(Clone, Copy)]
pub(super) struct Place(&'static Node);

impl Place {
    /// Where every name begins.
    pub(super) fn root() -> Self {
        Self(&NODES[0])
    }

    fn at(number: u16) -> Option<Self> {
        NODES
            .get(number as usize)
            .filter(|_| number != NONE)
            .map(Self)
    }

    /// What `component` of a name leads to, and its number in a mib.
    pub(super) fn named(self, component: &[u8]) -> Option<(Self, usize)> {
        let first = Self::at(self.0.first)?;
        if let Some(index) = first.0.index {
            let number = index::parse(component).filter(|&number| index.holds(number))?;
            return Some((first, number));
        }
        let (mut place, mut number) = (first, 0);
        while place.name() != component {
            place = Self::at(place.0.next)?;
            number += 1;
        }
        Some((place, number))
    }

    /// What `number` of a mib leads to.
    pub(super) fn numbered(self, number: usize) -> Option<Self> {
        let mut place = Self::at(self.0.first)?;
        if let Some(index) = place.0.index {
            return index.holds(number).then_some(place);
        }
        for _ in 0..number {
            place = Self::at(place.0.next)?;
        }
        Some(place)
    }

    /// Whether a number that leads here is an index.
    pub(super) fn is_indexed(self) -> bool {
        self.0.index.is_some()
    }

    /// The key, unless this is a folder.
    pub(super) fn facts(self) -> Option<Facts> {
        FACTS.get((self.0.row as usize).checked_sub(1)?).copied()
    }

    fn name(self) -> &'static [u8] {
        let at = self.0.name_at as usize;
        TEXT.get(at..at + self.0.name_len as usize)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The naive way: every row by its name, split anew.
    #[test]
    fn every_row_is_found_by_its_name_and_by_the_numbers_of_it() {
        let mut rows = 0;
        for row in SUBTREES.iter().copied().flatten() {
            let name = row.name.replace("<i>", "0").replace("<j>", "0");
            let (mut place, mut twin) = (Place::root(), Place::root());
            // Samples are counted by class where there are samples.
            if name.starts_with("prof.stats.") {
                rows += 1;
                continue;
            }
            for component in name.split('.') {
                let (next, number) = place.named(component.as_bytes()).expect(row.name);
                place = next;
                twin = twin.numbered(number).expect(row.name);
                assert_eq!(place.name(), twin.name());
            }
            let facts = place.facts().expect(row.name);
            assert_eq!(facts.key, row.facts.key, "{}", row.name);
            assert!(place.named(b"0").is_none() && place.numbered(0).is_none());
            rows += 1;
        }
        assert_eq!(rows, FACTS.len());
        assert!(Place::root().facts().is_none());
    }

    #[test]
    fn nodes_are_small_and_their_tables_just_large_enough() {
        assert!(size_of::<Node>() <= 12 && size_of::<Facts>() <= 4);
        assert_eq!(NODES.len(), DRAFT.count);
        assert_eq!(TEXT.len(), DRAFT.text_len);
    }
}
