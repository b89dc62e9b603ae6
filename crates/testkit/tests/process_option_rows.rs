//! Options as processes take them: every row of jemalloc's table, good, at its edges, and bad.
//!
//! P1  A good value gets no line, or one that says why it has no effect or less than it asks for; `opt.*` reads what was
//!     said.
//! P2  A bad value gets one line that names the pair and what would be right; the process runs on with the default.
//! P3  A bad value ends the process where `abort_conf` asks for it; one without effect does not.
//! P4  What `facts/options_absent.txt` lists is unknown, and all else is known.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null;

use jemoxide_testkit::facts::{self, Row};
use jemoxide_testkit::{artifacts, child};

/// What is done with a value, and what it reads as then.
#[derive(Debug)]
enum Fate {
    Taken(String),
    Refused,
}

/// Rows whose numbers end elsewhere, or are rounded, as docs/COMPAT.md tells: what the number reads as.
fn ours(name: &str, number: i128) -> i128 {
    match name {
        // More are never made, and a thread makes none.
        "narenas" => number.min(32),
        // Rounded up to a class.
        "tcache_max" => number.max(8),
        _ => number,
    }
}

/// Pairs that ask for more than is done.
const LESS: [&str; 6] = [
    "max_background_threads:8",
    "narenas:33",
    "tcache_ncached_max:8-64:8191",
    "tcache_nslots_small_min:2048",
    "tcache_nslots_large:2048",
    "retain:false",
];

/// Values of a row and their fates.
fn values(row: Row<'_>) -> Vec<(String, Fate)> {
    let (name, legal) = (row.get("name"), row.get("legal_values"));
    let taken = |value: &str| (value.to_owned(), Fate::Taken(value.to_owned()));
    let refused = |value: &str| (value.to_owned(), Fate::Refused);
    match row.get("type") {
        "bool" => vec![taken("true"), taken("false"), refused("yes"), refused("")],
        "enum" => {
            let (words, _) = legal.split_once('(').expect("how words match");
            let mut values: Vec<_> = words.split('|').map(|word| taken(word.trim())).collect();
            values.push(refused("nonsense"));
            if legal.contains("prefix match") {
                let word = words.split('|').next().unwrap().trim();
                values.push((word[..1].to_owned(), Fate::Taken(word.to_owned())));
            }
            values
        }
        "range list" if name == "tcache_ncached_max" => vec![
            taken("8-64:254"),
            taken("8-64:8191"),
            taken("14336-32768:8"),
            refused("8-64"),
        ],
        "range list" => vec![taken("8-64:1"), taken("8-64:1|65-128:2"), refused("8-64")],
        "string" | "letters" => vec![taken("J")],
        "fixed point" => vec![taken("0.5"), taken("1"), refused("x"), refused("-0.5")],
        _ => numbers(name, legal, row.get("default_linux_x86_64")),
    }
}

fn numbers(name: &str, legal: &str, default: &str) -> Vec<(String, Fate)> {
    let mut values = vec![
        ("x".to_owned(), Fate::Refused),
        ("1x".to_owned(), Fate::Refused),
    ];
    let mut take = |number: i128, reads: i128| {
        let reads = ours(name, reads).to_string();
        values.push((number.to_string(), Fate::Taken(reads)));
    };
    if name == "narenas" {
        take(32, 32);
        take(33, 33);
    }
    if name == "max_background_threads" {
        take(8, 8);
    }
    let first = default.split(' ').next().unwrap_or("");
    if let Ok(number) = first.parse() {
        if name != "narenas" && name != "hpa_hugification_threshold" {
            take(number, number);
        }
    }
    let number = |text: &str| {
        let end = text.find(|each: char| !each.is_ascii_digit() && each != '-');
        text[..end.unwrap_or(text.len())].parse::<i128>().ok()
    };
    let cuts = legal.contains("clipped");
    let (least, most) = match legal.split_once("..") {
        Some((least, most)) => (number(least), number(most)),
        None => (legal.split(">= ").nth(1).and_then(number), None),
    };
    let edges = [(least, -1), (most, 1)];
    for (edge, step) in edges {
        let Some(edge) = edge else { continue };
        if name == "narenas" || legal.starts_with("-1, or") {
            continue;
        }
        take(edge, edge);
        if cuts && edge + step >= 0 {
            take(edge + step, edge);
        }
    }
    if !cuts {
        for (edge, step) in edges {
            if let Some(edge) =
                edge.filter(|edge| name == "narenas" || edge + step < -1 || *edge > 0)
            {
                values.push(((edge + step).to_string(), Fate::Refused));
            }
        }
    }
    values
}

