//! Recent: the last samples, dead or alive: `experimental.prof_recent`.
//!
//! ```text
//! oldest ⇄ ... ⇄ newest        one more than there may be: the oldest goes
//! ```
//! E1  An entry's object is alive as long as both name each other.
//! E2  Entries outlive resets: they hold their stacks and threads as users.

pub(crate) mod text;

use super::list::{self, Ends, Listed, Neighbours};
use super::record::{Handle, Link, unlinked};
use super::sample::Life;
use super::stack::{Stack, hash_of};
use super::thread::Thread;
use super::{Books, ThreadRef};
use core::cell::Cell;

/// One of the last samples.
pub(super) struct Recent {
    listed: Neighbours<Recent>,
    life: Link<Life>,
    pub(super) born: Moment,
    /// Where and when its object died.
    pub(super) died: Cell<Option<Moment>>,
    pub(super) requested: usize,
    pub(super) usable: usize,
}

/// When something was done, by whom, and from where.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) ns: u64,
    pub(super) thread: Option<Handle<Thread>>,
    pub(super) stack: Option<Handle<Stack>>,
}

/// The list of the last samples, the oldest first.
pub(super) struct InOrder;

impl Listed<InOrder> for Recent {
    fn neighbours(&self) -> &Neighbours<Self> {
        &self.listed
    }
}

/// All of them.
pub(super) struct Recents {
    pub(super) list: Ends<Recent>,
    len: Cell<usize>,
    /// How many there may be.
    pub(super) most: Cell<usize>,
    /// The one that a reader comes to next.
    pub(super) cursor: Link<Recent>,
}

impl Recents {
    pub(super) const fn new() -> Self {
        Self {
            list: Ends::empty(),
            len: Cell::new(0),
            most: Cell::new(0),
            cursor: unlinked(),
        }
    }
}

impl Books {
    /// Sets how many there may be; `None`: any number. One more than there may be goes at each call of
    /// [`Books::drop_recent`].
    pub(super) fn set_recents(&self, most: Option<usize>) {
        self.recents.most.set(most.unwrap_or(usize::MAX));
    }

    /// Whether any are kept: who frees should tell from where.
    pub(super) fn keeps_recents(&self) -> bool {
        self.recents.most.get() > 0
    }

    /// Remembers a new sample.
    pub(super) fn note_recent(&self, life: Handle<Life>) {
        if !self.keeps_recents() {
            return;
        }
        let own = life.of(&self.held);
        let tally = own.tally.of(&self.held);
        let entry = Handle::make(Recent {
            listed: Neighbours::none(),
            life: Cell::new(Some(life)),
            born: Moment {
                ns: own.born_ns,
                thread: Some(tally.thread),
                stack: Some(tally.stack),
            },
            died: Cell::new(None),
            requested: own.requested.get(),
            usable: own.usable,
        });
        let Some(entry) = entry else {
            return;
        };
        self.hold(entry.of(&self.held).born);
        own.recent.set(Some(entry));
        let recents = &self.recents;
        recents
            .list
            .insert::<InOrder>(recents.list.last(), entry, &self.held);
        recents.len.set(recents.len.get() + 1);
        self.drop_recent();
    }

    /// Notes how the object of a sample died, in whatever remembers it.
    pub(super) fn note_death(
        &self,
        life: Handle<Life>,
        thread: ThreadRef,
        frames: &[usize],
        now_ns: u64,
    ) {
        let own = life.of(&self.held);
        let recent = own.recent.take();
        let is_logged = self.logs(own);
        if recent.is_none() && !is_logged {
            return;
        }
        let died = Moment {
            ns: now_ns,
            thread: thread.handle(),
            stack: self.stack_of(frames, hash_of(frames)),
        };
        if let Some(recent) = recent {
            self.hold(died);
            recent.of(&self.held).life.set(None);
            recent.of(&self.held).died.set(Some(died));
        }
        if is_logged {
            self.log_death(own, died);
        }
    }

    /// Drops the oldest, if there are too many. `true`: it did.
    pub(super) fn drop_recent(&self) -> bool {
        let recents = &self.recents;
        let Some(oldest) = recents.list.first() else {
            return false;
        };
        if recents.len.get() <= recents.most.get() {
            return false;
        }
        if recents.cursor.get() == Some(oldest) {
            recents
                .cursor
                .set(list::after::<InOrder, _>(oldest, &self.held));
        }
        recents.list.remove::<InOrder>(oldest, &self.held);
        recents.len.set(recents.len.get() - 1);
        let own = oldest.of(&self.held);
        if let Some(life) = own.life.get() {
            life.of(&self.held).recent.set(None);
        }
        self.let_go(own.born);
        if let Some(died) = own.died.get() {
            self.let_go(died);
        }
        // SAFETY: in no list and no cursor, and its sample does not name it any more.
        unsafe { oldest.forget(&self.held) };
        true
    }

    /// Has the stack and the thread of a moment stay.
    pub(super) fn hold(&self, moment: Moment) {
        for users in self.users_of(moment).into_iter().flatten() {
            users.set(users.get() + 1);
        }
    }

    /// The opposite of [`Books::hold`].
    pub(super) fn let_go(&self, moment: Moment) {
        for users in self.users_of(moment).into_iter().flatten() {
            users.set(users.get() - 1);
        }
        if let Some(thread) = moment.thread {
            self.drop_thread(thread);
        }
    }

    fn users_of(&self, moment: Moment) -> [Option<&Cell<u32>>; 2] {
        [
            moment.thread.map(|thread| &thread.of(&self.held).users),
            moment.stack.map(|stack| &stack.of(&self.held).users),
        ]
    }
}
