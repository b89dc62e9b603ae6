//! Rules that were found, by place in the code.
//!
//! ```text
//! entry | seal | rule | module's name |     seal = pc mixed with the two others
//! ```
//! A place in the code has two entries: two places that are met again and again do not drive each other out.
//!
//! R1  The words of an entry are written and read one by one, by any number of threads and signal handlers. An entry that
//!     is of two halves does not have its seal, and is none.
//! R2  An entry is believed only while its module is (see [`modules`](super::modules)).

use super::modules::Name;
use super::rule::Rule;
use core::sync::atomic::{AtomicU64, Ordering};

const LG_ENTRIES: u32 = 12;
const LG_WAYS: u32 = 1;

#[repr(align(32))]
struct Entry {
    seal: AtomicU64,
    rule: AtomicU64,
    module: AtomicU64,
}

type Set = [Entry; 1 << LG_WAYS];

static RULES: [Set; 1 << (LG_ENTRIES - LG_WAYS)] = [const {
    [const {
        Entry {
            seal: AtomicU64::new(0),
            rule: AtomicU64::new(0),
            module: AtomicU64::new(0),
        }
    }; 1 << LG_WAYS]
}; 1 << (LG_ENTRIES - LG_WAYS)];

impl Entry {
    /// The rule and the module's name, if it is whole and of code at `pc`.
    #[inline]
    fn get(&self, pc: usize) -> Option<(Rule, Name)> {
        // Relaxed: the seal holds them together (R1).
        let rule = self.rule.load(Ordering::Relaxed);
        let module = self.module.load(Ordering::Relaxed);
        let is_whole = rule != 0 && self.seal.load(Ordering::Relaxed) == seal(pc, rule, module);
        is_whole.then(|| (Rule::from_number(rule), Name::from_number(module)))
    }

    fn put(&self, [seal, rule, module]: [u64; 3]) {
        self.seal.store(seal, Ordering::Relaxed);
        self.rule.store(rule, Ordering::Relaxed);
        self.module.store(module, Ordering::Relaxed);
    }

    fn words(&self) -> [u64; 3] {
        [&self.seal, &self.rule, &self.module].map(|word| word.load(Ordering::Relaxed))
    }
}

/// The rule for code at `pc`, and whose code that was.
#[inline]
pub(super) fn get(pc: usize) -> Option<(Rule, Name)> {
    let [first, second] = set_of(pc)?;
    first.get(pc).or_else(|| second.get(pc))
}

/// Notes the rule for code at `pc` of `module`, in place of the older one of two.
pub(super) fn put(pc: usize, rule: Rule, module: Name) {
    let (rule, module) = (rule.number(), module.number());
    if let Some([first, second]) = set_of(pc) {
        second.put(first.words());
        first.put([seal(pc, rule, module), rule, module]);
    }
}

#[inline]
fn set_of(pc: usize) -> Option<&'static Set> {
    RULES.get((pc as u64).wrapping_mul(MIX) as usize >> (64 - (LG_ENTRIES - LG_WAYS)))
}

/// 2^64 over the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn seal(pc: usize, rule: u64, module: u64) -> u64 {
    let mixed = rule.wrapping_mul(MIX) ^ module.wrapping_mul(MIX).rotate_left(32);
    pc as u64 ^ mixed
}
