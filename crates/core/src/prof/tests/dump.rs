//! Dumps against naive text: everything formatted at once from lists of live objects.

use super::super::desk::Desk;
use super::super::dump::{Dump, SlabFigures};
use super::super::log::text::{Info, LogText};
use super::super::numbers::{Estimate, printed, weight};
use super::super::recent::text::RecentText;
use super::*;
use crate::size::SMALL_CLASSES;
use crate::sys::simulated::child::alone;
use std::collections::BTreeMap;
use std::format;
use std::string::String;

/// A pair of count and bytes as the format has it.
fn pair(objects: &[&Object], lg: u32, unbias: bool) -> (u64, u64) {
    if !unbias {
        let bytes = objects.iter().map(|object| object.usable as u64).sum();
        return (objects.len() as u64, bytes);
    }
    let weights = objects.iter().map(|object| weight(object.usable, lg));
    printed(weights.fold(Estimate::ZERO, Estimate::plus), lg)
}

fn line(tag: &str, live: &[&Object], ever: &[&Object], lg: u32, mode: (bool, bool)) -> String {
    let (accumulates, unbias) = mode;
    let (count, bytes) = pair(live, lg, unbias);
    let (ever, ever_bytes) = match accumulates {
        true => pair(ever, lg, unbias),
        false => (0, 0),
    };
    format!("  {tag}: {count}: {bytes} [{ever}: {ever_bytes}]")
}

struct Scene {
    books: Box<Books>,
    threads: Vec<ThreadRef>,
    live: Vec<(Handle<Life>, Object)>,
    ever: Vec<Object>,
    dice: Dice,
    now: u64,
}

impl Scene {
    fn new(lg: u32, accumulates: bool, seed: u64) -> Self {
        let books = books(lg, accumulates);
        let threads = (0..4).map(|_| begin(&books)).collect::<Vec<_>>();
        threads[1].get_for_tests().set_name(b"a worker");
        Self {
            books,
            threads,
            live: Vec::new(),
            ever: Vec::new(),
            dice: Dice::new(seed),
            now: 0,
        }
    }

    fn go_on(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.now += self.dice.next() % 1000;
            if self.live.is_empty() || !self.dice.once_in(3) {
                let (requested, usable) = some_size(&mut self.dice);
                let object = Object {
                    address: 4096 + self.ever.len(),
                    requested,
                    usable,
                    // The last one never samples.
                    thread: self.threads[self.dice.below(3)],
                    tag: 0,
                    frames: some_frames(&mut self.dice),
                    born_ns: self.now,
                };
                let life = sample(&self.books, &object).unwrap();
                self.live.push((life, object.clone()));
                self.ever.push(object);
            } else {
                let at = self.dice.below(self.live.len());
                let (life, _) = self.live.swap_remove(at);
                self.books.release(life, self.threads[0], &[], self.now);
            }
        }
    }

    /// The naive text.
    fn text(&self, lg: u32, mode: (bool, bool)) -> String {
        let live: Vec<&Object> = self.live.iter().map(|(_, object)| object).collect();
        let ever: Vec<&Object> = self.ever.iter().collect();
        let of = |objects: &[&Object], uid: usize| -> Vec<Object> {
            let thread = self.threads[uid];
            let its = objects.iter().filter(|object| object.thread == thread);
            its.map(|&object| object.clone()).collect()
        };
        let mut text = format!("heap_v2/{}\n", 1u64 << lg);
        text += &line("t*", &live, &ever, lg, mode);
        text += "\n";
        for uid in 0..self.threads.len() {
            let (its, all) = (of(&live, uid), of(&ever, uid));
            let (its, all): (Vec<_>, Vec<_>) = (its.iter().collect(), all.iter().collect());
            text += &line(&format!("t{uid}"), &its, &all, lg, mode);
            text += if uid == 1 { " a worker\n" } else { "\n" };
        }
        let mut stacks: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for object in &self.ever {
            // Bytes of the addresses, so that the order is the map's own.
            let bytes = object.frames.iter().flat_map(|frame| frame.to_le_bytes());
            stacks.insert(bytes.collect(), object.frames.clone());
        }
        for frames in stacks.values() {
            let of_stack = |objects: &[&Object]| -> Vec<Object> {
                let its = objects.iter().filter(|object| object.frames == *frames);
                its.map(|&object| object.clone()).collect()
            };
            let (its, all) = (of_stack(&live), of_stack(&ever));
            let (its, all): (Vec<_>, Vec<_>) = (its.iter().collect(), all.iter().collect());
            if its.is_empty() && (!mode.0 || all.is_empty()) {
                continue;
            }
            text += "@";
            for (at, frame) in frames.iter().enumerate() {
                text += &format!(" {:#x}", frame - usize::from(at == 0));
            }
            text += &format!("\n{}\n", line("t*", &its, &all, lg, mode));
            for uid in 0..self.threads.len() {
                let (its, all) = (of(&its, uid), of(&all, uid));
                let (its, all): (Vec<_>, Vec<_>) = (its.iter().collect(), all.iter().collect());
                if !its.is_empty() || mode.0 && !all.is_empty() {
                    text += &line(&format!("t{uid}"), &its, &all, lg, mode);
                    text += "\n";
                }
            }
        }
        text
    }
}

