//! Modes: what options ask of every allocation and free, on the built library.
//!
//! Fills, rounding and failures that end the process are looked at from inside a child whose heap is the library. Each
//! body holds without the option too where it says so, so that it is the option that is tested.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::hint::black_box;
use std::ptr::{null, null_mut};

use jemoxide_testkit::{artifacts, child, door, facts};

/// Small, cached large, large, and what the page heap cuts afresh.
const SIZES: [usize; 7] = [8, 100, 4096, 14_000, 20_000, 100_000, 3 << 20];

/// All bytes of a live block, up to its usable size.
fn bytes(block: *mut c_void, from: usize) -> Vec<u8> {
    // SAFETY: a live block of this process's malloc.
    unsafe {
        let all = libc::malloc_usable_size(block);
        std::slice::from_raw_parts(block.cast::<u8>(), all)[from..].to_vec()
    }
}

fn all(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().all(|&each| each == byte)
}

/// The first bytes of memory that was freed just now and is still mapped.
fn remains(block: *mut c_void) -> u8 {
    // SAFETY: freed into a cache of this thread, whose pages stay; read as the machine sees it.
    unsafe { block.cast::<u8>().wrapping_add(5).read_volatile() }
}

/// Mallocs, callocs, reallocs and frees; answers bytes of new, grown and freed memory.
fn check_fills(new: u8, freed: Option<u8>) {
    for size in SIZES {
        for _ in 0..3 {
            // SAFETY: plain calls on blocks of our own.
            unsafe {
                let block = libc::malloc(size);
                assert!(all(&bytes(block, 0), new), "malloc({size})");
                block.cast::<u8>().write_bytes(1, size);
                let zeroed = libc::calloc(1, size);
                assert!(all(&bytes(zeroed, 0), 0), "calloc({size})");
                zeroed.cast::<u8>().write_bytes(1, size);
                let mut aligned = null_mut();
                assert_eq!(libc::posix_memalign(&mut aligned, 64, size), 0);
                assert!(all(&bytes(aligned, 0), new), "posix_memalign({size})");
                aligned.cast::<u8>().write_bytes(1, size);
                let old = libc::malloc_usable_size(block);
                let grown = libc::realloc(block, size * 3);
                assert!(all(&bytes(grown, 0)[..size], 1), "realloc keeps {size}");
                if size > 8 {
                    assert!(all(&bytes(grown, old), new), "realloc grows {size}");
                }
                if let (Some(freed), true) = (freed, size <= 20_000) {
                    libc::free(black_box(zeroed));
                    assert_eq!(remains(zeroed), freed, "free({size})");
                } else {
                    libc::free(zeroed);
                }
                libc::free(aligned);
                libc::free(grown);
            }
        }
    }
}

#[test]
fn junk_is_in_new_and_in_freed_memory() {
    child::on_library("junk_is_in_new_and_in_freed_memory", "junk:true", || {
        check_fills(0xa5, Some(0x5a));
        assert_eq!(text("opt.junk").as_deref(), Ok("true"));
    });
}

#[test]
fn junk_may_be_in_new_memory_only() {
    child::on_library("junk_may_be_in_new_memory_only", "junk:alloc", || {
        check_fills(0xa5, None);
    });
}

#[test]
fn zero_wins_over_junk_in_new_memory() {
    const TEST: &str = "zero_wins_over_junk_in_new_memory";
    child::on_library(TEST, "junk:true,zero:true", || check_fills(0, Some(0x5a)));
}

#[test]
fn filled_memory_is_seen_by_threads_and_after_their_end() {
    const TEST: &str = "filled_memory_is_seen_by_threads_and_after_their_end";
    child::on_library(TEST, "junk:true,count:true", || {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| check_fills(0xa5, Some(0x5a))))
            .collect();
        threads.into_iter().for_each(|each| each.join().unwrap());
        check_fills(0xa5, Some(0x5a));
    });
}

#[test]
fn a_double_free_under_junk_is_told_before_the_memory_is_touched() {
    const TEST: &str = "a_double_free_under_junk_is_told_before_the_memory_is_touched";
    match child::rerun(TEST) {
        None => {
            // SAFETY: misuse on purpose: the child is to die of it.
            unsafe { libc::free(black_box(libc::malloc(100)).wrapping_byte_add(16)) };
        }
        Some(run) => {
            run.preload(artifacts::library())
                .env("MALLOC_CONF", "junk:true")
                .run()
                .expect_death("not the start of an allocation");
        }
    }
}

#[test]
fn a_double_free_of_a_cached_object_is_found_where_that_is_asked_for() {
    const TEST: &str = "a_double_free_of_a_cached_object_is_found_where_that_is_asked_for";
    match child::rerun(TEST) {
        None => {
            for size in SIZES {
                // SAFETY: plain calls on blocks of our own.
                unsafe {
                    let blocks: Vec<_> = (0..40).map(|_| libc::malloc(size)).collect();
                    blocks.into_iter().for_each(|block| libc::free(block));
                }
            }
            // SAFETY: misuse on purpose: the child is to die of it.
            unsafe {
                let [first, second] = [100, 100].map(|size| libc::malloc(size));
                libc::free(black_box(first));
                libc::free(black_box(second));
                libc::free(black_box(first));
            }
        }
        Some(run) => {
            let run = run.preload(artifacts::library());
            run.env("MALLOC_CONF", "debug_double_free_max_scan:2")
                .run()
                .expect_death("double free");
        }
    }
}

