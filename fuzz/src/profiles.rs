//! Any bytes as a profile: refused with a message, or read, and then what is written of it can be read again.

use jemoxide_profile::{Measure, Profile};

/// Reads `bytes`, and writes what they say in every form.
pub fn run(bytes: &[u8]) {
    let profile = match Profile::read(bytes) {
        Ok(profile) => profile,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    let pprof = read(&profile.to_pprof());
    // Stacks of the same frames become one, and those without anything none.
    assert!(pprof.stacks().len() <= profile.stacks().len());
    if let Ok(dump) = profile.to_heap_v2() {
        read(&dump);
    }
    // A name may look like the beginning of another form: what comes of it is not known, but that something does.
    if let Ok(text) = profile.to_collapsed(Measure::Live) {
        let _ = Profile::read(text.as_bytes());
    }
    let mut both = profile.clone();
    both.merge(&profile);
    assert!(both.stacks().len() <= profile.stacks().len());
}

fn read(written: &[u8]) -> Profile {
    Profile::read(written).unwrap_or_else(|why| panic!("what was written is refused: {why}"))
}
