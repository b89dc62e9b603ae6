//! Pprof: protobuf profiles of the heap, as Go, Rust services and our own writer make them.
//!
//! | sample type | becomes |
//! | --- | --- |
//! | `inuse_space`, `inuse_objects` (or `space`, `objects`) | live |
//! | `alloc_space`, `alloc_objects` | cumulative |
//! | `peak_space`, `peak_objects` (ours) | peak |
//!
//! | label of a sample | becomes |
//! | --- | --- |
//! | `thread`, `thread_id`, `process` | shares of threads |
//! | `tag` (a number) | shares of tags |
//!
//! Comments become warnings. Other labels are not kept: samples of one stack become one. The numbers are estimates already.
//! Ids that lead nowhere are an error, not a hole.
//!
//! P1  The profile is never decoded as a whole: it is gone through four times, and each time some of its messages are looked
//!     at where they lie ([`wire`]).
//! P2  A text is copied once, however many functions and files it names, and cut after [`texts::NAME_MAX`].
//! P3  What a message of two bytes can make dozens of is counted, and bounded far above what programs have.

mod samples;
mod texts;

use std::collections::HashMap;

use crate::build::{Builder, call};
use crate::model::{
    Form, Function, FunctionId, Location, LocationId, Module, ModuleId, Profile, Time,
};

use super::wire::{self, Broken, fields};
use super::{FORMS, Unreadable};
use samples::{Columns, Samples};
use texts::Texts;

/// Bounds of rule P3.
const TEXTS_MAX: usize = 1 << 20;
const MAPPINGS_MAX: usize = 1 << 16;
const FUNCTIONS_MAX: usize = 1 << 20;
const LOCATIONS_MAX: usize = 1 << 20;
const COLUMNS_MAX: usize = 64;
/// Comments are what somebody had to say about the profile, and its characters: more is no remark.
const COMMENTS_MAX: usize = 16;
const COMMENT_MAX: usize = 1000;

/// Fields of the whole profile.
mod of_profile {
    pub(super) const SAMPLE_TYPE: u64 = 1;
    pub(super) const SAMPLE: u64 = 2;
    pub(super) const MAPPING: u64 = 3;
    pub(super) const LOCATION: u64 = 4;
    pub(super) const FUNCTION: u64 = 5;
    pub(super) const TEXT: u64 = 6;
    pub(super) const TIME_NANOS: u64 = 9;
    pub(super) const DURATION_NANOS: u64 = 10;
    pub(super) const PERIOD: u64 = 12;
    pub(super) const COMMENT: u64 = 13;
}

/// Reads an unpacked profile.
pub(super) fn read(bytes: &[u8]) -> Result<Profile, Unreadable> {
    let Head {
        mut texts,
        kinds,
        period,
        time,
        comments,
    } = Head::of(bytes)?;
    if kinds.is_empty() {
        return Err(Unreadable::new(
            "this is no profile: it has no sample types",
            FORMS,
        ));
    }
    let columns = columns(&kinds, &mut texts)?;
    let mut builder = Builder::new(Form::Pprof, period);
    let known = &mut builder.profile.known;
    known.objects = columns.live.0.is_some() || columns.cumulative.0.is_some();
    known.cumulative = columns.cumulative.1.is_some();
    known.peak = columns.peak.1.is_some();
    builder.profile.time = time;

    for &comment in comments.iter().take(COMMENTS_MAX) {
        let comment = texts.get(comment as i64)?;
        let shown = comment.chars().take(COMMENT_MAX).collect();
        builder.profile.warnings.push(shown);
    }

    let modules = modules(bytes, &mut builder, &mut texts)?;
    let functions = functions(bytes, &mut builder, &mut texts)?;
    let locations = locations(bytes, &mut builder, &modules, &functions)?;
    let mut samples = Samples::new(builder, columns, locations);
    for sample in wire::all(bytes, of_profile::SAMPLE) {
        samples.add(sample?, &mut texts)?;
    }
    let mut builder = samples.into_builder();
    if texts.cut() > 0 {
        builder.profile.warnings.push(format!(
            "Names longer than 64 KiB were cut: {} of them.",
            texts.cut()
        ));
    }
    Ok(builder.finish())
}

