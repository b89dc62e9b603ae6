//! Samples: stacks with their numbers and labels, one by one into the profile.

use std::collections::HashMap;

use crate::amount::Amount;
use crate::build::Builder;
use crate::model::{LocationId, TagShare, ThreadId, ThreadShare};
use crate::read::wire::fields;
use crate::read::{Unreadable, too_many};

use super::texts::Texts;
use super::{missing, within};

/// Bound of rule P3.
const THREADS_MAX: usize = 1 << 20;
/// Characters of a thread's name that are kept, as each thread has a copy: systems keep 15.
const THREAD_NAME_MAX: usize = 256;

/// Which values of a sample are which: index of objects and of bytes.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) live: Pair,
    pub(super) cumulative: Pair,
    pub(super) peak: Pair,
}

/// Objects and bytes.
pub(super) type Pair = (Option<usize>, Option<usize>);

/// Samples on their way into the profile.
pub(super) struct Samples {
    builder: Builder,
    columns: Columns,
    locations: HashMap<u64, LocationId>,
    threads: HashMap<ThreadKey, ThreadId>,
    /// Room for one sample's numbers.
    row: Row,
}

/// One sample.
#[derive(Default)]
struct Row {
    ids: Vec<u64>,
    values: Vec<u64>,
    thread: Labelled,
    tag: Option<u16>,
}

/// What labels say of a thread.
#[derive(Default)]
struct Labelled {
    process: u32,
    uid: Option<u64>,
    /// Index of the text.
    name: i64,
}

/// What makes two threads one.
#[derive(PartialEq, Eq, Hash)]
enum ThreadKey {
    Uid(u32, u64),
    Name(u32, i64),
}

impl Samples {
    /// None yet.
    pub(super) fn new(
        builder: Builder,
        columns: Columns,
        locations: HashMap<u64, LocationId>,
    ) -> Self {
        Self {
            builder,
            columns,
            locations,
            threads: HashMap::new(),
            row: Row::default(),
        }
    }

    /// The profile with all that were added.
    pub(super) fn into_builder(self) -> Builder {
        self.builder
    }

    /// Adds the sample in `message`.
    pub(super) fn add(&mut self, message: &[u8], texts: &mut Texts<'_>) -> Result<(), Unreadable> {
        self.row.read(message, texts)?;
        let mut frames = Vec::with_capacity(self.row.ids.len());
        for id in &self.row.ids {
            let location = self.locations.get(id);
            frames.push(*location.ok_or_else(|| missing("location", *id))?);
        }
        let index = self.builder.stack(frames).ok_or_else(too_many)?;
        let thread = self.thread(texts)?;
        let row = &self.row;
        let period = self.builder.profile.period;
        let amount = |(objects, bytes): Pair| {
            let value = |column: Option<usize>| {
                let value = column.and_then(|column| row.values.get(column));
                value.map_or(0, |&value| (value as i64).max(0)) as f64
            };
            Amount::estimated(value(objects), value(bytes), period)
        };
        let (live, cumulative) = (amount(self.columns.live), amount(self.columns.cumulative));
        let stack = &mut self.builder.profile.stacks[index];
        stack.live += live;
        stack.cumulative += cumulative;
        stack.peak += amount(self.columns.peak);
        if let Some(thread) = thread {
            stack.add_share(ThreadShare {
                thread,
                live,
                cumulative,
            });
        }
        if let Some(tag) = row.tag.filter(|_| !cumulative.is_zero()) {
            stack.tags.push(TagShare { tag, cumulative });
        }
        if let Some(thread) = thread {
            let thread = &mut self.builder.profile.threads[thread.0 as usize];
            thread.live += live;
            thread.cumulative += cumulative;
        }
        Ok(())
    }

    /// The thread that the labels name, if they do.
    fn thread(&mut self, texts: &mut Texts<'_>) -> Result<Option<ThreadId>, Unreadable> {
        let labelled = &self.row.thread;
        let key = match (labelled.uid, labelled.name) {
            (Some(uid), _) => ThreadKey::Uid(labelled.process, uid),
            (None, 0) => return Ok(None),
            (None, name) => ThreadKey::Name(labelled.process, name),
        };
        if let Some(&thread) = self.threads.get(&key) {
            return Ok(Some(thread));
        }
        let name = texts.get(labelled.name)?;
        let next = self.threads.len() as u64;
        let (uid, source) = (labelled.uid.unwrap_or(next), labelled.process);
        let thread = self.builder.thread_of(source, uid);
        let known = &mut self.builder.profile.threads[thread.0 as usize];
        // Our own writer's word for a thread without a name.
        if *name != *format!("thread {uid}") {
            known.name = name.chars().take(THREAD_NAME_MAX).collect();
        }
        let sources = &mut self.builder.profile.sources;
        *sources = (*sources).max(source + 1);
        self.threads.insert(key, thread);
        within(self.threads.len(), THREADS_MAX, "threads")?;
        Ok(Some(thread))
    }
}

impl Row {
    fn read(&mut self, message: &[u8], texts: &mut Texts<'_>) -> Result<(), Unreadable> {
        self.ids.clear();
        self.values.clear();
        self.thread = Labelled::default();
        self.tag = None;
        for field in fields(message) {
            let field = field?;
            match field.number {
                1 => field.value.append_to(&mut self.ids)?,
                2 => field.value.append_to(&mut self.values)?,
                3 => self.label(field.value.bytes(), texts)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn label(&mut self, message: &[u8], texts: &mut Texts<'_>) -> Result<(), Unreadable> {
        let (mut key, mut text, mut number) = (0, 0, 0);
        for field in fields(message) {
            let field = field?;
            match field.number {
                1 => key = field.value.signed(),
                2 => text = field.value.signed(),
                3 => number = field.value.signed(),
                _ => {}
            }
        }
        // Identifiers are texts in what we write, numbers in what others do.
        let number = |texts: &mut Texts<'_>| match text {
            0 => Ok(u64::try_from(number).ok()),
            text => texts.get(text).map(|text| text.parse().ok()),
        };
        match &*texts.get(key)? {
            "thread" => self.thread.name = text,
            "thread_id" => self.thread.uid = number(texts)?,
            "process" => {
                let process = number(texts)?;
                // A few are merged, not thousands; other labels of that name are something else.
                let process = process.filter(|process| (1..1 << 16).contains(process));
                self.thread.process = process.map_or(0, |process| process as u32 - 1);
            }
            "tag" => {
                let tag = number(texts)?.and_then(|tag| u16::try_from(tag).ok());
                self.tag = tag.filter(|&tag| tag > 0);
            }
            _ => {}
        }
        Ok(())
    }
}
