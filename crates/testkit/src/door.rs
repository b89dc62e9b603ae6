//! Door: the C functions that this process really has, looked up at run time.
//!
//! A test linked against nothing but libc, run again with the library preloaded, drives the library
//! through these. Three views of it are a [`Heap`] each: the malloc family, the extended calls and
//! the C++ operators; blocks take different ways out (plain and sized, aligned or not) by turns.

use std::ffi::{CStr, c_int, c_void};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use crate::naive::Heap;

/// `MALLOCX_ZERO` of the C header.
pub const ZERO: c_int = 0x40;

/// What every block from malloc is aligned to; blocks of the eight-byte class have half of it.
const NATURAL: usize = 16;

/// Looks up a C function by name in the global scope; panics if the process has none.
///
/// # Safety
/// - `F` is a function pointer type that matches the C declaration behind `name`.
pub unsafe fn function<F: Copy>(name: &CStr) -> F {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) }
    // SAFETY: the name is a C string.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    assert!(!address.is_null(), "this process has no {name:?}");
    // SAFETY: not null, of pointer size, and of this type, as the caller promises.
    unsafe { mem::transmute_copy(&address) }
}

/// Returns the file that this process's malloc lives in.
pub fn provider() -> PathBuf {
    // SAFETY: all fields are plain integers and pointers.
    let mut info: libc::Dl_info = unsafe { mem::zeroed() };
    // SAFETY: only its address is used.
    let malloc: *const c_void = unsafe { function(c"malloc") };
    // SAFETY: `info` is ours; the name it points to lives as long as the mapping, and libc stays.
    let file = unsafe {
        assert_ne!(
            libc::dladdr(malloc, &mut info),
            0,
            "malloc lives in no file"
        );
        CStr::from_ptr(info.dli_fname)
    };
    PathBuf::from(std::ffi::OsStr::from_bytes(file.to_bytes()))
}

/// Asserts that this process's malloc comes from `library`.
pub fn assert_provider(library: &Path) {
    let real = |path: &Path| path.canonicalize().expect("a file that is mapped exists");
    assert_eq!(real(&provider()), real(library));
}

/// Returns the usable size of a block, by `malloc_usable_size`.
///
/// # Safety
/// - `ptr` is a live block of this process's malloc.
pub unsafe fn usable_size(ptr: *mut u8) -> usize {
    // SAFETY: the caller's promise.
    unsafe { libc::malloc_usable_size(ptr.cast()) }
}

/// malloc, calloc, realloc, the aligned calls, free, free_sized, free_aligned_sized; and, at one free in
/// a few hundred, malloc_trim, which gives memory back underneath all that are at work.
pub struct Standard {
    free_sized: unsafe extern "C" fn(*mut c_void, usize),
    free_aligned_sized: unsafe extern "C" fn(*mut c_void, usize, usize),
}

impl Standard {
    /// Finds the functions in this process.
    pub fn find() -> Self {
        // SAFETY: the types are those of the C declarations.
        unsafe {
            Self {
                free_sized: function(c"free_sized"),
                free_aligned_sized: function(c"free_aligned_sized"),
            }
        }
    }
}

impl Heap for Standard {
    unsafe fn alloc(&self, size: usize, align: usize) -> *mut u8 {
        let mut ptr = ptr::null_mut();
        // SAFETY: any size and power of two may be asked for; `ptr` is ours.
        unsafe {
            match size % 3 {
                _ if has_natural(size, align) => ptr = libc::malloc(size),
                0 => drop(libc::posix_memalign(&mut ptr, align.max(8), size)),
                1 => ptr = libc::aligned_alloc(align, size),
                _ => ptr = libc::memalign(align, size),
            }
        }
        ptr.cast()
    }

