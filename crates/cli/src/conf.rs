//! `jemoxide conf`: the options in force, and where each value comes from.
//!
//! The text is read by the allocator's own parser (`jemoxide::settings`), from the same places a process reads it,
//! but for the variables that a program itself may carry: those are not seen from outside.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use anstyle::Style;
use jemoxide::settings::{Origin, build_options, explain};
use serde::Serialize;

use crate::arguments::ConfArguments;
use crate::failure::Failure;
use crate::screen::paragraph::paragraph;
use crate::screen::style::{FAINT, GOOD, TITLE, WARNING};
use crate::screen::{WIDTH, fitted, output};

/// The environment variables that hold options, in the order in which they are read.
const VARIABLES: [(&str, Origin); 3] = [
    ("MALLOC_CONF", Origin::MallocConf),
    ("_RJEM_MALLOC_CONF", Origin::RjemMallocConf),
    ("JEMOXIDE_CONF", Origin::JemoxideConf),
];

/// The presets, and whom they are for.
const PRESETS: [(&str, &str); 5] = [
    ("server", "long-lived services"),
    ("desktop", "programs that somebody waits for"),
    ("container", "under a memory limit"),
    ("low_memory", "as little memory as possible"),
    ("throughput", "as little time as possible"),
];

/// One option.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    value: String,
    default: String,
    differs: bool,
    /// Where the value was said; `default` where nowhere.
    origin: String,
    meaning: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    without_effect: String,
}

/// All there is to show.
#[derive(Debug, Serialize)]
struct Conf {
    sources: Vec<(String, String)>,
    options: Vec<Row>,
    warnings: Vec<String>,
}

