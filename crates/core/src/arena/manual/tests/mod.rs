//! Arenas beside a naive twin: a list of live objects, and the extents as the hooks see them.

mod decay;
mod hooks;
mod random;
mod refusal;

use super::arena::ArenaRef;
use super::{create, get};
use crate::extent::hooks::{Hooks, Outside};
use crate::options::Dss;

/// No gate to leave in unit tests.
#[derive(Clone, Copy)]
struct Here;

impl Outside for Here {
    fn outside<R>(self, body: impl FnOnce() -> R) -> R {
        body()
    }
}

/// A new arena.
fn arena(table: *mut Hooks, decay_ms: (isize, isize)) -> ArenaRef {
    let index = create(table, decay_ms, Dss::Disabled).expect("memory");
    get(index).expect("just made")
}

impl ArenaRef {
    pub(crate) fn check(self) {
        self.with(|books| books.check());
    }
}