    unsafe fn alloc_zeroed(&self, size: usize, align: usize) -> *mut u8 {
        if has_natural(size, align) {
            // SAFETY: any size may be asked for.
            return unsafe { libc::calloc(1, size).cast() };
        }
        // C has no aligned calloc; the block is cleared by hand so that both kinds look alike.
        // SAFETY: a fresh block is ours up to its usable size.
        unsafe {
            let ptr = self.alloc(size, align);
            if !ptr.is_null() {
                ptr.write_bytes(0, usable_size(ptr));
            }
            ptr
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
        if has_natural(new_size, align) {
            // SAFETY: the block is live, as the caller promises.
            return unsafe { libc::realloc(ptr.cast(), new_size).cast() };
        }
        // realloc forgets the alignment, so here programs move aligned blocks themselves.
        // SAFETY: both blocks are live, and the smaller usable size is inside both.
        unsafe {
            let fresh = self.alloc(new_size, align);
            if !fresh.is_null() {
                fresh.copy_from_nonoverlapping(ptr, usable_size(ptr).min(usable_size(fresh)));
                self.dealloc(ptr, size, align);
            }
            fresh
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, size: usize, align: usize) {
        if size % 499 == 0 {
            // SAFETY: it touches no live block.
            unsafe { libc::malloc_trim(0) };
        }
        // SAFETY: the block is live, with this size and alignment, as the caller promises. A block
        //         that an aligned call made is given back by sized calls with its alignment only.
        unsafe {
            match size % 4 {
                0 | 1 => libc::free(ptr.cast()),
                2 if has_natural(size, align) => (self.free_sized)(ptr.cast(), size),
                3 if has_natural(size, align) => (self.free_sized)(ptr.cast(), usable_size(ptr)),
                _ => (self.free_aligned_sized)(ptr.cast(), align, size),
            }
        }
    }

    unsafe fn usable_size(&self, ptr: *mut u8) -> Option<usize> {
        // SAFETY: the block is live, as the caller promises.
        Some(unsafe { usable_size(ptr) })
    }
}

/// mallocx and its kin.
pub struct Extended {
    mallocx: unsafe extern "C" fn(usize, c_int) -> *mut c_void,
    rallocx: unsafe extern "C" fn(*mut c_void, usize, c_int) -> *mut c_void,
    xallocx: unsafe extern "C" fn(*mut c_void, usize, usize, c_int) -> usize,
    sallocx: unsafe extern "C" fn(*const c_void, c_int) -> usize,
    dallocx: unsafe extern "C" fn(*mut c_void, c_int),
    sdallocx: unsafe extern "C" fn(*mut c_void, usize, c_int),
    nallocx: unsafe extern "C" fn(usize, c_int) -> usize,
}

impl Extended {
    /// Finds the functions in this process.
    pub fn find() -> Self {
        // SAFETY: the types are those of the C declarations.
        unsafe {
            Self {
                mallocx: function(c"mallocx"),
                rallocx: function(c"rallocx"),
                xallocx: function(c"xallocx"),
                sallocx: function(c"sallocx"),
                dallocx: function(c"dallocx"),
                sdallocx: function(c"sdallocx"),
                nallocx: function(c"nallocx"),
            }
        }
    }

    /// Returns the usable size that a request would get, 0 if it is out of range.
    pub fn nallocx(&self, size: usize, flags: c_int) -> usize {
        // SAFETY: a question about numbers.
        unsafe { (self.nallocx)(size, flags) }
    }
}

impl Heap for Extended {
    unsafe fn alloc(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the size is not zero, as the caller promises.
        unsafe { (self.mallocx)(size, align_flag(align)).cast() }
    }

    unsafe fn alloc_zeroed(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the size is not zero, as the caller promises.
        unsafe { (self.mallocx)(size, align_flag(align) | ZERO).cast() }
    }

    unsafe fn realloc(&self, ptr: *mut u8, _size: usize, align: usize, new_size: usize) -> *mut u8 {
        let flags = align_flag(align);
        // SAFETY: the block is live, as the caller promises, and no size is zero.
        unsafe {
            // Half of the blocks try to stay in place first.
            if new_size % 2 == 0
                && (self.xallocx)(ptr.cast(), new_size, 0, flags) == self.nallocx(new_size, flags)
            {
                return ptr;
            }
            (self.rallocx)(ptr.cast(), new_size, flags).cast()
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, size: usize, align: usize) {
        // SAFETY: the block is live, with this size and alignment, as the caller promises.
        unsafe {
            match size % 3 {
                0 => (self.dallocx)(ptr.cast(), 0),
                1 => (self.sdallocx)(ptr.cast(), size, align_flag(align)),
                _ => (self.sdallocx)(
                    ptr.cast(),
                    self.nallocx(size, align_flag(align)),
                    align_flag(align),
                ),
            }
        }
    }

    unsafe fn usable_size(&self, ptr: *mut u8) -> Option<usize> {
        // SAFETY: the block is live, as the caller promises.
        Some(unsafe { (self.sallocx)(ptr.cast(), 0) })
    }
}

/// operator new and delete: throwing, sized, aligned. There is no resizing among them.
pub struct Operators {
    new: unsafe extern "C" fn(usize) -> *mut c_void,
    new_aligned: unsafe extern "C" fn(usize, usize) -> *mut c_void,
    delete: unsafe extern "C" fn(*mut c_void),
    delete_sized: unsafe extern "C" fn(*mut c_void, usize),
    delete_aligned: unsafe extern "C" fn(*mut c_void, usize),
    delete_sized_aligned: unsafe extern "C" fn(*mut c_void, usize, usize),
}

impl Operators {
    /// Finds the functions in this process.
    pub fn find() -> Self {
        // SAFETY: the types are those of the C++ declarations; nothing fails, so nothing is thrown.
        unsafe {
            Self {
                new: function(c"_Znwm"),
                new_aligned: function(c"_ZnwmSt11align_val_t"),
                delete: function(c"_ZdlPv"),
                delete_sized: function(c"_ZdlPvm"),
                delete_aligned: function(c"_ZdlPvSt11align_val_t"),
                delete_sized_aligned: function(c"_ZdlPvmSt11align_val_t"),
            }
        }
    }
}

impl Heap for Operators {
    unsafe fn alloc(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: any size and power of two may be asked for.
        unsafe {
            match has_natural(size, align) {
                true => (self.new)(size).cast(),
                false => (self.new_aligned)(size, align).cast(),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: a fresh block is ours up to its usable size; operator new never gives null.
        unsafe {
            let ptr = self.alloc(size, align);
            ptr.write_bytes(0, usable_size(ptr));
            ptr
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, size: usize, align: usize, new_size: usize) -> *mut u8 {
        // SAFETY: both blocks are live, and the smaller usable size is inside both.
        unsafe {
            let fresh = self.alloc(new_size, align);
            fresh.copy_from_nonoverlapping(ptr, usable_size(ptr).min(usable_size(fresh)));
            self.dealloc(ptr, size, align);
            fresh
        }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, size: usize, align: usize) {
        let ptr = ptr.cast();
        // SAFETY: the block is live, with this size and alignment, as the caller promises.
        unsafe {
            match (has_natural(size, align), size % 2) {
                (true, 0) => (self.delete)(ptr),
                (true, _) => (self.delete_sized)(ptr, size),
                (false, 0) => (self.delete_aligned)(ptr, align),
                (false, _) => (self.delete_sized_aligned)(ptr, size, align),
            }
        }
    }

    unsafe fn usable_size(&self, ptr: *mut u8) -> Option<usize> {
        // SAFETY: the block is live, as the caller promises.
        Some(unsafe { usable_size(ptr) })
    }
}

/// Whether plain malloc gives this alignment anyway.
fn has_natural(size: usize, align: usize) -> bool {
    align <= if size <= 8 { 8 } else { NATURAL }
}

/// `MALLOCX_ALIGN` of the C header.
fn align_flag(align: usize) -> c_int {
    c_int::try_from(align.trailing_zeros()).expect("at most 63")
}
