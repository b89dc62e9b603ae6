//! Pprof: protobuf profiles of the heap, as Go, Rust services and our own writer make them.
//!
//! | sample type | becomes |
//! | --- | --- |
//! | `inuse_space`, `inuse_objects` (or `space`, `objects`) | live |
//! | `alloc_space`, `alloc_objects` | cumulative |
//! | `peak_space`, `peak_objects` (ours) | peak |
//!
//! The numbers are estimates already. Labels are not kept. Ids that lead nowhere are an error, not a hole.

use std::collections::HashMap;

use prost::Message;

use crate::amount::Amount;
use crate::build::{Builder, call};
use crate::model::{Form, Function, Location, Module, Profile, Time};
use crate::proto;

use super::{FORMS, Unreadable};

/// Which values of a sample are which: index of objects and of bytes.
#[derive(Default)]
struct Columns {
    live: (Option<usize>, Option<usize>),
    cumulative: (Option<usize>, Option<usize>),
    peak: (Option<usize>, Option<usize>),
}

/// Reads an unpacked profile.
pub(super) fn read(bytes: &[u8]) -> Result<Profile, Unreadable> {
    let file = proto::Profile::decode(bytes).map_err(|why| {
        Unreadable::new(
            format!("this is no profile that can be read ({why})"),
            FORMS,
        )
    })?;
    if file.sample_type.is_empty() {
        return Err(Unreadable::new(
            "this is no profile: it has no sample types",
            FORMS,
        ));
    }
    let texts = Texts(&file.string_table);
    let columns = columns(&file, &texts)?;

    let mut builder = Builder::new(Form::Pprof, u64::try_from(file.period).unwrap_or(0));
    builder.profile.known.objects = columns.live.0.is_some() || columns.cumulative.0.is_some();
    builder.profile.known.cumulative = columns.cumulative.1.is_some();
    builder.profile.known.peak = columns.peak.1.is_some();
    builder.profile.time = time(&file);

    let mut modules = HashMap::new();
    for mapping in &file.mapping {
        let module = builder.module(Module {
            addresses: mapping.memory_start..mapping.memory_limit.max(mapping.memory_start),
            offset: mapping.file_offset,
            inode: 0,
            path: texts.get(mapping.filename)?,
            build_id: build_id(&texts.get(mapping.build_id)?),
        });
        modules.insert(mapping.id, module);
    }
    let mut functions = HashMap::new();
    for function in &file.function {
        let (name, symbol) = (texts.get(function.name)?, texts.get(function.system_name)?);
        let id = builder.function(Function {
            name: if name.is_empty() {
                symbol.as_str()
            } else {
                name.as_str()
            }
            .into(),
            symbol: symbol.into(),
            file: texts.get(function.filename)?.into(),
        });
        functions.insert(function.id, id);
    }
    let mut locations = HashMap::new();
    for location in &file.location {
        let mut calls = Vec::with_capacity(location.line.len());
        for line in &location.line {
            let function = functions
                .get(&line.function_id)
                .ok_or_else(|| missing("function", line.function_id))?;
            calls.push(call(*function, u32::try_from(line.line).unwrap_or(0)));
        }
        let module = match location.mapping_id {
            0 => None,
            id => Some(*modules.get(&id).ok_or_else(|| missing("mapping", id))?),
        };
        let id = builder.location(Location {
            // There the address of the call, here the one it returns to.
            address: match location.address {
                0 => 0,
                address => address.saturating_add(1),
            },
            module,
            calls,
        });
        locations.insert(location.id, id);
    }
    for sample in &file.sample {
        let frames = sample
            .location_id
            .iter()
            .map(|id| {
                locations
                    .get(id)
                    .copied()
                    .ok_or_else(|| missing("location", *id))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let period = builder.profile.period;
        let amount = |(objects, bytes): (Option<usize>, Option<usize>)| {
            let value = |column: Option<usize>| {
                let value = column.and_then(|column| sample.value.get(column));
                value.copied().unwrap_or(0).max(0) as f64
            };
            Amount::estimated(value(objects), value(bytes), period)
        };
        let index = builder.stack(frames);
        let stack = &mut builder.profile.stacks[index];
        stack.live += amount(columns.live);
        stack.cumulative += amount(columns.cumulative);
        stack.peak += amount(columns.peak);
    }
    Ok(builder.finish())
}

fn columns(file: &proto::Profile, texts: &Texts<'_>) -> Result<Columns, Unreadable> {
    let mut columns = Columns::default();
    let mut names = Vec::new();
    for (index, kind) in file.sample_type.iter().enumerate() {
        let name = texts.get(kind.kind)?;
        let column = match name.as_str() {
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

fn missing(what: &str, id: u64) -> Unreadable {
    Unreadable::new(
        format!("the profile names a {what} {id} that it does not have"),
        "It is damaged, or the program that wrote it is wrong; take it again.",
    )
}

fn time(file: &proto::Profile) -> Option<Time> {
    let nanos = u64::try_from(file.time_nanos)
        .ok()
        .filter(|&nanos| nanos > 0)?;
    Some(Time {
        since_start_ns: u64::try_from(file.duration_nanos).unwrap_or(0),
        unix_seconds: nanos / 1_000_000_000,
    })
}

/// Bytes of a build id as it is usually written; one that is written otherwise (Go's) cannot be compared with a file's.
fn build_id(text: &str) -> Vec<u8> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Vec::new();
    }
    pairs
        .map(|pair| super::lines::hexadecimal(pair).map(|byte| byte as u8))
        .collect::<Option<_>>()
        .unwrap_or_default()
}

struct Texts<'a>(&'a [Vec<u8>]);

impl Texts<'_> {
    fn get(&self, index: i64) -> Result<String, Unreadable> {
        if index == 0 {
            return Ok(String::new());
        }
        usize::try_from(index)
            .ok()
            .and_then(|index| self.0.get(index))
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .ok_or_else(|| {
                Unreadable::new(
                    format!("the profile names a text {index} that it does not have"),
                    "It is damaged, or the program that wrote it is wrong; take it again.",
                )
            })
    }
}
