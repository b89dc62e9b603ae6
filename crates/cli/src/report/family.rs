//! Family: the child's own report, and what the processes it started add up to.

use std::fs;
use std::path::Path;

use crate::report::figures::{Figures, Unreadable};

/// Files beyond this many are counted, not read: a build may start a great many processes.
const MOST_READ: u64 = 100_000;

/// All reports of one run.
#[derive(Debug)]
pub(crate) struct Family {
    /// The process that was started.
    pub(crate) child: Result<Figures, Unreadable>,
    /// The processes beneath it.
    pub(crate) others: Others,
}

/// Processes started by the child, or by one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Others {
    /// How many left a report.
    pub(crate) processes: u64,
    /// How many of them had not ended.
    pub(crate) still_running: u64,
    /// Each one's highest active bytes, added up.
    pub(crate) peak_active: u64,
    /// Each one's allocations, added up; `None` if any did not count.
    pub(crate) allocations: Option<u64>,
}

impl Family {
    /// Reads all reports in `folder`; `child` is the process that was started.
    pub(crate) fn read(folder: &Path, child: u32) -> Self {
        let own = Figures::read(&folder.join(child.to_string()));
        let mut others = Others {
            allocations: Some(0),
            ..Others::default()
        };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok());
            let Some(pid) = pid.filter(|&pid| pid != child) else {
                continue;
            };
            if others.processes >= MOST_READ {
                others.processes += 1;
                others.allocations = None;
            } else if let Ok(figures) = Figures::read(&entry.path()) {
                others.add(&figures, pid);
            }
        }
        Self { child: own, others }
    }
}

impl Others {
    fn add(&mut self, figures: &Figures, pid: u32) {
        let report = &figures.report;
        self.processes += 1;
        self.still_running += u64::from(report.exited == 0 && is_alive(pid));
        self.peak_active = self.peak_active.saturating_add(report.peak.active);
        self.allocations = self
            .allocations
            .filter(|_| report.counting == 1)
            .map(|sum| sum.saturating_add(report.now.allocations));
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figures::{parse, tests::raw};
    use std::mem::offset_of;

    use jemoxide::stats::report::Report;

    fn counted() -> Vec<u8> {
        let mut bytes = raw();
        bytes[offset_of!(Report, counting)..][..8].copy_from_slice(&1u64.to_ne_bytes());
        bytes
    }

    #[test]
    fn the_child_is_apart_and_the_others_are_summed() {
        let folder = tempfile::tempdir().expect("a directory");
        let one = parse(&counted()).expect("good");
        for name in ["10", "4000000011", "4000000012", "libjemoxide.so", "x13"] {
            fs::write(folder.path().join(name), counted()).expect("writable");
        }
        fs::write(folder.path().join("4000000013"), b"short").expect("writable");
        let family = Family::read(folder.path(), 10);
        assert!(family.child.is_ok());
        assert_eq!(family.others.processes, 2);
        assert_eq!(family.others.still_running, 0);
        assert_eq!(family.others.peak_active, 2 * one.peak.active);
        assert_eq!(family.others.allocations, Some(2 * one.now.allocations));

        fs::write(folder.path().join("4000000014"), raw()).expect("writable");
        assert_eq!(
            Family::read(folder.path(), 10).others.allocations,
            None,
            "one did not count"
        );
    }

    #[test]
    fn a_missing_child_leaves_the_others() {
        let folder = tempfile::tempdir().expect("a directory");
        fs::write(folder.path().join("4000000011"), raw()).expect("writable");
        let family = Family::read(folder.path(), 10);
        assert!(matches!(family.child, Err(Unreadable::Missing)));
        assert_eq!(family.others.processes, 1);
        assert!(matches!(
            Family::read(Path::new("/no/such"), 1).child,
            Err(Unreadable::Missing)
        ));
    }
}
