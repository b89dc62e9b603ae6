//! Merge: several profiles as one.
//!
//! G1  Stacks are one where their locations are: same functions and lines where these are known, else the same place
//!     in the same build of the same file.
//! G2  Threads stay apart: two processes' thread 0 are two threads.
//! G3  What only some of the profiles know is known of none: a sum would be too small.
//! G4  High-water marks of different processes need not have been at one time; their sum is the most it can have been.
//! G5  Everything is found by hash or by order: the work grows with what both profiles hold, not with its square.

use std::collections::HashMap;
use std::sync::Arc;

use crate::build::FunctionTable;
use crate::model::{
    Call, ClassUse, Known, Location, LocationId, Module, ModuleId, Peak, Profile, Stack, ThreadId,
};

/// What makes two locations one (rule G1).
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Calls(Vec<(u32, u32)>),
    Place(Option<u32>, u64),
}

/// Adds `other` to `into`.
pub(crate) fn merge(into: &mut Profile, other: &Profile) {
    let modules = modules(into, other);
    let firsts = firsts(&into.modules);
    let mut table = FunctionTable::default();
    let own: Vec<_> = std::mem::take(&mut into.functions);
    let own_functions: Vec<_> = own
        .into_iter()
        .map(|function| table.id(&mut into.functions, function))
        .collect();
    for location in &mut into.locations {
        for call in &mut location.calls {
            call.function = own_functions[call.function.0 as usize];
        }
    }
    let functions: Vec<_> = other
        .functions
        .iter()
        .map(|function| table.id(&mut into.functions, function.clone()))
        .collect();

    let mut known = HashMap::new();
    for (index, location) in into.locations.iter().enumerate() {
        known
            .entry(key(location, &into.modules, &firsts))
            .or_insert(LocationId(index as u32));
    }
    let mut locations = Vec::with_capacity(other.locations.len());
    for location in &other.locations {
        let translated = Location {
            address: location.address,
            module: location.module.map(|id| modules[id.0 as usize]),
            calls: location
                .calls
                .iter()
                .map(|call| Call {
                    function: functions[call.function.0 as usize],
                    ..*call
                })
                .collect(),
        };
        let own = &mut into.locations;
        let id = *known
            .entry(key(&translated, &into.modules, &firsts))
            .or_insert_with(|| {
                own.push(translated);
                LocationId(own.len() as u32 - 1)
            });
        locations.push(id);
    }

    let first_thread = into.threads.len() as u32;
    into.threads.extend(other.threads.iter().map(|thread| {
        let mut thread = thread.clone();
        thread.source += into.sources;
        thread
    }));
    // Two addresses of one file may be one line: stacks of `into` itself can fall together, too.
    let mut stacks = Stacks::default();
    let canonical: Vec<LocationId> = into
        .locations
        .iter()
        .map(|location| known[&key(location, &into.modules, &firsts)])
        .collect();
    for stack in std::mem::take(&mut into.stacks) {
        stacks.add(stack, |id| canonical[id.0 as usize], 0);
    }
    for stack in &other.stacks {
        stacks.add(stack.clone(), |id| locations[id.0 as usize], first_thread);
    }
    into.stacks = stacks.list;
    into.stacks.iter_mut().for_each(Stack::tidy);

    into.classes.extend_from_slice(&other.classes);
    ClassUse::tidy(&mut into.classes);
    into.known = both(into.known, other.known);
    into.peak = match (into.peak, other.peak) {
        (Some(one), Some(two)) => Some(Peak {
            bytes: one.bytes.saturating_add(two.bytes),
            at_ns: one.at_ns.max(two.at_ns),
        }),
        _ => None,
    };
    into.time = into.time.zip(other.time).map(|(one, two)| {
        if two.unix_seconds > one.unix_seconds {
            two
        } else {
            one
        }
    });
    into.period = into.period.max(other.period);
    into.sources += other.sources;
    into.warnings.extend(other.warnings.iter().cloned());
}

#[derive(Default)]
struct Stacks {
    list: Vec<Stack>,
    by_frames: HashMap<Box<[LocationId]>, usize>,
}

impl Stacks {
    fn add(
        &mut self,
        mut stack: Stack,
        location: impl Fn(LocationId) -> LocationId,
        first_thread: u32,
    ) {
        stack.frames = stack.frames.iter().map(|&id| location(id)).collect();
        let moved = |thread: &mut ThreadId| thread.0 += first_thread;
        stack
            .threads
            .iter_mut()
            .for_each(|share| moved(&mut share.thread));
        stack
            .objects
            .iter_mut()
            .for_each(|object| moved(&mut object.thread));
        match self.by_frames.get(&stack.frames) {
            Some(&index) => add(&mut self.list[index], stack),
            None => {
                self.by_frames.insert(stack.frames.clone(), self.list.len());
                self.list.push(stack);
            }
        }
    }
}

fn add(into: &mut Stack, other: Stack) {
    into.live += other.live;
    into.peak += other.peak;
    into.cumulative += other.cumulative;
    into.threads.extend(other.threads);
    into.objects.extend(other.objects);
    into.lifetimes.extend(other.lifetimes);
    into.tags.extend(other.tags);
}

/// Where `other`'s modules are in `into`: two processes map one file at different addresses, so the file and its offset
/// say whether it is the same.
fn modules(into: &mut Profile, other: &Profile) -> Vec<ModuleId> {
    let own = std::mem::take(&mut into.modules);
    let mut known: HashMap<Module, ModuleId> = HashMap::with_capacity(own.len());
    // The first of several that are the same stands for all that come.
    for (index, module) in own.iter().enumerate() {
        known
            .entry(module.clone())
            .or_insert(ModuleId(index as u32));
    }
    into.modules = own;
    let translated = other.modules.iter().map(|module| {
        *known.entry(module.clone()).or_insert_with(|| {
            into.modules.push(module.clone());
            ModuleId(into.modules.len() as u32 - 1)
        })
    });
    translated.collect()
}

/// For each module the first of the same file, which stands for all of them.
fn firsts(modules: &[Module]) -> Vec<u32> {
    let mut by_file: HashMap<(&Arc<str>, &[u8]), u32> = HashMap::new();
    let first = modules.iter().enumerate().map(|(index, module)| {
        let file = (&module.path, &*module.build_id);
        *by_file.entry(file).or_insert(index as u32)
    });
    first.collect()
}

fn key(location: &Location, modules: &[Module], firsts: &[u32]) -> Key {
    if !location.calls.is_empty() {
        let calls = location.calls.iter();
        return Key::Calls(calls.map(|call| (call.function.0, call.line)).collect());
    }
    match location.module {
        None => Key::Place(None, location.address),
        Some(id) => {
            let module = &modules[id.0 as usize];
            let offset = location
                .address
                .wrapping_sub(module.addresses.start)
                .wrapping_add(module.offset);
            Key::Place(Some(firsts[id.0 as usize]), offset)
        }
    }
}

fn both(one: Known, two: Known) -> Known {
    Known {
        objects: one.objects && two.objects,
        cumulative: one.cumulative && two.cumulative,
        peak: one.peak && two.peak,
        lifetimes: one.lifetimes && two.lifetimes,
        ages: one.ages && two.ages,
    }
}
