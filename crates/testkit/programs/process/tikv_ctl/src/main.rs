//! What services do with `tikv-jemallocator` and `tikv-jemalloc-ctl`, on this library.

use std::ffi::CStr;

use tikv_jemalloc_ctl::{arenas, background_thread, epoch, opt, raw, stats, thread, version};

#[global_allocator]
static HEAP: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    const BYTES: usize = 64 << 20;
    assert!(version::read().unwrap().starts_with("5.3."));
    assert!(arenas::narenas::read().unwrap() >= 1);
    assert!(opt::tcache::read().unwrap());

    // The usual pattern: mibs once, an epoch before each look.
    let epochs = epoch::mib().unwrap();
    let (allocated, resident) = (
        stats::allocated::mib().unwrap(),
        stats::resident::mib().unwrap(),
    );
    let first = epochs.advance().unwrap();
    let before = allocated.read().unwrap();
    let list = vec![1u8; BYTES];
    assert!(epochs.advance().unwrap() > first);
    let with = allocated.read().unwrap();
    assert!(with >= before + BYTES && resident.read().unwrap() >= BYTES);
    drop(list);
    epochs.advance().unwrap();
    assert!(allocated.read().unwrap() < with - BYTES / 2);
    for figure in [
        stats::active::read,
        stats::mapped::read,
        stats::metadata::read,
    ] {
        assert!(figure().unwrap() > 0);
    }

    // A thread's own bytes, without a lock.
    let mine = thread::allocatedp::read().unwrap();
    let was = mine.get();
    drop(vec![0u8; 100_000]);
    assert!(mine.get() >= was + 100_000);

    let was = background_thread::read().unwrap();
    background_thread::write(false).unwrap();
    background_thread::write(was).unwrap();

    // By name, as profilers and operators' pages do.
    // SAFETY: names and types are those of the documentation.
    unsafe {
        let text: &CStr = CStr::from_ptr(raw::read(b"opt.dss\0").unwrap());
        assert_eq!(text.to_str(), Ok("secondary"));
        raw::write(b"arenas.dirty_decay_ms\0", 1234isize).unwrap();
        assert_eq!(raw::read::<isize>(b"arena.0.dirty_decay_ms\0"), Ok(1234));
    }
    println!("done");
}