#[test]
fn a_dump_is_the_naive_text_of_the_moment_when_it_began() {
    alone(|| {
        for (seed, accumulates, unbias) in [
            (1, false, true),
            (2, true, true),
            (3, false, false),
            (4, true, false),
        ] {
            let mut scene = Scene::new(14, accumulates, seed);
            scene.go_on(600);
            let expected = scene.text(14, (accumulates, unbias));
            let mut desk = Desk::take().unwrap();
            let mut dump = Dump::of(&scene.books, unbias);
            // What happens from now on is of no interest (U1).
            scene.go_on(300);
            dump.sort();
            let mut text = Vec::new();
            loop {
                let more = dump.fill_from(&scene.books, desk.sheet());
                text.extend_from_slice(desk.sheet().as_bytes());
                desk.sheet().clear();
                if !more {
                    break;
                }
                scene.go_on(20);
            }
            let text = String::from_utf8(text).unwrap();
            for (ours, naive) in text.lines().zip(expected.lines()) {
                assert_eq!(ours, naive, "U2 {accumulates} {unbias}");
            }
            assert_eq!(text, expected, "U2");
            dump.end_of(&scene.books);
            scene.books.check();
        }
    });
}

#[test]
fn empty_books_have_a_header_only() {
    alone(|| {
        let books = books(19, false);
        let mut desk = Desk::take().unwrap();
        assert!(Desk::take().is_none(), "X1");
        let mut dump = Dump::of(&books, true);
        dump.sort();
        while dump.fill_from(&books, desk.sheet()) {}
        assert_eq!(
            desk.sheet().as_bytes(),
            b"heap_v2/524288\n  t*: 0: 0 [0: 0]\n"
        );
        assert_eq!(dump.found().objects, 0);
        dump.end_of(&books);
        drop(desk);
        assert!(Desk::take().is_some());
    });
}

#[test]
fn details_tell_of_peak_lifetimes_tags_and_objects() {
    alone(|| {
        let books = books(0, false);
        let thread = begin(&books);
        let object = |frame: usize, requested: usize, tag: u16, born_ns: u64| {
            thread.set_tag(tag);
            let object = Object {
                address: 4096,
                requested,
                usable: 16,
                thread,
                tag,
                frames: vec![frame, 0x70],
                born_ns,
            };
            sample(&books, &object).unwrap()
        };
        let first = object(0x51, 10, 0, 100);
        object(0x51, 12, 9, 100);
        books.generation.set(3);
        let second = object(0x61, 16, 0, 200);
        books.release(first, thread, &[], 100 + 1024);
        books.release(second, thread, &[], 200);
        let mut slabs = [SlabFigures::default(); SMALL_CLASSES];
        slabs[1] = SlabFigures {
            usable: 16,
            objects: 5,
            slabs: 1,
            slab_bytes: 16384,
            free_bytes: 16384 - 80,
        };
        let mut desk = Desk::take().unwrap();
        let mut dump = Dump::of(&books, true);
        dump.sort();
        while dump.fill_details_from(&books, desk.sheet(), &slabs, (2000, 77)) {}
        dump.end_of(&books);
        let text = String::from_utf8(desk.sheet().as_bytes().to_vec()).unwrap();
        assert_eq!(
            text,
            "\nJEMOXIDE_DETAILS/1\ntime 2000 77\npeak 48 200\nthread 0\nclass 16 5 1 16384 16304\n\
             @ 0x50 0x70\n  p 16 32\n  c 16 32\n  l 10 8 16\n  g 9 8 16\n  o 16 12 1900 0 9 0\n\
             @ 0x60 0x70\n  p 8 16\n  c 8 16\n  l 0 8 16\nend\n"
        );
    });
}

