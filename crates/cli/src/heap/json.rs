//! Json: amounts, frames and paths for other programs.

use jemoxide_profile::views::{AgedAmount, Path};
use jemoxide_profile::{Amount, Frame};
use serde_json::{Value, json};

/// An estimate, to a tenth of an object.
pub(crate) fn amount(amount: Amount) -> Value {
    json!({
        "bytes": amount.bytes.round() as u64,
        "objects": tenths(amount.objects),
        "samples": tenths(amount.samples),
        "standard_error_bytes": amount.error().round() as u64,
    })
}

/// A frame; what is not known is left out or null.
pub(crate) fn frame(frame: &Frame<'_>) -> Value {
    json!({
        "function": frame.name(),
        "file": Some(frame.file()).filter(|file| !file.is_empty()),
        "line": Some(frame.line).filter(|&line| line > 0),
        "inlined": frame.is_inlined,
        "module": frame.module.map(|module| &*module.path),
        "address": Some(frame.address).filter(|&address| address > 0),
    })
}

/// A call path, innermost frame first.
pub(crate) fn path(path: &Path<'_>) -> Value {
    json!({
        "amount": amount(path.amount),
        "frames": path.frames.iter().map(frame).collect::<Vec<_>>(),
    })
}

/// A range of ages; no end is null.
pub(crate) fn aged(range: &AgedAmount) -> Value {
    json!({
        "from_ns": range.from_ns,
        "to_ns": Some(range.to_ns).filter(|&to| to < u64::MAX),
        "amount": amount(range.amount),
    })
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
