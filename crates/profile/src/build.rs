//! Build: the one way in which locations, functions and stacks get into a profile.
//!
//! Readers see the same address and the same stack many times; here each becomes one entry (rules M1 and M2 of
//! `model`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::{
    Call, ClassUse, Form, Function, FunctionId, Location, LocationId, Module, ModuleId, Profile,
    Stack, ThreadId,
};

/// Stacks of a profile: some 300 bytes each, which a file may have in a dozen. Processes have thousands of them.
pub(crate) const STACKS_MAX: usize = 1 << 21;

/// A profile in the making.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) profile: Profile,
    by_address: HashMap<u64, LocationId>,
    by_frames: HashMap<Box<[LocationId]>, usize>,
    by_uid: HashMap<(u32, u64), ThreadId>,
    functions: FunctionTable,
}

impl Builder {
    /// An empty profile of `form`, sampled every `period` bytes.
    pub(crate) fn new(form: Form, period: u64) -> Self {
        let profile = Profile {
            form,
            period,
            sources: 1,
            ..Profile::default()
        };
        Self {
            profile,
            ..Self::default()
        }
    }

    /// The location of a return address; 0 is one too.
    pub(crate) fn address(&mut self, address: u64) -> LocationId {
        let locations = &mut self.profile.locations;
        *self.by_address.entry(address).or_insert_with(|| {
            locations.push(Location {
                address,
                ..Location::default()
            });
            LocationId(locations.len() as u32 - 1)
        })
    }

    /// A new location, whatever its address.
    pub(crate) fn location(&mut self, location: Location) -> LocationId {
        self.profile.locations.push(location);
        LocationId(self.profile.locations.len() as u32 - 1)
    }

    /// The function with that name in that file.
    pub(crate) fn function(&mut self, function: Function) -> FunctionId {
        self.functions.id(&mut self.profile.functions, function)
    }

    /// A new module.
    pub(crate) fn module(&mut self, module: Module) -> ModuleId {
        self.profile.modules.push(module);
        ModuleId(self.profile.modules.len() as u32 - 1)
    }

    /// The thread with that number.
    pub(crate) fn thread(&mut self, uid: u64) -> ThreadId {
        self.thread_of(0, uid)
    }

    /// The thread with that number in one of several processes.
    pub(crate) fn thread_of(&mut self, source: u32, uid: u64) -> ThreadId {
        let threads = &mut self.profile.threads;
        *self.by_uid.entry((source, uid)).or_insert_with(|| {
            threads.push(crate::model::Thread {
                uid,
                source,
                ..Default::default()
            });
            ThreadId(threads.len() as u32 - 1)
        })
    }

    /// The index of the stack with these frames, in the profile's list. `None`: there are [`STACKS_MAX`] others.
    pub(crate) fn stack(&mut self, frames: Vec<LocationId>) -> Option<usize> {
        let frames: Box<[LocationId]> = frames.into();
        if let Some(&index) = self.by_frames.get(&frames) {
            return Some(index);
        }
        if self.profile.stacks.len() >= STACKS_MAX {
            return None;
        }
        let index = self.profile.stacks.len();
        self.profile.stacks.push(Stack {
            frames: frames.clone(),
            ..Stack::default()
        });
        self.by_frames.insert(frames, index);
        Some(index)
    }

    /// The finished profile; addresses get their modules.
    pub(crate) fn finish(mut self) -> Profile {
        self.profile.place_addresses();
        self.profile.stacks.iter_mut().for_each(Stack::tidy);
        ClassUse::tidy(&mut self.profile.classes);
        self.profile
    }
}

/// Functions by content, and texts that several of them share.
#[derive(Debug, Default)]
pub(crate) struct FunctionTable {
    ids: HashMap<Function, FunctionId>,
    texts: HashSet<Arc<str>>,
}

impl FunctionTable {
    /// A table of the functions that are there already.
    pub(crate) fn of(functions: &[Function]) -> Self {
        let ids = functions.iter().cloned().enumerate();
        Self {
            ids: ids
                .map(|(index, function)| (function, FunctionId(index as u32)))
                .collect(),
            ..Self::default()
        }
    }

    /// The one copy of `text`.
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(text) = self.texts.get(text) {
            return text.clone();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }

    /// The id of `function` in `functions`, where it is added if it is new.
    pub(crate) fn id(&mut self, functions: &mut Vec<Function>, function: Function) -> FunctionId {
        if let Some(&id) = self.ids.get(&function) {
            return id;
        }
        let id = FunctionId(functions.len() as u32);
        functions.push(function.clone());
        self.ids.insert(function, id);
        id
    }
}

impl Profile {
    /// Gives every location without a module the one whose addresses it lies in.
    pub(crate) fn place_addresses(&mut self) {
        let mut order: Vec<u32> = (0..self.modules.len() as u32).collect();
        order.sort_by_key(|&id| self.modules[id as usize].addresses.start);
        for location in &mut self.locations {
            // The call lies before the return address, which may be the module's end.
            let Some(inside) = location.address.checked_sub(1) else {
                continue;
            };
            if location.module.is_some() {
                continue;
            }
            let above =
                order.partition_point(|&id| self.modules[id as usize].addresses.start <= inside);
            location.module = order[..above]
                .last()
                .filter(|&&id| self.modules[id as usize].addresses.contains(&inside))
                .map(|&id| ModuleId(id));
        }
    }

    /// Adds what `other` holds, as if both processes were one. Addresses mean something in their own process only, so
    /// stacks are the same where all their functions and lines are: symbolise before.
    pub fn merge(&mut self, other: &Self) {
        crate::merge::merge(self, other);
    }
}

/// One function at one line.
pub(crate) fn call(function: FunctionId, line: u32) -> Call {
    Call { function, line }
}