#[test]
fn recent_samples_and_logs_are_written_as_json() {
    alone(|| {
        let books = books(19, false);
        let thread = begin(&books);
        thread.get_for_tests().set_name(b"say \"a\"");
        books.set_recents(None);
        assert!(books.start_log(1));
        let object = |frame: usize, born_ns: u64| Object {
            address: 4096,
            requested: 10,
            usable: 16,
            thread,
            tag: 0,
            frames: vec![frame, 0x70],
            born_ns,
        };
        let first = sample(&books, &object(0x51, 5)).unwrap();
        let second = sample(&books, &object(0x61, 6)).unwrap();
        books.release(first, thread, &[0x99], 50);
        let text = |desk: &mut Desk| {
            let text = String::from_utf8(desk.sheet().as_bytes().to_vec()).unwrap();
            desk.sheet().clear();
            text
        };
        let mut desk = Desk::take().unwrap();
        let mut recent = RecentText::begin();
        while recent.fill_from(&books, desk.sheet()) {}
        let name = r#""say \"a\"""#;
        assert_eq!(
            text(&mut desk),
            format!(
                "{{\"sample_interval\":524288,\"recent_alloc_max\":-1,\"recent_alloc\":[\
                 {{\"size\":10,\"usize\":16,\"released\":true,\"alloc_thread_uid\":0,\"alloc_thread_name\":{name},\
                 \"alloc_time\":5,\"alloc_trace\":[\"0x51\",\"0x70\"],\"dalloc_thread_uid\":0,\
                 \"dalloc_thread_name\":{name},\"dalloc_time\":50,\"dalloc_trace\":[\"0x99\"]}},\
                 {{\"size\":10,\"usize\":16,\"released\":false,\"alloc_thread_uid\":0,\
                 \"alloc_thread_name\":{name},\"alloc_time\":6,\"alloc_trace\":[\"0x61\",\"0x70\"]}}]}}"
            )
        );
        books.release(second, thread, &[0x99], 60);
        assert_eq!(books.stop_log(), Some(1));
        let info = Info {
            duration_ns: 99,
            version: "1.0",
            is_fine: false,
            process: 7,
        };
        let mut log = LogText::begin(info);
        while log.fill_from(&books, desk.sheet()) {}
        while books.drop_entry() {}
        assert_eq!(
            text(&mut desk),
            format!(
                "{{\"info\":{{\"duration\":99,\"version\":\"1.0\",\"lg_sample_rate\":19,\
                 \"prof_time_resolution\":\"default\",\"pid\":7}},\
                 \"threads\":[{{\"thr_uid\":0,\"thr_name\":{name}}}],\
                 \"stack_traces\":[[\"0x51\",\"0x70\"],[\"0x99\"],[\"0x61\",\"0x70\"]],\
                 \"allocations\":[{{\"alloc_thread\":0,\"free_thread\":0,\"alloc_trace\":0,\"free_trace\":1,\
                 \"alloc_timestamp\":5,\"free_timestamp\":50,\"usize\":16}},\
                 {{\"alloc_thread\":0,\"free_thread\":0,\"alloc_trace\":2,\"free_trace\":1,\
                 \"alloc_timestamp\":6,\"free_timestamp\":60,\"usize\":16}}]}}"
            )
        );
    });
}
