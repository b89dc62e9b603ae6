//! Family: what `/proc` knows about a process and those below it, while they live.

/// Whether process `pid` is there and has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        // The name may hold spaces and brackets; the state follows the last bracket.
        .and_then(|text| text.rsplit(')').next()?.trim_start().chars().next())
        .is_some_and(|state| state != 'Z' && state != 'X')
}

/// Memory of `pid` and all processes below it in KiB; a page that several share counts once.
pub(crate) fn family_pss_kib(pid: u32) -> u64 {
    let own = field_kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or(0);
    own + children(pid).into_iter().map(family_pss_kib).sum::<u64>()
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|text| {
            let children: Vec<u32> = text
                .split_whitespace()
                .filter_map(|child| child.parse().ok())
                .collect();
            children
        })
        .collect()
}

/// Resident size of process `pid` in KiB, counted page by page (the cheaper counters of the kernel may
/// be off by a few hundred KiB).
pub(crate) fn resident_kib(pid: u32) -> Option<u64> {
    field_kib(&format!("/proc/{pid}/smaps_rollup"), "Rss:")
}

/// Highest resident size of process `pid` so far in KiB; never below what it has now.
pub(crate) fn peak_resident_kib(pid: u32) -> Option<u64> {
    let peak = field_kib(&format!("/proc/{pid}/status"), "VmHWM:")?;
    Some(peak.max(resident_kib(pid).unwrap_or(0)))
}

fn field_kib(file: &str, field: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
