//! Rules that were found, by place in the code.
//!
//! ```text
//! entry | seal | rule | module's name |     seal = pc mixed with the two others
//! ```
//! R1  The words of an entry are written and read one by one, by any number of threads and signal handlers. An entry that
//!     is of two halves does not have its seal, and is none.
//! R2  An entry is believed only while its module is (see [`modules`](super::modules)).

use super::modules::Name;
use super::rule::Rule;
use core::sync::atomic::{AtomicU64, Ordering};

const LG_ENTRIES: u32 = 12;

#[repr(align(32))]
struct Entry {
    seal: AtomicU64,
    rule: AtomicU64,
    module: AtomicU64,
}

static RULES: [Entry; 1 << LG_ENTRIES] = [const {
    Entry {
        seal: AtomicU64::new(0),
        rule: AtomicU64::new(0),
        module: AtomicU64::new(0),
    }
}; 1 << LG_ENTRIES];

/// The rule for code at `pc`, and whose code that was.
#[inline]
pub(super) fn get(pc: usize) -> Option<(Rule, Name)> {
    let entry = entry_of(pc)?;
    // Relaxed: the seal holds them together (R1).
    let rule = entry.rule.load(Ordering::Relaxed);
    let module = entry.module.load(Ordering::Relaxed);
    let is_whole = rule != 0 && entry.seal.load(Ordering::Relaxed) == seal(pc, rule, module);
    is_whole.then(|| (Rule::from_number(rule), Name::from_number(module)))
}

/// Notes the rule for code at `pc` of `module`.
pub(super) fn put(pc: usize, rule: Rule, module: Name) {
    let (rule, module) = (rule.number(), module.number());
    if let Some(entry) = entry_of(pc) {
        entry.seal.store(seal(pc, rule, module), Ordering::Relaxed);
        entry.rule.store(rule, Ordering::Relaxed);
        entry.module.store(module, Ordering::Relaxed);
    }
}

#[inline]
fn entry_of(pc: usize) -> Option<&'static Entry> {
    RULES.get((pc as u64).wrapping_mul(MIX) as usize >> (64 - LG_ENTRIES))
}

/// 2^64 over the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn seal(pc: usize, rule: u64, module: u64) -> u64 {
    let mixed = rule.wrapping_mul(MIX) ^ module.wrapping_mul(MIX).rotate_left(32);
    pc as u64 ^ mixed
}
