//! About: what is known of an object that a message names.

use super::door::Door;
use super::slab::{Marks, State};
use super::traces::{self, Stack};
use crate::ds::text::Line;

/// What was asked for, where the object lies, and the stacks of its allocation and its free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// Bytes asked for.
    pub(super) bytes: usize,
    pub(super) door: Door,
    /// The index of the arena that it was asked of.
    pub(super) arena: usize,
    /// Bytes of its slot, or of its pages.
    pub(super) class: usize,
    /// Whether the object is free.
    pub(super) is_free: bool,
    pub(super) made: Stack,
    pub(super) freed: Stack,
}

impl About {
    /// What `marks` tell, of an object of `bytes` that has `class` bytes of memory.
    pub(super) fn of(marks: &Marks, bytes: usize, class: usize) -> Self {
        Self {
            bytes,
            door: marks.door(),
            arena: marks.arena(),
            class,
            is_free: marks.state() != State::Live,
            made: traces::stack(marks.made()),
            freed: traces::stack(marks.freed()),
        }
    }

    /// The index of the arena that the object was asked of.
    pub(crate) fn arena(&self) -> usize {
        self.arena
    }

    /// Appends it.
    pub(crate) fn write(&self, line: &mut Line) {
        if self.is_free && self.bytes == 0 {
            line.text(", never handed out, ");
        } else {
            line.text(", ").decimal(self.bytes).text(" bytes by ");
            line.text(self.door.maker());
            line.text(if self.is_free { ", freed, " } else { ", " });
        }
        line.text("class ").decimal(self.class).text(" of arena ");
        line.decimal(self.arena);
        traces::write(line, ", allocated at", &self.made);
        if self.is_free {
            traces::write(line, ", freed at", &self.freed);
        }
    }
}
