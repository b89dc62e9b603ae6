//! Every profile that fuzzing keeps (fuzz/corpus/profiles), as an ordinary test.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/profiles.rs"]
#[allow(unreachable_pub, reason = "a crate of its own elsewhere")]
mod profiles;

#[test]
fn kept_inputs_are_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/profiles");
    let mut kept = 0;
    for entry in fs::read_dir(corpus).expect("the corpus is part of the source") {
        let path = entry.expect("readable").path();
        println!("{}", path.display());
        profiles::run(&fs::read(path).expect("readable"));
        kept += 1;
    }
    assert!(kept > 0, "no input is kept");
}
