//! Heap_v2: the dump again, details included; what `read::heap_v2` reads is written back as it was.
//!
//! Printed numbers are made from estimates by the correction that the allocator itself uses, so a reader's formula
//! gives the estimates back, to the rounding of a whole object or byte.
//!
//! A profile that has only names gets addresses that lie where no code is, and the names in front, in the form of
//! [`crate::read`]'s `symbolized`:
//!
//! ```text
//! --- symbol
//! 0x100f parse            each name twice: jeprof takes one off an address before it looks, but not off a stack's first
//! 0x1010 parse
//! ---
//! --- heap
//! heap_v2/1
//! @ 0x1010 0x1020
//! ```

use std::fmt::Write;

use crate::amount::Amount;
use crate::model::{Profile, Stack, ThreadId};

use super::Unwritable;

/// From one made up address to the next.
const STEP: u64 = 0x10;

/// The whole dump.
pub(super) fn write(profile: &Profile) -> Result<Vec<u8>, Unwritable> {
    if profile.sources() > 1 {
        return Err(Unwritable(
            "several processes do not fit into one heap_v2 dump: their addresses mean different things. Convert to \
             pprof (.pb.gz) or collapsed stacks.",
        ));
    }
    let addresses = Addresses::of(profile).ok_or(Unwritable(
        "some of its functions have no addresses, and the others leave no room for made up ones. Convert to pprof (.pb.gz) or \
         collapsed stacks.",
    ))?;
    let mut text = String::new();
    if addresses.unknown.is_some() {
        names(&mut text, profile, &addresses);
    }
    let counted = Counted::of(profile);
    // Writing to a String cannot fail: results are dropped throughout.
    let _ = writeln!(text, "heap_v2/{}", counted.period);
    let sum = |of: fn(&Stack) -> Amount| {
        let amounts = profile.stacks.iter().map(|stack| counted.amount(of(stack)));
        amounts.sum::<Amount>()
    };
    entry(
        &mut text,
        counted,
        None,
        sum(|stack| stack.live),
        sum(|stack| stack.cumulative),
        "",
    );
    for thread in &profile.threads {
        entry(
            &mut text,
            counted,
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
        frames(&mut text, stack, &addresses);
        entry(&mut text, counted, None, stack.live, stack.cumulative, "");
        for share in &stack.threads {
            let uid = profile.thread(share.thread).uid;
            entry(
                &mut text,
                counted,
                Some(uid),
                share.live,
                share.cumulative,
                "",
            );
        }
    }
    text.push_str("\nMAPPED_LIBRARIES:\n");
    for module in &profile.modules {
        let path = match &*module.path {
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
        details(&mut text, profile, &addresses);
    }
    Ok(text.into_bytes())
}

/// What stands for each location in the dump.
struct Addresses {
    list: Vec<u64>,
    /// The one for stacks without locations. `None`: no address is made up.
    unknown: Option<u64>,
}

impl Addresses {
    /// `None`: some have to be made up, and there is no room for them behind the others.
    fn of(profile: &Profile) -> Option<Self> {
        let mut list: Vec<u64> = profile
            .locations
            .iter()
            .map(|location| location.address)
            .collect();
        let is_known = |stack: &Stack| {
            let mut frames = stack.frames.iter().map(|id| list[id.0 as usize]);
            !stack.frames.is_empty() && frames.all(|address| address != 0)
        };
        if profile.stacks.iter().all(is_known) {
            return Some(Self {
                list,
                unknown: None,
            });
        }
        let behind = list
            .iter()
            .copied()
            .chain(profile.modules.iter().map(|module| module.addresses.end));
        let unknown = behind.max().unwrap_or(0).checked_add(2 * STEP)? & !(STEP - 1);
        let mut last = unknown;
        for address in list.iter_mut().filter(|address| **address == 0) {
            last = last.checked_add(STEP)?;
            *address = last;
        }
        Some(Self {
            list,
            unknown: Some(unknown),
        })
    }
}

/// The names of all addresses.
fn names(text: &mut String, profile: &Profile, addresses: &Addresses) {
    text.push_str("--- symbol\n");
    let mut both = |address: u64, name: &str| {
        for address in [address.saturating_sub(1), address] {
            let _ = writeln!(text, "{address:#x} {name}");
        }
    };
    if let Some(unknown) = addresses.unknown {
        both(unknown, "(unknown)");
    }
    for (location, &address) in profile.locations.iter().zip(&addresses.list) {
        let calls = location.calls.iter();
        let parts: Vec<String> = calls
            .map(|call| plain(&profile.function(call.function).name))
            .collect();
        match (location.module, parts.is_empty()) {
            (_, false) => both(address, &parts.join("--")),
            (Some(module), true) => {
                let place = profile.module(module).place(location.address);
                both(address, &plain(&place));
            }
            (None, true) if location.address == 0 => both(address, "(unknown)"),
            (None, true) => {}
        }
    }
    text.push_str("---\n--- heap\n");
}

/// A name on its line, without what stands between two.
fn plain(name: &str) -> String {
    let clean = |each: char| if each.is_control() { '?' } else { each };
    let mut name: String = name.trim().chars().map(clean).collect();
    while name.contains("--") {
        name = name.replace("--", "- -");
    }
    match &*name {
        "" => "(unknown)".to_owned(),
        _ => name,
    }
}

fn frames(text: &mut String, stack: &Stack, addresses: &Addresses) {
    text.push('@');
    for &id in &stack.frames {
        let _ = write!(text, " {:#x}", addresses.list[id.0 as usize]);
    }
    if let (true, Some(unknown)) = (stack.frames.is_empty(), addresses.unknown) {
        let _ = write!(text, " {unknown:#x}");
    }
    text.push('\n');
}

/// How amounts are printed.
#[derive(Clone, Copy)]
struct Counted {
    period: u64,
    has_objects: bool,
}

impl Counted {
    fn of(profile: &Profile) -> Self {
        let has_objects = profile.known.objects;
        Self {
            // Bytes alone cannot be corrected for sampling: they stand as they are.
            period: if has_objects {
                profile.period.max(1)
            } else {
                1
            },
            has_objects,
        }
    }

    /// One object where nobody knows how many.
    fn amount(self, amount: Amount) -> Amount {
        if self.has_objects || amount.bytes <= 0.0 || amount.objects > 0.0 {
            return amount;
        }
        Amount {
            objects: 1.0,
            ..amount
        }
    }

    fn printed(self, amount: Amount) -> (u64, u64) {
        self.amount(amount).unscaled(self.period)
    }
}

fn entry(
    text: &mut String,
    counted: Counted,
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
    let ((count, bytes), (all, all_bytes)) = (counted.printed(live), counted.printed(cumulative));
    let _ = write!(text, ": {count}: {bytes} [{all}: {all_bytes}]");
    if !name.is_empty() {
        let _ = write!(text, " {name}");
    }
    text.push('\n');
}

fn details(text: &mut String, profile: &Profile, addresses: &Addresses) {
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
        frames(text, stack, addresses);
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