/// Prints the options.
pub(crate) fn print(arguments: &ConfArguments) -> Result<ExitCode, Failure> {
    let sources = match (&arguments.preset, arguments.pid) {
        (Some(preset), _) => preset_alone(preset)?,
        (None, Some(pid)) => of_process(pid)?,
        (None, None) => of_environment(|name| std::env::var_os(name)),
    };
    let mut conf = read(sources);
    if let Some(preset) = &arguments.preset {
        // Said on the command line, not in a variable.
        conf.sources = vec![("--preset".into(), preset.clone())];
        for row in &mut conf.options {
            if row.origin == "MALLOC_CONF" {
                row.origin = "--preset".into();
            }
        }
    }
    let text = if arguments.json {
        serde_json::to_string_pretty(&conf).map_err(Failure::broken)? + "\n"
    } else {
        screen(&conf, arguments.all)
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What the parser needs: text that lives as long as the command.
fn kept(text: impl Into<Vec<u8>>) -> &'static [u8] {
    Box::leak(text.into().into_boxed_slice())
}

/// Build, link and environment; `variable` looks one up.
fn of_environment(variable: impl Fn(&OsStr) -> Option<OsString>) -> Vec<(Origin, &'static [u8])> {
    let mut sources = Vec::new();
    if let Some(text) = build_options() {
        sources.push((Origin::Build, text.as_bytes()));
    }
    if let Ok(target) = fs::read_link(Origin::Link.name()) {
        sources.push((Origin::Link, kept(target.into_os_string().into_vec())));
    }
    for (name, origin) in VARIABLES {
        if let Some(text) = variable(OsStr::new(name)) {
            sources.push((origin, kept(text.into_vec())));
        }
    }
    sources
}

/// What a running process was started with.
fn of_process(pid: u32) -> Result<Vec<(Origin, &'static [u8])>, Failure> {
    let path = format!("/proc/{pid}/environ");
    let environment = fs::read(&path).map_err(|why| {
        Failure::misuse(match why.kind() {
            ErrorKind::NotFound => format!("there is no process {pid}."),
            ErrorKind::PermissionDenied => {
                format!("{path} may not be read: the process is another user's. Try with sudo.")
            }
            _ => format!("cannot read {path}: {why}."),
        })
    })?;
    Ok(of_environment(|name| {
        environment
            .split(|&byte| byte == 0)
            .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .map(|value| OsString::from_vec(value.to_vec()))
    }))
}

fn preset_alone(preset: &str) -> Result<Vec<(Origin, &'static [u8])>, Failure> {
    if PRESETS.iter().all(|(name, _)| *name != preset) {
        let names = PRESETS.map(|(name, _)| name).join(", ");
        return Err(Failure::misuse(format!(
            "there is no preset `{preset}`. The presets are {names}."
        )));
    }
    Ok(vec![(Origin::MallocConf, kept(format!("preset:{preset}")))])
}

fn read(sources: Vec<(Origin, &'static [u8])>) -> Conf {
    let (mut options, mut warnings) = (Vec::new(), Vec::new());
    let mut preset = String::new();
    explain(
        &sources,
        &mut |setting| {
            if setting.name == "preset" {
                preset = setting.value.into();
            }
            options.push(Row {
                name: setting.name.into(),
                value: setting.value.into(),
                default: setting.default.into(),
                differs: setting.value != setting.default,
                origin: match setting.origin {
                    None => "default".into(),
                    Some(Origin::Preset(_)) => format!("preset {preset}"),
                    Some(origin) => origin.name().into(),
                },
                meaning: setting.meaning.into(),
                without_effect: setting.without_effect.into(),
            });
        },
        &mut |line| {
            let line = line.trim_start_matches("<jemoxide>: ").trim_end();
            warnings.push(line.to_owned());
        },
    );
    warnings.extend(contradictions(&options));
    let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let sources = sources.into_iter();
    Conf {
        sources: sources
            .map(|(origin, text)| (origin.name().into(), shown(text)))
            .collect(),
        options,
        warnings,
    }
}

/// Options that are good by themselves and make no sense together.
fn contradictions(options: &[Row]) -> Vec<String> {
    let value = |name: &str| {
        let row = options.iter().find(|row| row.name == name);
        row.map_or("", |row| row.value.as_str())
    };
    let mut found = Vec::new();
    let (soft, hard) = (
        bytes(value("heap_limit_soft")),
        bytes(value("heap_limit_hard")),
    );
    if hard > 0 && soft >= hard {
        found.push(format!(
            "heap_limit_soft:{} never counts: heap_limit_hard:{} is reached first",
            value("heap_limit_soft"),
            value("heap_limit_hard")
        ));
    }
    if value("hpa") == "true" && value("thp") == "never" {
        found.push("hpa:true has no effect: thp:never forbids huge pages".into());
    } else if value("hpa") == "true" && value("huge_budget") == "0" && value("thp") == "default" {
        found.push("hpa:true has no effect: huge_budget:0 forbids huge pages".into());
    }
    if value("background_thread") == "true" && value("dirty_decay_ms") == "-1" {
        found.push(
            "background_thread:true has nothing to do: dirty_decay_ms:-1 keeps idle memory".into(),
        );
    }
    found
}

/// A value of bytes as the allocator shows it: a number and perhaps a suffix.
fn bytes(value: &str) -> u128 {
    let digits = value.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match value.as_bytes().last() {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        _ => 0,
    };
    digits.parse().map_or(0, |number: u128| number << shift)
}

fn screen(conf: &Conf, all: bool) -> String {
    let mut text = format!("{TITLE}Options{TITLE:#}\n\n");
    for (origin, said) in &conf.sources {
        let room = WIDTH.saturating_sub(4 + origin.len());
        // Writing to a string cannot fail.
        _ = writeln!(text, "  {origin}: {}", fitted(said, room));
    }
    if conf.sources.is_empty() {
        _ = writeln!(text, "  Nothing is set: all options have their defaults.");
    }
    if !conf.warnings.is_empty() {
        _ = writeln!(text, "\n{WARNING}Warnings{WARNING:#}\n");
        for warning in &conf.warnings {
            text.push_str(&paragraph(&format!("- {warning}"), Style::new()));
        }
    }
    let (differ, same): (Vec<_>, Vec<_>) = conf.options.iter().partition(|row| row.differs);
    if !differ.is_empty() {
        _ = writeln!(text, "\n{TITLE}Different from the default{TITLE:#}\n");
        for row in differ {
            let default = match row.default.as_str() {
                "" => "none",
                default => default,
            };
            let from = format!("{}; default {default}", row.origin);
            let line = columns(&format!("{}:{}", row.name, row.value), &from);
            _ = writeln!(text, "{GOOD}* {line}{GOOD:#}");
            explain_row(&mut text, row);
        }
    }
    let (idle, same): (Vec<_>, Vec<_>) = same
        .into_iter()
        .partition(|row| !row.without_effect.is_empty());
    _ = writeln!(text, "\n{TITLE}As by default{TITLE:#}\n");
    for row in same {
        let set = format!("{}:{}", row.name, row.value);
        let from = match row.origin.as_str() {
            "default" => "",
            origin => origin,
        };
        _ = writeln!(text, "  {}", columns(&set, from));
        explain_row(&mut text, row);
    }
    if all {
        let title = "Known from jemalloc, without effect here";
        _ = writeln!(text, "\n{TITLE}{title}{TITLE:#}\n");
        for row in idle {
            _ = writeln!(
                text,
                "  {}",
                fitted(&format!("{}:{}", row.name, row.value), 78)
            );
            let why = format!("{}: {}", row.meaning, row.without_effect);
            _ = writeln!(text, "{FAINT}      {}{FAINT:#}", fitted(&why, WIDTH - 6));
        }
    } else {
        let hidden = idle.len();
        _ = writeln!(
            text,
            "{FAINT}\n  {hidden} more that have no effect here: jemoxide conf --all{FAINT:#}"
        );
    }
    _ = write!(
        text,
        "{FAINT}\n  A program may carry options of its own (the variable malloc_conf); those are
  not seen from outside: confirm_conf:true has the program tell them.
  Presets: {}.{FAINT:#}\n",
        PRESETS.map(|(name, _)| name).join(", ")
    );
    text
}

/// An option, and where it comes from.
fn columns(set: &str, from: &str) -> String {
    const LEFT: usize = 36;
    if from.is_empty() {
        return fitted(set, WIDTH - 2);
    }
    let right = fitted(from, WIDTH - LEFT - 4);
    format!("{:LEFT$}  {right}", fitted(set, LEFT))
}

/// What the option is about, and that it has no effect.
fn explain_row(text: &mut String, row: &Row) {
    _ = writeln!(
        text,
        "{FAINT}      {}{FAINT:#}",
        fitted(&row.meaning, WIDTH - 6)
    );
    if !row.without_effect.is_empty() {
        let why = format!("no effect: {}", row.without_effect);
        _ = writeln!(
            text,
            "{WARNING}      {}{WARNING:#}",
            fitted(&why, WIDTH - 6)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::assert_fits;

    fn conf(text: &str) -> Conf {
        read(vec![(Origin::MallocConf, kept(text))])
    }

    #[test]
    fn every_preset_is_one_and_says_what_it_changes() {
        for (name, _) in PRESETS {
            let conf = read(preset_alone(name).expect("known"));
            assert_eq!(conf.warnings, [""; 0], "{name}");
            let by_preset = format!("preset {name}");
            assert!(
                conf.options
                    .iter()
                    .any(|row| row.differs && row.origin == by_preset)
            );
            assert_fits(&screen(&conf, true));
        }
        assert!(preset_alone("none such").is_err());
    }

    #[test]
    fn long_values_and_bad_pairs_fit() {
        let path = "x".repeat(150);
        let conf = conf(&format!(
            "report_dir:/{path},{path}:1,retain:false,narenas:99999999999999999999"
        ));
        assert_eq!(conf.warnings.len(), 3, "{:?}", conf.warnings);
        assert_fits(&screen(&conf, false));
        assert_fits(&screen(&conf, true));
    }

    #[test]
    fn contradictions_are_named() {
        let warnings = |text| conf(text).warnings.len();
        assert_eq!(warnings("heap_limit_soft:2G,heap_limit_hard:1G"), 1);
        assert_eq!(warnings("heap_limit_soft:1G,heap_limit_hard:2G"), 0);
        assert_eq!(warnings("heap_limit_soft:1G"), 0);
        assert_eq!(warnings("hpa:true,thp:never"), 1);
        assert_eq!(warnings("hpa:true,huge_budget:0"), 1);
        assert_eq!(warnings("background_thread:true,dirty_decay_ms:-1"), 1);
    }
}