/// What the other messages are about.
struct Head<'a> {
    texts: Texts<'a>,
    /// Indexes of the texts that name what is counted, a column each.
    kinds: Vec<i64>,
    period: u64,
    time: Option<Time>,
    /// Indexes of texts, as many as are read.
    comments: Vec<u64>,
}

impl<'a> Head<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut texts = Vec::new();
        let mut kinds = Vec::new();
        let mut comments = Vec::new();
        let (mut nanos, mut duration, mut period) = (0, 0, 0);
        for field in fields(bytes) {
            // Sample types come first: what has none is nothing of the kind.
            let field = field.map_err(|broken| match kinds.is_empty() {
                true => Unreadable::new("this is no profile, but bytes of another form", FORMS),
                false => broken.into(),
            })?;
            match field.number {
                of_profile::TEXT => texts.push(field.value.bytes()),
                of_profile::SAMPLE_TYPE => kinds.push(kind(field.value.bytes())?),
                of_profile::TIME_NANOS => nanos = field.value.signed(),
                of_profile::DURATION_NANOS => duration = field.value.signed(),
                of_profile::PERIOD => period = field.value.signed(),
                of_profile::COMMENT if comments.len() < COMMENTS_MAX => {
                    field.value.append_to(&mut comments)?;
                }
                _ => {}
            }
            within(texts.len(), TEXTS_MAX, "texts")?;
            within(kinds.len(), COLUMNS_MAX, "sample types")?;
        }
        let positive = |number: i64| u64::try_from(number).unwrap_or(0);
        let time = (nanos > 0).then(|| Time {
            since_start_ns: positive(duration),
            unix_seconds: positive(nanos) / 1_000_000_000,
        });
        Ok(Self {
            texts: Texts::of(texts),
            kinds,
            period: positive(period),
            time,
            comments,
        })
    }
}

/// The name's index in a value type.
fn kind(message: &[u8]) -> Result<i64, Broken> {
    let mut kind = 0;
    for field in fields(message) {
        let field = field?;
        if field.number == 1 {
            kind = field.value.signed();
        }
    }
    Ok(kind)
}

fn columns(kinds: &[i64], texts: &mut Texts<'_>) -> Result<Columns, Unreadable> {
    let mut columns = Columns::default();
    let mut names = Vec::new();
    for (index, &kind) in kinds.iter().enumerate() {
        let name = texts.get(kind)?;
        let column = match &*name {
            "inuse_space" | "space" => &mut columns.live.1,
            "inuse_objects" | "objects" => &mut columns.live.0,
            "alloc_space" => &mut columns.cumulative.1,
            "alloc_objects" => &mut columns.cumulative.0,
            "peak_space" => &mut columns.peak.1,
            "peak_objects" => &mut columns.peak.0,
            _ => {
                names.push(name);
                continue;
            }
        };
        column.get_or_insert(index);
    }
    if columns.live.1.is_none() && columns.cumulative.1.is_none() {
        let shown: String = names.join(", ").chars().take(100).collect();
        return Err(Unreadable::new(
            format!("this is no heap profile: it counts {shown}"),
            "A heap profile has the sample types inuse_space or alloc_space.",
        ));
    }
    Ok(columns)
}

/// Mappings by their ids.
fn modules(
    bytes: &[u8],
    builder: &mut Builder,
    texts: &mut Texts<'_>,
) -> Result<HashMap<u64, ModuleId>, Unreadable> {
    let mut modules = HashMap::new();
    for mapping in wire::all(bytes, of_profile::MAPPING) {
        let mut module = Module::default();
        let mut id = 0;
        for field in fields(mapping?) {
            let field = field?;
            match field.number {
                1 => id = field.value.number(),
                2 => module.addresses.start = field.value.number(),
                3 => module.addresses.end = field.value.number(),
                4 => module.offset = field.value.number(),
                5 => module.path = texts.get(field.value.signed())?,
                6 => module.build_id = build_id(&texts.get(field.value.signed())?),
                _ => {}
            }
        }
        module.addresses.end = module.addresses.end.max(module.addresses.start);
        modules.insert(id, builder.module(module));
        within(builder.profile.modules.len(), MAPPINGS_MAX, "mappings")?;
    }
    Ok(modules)
}

