//! Pprof: protobuf packed with gzip, as `go tool pprof` and continuous profilers read it.
//!
//! Sample types stand in Go's order (`alloc_objects`, `alloc_space`, `inuse_objects`, `inuse_space`) with
//! `peak_objects` and `peak_space` behind them where the high-water mark is known; the default is `inuse_space`. What is
//! not known is left out.
//!
//! | label | of | |
//! | --- | --- | --- |
//! | `thread`, `thread_id` | live, cumulative | its name or `thread ID`; the profiler's number of it |
//! | `process` | the same | which of several merged profiles it is from, from 1; only there |
//! | `tag` | live objects, cumulative | the number that the program had set |
//! | `age` (nanoseconds) | live objects | how old they are, rounded down to a power of two |
//!
//! Samples of one stack add up to its amounts ([`super::labels`]): who asks for no labels sees them as one.
//!
//! Hidden frames are left out of samples. A location of which only some inlined functions are hidden becomes a second
//! location of the same address.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::amount::Amount;
use crate::model::{Call, Location, Measure, Profile};
use crate::proto;

use super::labels::{Labels, Rounding, parts};

/// The profile's bytes.
pub(super) fn write(profile: &Profile) -> Vec<u8> {
    message(profile).encode_to_vec()
}

/// `bytes` in gzip.
pub(super) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into a vector cannot fail.
    let _ = packer.write_all(bytes);
    packer.finish().unwrap_or_default()
}

fn message(profile: &Profile) -> proto::Profile {
    let mut texts = Texts::new();
    let columns = columns(profile);
    let mut file = proto::Profile {
        period: i64::try_from(profile.period).unwrap_or(i64::MAX),
        default_sample_type: texts.id("inuse_space"),
        ..proto::Profile::default()
    };
    let kind = |texts: &mut Texts, kind: &str, unit: &str| proto::ValueType {
        kind: texts.id(kind),
        unit: texts.id(unit),
    };
    file.period_type = Some(kind(&mut texts, "space", "bytes"));
    for column in &columns {
        file.sample_type
            .push(kind(&mut texts, column.name, column.unit));
    }
    if let Some(time) = profile.time {
        file.time_nanos =
            i64::try_from(time.unix_seconds.saturating_mul(1_000_000_000)).unwrap_or(0);
        file.duration_nanos = i64::try_from(time.since_start_ns).unwrap_or(0);
    }
    let named = profile
        .locations
        .iter()
        .filter(|location| !location.calls.is_empty());
    let named: HashSet<u32> = named
        .filter_map(|location| Some(location.module?.0))
        .collect();
    for (index, module) in profile.modules.iter().enumerate() {
        let is_known = named.contains(&(index as u32));
        file.mapping.push(proto::Mapping {
            id: index as u64 + 1,
            memory_start: module.addresses.start,
            memory_limit: module.addresses.end,
            file_offset: module.offset,
            filename: texts.id(&module.path),
            build_id: texts.id(&hexadecimal(&module.build_id)),
            has_functions: is_known,
            has_filenames: is_known,
            has_line_numbers: is_known,
            has_inline_frames: is_known,
        });
    }
    for (index, function) in profile.functions.iter().enumerate() {
        file.function.push(proto::Function {
            id: index as u64 + 1,
            name: texts.id(&function.name),
            system_name: texts.id(&function.symbol),
            filename: texts.id(&function.file),
            start_line: 0,
        });
    }
    let mut locations: HashMap<(u32, u32), u64> = HashMap::new();
    for warning in &profile.warnings {
        file.comment.push(texts.id(warning));
    }
    let mut roundings = vec![Rounding::default(); columns.len()];
    for stack in &profile.stacks {
        roundings.fill(Rounding::default());
        let mut samples = Vec::new();
        for (labels, part) in parts(profile, stack) {
            let values: Vec<i64> = columns
                .iter()
                .zip(&mut roundings)
                .map(|(column, rounding)| rounding.next((column.of)(part.amount(column.measure))))
                .collect();
            if values.iter().any(|&value| value != 0) {
                samples.push((values, label(&mut texts, profile, labels)));
            }
        }
        if samples.is_empty() {
            continue;
        }
        let shown = stack
            .frames
            .get(stack.hidden_locations as usize..)
            .unwrap_or_default();
        let mut location_id = Vec::with_capacity(shown.len());
        for (place, id) in shown.iter().enumerate() {
            let skip = if place == 0 { stack.hidden_calls } else { 0 };
            let number = *locations.entry((id.0, skip)).or_insert_with(|| {
                let number = file.location.len() as u64 + 1;
                file.location
                    .push(location(number, profile.location(*id), skip));
                number
            });
            location_id.push(number);
        }
        let samples = samples.into_iter().map(|(value, label)| proto::Sample {
            location_id: location_id.clone(),
            value,
            label,
        });
        file.sample.extend(samples);
    }
    file.string_table = texts.list;
    file
}

