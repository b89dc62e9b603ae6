//! Heap_v2: the dump again, details included; what `read::heap_v2` reads is written back as it was.
//!
//! Printed numbers are made from estimates by the correction that the allocator itself uses, so a reader's formula
//! gives the estimates back, to the rounding of a whole object or byte.

use std::fmt::Write;

use crate::amount::Amount;
use crate::model::{Location, Profile, Stack, ThreadId};

use super::Unwritable;

/// The whole dump.
pub(super) fn write(profile: &Profile) -> Result<Vec<u8>, Unwritable> {
    if profile.sources() > 1 {
        return Err(Unwritable(
            "several processes do not fit into one heap_v2 dump: their addresses mean different things. Convert to \
             pprof (.pb.gz) or collapsed stacks.",
        ));
    }
    if profile
        .stacks
        .iter()
        .any(|stack| stack.frames.is_empty() || !has_addresses(profile, stack))
    {
        return Err(Unwritable(
            "heap_v2 needs addresses, and this profile has only names. Convert to pprof (.pb.gz) or collapsed stacks.",
        ));
    }
    let mut text = String::new();
    // Writing to a String cannot fail: results are dropped throughout.
    let period = profile.period.max(1);
    let _ = writeln!(text, "heap_v2/{period}");
    let sum = |of: fn(&Stack) -> Amount| profile.stacks.iter().map(of).sum::<Amount>();
    entry(
        &mut text,
        period,
        None,
        sum(|stack| stack.live),
        sum(|stack| stack.cumulative),
        "",
    );
    for thread in &profile.threads {
        entry(
            &mut text,
            period,
            Some(thread.uid),
            thread.live,
            thread.cumulative,
            &thread.name,
        );
    }
    for stack in &profile.stacks {
        if stack.live.is_zero() && stack.cumulative.is_zero() {
            continue;
        }
        frames(&mut text, profile, stack);
        entry(&mut text, period, None, stack.live, stack.cumulative, "");
        for share in &stack.threads {
            let uid = profile.thread(share.thread).uid;
            entry(
                &mut text,
                period,
                Some(uid),
                share.live,
                share.cumulative,
                "",
            );
        }
    }
    text.push_str("\nMAPPED_LIBRARIES:\n");
    for module in &profile.modules {
        let path = match module.path.as_str() {
            "[anonymous]" => "",
            path => path,
        };
        let line = format!(
            "{:08x}-{:08x} r-xp {:08x} 00:00 {} {path}",
            module.addresses.start, module.addresses.end, module.offset, module.inode
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if profile.known.ages || profile.known.lifetimes {
        details(&mut text, profile);
    }
    Ok(text.into_bytes())
}

fn has_addresses(profile: &Profile, stack: &Stack) -> bool {
    let mut locations = stack.frames.iter().map(|&id| profile.location(id));
    locations.all(|location: &Location| location.address != 0)
}

fn frames(text: &mut String, profile: &Profile, stack: &Stack) {
    text.push('@');
    for &id in &stack.frames {
        let _ = write!(text, " {:#x}", profile.location(id).address);
    }
    text.push('\n');
}

fn entry(
    text: &mut String,
    period: u64,
    uid: Option<u64>,
    live: Amount,
    cumulative: Amount,
    name: &str,
) {
    text.push_str("  t");
    let _ = match uid {
        Some(uid) => write!(text, "{uid}"),
        None => write!(text, "*"),
    };
    let ((count, bytes), (all, all_bytes)) = (live.unscaled(period), cumulative.unscaled(period));
    let _ = write!(text, ": {count}: {bytes} [{all}: {all_bytes}]");
    if !name.is_empty() {
        let _ = write!(text, " {name}");
    }
    text.push('\n');
}

fn details(text: &mut String, profile: &Profile) {
    text.push_str("\nJEMOXIDE_DETAILS/1\n");
    if let Some(time) = profile.time {
        let _ = writeln!(text, "time {} {}", time.since_start_ns, time.unix_seconds);
    }
    if let Some(peak) = profile.peak {
        let _ = writeln!(text, "peak {} {}", peak.bytes, peak.at_ns);
    }
    for thread in &profile.threads {
        let _ = writeln!(
            text,
            "{}",
            format!("thread {} {}", thread.uid, thread.name).trim_end()
        );
    }
    for class in &profile.classes {
        let _ = writeln!(
            text,
            "class {} {} {} {} {}",
            class.size, class.objects, class.slabs, class.slab_bytes, class.free_bytes
        );
    }
    for stack in &profile.stacks {
        frames(text, profile, stack);
        let sums = |amount: Amount| format!("{:.0} {:.0}", amount.objects * 8.0, amount.bytes);
        if !stack.peak.is_zero() {
            let _ = writeln!(text, "  p {}", sums(stack.peak));
        }
        if !stack.cumulative.is_zero() {
            let _ = writeln!(text, "  c {}", sums(stack.cumulative));
        }
        for lifetime in &stack.lifetimes {
            let _ = writeln!(text, "  l {} {}", lifetime.lg_ns, sums(lifetime.amount));
        }
        for share in &stack.tags {
            let _ = writeln!(text, "  g {} {}", share.tag, sums(share.cumulative));
        }
        for object in &stack.objects {
            let uid = |thread: ThreadId| profile.thread(thread).uid;
            let _ = writeln!(
                text,
                "  o {} {} {} {} {} {}",
                object.usable,
                object.requested,
                object.age_ns,
                uid(object.thread),
                object.tag,
                object.generation
            );
        }
    }
    text.push_str("end\n");
}
