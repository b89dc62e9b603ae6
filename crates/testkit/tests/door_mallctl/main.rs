//! mallctl as the C door has it: every row of jemalloc's list of names, walked.
//!
//! W1  What `facts/mallctl_absent.txt` lists is not there, and everything else is: whoever adds a key takes its line
//!     out. The list may only become shorter.
//! W2  A key answers by name and by mib alike, and to lengths and pointers as its row says.
//! W3  The same calls put to jemalloc get the same codes and lengths.
//!
//! ```text
//!  rows      every row: names, folders, access and type     by itself: W1, W2
//!    |-----> special   rows that answer by rules of their own
//!    '-----> value     what is read is what it should be
//!  beside_jemalloc     transcripts of both, compared                   W3
//! ```

use jemoxide_testkit::control::Control;
use jemoxide_testkit::{child, facts};

mod beside_jemalloc;
mod row;
mod rows;
mod special;
mod value;

/// Options of a process that profiles, and takes no sample; without a prefix it writes no files.
const PROFILES: &str = "prof:true,prof_active:false,prof_stats:true,prof_prefix:";

/// Options under which jemalloc has as many arenas and threads as this library.
const ALIKE: &str = "background_thread:true,narenas:1";

#[test]
fn every_row_answers_as_it_says() {
    child::on_library("every_row_answers_as_it_says", "", rows::walk_all);
}

#[test]
fn every_row_answers_as_it_says_in_a_process_that_profiles() {
    const TEST: &str = "every_row_answers_as_it_says_in_a_process_that_profiles";
    child::on_library(TEST, PROFILES, rows::walk_all);
}

#[test]
fn classes_are_told_one_by_one() {
    child::on_library("classes_are_told_one_by_one", "", || {
        let control = Control::find();
        let read = |name: String, len: usize| {
            let answer = control.call(&name, Some(len), None);
            assert_eq!(answer.code, 0, "{name}");
            let mut word = [0; 8];
            word[..len].copy_from_slice(&answer.bytes[..len]);
            usize::from_ne_bytes(word)
        };
        let table = facts::size_classes();
        let (mut bins, mut lextents) = (0, 0);
        for row in table.rows() {
            let size = row.number("size").expect("every class has one");
            if size <= 14_336 {
                assert_eq!(read(format!("arenas.bin.{bins}.size"), 8), size);
                let slab = read(format!("arenas.bin.{bins}.slab_size"), 8);
                let regions = read(format!("arenas.bin.{bins}.nregs"), 4);
                assert_eq!((slab % 4096, slab / size), (0, regions), "{size}");
                assert!(read(format!("arenas.bin.{bins}.nshards"), 4) >= 1);
                bins += 1;
            } else {
                assert_eq!(read(format!("arenas.lextent.{lextents}.size"), 8), size);
                lextents += 1;
            }
        }
        assert_eq!((bins, lextents), (36, 196));
        for beyond in ["arenas.bin.36.size", "arenas.lextent.196.size"] {
            assert_eq!(control.call(beyond, Some(8), None).code, libc::ENOENT);
        }
    });
}

#[test]
fn names_are_read_as_by_jemalloc() {
    const TEST: &str = "names_are_read_as_by_jemalloc";
    beside_jemalloc::compare(TEST, ALIKE, beside_jemalloc::names);
}

#[test]
fn the_same_calls_get_the_same_codes() {
    const TEST: &str = "the_same_calls_get_the_same_codes";
    beside_jemalloc::compare(TEST, ALIKE, beside_jemalloc::codes);
}

/// Where both profile, and nothing is sampled.
#[test]
fn the_same_calls_get_the_same_codes_of_profilers() {
    const TEST: &str = "the_same_calls_get_the_same_codes_of_profilers";
    let options = format!("{ALIKE},{PROFILES}");
    beside_jemalloc::compare(TEST, &options, beside_jemalloc::codes_of_profilers);
}