#[test]
fn a_failed_request_ends_the_process_where_that_is_asked_for() {
    const TEST: &str = "a_failed_request_ends_the_process_where_that_is_asked_for";
    let Some(_) = child::rerun(TEST) else {
        let calls = std::env::var("CALL").unwrap();
        // SAFETY: plain calls; the requests cannot be met.
        let answer = unsafe {
            match calls.as_str() {
                "malloc" => libc::malloc(black_box(1 << 60)),
                "calloc" => libc::calloc(black_box(1 << 40), 1 << 40),
                "realloc" => libc::realloc(libc::malloc(10), black_box(1 << 62)),
                "beyond" => libc::malloc(black_box(usize::MAX)),
                "aligned" => libc::memalign(1 << 20, black_box(1 << 60)),
                _ => nothrow(1 << 60),
            }
        };
        assert!(answer.is_null());
        return;
    };
    let run = |call: &str, options: &str| {
        let run = child::rerun(TEST).unwrap().env("CALL", call);
        run.preload(artifacts::library())
            .env("MALLOC_CONF", options)
            .run()
    };
    for call in ["malloc", "calloc", "realloc", "beyond", "aligned"] {
        run(call, "").expect_success();
        run(call, "xmalloc:true").expect_death("<jemoxide>: out of memory: ");
    }
    run("malloc", "xmalloc:true").expect_death("1152921504606846976 bytes were asked for");
    run("new", "").expect_success();
    let infallible = "experimental_infallible_new:true";
    run("new", infallible).expect_death("out of memory in operator new");
}

/// C++'s `new` that answers null.
fn nothrow(size: usize) -> *mut c_void {
    type New = unsafe extern "C" fn(usize, *const c_void) -> *mut c_void;
    // SAFETY: the type is that of the operator.
    unsafe { door::function::<New>(c"_ZnwmRKSt9nothrow_t")(size, null()) }
}

#[test]
fn large_sizes_round_to_classes_where_that_is_asked_for() {
    const TEST: &str = "large_sizes_round_to_classes_where_that_is_asked_for";
    child::on_library(TEST, "disable_large_size_classes:false", || {
        let calls = door::Extended::find();
        let table = facts::size_classes();
        let sizes = table.rows().filter_map(|row| row.number("size"));
        let sizes: Vec<usize> = sizes.filter(|&size| size < 64 << 20).collect();
        for pair in sizes.windows(2) {
            let (below, class) = (pair[0], pair[1]);
            for size in [below + 1, class - 1, class] {
                assert_eq!(calls.nallocx(size, 0), class, "{size}");
                // SAFETY: plain calls on a block of our own.
                unsafe {
                    let block = libc::malloc(size);
                    assert_eq!(libc::malloc_usable_size(block), class, "malloc({size})");
                    let other = libc::realloc(libc::malloc(10), size);
                    assert_eq!(libc::malloc_usable_size(other), class, "realloc({size})");
                    door::function::<unsafe extern "C" fn(*mut c_void, usize)>(c"free_sized")(
                        block, size,
                    );
                    libc::free(other);
                }
            }
        }
        // Alignment beyond a page as well.
        assert_eq!(calls.nallocx(33 << 10, 16), 40 << 10);
        assert_eq!(calls.nallocx(100 << 10, 13), 112 << 10);
    });
}

#[test]
fn zeroed_memory_can_be_had_anew() {
    const TEST: &str = "zeroed_memory_can_be_had_anew";
    const SIZE: usize = 32 << 20;
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() << 12
    };
    let pair = || {
        // SAFETY: plain calls on blocks of our own.
        unsafe {
            let block = libc::malloc(SIZE);
            block.cast::<u8>().write_bytes(1, SIZE);
            libc::free(black_box(block));
            let zeroed = libc::calloc(1, SIZE);
            let bytes = resident();
            assert!(all(&bytes_at(zeroed), 0));
            libc::free(zeroed);
            bytes
        }
    };
    fn bytes_at(block: *mut c_void) -> Vec<u8> {
        bytes(block, SIZE - 4096)
    }
    match child::rerun(TEST) {
        None => {
            let most = if std::env::var_os("ANEW").is_some() {
                SIZE
            } else {
                usize::MAX
            };
            assert!(pair() < most);
            if most == usize::MAX {
                // Cleared by hand, all of it has memory.
                assert!(pair() > SIZE);
            }
        }
        Some(run) => {
            run.preload(artifacts::library()).run().expect_success();
            let run = child::rerun(TEST).unwrap().env("ANEW", "1");
            run.preload(artifacts::library())
                .env("MALLOC_CONF", "calloc_madvise_threshold:1M")
                .run()
                .expect_success();
        }
    }
}

type Control =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *const c_void, usize) -> c_int;

/// The text that `name` reads as, or the error number.
fn text(name: &str) -> Result<String, c_int> {
    let name = std::ffi::CString::new(name).unwrap();
    let (mut text, mut len) = (null::<c_char>(), size_of::<*const c_char>());
    // SAFETY: the type is that of the C declaration; a name of a text, and room for it.
    unsafe {
        let mallctl: Control = door::function(c"mallctl");
        match mallctl(name.as_ptr(), (&raw mut text).cast(), &mut len, null(), 0) {
            0 => Ok(CStr::from_ptr(text).to_str().unwrap().to_owned()),
            code => Err(code),
        }
    }
}

#[test]
fn the_text_of_a_source_can_be_read() {
    const TEST: &str = "the_text_of_a_source_can_be_read";
    child::on_library(TEST, "mutex_max_spin:7,narena:1", || {
        let env = text("opt.malloc_conf.env_var");
        assert_eq!(env.as_deref(), Ok("mutex_max_spin:7,narena:1"));
        for absent in ["global_var", "global_var_2_conf_harder"] {
            let name = format!("opt.malloc_conf.{absent}");
            assert_eq!(text(&name), Err(libc::ENOENT), "{name}");
        }
    });
}
