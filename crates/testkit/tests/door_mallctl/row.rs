//! A row of jemalloc's table of names, as the checks read it.

use jemoxide_testkit::facts::Row;

/// A name with the first of each index.
pub(crate) fn first(name: &str) -> String {
    name.replace("<i>", "0").replace("<j>", "0")
}

/// Bytes of a value; `None`: it has two types, or is followed.
pub(crate) fn size_of_type(kind: &str) -> Option<usize> {
    match kind {
        "bool" => Some(1),
        "unsigned" | "uint32_t" => Some(4),
        "size_t" | "ssize_t" | "uint64_t" | "int64_t" => Some(8),
        kind if kind.ends_with('*') && !kind.starts_with("void") => Some(8),
        _ => None,
    }
}

/// The switch that says whether what the row needs is built in.
pub(crate) fn condition(row: Row<'_>) -> Option<&'static str> {
    let condition = row.get("build_condition");
    [
        ("--enable-prof and run with prof:true", "opt.prof"),
        ("--enable-prof", "config.prof"),
        ("--enable-utrace", "config.utrace"),
        ("--enable-xmalloc", "config.xmalloc"),
        ("--enable-fill", "config.fill"),
        ("--enable-uaf-detection", "config.debug"),
    ]
    .into_iter()
    .find_map(|(text, switch)| condition.starts_with(text).then_some(switch))
}
