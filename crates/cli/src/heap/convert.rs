//! `jemoxide convert IN -o OUT`: a profile in another form.

use std::process::ExitCode;
use std::slice;

use jemoxide_profile::Profile;

use crate::arguments::heap::{ConvertArguments, To};
use crate::failure::Failure;
use crate::heap::file;
use crate::heap::load::Loaded;
use crate::heap::why_empty;
use crate::screen::output::safe;
use crate::screen::style::{RESET, WARNING};

/// Suffixes and what they mean; longer ones first.
const SUFFIXES: [(&str, To); 7] = [
    (".pb.gz", To::Pprof),
    (".pb", To::Pprof),
    (".heap", To::Heap),
    (".folded", To::Collapsed),
    (".collapsed", To::Collapsed),
    (".stacks", To::Collapsed),
    (".txt", To::Collapsed),
];

/// Reads, names, writes.
pub(crate) fn convert(arguments: &ConvertArguments) -> Result<ExitCode, Failure> {
    let to = form(arguments)?;
    let mut names = arguments.names.clone();
    // A dump has no place for names: they need not be looked up.
    names.no_symbols |= to == To::Heap;
    let loaded = Loaded::from_files(slice::from_ref(&arguments.from), &names)?;
    let profile = &loaded.profile;
    let content = match to {
        To::Heap => profile.to_heap_v2().map_err(Failure::misuse)?,
        To::Pprof => profile.to_pprof(),
        To::Collapsed => {
            let measure = loaded.demand(arguments.by)?;
            if let Some(why) = why_empty(profile, measure) {
                return Err(Failure::broken(why));
            }
            profile.to_collapsed(measure).into_bytes()
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
    let name = arguments.output.to_string_lossy().to_lowercase();
    let known = SUFFIXES.iter().find(|(suffix, _)| name.ends_with(suffix));
    known.map(|&(_, to)| to).ok_or_else(|| {
        Failure::misuse(format!(
            "cannot tell the form from the name {}. End it in .heap, .pb.gz or .folded, or add --to heap, pprof or \
             collapsed.",
            arguments.output.display()
        ))
    })
}

/// What `profile` tells and the form does not.
fn left_out(profile: &Profile, to: To) -> Option<String> {
    let known = profile.known();
    match to {
        To::Heap if known.peak && !known.ages => {
            Some("A heap dump has no place for the peak without details: it was left out.".to_owned())
        }
        To::Pprof if known.ages || known.lifetimes => Some(
            "pprof has no place for ages, lifetimes, tags, threads and size classes: they were left out.".to_owned(),
        ),
        _ => None,
    }
}
