//! Waste: free slots in partly used slabs, charged to who keeps the slabs from going.
//!
//! ```text
//! class 64: 3 slabs, 9 KiB of free slots      live samples of 64 bytes: main;cache x 2, main;log x 1
//!             main;cache  6 KiB   main;log  3 KiB
//! ```
//! W1  All that is charged, and what is charged to nobody, add up to the free bytes of all classes.
//! W2  Every sample of one class stands for equally many objects: shares follow the number of samples.

use std::collections::HashMap;

use jemoxide_profile::Profile;

/// Bytes of waste.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waste {
    /// For each stack of the profile, in its order.
    pub by_stack: Vec<f64>,
    /// Of classes without a live sample.
    pub of_nobody: f64,
}

impl Waste {
    /// The waste in `profile`, which knows classes and objects.
    pub fn of(profile: &Profile) -> Self {
        let mut samples: HashMap<u64, f64> = HashMap::new();
        for object in profile.stacks().iter().flat_map(|stack| &stack.objects) {
            *samples.entry(object.usable).or_default() += 1.0;
        }
        let mut charge: HashMap<u64, f64> = HashMap::new();
        let mut of_nobody = 0.0;
        for class in profile.classes() {
            match samples.get(&class.size) {
                Some(samples) => {
                    *charge.entry(class.size).or_default() += class.free_bytes as f64 / samples;
                }
                None => of_nobody += class.free_bytes as f64,
            }
        }
        let of = |usable: u64| charge.get(&usable).copied().unwrap_or(0.0);
        let stacks = profile.stacks().iter();
        let by_stack = stacks
            .map(|stack| stack.objects.iter().map(|object| of(object.usable)).sum())
            .collect();
        Self {
            by_stack,
            of_nobody,
        }
    }
}
