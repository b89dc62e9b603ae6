//! Process: what the system says about the process that we are in.

use std::fs;

/// Resident bytes; 0 if the system does not tell.
///
/// `smaps_rollup` counts pages; the counters in `status`, which older kernels have alone, may lag by
/// some per processor.
pub(super) fn resident_bytes() -> u64 {
    let read = |file: &str, field: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    let kib =
        read("/proc/self/smaps_rollup", "Rss:").or_else(|| read("/proc/self/status", "VmRSS:"));
    kib.unwrap_or(0) * 1024
}

/// Files mapped as code, each once.
pub(super) fn mapped_code() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut files: Vec<String> = maps
        .lines()
        .filter_map(code_file)
        .map(str::to_owned)
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// `55d0-55d1 r-xp 00000000 08:01 123   /usr/bin/x` names `/usr/bin/x`.
fn code_file(line: &str) -> Option<&str> {
    let rights = line.split(' ').nth(1)?;
    let file = &line[line.find('/')?..];
    rights.contains('x').then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_code() {
        assert!(resident_bytes() > 100 << 10);
        let own = std::env::current_exe().expect("known");
        assert!(
            mapped_code()
                .iter()
                .any(|file| *file == own.to_string_lossy())
        );
    }

    #[test]
    fn only_code_counts() {
        assert_eq!(
            code_file("1-2 r-xp 0 08:01 123        /usr/a b"),
            Some("/usr/a b")
        );
        assert_eq!(code_file("1-2 r--p 0 08:01 123        /usr/a"), None);
        assert_eq!(code_file("1-2 r-xp 0 00:00 0          [vdso]"), None);
    }
}
