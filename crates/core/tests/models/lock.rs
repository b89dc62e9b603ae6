//! The word under every mutex, and the claim: the library's own files, on a system whose sleepers can miss a wake.

use jemoxide::sync::claim::Claim;
use jemoxide::sync::lock_word::LockWord;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

struct Locked {
    word: LockWord,
    value: UnsafeCell<u32>,
}

// SAFETY: the value is touched by the holder alone, which is what the model checks.
unsafe impl Sync for Locked {}
// SAFETY: plain numbers.
unsafe impl Send for Locked {}

fn work(locked: &Locked) {
    if !locked.word.try_take() {
        locked.word.take_sleeping();
    }
    // SAFETY: the holder; the checker verifies that there is one.
    locked.value.with_mut(|value| unsafe { *value += 1 });
    locked.word.give_back();
}

/// Rules W1 and W2: one holder at a time, and whoever sleeps is woken (else the checker sees no thread that can go on).
fn threads_take_turns(threads: u32) {
    loom::model(move || {
        let locked = Arc::new(Locked {
            word: LockWord::default(),
            value: UnsafeCell::new(0),
        });
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let locked = locked.clone();
                thread::spawn(move || work(&locked))
            })
            .collect();
        work(&locked);
        for other in others {
            other.join().unwrap();
        }
        // SAFETY: nobody else is left.
        let value = locked.value.with(|value| unsafe { *value });
        assert_eq!(value, threads);
        assert!(locked.word.try_take(), "free again");
    });
}

#[test]
fn two_threads_hold_a_lock_in_turn_and_none_sleeps_for_ever() {
    threads_take_turns(2);
}

#[test]
fn three_threads_hold_a_lock_in_turn_and_none_sleeps_for_ever() {
    threads_take_turns(3);
}

struct Claimed {
    claim: Claim,
    value: UnsafeCell<u32>,
}

// SAFETY: the value is touched by the holder alone, which is what the model checks.
unsafe impl Sync for Claimed {}
// SAFETY: plain numbers.
unsafe impl Send for Claimed {}

impl Claimed {
    fn add(&self) {
        // SAFETY: the holder; the checker verifies that there is one.
        self.value.with_mut(|value| unsafe { *value += 1 });
        self.claim.give_back();
    }
}

/// Rule C1: one holder at a time, who sees what the one before did; who only tries does nothing, or holds it.
#[test]
fn a_claim_has_one_holder_at_a_time() {
    loom::model(|| {
        let claimed = Arc::new(Claimed {
            claim: Claim::default(),
            value: UnsafeCell::new(0),
        });
        let work = |claimed: &Claimed| {
            let tries = (0..2).filter(|_| {
                let taken = claimed.claim.try_take();
                if taken {
                    claimed.add();
                }
                taken
            });
            tries.count() as u32
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let claimed = claimed.clone();
                thread::spawn(move || work(&claimed))
            })
            .collect();
        let own = work(&claimed);
        let added: u32 = others.into_iter().map(|other| other.join().unwrap()).sum();
        claimed.claim.take();
        // SAFETY: the holder.
        let value = claimed.value.with(|value| unsafe { *value });
        assert_eq!(value, own + added);
    });
}
