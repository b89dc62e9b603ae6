//! Magazines against a twin that knows what each of them holds: none is anybody's twice, and what was put in
//! comes out, whoever passes it on.

use super::super::magazine::{FULL, Magazine, STARTER};
use crate::sys::simulated::dice::Dice;
use crate::sys::simulated::dice::rounds;
use crate::sys::simulated::memory as gate;
use core::ptr;
use std::sync::mpsc::channel;
use std::thread;
use std::vec::Vec;

/// A magazine by its number, and what the twin knows of it.
struct Known {
    number: u32,
    room: usize,
    objects: Vec<usize>,
}

fn fetch(known: &Known) -> Magazine {
    // SAFETY: the twin gave this number away once and is the only one to know it.
    let magazine = unsafe { Magazine::from_number(known.number) }.unwrap();
    assert_eq!(
        (magazine.room(), magazine.count()),
        (known.room, known.objects.len())
    );
    magazine
}

fn fresh(dice: &mut Dice) -> Known {
    let room = [STARTER, FULL][dice.below(2)];
    let mut magazine = Magazine::empty(room).unwrap();
    assert_eq!((magazine.room(), magazine.count()), (room, 0));
    assert!(magazine.objects().is_empty());
    let count = dice.below(room + 1);
    let objects: Vec<usize> = (0..count).map(|_| dice.next() as usize).collect();
    magazine.set_count(count);
    for (slot, &object) in magazine.objects().iter_mut().zip(&objects) {
        *slot = ptr::without_provenance_mut(object);
    }
    Known {
        number: magazine.into_number(),
        room,
        objects,
    }
}

fn verify(known: &Known) {
    let mut magazine = fetch(known);
    let found: Vec<usize> = magazine
        .objects()
        .iter()
        .map(|object| object.addr())
        .collect();
    assert_eq!(found, known.objects);
    // The end is where it is filled from: the last object is right before it.
    if let Some(&last) = known.objects.last() {
        // SAFETY: the slot before the end is filled.
        assert_eq!(unsafe { magazine.end().sub(1).read() }.addr(), last);
    }
    assert_eq!(magazine.into_number(), known.number);
}

/// Takes some of the objects off the top, as a thread does.
fn use_up(known: &mut Known, dice: &mut Dice) {
    let left = dice.below(known.objects.len() + 1);
    let mut magazine = fetch(known);
    magazine.set_count(left);
    known.objects.drain(..known.objects.len() - left);
}

#[test]
fn random_use_agrees_with_the_twin() {
    let mut dice = Dice::new(3);
    let mut live: Vec<Known> = Vec::new();
    for step in 0..rounds(20_000) {
        let most = if step / 1000 % 2 == 0 { 300 } else { 20 };
        match dice.below(4) {
            0 | 1 if live.len() < most => live.push(fresh(&mut dice)),
            2 if !live.is_empty() => {
                let at = dice.below(live.len());
                use_up(&mut live[at], &mut dice);
            }
            _ if !live.is_empty() => {
                let known = live.swap_remove(dice.below(live.len()));
                verify(&known);
                fetch(&known).recycle();
            }
            _ => {}
        }
        if step % 100 == 0 {
            live.iter().for_each(verify);
        }
    }
    live.drain(..).for_each(|known| fetch(&known).recycle());
}

#[test]
fn threads_pass_them_round_and_nothing_is_lost() {
    const THREADS: u64 = 4;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| channel::<Known>()).unzip();
    thread::scope(|scope| {
        for (index, inbox) in (0..).zip(receivers) {
            let next = senders[((index + 1) % THREADS) as usize].clone();
            scope.spawn(move || {
                let mut dice = Dice::new(50 + index);
                for _ in 0..rounds(5000) {
                    let known = fresh(&mut dice);
                    if next.send(known).is_err() {
                        break;
                    }
                    for known in inbox.try_iter() {
                        verify(&known);
                        fetch(&known).recycle();
                    }
                }
                drop(next);
                for known in inbox {
                    verify(&known);
                    fetch(&known).recycle();
                }
            });
        }
        drop(senders);
    });
}

#[test]
fn without_memory_there_is_none_and_later_there_is() {
    let mut held = Vec::new();
    gate::refuse(0, u64::MAX);
    // What waits as empty, and what is left of the last segment, may be used up.
    while let Some(magazine) = Magazine::empty(FULL) {
        held.push(magazine);
        assert!(held.len() < 10_000, "where does it come from?");
    }
    gate::refuse(u64::MAX, 0);
    held.push(Magazine::empty(FULL).unwrap());
    held.into_iter().for_each(Magazine::recycle);
}
