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
    number(&std::fs::read_to_string(file).ok()?, field)
}

/// The number behind `field` in `text`.
fn number(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What `smaps_rollup` says of a process, counted page by page.
pub(crate) struct Rollup {
    pub(crate) rss_kib: u64,
    pub(crate) pss_kib: u64,
    /// Pages that the kernel may take back without asking.
    pub(crate) lazy_kib: u64,
}

/// The memory of process `pid`.
pub(crate) fn rollup(pid: u32) -> Option<Rollup> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(Rollup {
        rss_kib: number(&text, "Rss:")?,
        pss_kib: number(&text, "Pss:")?,
        lazy_kib: number(&text, "LazyFree:").unwrap_or(0),
    })
}

/// User and system time of process `pid` so far, in the kernel's steps of 10 ms.
pub(crate) fn cpu_ms(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; the twelfth and thirteenth field behind it are the times.
    let mut times = text.rsplit(')').next()?.split_whitespace().skip(11);
    let ticks: u64 = times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?;
    Some(ticks * 10)
}

/// Names of the threads of process `pid`.
pub(crate) fn thread_names(pid: u32) -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}
