//! The C headers, from tables.
//!
//! ```text
//! facts/symbols.tsv   signatures ────────┐
//! facts/header.tsv    names there must be ├─> include/jemalloc/jemalloc.h   jemalloc's names, renaming and all
//! tables/header.tsv   C text for each ────┘   include/jemoxide.h            plain names, and our own
//! ```
//! G1  Every name of facts/header.tsv is defined, or stands in [`NOT_HERE`] with its reason.
//! G2  Both headers may be included, in either order, in C and in C++.
//! G3  What is checked in is what the tables give: a test compares.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use jemoxide_testkit::{artifacts, facts};

use crate::{Done, put};

/// Names of facts/header.tsv that stand in the frame of the header, or belong to another system.
pub const NOT_HERE: [(&str, &str); 9] = [
    ("LG_SIZEOF_PTR_WIN", "Windows"),
    ("je_smallocx_<hash>", "a build switch"),
    ("flag bit 7", "reserved"),
    ("included headers", "frame"),
    ("#pragma GCC system_header", "frame"),
    ("extern \"C\" guards", "frame"),
    ("JEMALLOC_H_", "frame"),
    ("JEMALLOC_NO_RENAME", "the user's"),
    ("JEMALLOC_MANGLE", "the user's"),
];

/// Attributes of a function, by name.
const ATTRIBUTES: [(&str, &str); 14] = [
    ("malloc", "JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1)"),
    ("calloc", "JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE2(1, 2)"),
    ("realloc", "JEMALLOC_ALLOC_SIZE(2)"),
    ("posix_memalign", "JEMALLOC_ATTR(nonnull(1))"),
    (
        "aligned_alloc",
        "JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2)",
    ),
    ("memalign", "JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2)"),
    ("valloc", "JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1)"),
    ("pvalloc", "JEMALLOC_ATTR(malloc)"),
    ("mallocx", "JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1)"),
    ("rallocx", "JEMALLOC_ALLOC_SIZE(2)"),
    ("sallocx", "JEMALLOC_ATTR(pure)"),
    ("nallocx", "JEMALLOC_ATTR(pure)"),
    ("malloc_stats_print", "JEMALLOC_COLD"),
    ("mallctl", ""),
];

/// The version of jemalloc whose interface this is, and 40 digits that spell our name in place of a commit.
const VERSION: [u32; 4] = [5, 3, 1, 0];
const COMMIT: &str = "6a656d6f78696465000000000000000000000000";

/// Functions and variables that are in the shared library and in the header.
struct Symbol {
    name: &'static str,
    /// As C declares it, with `{}` where the name stands.
    declaration: String,
}

/// Where the checked-in headers are.
pub fn folder() -> PathBuf {
    artifacts::workspace().join("crates/capi/include")
}

/// Both headers: path below the include folder, and text.
pub fn texts() -> Result<[(&'static str, String); 2], String> {
    Ok([
        ("jemalloc/jemalloc.h", jemalloc()?),
        ("jemoxide.h", jemoxide()?),
    ])
}

/// Writes both.
pub fn write_below(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder.join("jemalloc")).map_err(|error| error.to_string())?;
    for (path, text) in texts()? {
        put(&folder.join(path), &text)?;
    }
    Ok(())
}

/// The command.
pub fn write() -> Done {
    write_below(&folder())?;
    Ok(format!("written below {}\n", folder().display()))
}

/// Lines of tables/header.tsv: names, group, C text.
pub fn lines() -> Vec<(Vec<&'static str>, &'static str, String)> {
    include_str!("../tables/header.tsv")
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .map(|line| {
            let cells: Vec<_> = line.splitn(3, '\t').collect();
            let text = cells[2].replace("\\n", "\n").replace("\\t", "\t");
            (cells[0].split('+').collect(), cells[1], text)
        })
        .collect()
}

