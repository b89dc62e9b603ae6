//! Pprof: protobuf packed with gzip, as `go tool pprof` and continuous profilers read it.
//!
//! Sample types stand in Go's order (`alloc_objects`, `alloc_space`, `inuse_objects`, `inuse_space`) with
//! `peak_objects` and `peak_space` behind them where the high-water mark is known; the default is `inuse_space`. What is
//! not known is left out.
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

/// The packed profile.
pub(super) fn write(profile: &Profile) -> Vec<u8> {
    let message = message(profile).encode_to_vec();
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into a vector cannot fail.
    let _ = packer.write_all(&message);
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
    for stack in &profile.stacks {
        let values: Vec<i64> = columns
            .iter()
            .map(|column| (column.of)(stack.amount(column.measure)).round() as i64)
            .collect();
        if values.iter().all(|&value| value == 0) {
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
        file.sample.push(proto::Sample {
            location_id,
            value: values,
            label: Vec::new(),
        });
    }
    file.string_table = texts.list;
    file
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