/// Bytes of a build id as it is usually written; one that is written otherwise (Go's) cannot be compared with a file's.
fn build_id(text: &str) -> Vec<u8> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2);
    // Longer than any hash.
    if !pairs.remainder().is_empty() || digits.len() > 256 {
        return Vec::new();
    }
    pairs
        .map(|pair| super::lines::hexadecimal(pair).map(|byte| byte as u8))
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// Functions by their ids.
fn functions(
    bytes: &[u8],
    builder: &mut Builder,
    texts: &mut Texts<'_>,
) -> Result<HashMap<u64, FunctionId>, Unreadable> {
    let mut functions = HashMap::new();
    for message in wire::all(bytes, of_profile::FUNCTION) {
        let mut function = Function::default();
        let mut id = 0;
        for field in fields(message?) {
            let field = field?;
            match field.number {
                1 => id = field.value.number(),
                2 => function.name = texts.get(field.value.signed())?,
                3 => function.symbol = texts.get(field.value.signed())?,
                4 => function.file = texts.get(field.value.signed())?,
                _ => {}
            }
        }
        if function.name.is_empty() {
            function.name = function.symbol.clone();
        }
        functions.insert(id, builder.function(function));
        within(functions.len(), FUNCTIONS_MAX, "functions")?;
    }
    Ok(functions)
}

/// Locations by their ids.
fn locations(
    bytes: &[u8],
    builder: &mut Builder,
    modules: &HashMap<u64, ModuleId>,
    functions: &HashMap<u64, FunctionId>,
) -> Result<HashMap<u64, LocationId>, Unreadable> {
    let mut locations = HashMap::new();
    for message in wire::all(bytes, of_profile::LOCATION) {
        let mut location = Location::default();
        let mut id = 0;
        for field in fields(message?) {
            let field = field?;
            match field.number {
                1 => id = field.value.number(),
                2 => {
                    let mapping = field.value.number();
                    location.module = match mapping {
                        0 => None,
                        id => Some(*modules.get(&id).ok_or_else(|| missing("mapping", id))?),
                    };
                }
                3 => {
                    // There the address of the call, here the one it returns to.
                    location.address = match field.value.number() {
                        0 => 0,
                        address => address.saturating_add(1),
                    };
                }
                4 => {
                    let (function, line) = line(field.value.bytes())?;
                    let function = functions
                        .get(&function)
                        .ok_or_else(|| missing("function", function))?;
                    location.calls.push(call(*function, line));
                }
                _ => {}
            }
        }
        location.calls.shrink_to_fit();
        locations.insert(id, builder.location(location));
        within(builder.profile.locations.len(), LOCATIONS_MAX, "locations")?;
    }
    Ok(locations)
}

/// A function's id, and the line in it.
fn line(message: &[u8]) -> Result<(u64, u32), Broken> {
    let (mut function, mut line) = (0, 0);
    for field in fields(message) {
        let field = field?;
        match field.number {
            1 => function = field.value.number(),
            2 => line = u32::try_from(field.value.signed()).unwrap_or(0),
            _ => {}
        }
    }
    Ok((function, line))
}

fn missing(what: &str, id: u64) -> Unreadable {
    Unreadable::new(
        format!("the profile names a {what} {id} that it does not have"),
        "It is damaged, or the program that wrote it is wrong; take it again.",
    )
}

fn within(count: usize, most: usize, what: &str) -> Result<(), Unreadable> {
    if count <= most {
        return Ok(());
    }
    Err(Unreadable::new(
        format!("it has more than {most} {what}"),
        "It is damaged, or made to exhaust memory.",
    ))
}

impl From<Broken> for Unreadable {
    fn from(broken: Broken) -> Self {
        Self::new(
            format!("the profile is damaged or cut off ({broken})"),
            "Copy the file again, or take the profile again.",
        )
    }
}