fn group(text: &mut String, wanted: &str) {
    for (_, group, line) in lines() {
        if group == wanted {
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// What the header declares: functions first, then variables.
fn symbols() -> Vec<Symbol> {
    let table = facts::symbols();
    let declared = |row: &facts::Row<'_>| {
        let condition = row.get("build_condition");
        let in_build = condition == "default build" || condition.contains("(glibc: yes)");
        in_build && !row.get("symbol").starts_with("je_") && row.get("kind") != "cxx"
    };
    let symbol = |row: facts::Row<'static>| {
        let (name, signature) = (row.get("symbol"), row.get("signature"));
        // The name stands before the arguments, and in variables at the end or in `(*name)`.
        let at = match row.get("kind") {
            "var" if signature.contains("(*") => signature.find("(*").unwrap_or(0) + 2,
            "var" => signature.len() - name.len(),
            _ => signature.find(&format!("{name}(")).unwrap_or(0),
        };
        let (before, after) = (&signature[..at], &signature[at + name.len()..]);
        Symbol {
            name,
            declaration: format!("{before}{{}}{after}"),
        }
    };
    let table: &'static facts::Table = Box::leak(Box::new(table));
    let of_kind = |kind: &'static str| {
        table
            .rows()
            .filter(move |row| row.get("kind") == kind)
            .filter(declared)
            .map(symbol)
    };
    of_kind("func").chain(of_kind("var")).collect()
}

/// One declaration, with `prefix` before the name.
fn declare(symbol: &Symbol, prefix: &str) -> String {
    let name = format!("{prefix}{}", symbol.name);
    let declaration = symbol.declaration.replace("{}", &name);
    if !declaration.ends_with(')')
        || declaration.contains("(*") && declaration.starts_with("void (*")
    {
        return format!("extern JEMALLOC_EXPORT {declaration};\n");
    }
    let attributes = ATTRIBUTES.iter().find(|(name, _)| *name == symbol.name);
    let attributes = attributes.map_or("", |(_, attributes)| attributes);
    let space = if attributes.is_empty() { "" } else { " " };
    format!(
        "JEMALLOC_EXPORT {declaration}\n    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW{space}{attributes};\n"
    )
}

const INCLUDES: &str = "#include <limits.h>\n#include <stdbool.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <strings.h>\n";
const MADE: &str = "Made by `cargo xtask headers` from tables; do not edit.";

fn version(text: &mut String) {
    let [major, minor, bugfix, revision] = VERSION;
    let _ = write!(
        text,
        "#define JEMALLOC_VERSION \"{major}.{minor}.{bugfix}-{revision}-g{COMMIT}\"\n\
         #define JEMALLOC_VERSION_MAJOR {major}\n\
         #define JEMALLOC_VERSION_MINOR {minor}\n\
         #define JEMALLOC_VERSION_BUGFIX {bugfix}\n\
         #define JEMALLOC_VERSION_NREV {revision}\n\
         #define JEMALLOC_VERSION_GID \"{COMMIT}\"\n\
         #define JEMALLOC_VERSION_GID_IDENT {COMMIT}\n"
    );
}

fn hooks(text: &mut String) {
    text.push_str("\n/* How an arena gets its memory, where the program says so. */\n");
    text.push_str("#ifndef JEMALLOC_EXTENT_HOOKS_\n#define JEMALLOC_EXTENT_HOOKS_\n");
    group(text, "hooks");
    text.push_str("#endif\n");
}

const C_BEGIN: &str = "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n";
const C_END: &str = "\n#ifdef __cplusplus\n}\n#endif\n";

