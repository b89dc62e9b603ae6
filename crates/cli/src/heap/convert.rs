//! `jemoxide convert IN -o OUT`: a profile in another form.

use std::path::Path;
use std::process::ExitCode;
use std::slice;

use jemoxide_profile::{Form, Profile};

use crate::arguments::heap::{ConvertArguments, To};
use crate::failure::Failure;
use crate::heap::file;
use crate::heap::load::Loaded;
use crate::heap::why_empty;
use crate::screen::output::safe;
use crate::screen::style::{RESET, WARNING};

/// Suffixes and what they mean; longer ones first.
const SUFFIXES: [(&str, To); 8] = [
    (".pb.gz", To::Pprof),
    (PLAIN, To::Pprof),
    (".pprof", To::Pprof),
    (".heap", To::Heap),
    (".folded", To::Collapsed),
    (".collapsed", To::Collapsed),
    (".stacks", To::Collapsed),
    (".txt", To::Collapsed),
];

/// The suffix of a profile in pprof's form that is not packed.
const PLAIN: &str = ".pb";

/// Reads, names, writes.
pub(crate) fn convert(arguments: &ConvertArguments) -> Result<ExitCode, Failure> {
    let to = form(arguments)?;
    let mut names = arguments.names.clone();
    // A dump has no place for names of addresses: they need not be looked up.
    names.no_symbols |= to == To::Heap;
    let loaded = Loaded::from_files(slice::from_ref(&arguments.from), &names)?;
    let profile = &loaded.profile;
    let is_plain = suffixed(&arguments.output, PLAIN);
    let content = match to {
        To::Heap => profile.to_heap_v2().map_err(Failure::misuse)?,
        To::Pprof if is_plain => profile.to_pprof_unpacked(),
        To::Pprof => profile.to_pprof(),
        To::Collapsed => {
            let measure = loaded.demand(arguments.by)?;
            if let Some(why) = why_empty(profile, measure) {
                return Err(Failure::broken(why));
            }
            let text = profile.to_collapsed(measure);
            text.map_err(Failure::misuse)?.into_bytes()
        }
    };
    file::write(&arguments.output, &content)?;
    let mut notes = loaded.notes;
    notes.extend(left_out(profile, to));
    for note in notes {
        anstream::eprintln!("{WARNING}jemoxide:{RESET} {}", safe(&note));
    }
    Ok(ExitCode::SUCCESS)
}

fn form(arguments: &ConvertArguments) -> Result<To, Failure> {
    if let Some(to) = arguments.to {
        return Ok(to);
    }
    let known = SUFFIXES
        .iter()
        .find(|(suffix, _)| suffixed(&arguments.output, suffix));
    known.map(|&(_, to)| to).ok_or_else(|| {
        Failure::misuse(format!(
            "cannot tell the form from the name {}. End it in .heap, .pb.gz or .folded, or add --to heap, pprof or \
             collapsed.",
            arguments.output.display()
        ))
    })
}

fn suffixed(path: &Path, suffix: &str) -> bool {
    path.to_string_lossy().to_lowercase().ends_with(suffix)
}

/// What `profile` tells and the form does not.
fn left_out(profile: &Profile, to: To) -> Vec<String> {
    let known = profile.known();
    let notes = [
        (
            to == To::Heap && known.peak && !known.ages,
            "A heap dump has no place for the peak without details: it was left out.",
        ),
        (
            to == To::Heap && !known.objects,
            "The profile does not tell how many objects there are: the dump has one for each call path.",
        ),
        (
            to == To::Heap && profile.form() == Form::Collapsed,
            "Collapsed stacks have no addresses: the dump has made up ones, and the names in front (`--- symbol`), as \
             jeprof and jemoxide read it. jeprof wants no program beside it.",
        ),
        (
            to == To::Pprof && known.lifetimes,
            "pprof has no place for lifetimes, single objects and size classes: they were left out.",
        ),
    ];
    let told = notes.into_iter().filter(|&(is_so, _)| is_so);
    told.map(|(_, note)| note.to_owned()).collect()
}
