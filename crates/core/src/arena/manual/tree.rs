//! Tree: the idle extents of one state, by length and address.
//!
//! A treap: in order by (pages, address), a heap by a number drawn from the record's. Best fit, lowest address first, is
//! the first one in order that is long enough; no table by size is needed, so an arena that has little idle is small.
//!
//! T1  In order: all to the left of an extent come before it, all to the right after.
//! T2  No extent has a higher number than the one above it.
//! Lock: the arena's.

use super::extent::ExtentRef;
use crate::size::PAGE;

/// Extents looked at for one whose address suits an alignment, before a longer one is taken.
const LOOKS: usize = 8;

/// The extents of a tree; 0 is none.
#[derive(Clone, Copy, Default)]
pub(super) struct Tree(u32);

/// The place of an extent in the order.
type Key = (usize, usize);

fn key(extent: ExtentRef) -> Key {
    (extent.pages(), extent.base().addr())
}

/// A number that is as good as drawn by lot (T2).
fn lot(extent: ExtentRef) -> u32 {
    let mixed = extent.number().wrapping_mul(0x9e37_79b9);
    (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b)
}

/// Bytes to skip for the first address of `extent` at a multiple of `align`.
pub(super) fn skip(extent: ExtentRef, align: usize) -> usize {
    extent.base().addr().wrapping_neg() & (align - 1)
}

fn fits(extent: ExtentRef, pages: usize, align: usize) -> bool {
    skip(extent, align) / PAGE + pages <= extent.pages()
}

impl Tree {
    pub(super) const fn new() -> Self {
        Self(0)
    }

    pub(super) fn insert(&mut self, extent: ExtentRef) {
        extent.left.set(0);
        extent.right.set(0);
        self.0 = insert(self.0, extent);
    }

    /// Takes `extent`, which is in it, out.
    pub(super) fn remove(&mut self, extent: ExtentRef) {
        self.0 = remove(self.0, extent);
    }

    /// The shortest extent, the lowest of those, that has `pages` pages at a multiple of `align`; with `exact`, of no
    /// more pages than that.
    pub(super) fn fit(&self, pages: usize, align: usize, exact: bool) -> Option<ExtentRef> {
        let mut looks = 0;
        let mut found = None;
        first(self.0, pages, &mut |extent| {
            looks += 1;
            let longer = exact && extent.pages() > pages;
            if !longer && fits(extent, pages, align) {
                found = Some(extent);
            }
            found.is_some() || longer || looks == LOOKS
        });
        if found.is_none() && !exact && align > PAGE {
            first(self.0, pages + align / PAGE - 1, &mut |extent| {
                found = Some(extent);
                true
            });
        }
        found
    }

    /// Calls `look` with all of them, in order.
    pub(super) fn each(&self, look: &mut impl FnMut(ExtentRef)) {
        first(self.0, 0, &mut |extent| {
            look(extent);
            false
        });
    }

    /// Asserts T1 and T2; answers how many there are.
    #[cfg(test)]
    pub(super) fn check(&self) -> usize {
        fn below(root: u32) -> usize {
            let Some(extent) = ExtentRef::from_link(root) else {
                return 0;
            };
            for daughter in [extent.left.get(), extent.right.get()] {
                if let Some(daughter) = ExtentRef::from_link(daughter) {
                    assert!(lot(daughter) <= lot(extent), "T2");
                }
            }
            below(extent.left.get()) + 1 + below(extent.right.get())
        }
        let mut last = (0, 0);
        self.each(&mut |extent| {
            assert!(last < key(extent), "T1");
            last = key(extent);
        });
        below(self.0)
    }
}

/// Calls `look` in order with those of at least `pages` pages, until it says `true`.
fn first(root: u32, pages: usize, look: &mut impl FnMut(ExtentRef) -> bool) -> bool {
    let Some(extent) = ExtentRef::from_link(root) else {
        return false;
    };
    if extent.pages() >= pages && (first(extent.left.get(), pages, look) || look(extent)) {
        return true;
    }
    first(extent.right.get(), pages, look)
}

fn insert(root: u32, extent: ExtentRef) -> u32 {
    let Some(top) = ExtentRef::from_link(root) else {
        return extent.number();
    };
    if lot(extent) > lot(top) {
        let (less, greater) = split(root, key(extent));
        extent.left.set(less);
        extent.right.set(greater);
        return extent.number();
    }
    if key(extent) < key(top) {
        top.left.set(insert(top.left.get(), extent));
    } else {
        top.right.set(insert(top.right.get(), extent));
    }
    root
}

/// Those before `at`, and the others.
fn split(root: u32, at: Key) -> (u32, u32) {
    let Some(top) = ExtentRef::from_link(root) else {
        return (0, 0);
    };
    if key(top) < at {
        let (less, greater) = split(top.right.get(), at);
        top.right.set(less);
        (root, greater)
    } else {
        let (less, greater) = split(top.left.get(), at);
        top.left.set(greater);
        (less, root)
    }
}

/// All of `less`, which come before all of `greater`, and those.
fn join(less: u32, greater: u32) -> u32 {
    let (Some(a), Some(b)) = (ExtentRef::from_link(less), ExtentRef::from_link(greater)) else {
        return less | greater;
    };
    if lot(a) >= lot(b) {
        a.right.set(join(a.right.get(), greater));
        less
    } else {
        b.left.set(join(less, b.left.get()));
        greater
    }
}

fn remove(root: u32, extent: ExtentRef) -> u32 {
    let Some(top) = ExtentRef::from_link(root) else {
        return 0;
    };
    if top == extent {
        return join(top.left.get(), top.right.get());
    }
    if key(extent) < key(top) {
        top.left.set(remove(top.left.get(), extent));
    } else {
        top.right.set(remove(top.right.get(), extent));
    }
    root
}
