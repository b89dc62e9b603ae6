//! Cells: fields of records that several threads may look at.
//!
//! A record's owner is whoever holds the arena's lock, or has the record in its hands; another may look at a few of its
//! fields meanwhile. So all fields are atomics, read and written in no order: the lock gives it.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

macro_rules! cell {
    ($name:ident, $atomic:ty, $value:ty) => {
        #[repr(transparent)]
        pub(in crate::arena) struct $name($atomic);

        impl $name {
            pub(in crate::arena) const fn new(value: $value) -> Self {
                Self(<$atomic>::new(value))
            }

            #[inline]
            pub(in crate::arena) fn get(&self) -> $value {
                self.0.load(Ordering::Relaxed)
            }

            #[inline]
            pub(in crate::arena) fn set(&self, value: $value) {
                self.0.store(value, Ordering::Relaxed);
            }
        }
    };
}

impl Number {
    /// Sets it; what it was. For its owner.
    pub(in crate::arena) fn replace(&self, value: u32) -> u32 {
        let before = self.get();
        self.set(value);
        before
    }
}

cell!(Flag, AtomicBool, bool);
cell!(Number, AtomicU32, u32);
cell!(Size, AtomicUsize, usize);

/// An address.
#[repr(transparent)]
pub(in crate::arena) struct Address(AtomicPtr<u8>);

impl Address {
    pub(in crate::arena) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    pub(in crate::arena) fn get(&self) -> *mut u8 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(in crate::arena) fn set(&self, value: *mut u8) {
        self.0.store(value, Ordering::Relaxed);
    }
}