#[test]
fn every_row_is_taken_as_it_says() {
    const TEST: &str = "every_row_is_taken_as_it_says";
    if child::rerun(TEST).is_none() {
        if let Ok(node) = std::env::var("NODE") {
            println!("\nreads {}", read(&node, &std::env::var("KIND").unwrap()));
        }
        return;
    }
    let mut less = LESS.to_vec();
    let (options, names, absent) = (facts::options(), facts::mallctl(), facts::options_absent());
    let kinds: BTreeMap<_, _> = names
        .rows()
        .map(|row| (row.get("name"), row.get("type")))
        .collect();
    let run = |options: &str, node: Option<(&str, &str)>| {
        let mut run = child::rerun(TEST)
            .expect("not inside it")
            .preload(artifacts::library())
            .env("MALLOC_CONF", options);
        if let Some((node, kind)) = node {
            run = run.env("NODE", node).env("KIND", kind);
        }
        run.run()
    };
    for row in options.rows() {
        let name = row.get("name");
        if absent.contains(&name) {
            let outcome = run(&format!("{name}:1"), None).expect_success();
            assert!(
                outcome.stderr.contains("unknown option"),
                "P4 {name} is there: facts/options_absent.txt"
            );
            continue;
        }
        let node = Some(row.get("mallctl_node")).filter(|node| !node.is_empty());
        let node = node.and_then(|node| Some((node, *kinds.get(node)?)));
        for (value, fate) in values(row) {
            let pair = format!("{name}:{value}");
            let outcome = run(&pair, node).expect_success();
            let lines: Vec<_> = outcome
                .stderr
                .lines()
                .filter(|line| line.starts_with("<jemoxide>") && line.contains("option"))
                .collect();
            match fate {
                Fate::Taken(reads) => {
                    let tells_why = |line: &str| {
                        line.contains(&format!("option without effect: {pair} ("))
                            || line.contains(&format!("option honoured in part: {pair} ("))
                    };
                    let is_good = match lines[..] {
                        [] => !LESS.contains(&pair.as_str()),
                        [line] => {
                            less.retain(|asked| *asked != pair);
                            tells_why(line)
                        }
                        _ => false,
                    };
                    assert!(is_good, "P1 {pair}: {outcome}");
                    let told = outcome
                        .stdout
                        .lines()
                        .find_map(|line| line.strip_prefix("reads "));
                    if let Some(told) = told.filter(|told| *told != "absent") {
                        assert_eq!(told, as_read(row, &reads), "P1 {pair}");
                    }
                }
                Fate::Refused => {
                    assert_eq!(lines.len(), 1, "P2 {pair}: {outcome}");
                    let names_it = format!("invalid option value, ignored: {pair} (wants ");
                    assert!(lines[0].contains(&names_it), "P2 {pair}: {outcome}");
                }
            }
        }
    }
    assert_eq!(less, [""; 0], "P1 these were never tried");
    run("zero:maybe,abort_conf:true", None).expect_death("zero:maybe (wants true or false)");
    run("abort_conf:true,cache_oblivious:true", None).expect_success();
}

/// A value as `read` prints it.
fn as_read(row: Row<'_>, value: &str) -> String {
    match row.get("type") {
        // In shares of 65536.
        "fixed point" => ((value.parse::<f64>().unwrap() * 65536.0) as u32).to_string(),
        _ => value.to_owned(),
    }
}

type Control =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *const c_void, usize) -> c_int;

/// The value of a node of mallctl, or `absent`.
fn read(node: &str, kind: &str) -> String {
    let name = CString::new(node).unwrap();
    let mut bytes = [0u8; 8];
    let mut len = match kind {
        "bool" => 1,
        "unsigned" | "uint32_t" => 4,
        _ => 8,
    };
    // SAFETY: the type is that of the C declaration; room for a value of that length.
    let code = unsafe {
        let mallctl: Control = jemoxide_testkit::door::function(c"mallctl");
        mallctl(
            name.as_ptr(),
            bytes.as_mut_ptr().cast(),
            &mut len,
            null(),
            0,
        )
    };
    if code == libc::ENOENT {
        return "absent".to_owned();
    }
    assert_eq!(code, 0, "{node}");
    let word = u64::from_ne_bytes(bytes);
    match kind {
        "bool" => (word != 0).to_string(),
        "ssize_t" | "int64_t" => (word as i64).to_string(),
        "const char *" => {
            let text = std::ptr::with_exposed_provenance::<c_char>(word as usize);
            // SAFETY: the node gives a text that stays.
            unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
        }
        _ => word.to_string(),
    }
}