fn label(texts: &mut Texts, profile: &Profile, labels: Labels) -> Vec<proto::Label> {
    let mut all = Vec::new();
    // Identifiers are texts: a number would be taken for an amount of something.
    let mut text = |texts: &mut Texts, key: &str, text: &str| {
        all.push(proto::Label {
            key: texts.id(key),
            str: texts.id(text),
            ..proto::Label::default()
        });
    };
    if let Some(id) = labels.thread {
        let thread = profile.thread(id);
        let uid = thread.uid.to_string();
        match &*thread.name {
            "" => text(texts, "thread", &format!("thread {uid}")),
            name => text(texts, "thread", name),
        }
        text(texts, "thread_id", &uid);
        if profile.sources > 1 {
            text(texts, "process", &(thread.source + 1).to_string());
        }
    }
    if labels.tag > 0 {
        text(texts, "tag", &labels.tag.to_string());
    }
    if let Some(lg_age_ns) = labels.lg_age_ns {
        all.push(proto::Label {
            key: texts.id("age"),
            num: 1 << lg_age_ns.min(62),
            num_unit: texts.id("nanoseconds"),
            ..proto::Label::default()
        });
    }
    all
}

fn location(number: u64, location: &Location, skip: u32) -> proto::Location {
    let calls = location.calls.get(skip as usize..).unwrap_or_default();
    let line = |call: &Call| proto::Line {
        function_id: u64::from(call.function.0) + 1,
        line: i64::from(call.line),
    };
    proto::Location {
        id: number,
        mapping_id: location.module.map_or(0, |id| u64::from(id.0) + 1),
        // There the address of the call, here the one it returns to.
        address: location.address.saturating_sub(1),
        line: calls.iter().map(line).collect(),
        is_folded: false,
    }
}

struct Column {
    name: &'static str,
    unit: &'static str,
    measure: Measure,
    of: fn(Amount) -> f64,
}

fn columns(profile: &Profile) -> Vec<Column> {
    let all = [
        ("alloc_objects", "alloc_space", Measure::Cumulative),
        ("inuse_objects", "inuse_space", Measure::Live),
        ("peak_objects", "peak_space", Measure::Peak),
    ];
    let mut columns = Vec::new();
    for (objects, space, measure) in all {
        if !measure.is_known(profile.known) {
            continue;
        }
        if profile.known.objects {
            columns.push(Column {
                name: objects,
                unit: "count",
                measure,
                of: |amount| amount.objects,
            });
        }
        columns.push(Column {
            name: space,
            unit: "bytes",
            measure,
            of: |amount| amount.bytes,
        });
    }
    columns
}

/// Texts by index; the first is empty.
struct Texts {
    list: Vec<Vec<u8>>,
    ids: HashMap<String, i64>,
}

impl Texts {
    fn new() -> Self {
        Self {
            list: vec![Vec::new()],
            ids: HashMap::from([(String::new(), 0)]),
        }
    }

    fn id(&mut self, text: &str) -> i64 {
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        let id = self.list.len() as i64;
        self.list.push(text.as_bytes().to_vec());
        self.ids.insert(text.to_owned(), id);
        id
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