/// jemalloc/jemalloc.h: every declaration under a name with `je_`, which is another word for the plain one unless the
/// program says otherwise.
fn jemalloc() -> Result<String, String> {
    let symbols = symbols();
    let mut text = format!(
        "/* jemalloc's interface, as libjemoxide has it. {MADE} */\n\
         #ifndef JEMALLOC_H_\n#define JEMALLOC_H_\n#pragma GCC system_header\n\n{INCLUDES}\n"
    );
    version(&mut text);
    text.push_str("\n/* What there is. */\n");
    group(&mut text, "feature");
    text.push_str("\n/* Attributes. */\n");
    group(&mut text, "attribute");
    text.push_str("\n/* Flags, and special arenas. */\n");
    group(&mut text, "flags");
    text.push_str("\n/* Names below begin with je_, and mean the plain ones. */\n#ifndef JEMALLOC_NO_RENAME\n");
    for symbol in &symbols {
        let _ = writeln!(text, "#define je_{0} {0}", symbol.name);
    }
    text.push_str("#endif\n");
    text.push_str(C_BEGIN);
    hooks(&mut text);
    text.push('\n');
    for symbol in &symbols {
        text.push_str(&declare(symbol, "je_"));
    }
    text.push_str(C_END);
    text.push_str(
        "\n/* The program's plain names become ones with je_. */\n#ifdef JEMALLOC_MANGLE\n\
         #ifndef JEMALLOC_NO_DEMANGLE\n#define JEMALLOC_NO_DEMANGLE\n#endif\n",
    );
    for symbol in &symbols {
        let _ = writeln!(text, "#define {0} je_{0}", symbol.name);
    }
    text.push_str("#endif\n\n/* Names with je_ were for this header alone, unless they are kept. */\n#ifndef JEMALLOC_NO_DEMANGLE\n");
    for symbol in &symbols {
        let _ = writeln!(text, "#undef je_{}", symbol.name);
    }
    text.push_str("#endif\n\n#endif\n");
    for row in facts::header().rows() {
        let name = row.get("name");
        let word = name.split('(').next().unwrap_or(name);
        let field = word.rsplit('.').next().unwrap_or(word);
        let stands = text.contains(field) || NOT_HERE.iter().any(|(other, _)| *other == name);
        if !stands {
            return Err(format!("tables/header.tsv has no line for {name}"));
        }
    }
    Ok(text)
}

/// jemoxide.h: plain names, and what is ours.
fn jemoxide() -> Result<String, String> {
    let mut text = format!(
        "/* libjemoxide: jemalloc's interface under its plain names, and our own. {MADE} */\n\
         #ifndef JEMOXIDE_H_\n#define JEMOXIDE_H_\n#pragma GCC system_header\n\n{INCLUDES}\n\
         #define JEMOXIDE_VERSION \"{}\"\n",
        env!("CARGO_PKG_VERSION")
    );
    text.push_str("\n/* What jemalloc/jemalloc.h also defines, for either of the two alone. */\n#ifndef JEMALLOC_H_\n");
    group(&mut text, "feature");
    group(&mut text, "attribute");
    group(&mut text, "flags");
    text.push_str("#endif\n");
    text.push_str(
        "\n/* Names of mallctl that jemalloc has not; docs/COMPAT.md tells their types. */\n\
         #define JEMOXIDE_PURGE \"jemoxide.purge\"\n\
         #define JEMOXIDE_RSS \"jemoxide.rss\"\n\
         #define JEMOXIDE_CONTROL \"jemoxide.control\"\n\
         #define JEMOXIDE_HEAP_USED \"jemoxide.heap_used\"\n\
         #define JEMOXIDE_HEAP_LIMIT_SOFT \"jemoxide.heap_limit_soft\"\n\
         #define JEMOXIDE_HEAP_LIMIT_HARD \"jemoxide.heap_limit_hard\"\n\
         #define JEMOXIDE_HEAP_LIMIT_CALLBACK \"jemoxide.heap_limit_callback\"\n",
    );
    text.push_str(C_BEGIN);
    hooks(&mut text);
    text.push_str(
        "\n/* Called above the soft limit: bytes used, and the limit. */\n\
         typedef void (jemoxide_soft_limit_t)(size_t used, size_t limit);\n\n",
    );
    for symbol in symbols() {
        text.push_str(&declare(&symbol, ""));
    }
    text.push_str(
        "\n/* As in the C library, on this heap. */\n\
         JEMALLOC_EXPORT void *reallocarray(void *ptr, size_t num, size_t size)\n    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW JEMALLOC_ALLOC_SIZE2(2, 3);\n\
         JEMALLOC_EXPORT int malloc_trim(size_t pad)\n    JEMALLOC_CXX_THROW JEMALLOC_SYS_NOTHROW;\n",
    );
    text.push_str(C_END);
    text.push_str("\n#endif\n");
    Ok(text)
}
