//! Entrants: allocators with their settings.
//!
//! ```text
//! jemoxide                      as it comes
//! jemoxide server ...           each preset
//! jemoxide a:b,c:d              what `--conf` says
//! jemalloc, jemalloc-5.3.1      as they come, and with a background thread
//! every other peer              as it comes
//! ```

use super::watch::Watched;
use crate::peers::{JEMOXIDE, Peer};
use crate::process::Program;

/// Bundles of options of ours.
const PRESETS: &[&str] = &["server", "desktop", "container", "low_memory", "throughput"];

/// Where the allocators look for settings: ours and the distribution's jemalloc in the first, a jemalloc
/// that was built with a prefix in the second.
const VARIABLES: &[&str] = &["MALLOC_CONF", "_RJEM_MALLOC_CONF"];

const BACKGROUND: &str = "background_thread:true";
/// What jemalloc calls that thread.
const BACKGROUND_THREAD: &str = "jemalloc_bg_thd";

/// One allocator with its settings.
pub(super) struct Entrant {
    /// Name in tables and chart.
    pub(super) name: String,
    /// Name of the peer.
    pub(super) peer: String,
    /// Why it can't run.
    pub(super) missing: Option<String>,
    conf: Option<String>,
    preload: Peer,
}

/// All entrants of `peers`; `confs`: further settings of ours; `only`: parts of names to keep.
pub(super) fn of(peers: &[Peer], confs: &[String], only: &[String]) -> Vec<Entrant> {
    let mut entrants = Vec::new();
    for peer in peers {
        entrants.push(Entrant::new(peer, &peer.name, None));
        if peer.name == JEMOXIDE {
            for preset in PRESETS {
                let name = format!("{JEMOXIDE} {preset}");
                entrants.push(Entrant::new(peer, &name, Some(format!("preset:{preset}"))));
            }
            for conf in confs {
                let name = format!("{JEMOXIDE} {conf}");
                entrants.push(Entrant::new(peer, &name, Some(conf.clone())));
            }
        } else if crate::palette::is_jemalloc(&peer.name) {
            let name = format!("{} bg", peer.name);
            entrants.push(Entrant::new(peer, &name, Some(BACKGROUND.to_owned())));
        }
    }
    entrants.retain(|entrant| only.is_empty() || only.iter().any(|part| entrant.is_called(part)));
    entrants
}

impl Entrant {
    fn new(peer: &Peer, name: &str, conf: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            peer: peer.name.clone(),
            missing: peer.missing.clone(),
            conf,
            preload: peer.clone(),
        }
    }

    /// Whether `part` is in its name; a whole name names that entrant alone.
    fn is_called(&self, part: &str) -> bool {
        match part.strip_suffix('=') {
            Some(whole) => self.name == whole,
            None => self.name.contains(part),
        }
    }

    /// `program`, made to run as this entrant.
    pub(super) fn run_on(&self, program: Program) -> Program {
        let mut program = self.preload.run_on(program);
        for variable in VARIABLES {
            if let Some(conf) = &self.conf {
                program = program.env(variable, conf);
            }
        }
        program
    }

    /// Rule K4: whether the settings were taken.
    pub(super) fn check(&self, watched: &Watched) -> Result<(), String> {
        let Some(conf) = &self.conf else {
            return Ok(());
        };
        // Allocators write what they do not understand to standard error.
        if let Some(line) = watched.stderr.lines().find(|line| line.starts_with('<')) {
            return Err(format!("{conf} was not taken: {line}"));
        }
        let has_thread = |name: &str| watched.threads.iter().any(|thread| thread == name);
        if conf == BACKGROUND && !has_thread(BACKGROUND_THREAD) {
            return Err(format!(
                "{conf} was not taken: no thread {BACKGROUND_THREAD}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Entrant, PRESETS, Watched, of};
    use crate::peers::{self, Workshop};

    fn entrants(only: &[String]) -> Vec<Entrant> {
        let names = ["jemoxide", "jemalloc", "glibc"].map(String::from);
        let peers = peers::discover(None, &names, &Workshop::closed()).unwrap();
        of(&peers, &["narenas:1".into()], only)
    }

    #[test]
    fn presets_and_settings_are_entrants_of_their_own() {
        let names: Vec<String> = entrants(&[]).into_iter().map(|e| e.name).collect();
        assert_eq!(names.len(), 2 + PRESETS.len() + 2 + 1);
        assert!(names.contains(&"jemoxide low_memory".to_owned()));
        assert!(names.contains(&"jemoxide narenas:1".to_owned()));
        assert!(names.contains(&"jemalloc bg".to_owned()));
        assert_eq!(entrants(&["jemalloc=".into(), "desk".into()]).len(), 2);
    }

    #[test]
    fn settings_that_were_not_taken_are_noticed() {
        let all = entrants(&["bg".into(), "narenas".into()]);
        let silent = Watched::default();
        assert!(all[0].check(&silent).is_ok());
        assert!(
            all[1].check(&silent).is_err(),
            "no background thread was seen"
        );
        let told = Watched {
            stderr: "<jemoxide>: narenas: what?\n".to_owned(),
            threads: vec!["jemalloc_bg_thd".to_owned()],
            ..Watched::default()
        };
        assert!(all[0].check(&told).is_err());
        assert!(
            all[1]
                .check(&Watched {
                    stderr: String::new(),
                    ..told
                })
                .is_ok()
        );
    }
}
