//! Presets: documented bundles of options.
//!
//! P1  A bundle is options as text, read where the preset stands: what comes later overrides it.
//! P2  All bundles name the same keys, so that the last preset is in force whole.
#![deny(unsafe_code)]

use crate::options::Preset;

/// The options that `preset` stands for.
pub(super) fn bundle(preset: Preset) -> &'static [u8] {
    match preset {
        // The defaults, by P2: takes an earlier preset back.
        Preset::None => {
            b"dirty_decay_ms:10000,dirty_max:16M,dirty_share:50,cache_max:4M,narenas:default,\
              background_thread:auto,huge_budget:5,hpa:false"
        }
        // Steady for months: room for swings of load, and memory goes back also when it is little.
        Preset::Server => {
            b"dirty_decay_ms:10000,dirty_max:64M,dirty_share:50,cache_max:16M,narenas:default,\
              background_thread:true,huge_budget:5,hpa:false"
        }
        // Bursts on somebody's machine, where the next program wants the memory.
        Preset::Desktop => {
            b"dirty_decay_ms:3000,dirty_max:8M,dirty_share:15,cache_max:2M,narenas:default,\
              background_thread:auto,huge_budget:0,hpa:false"
        }
        // A limit that kills: idle memory goes before it counts, whatever the amount.
        Preset::Container => {
            b"dirty_decay_ms:3000,dirty_max:4M,dirty_share:10,cache_max:2M,narenas:default,\
              background_thread:true,huge_budget:0,hpa:false"
        }
        // Every page counts.
        Preset::LowMemory => {
            b"dirty_decay_ms:1000,dirty_max:1M,dirty_share:5,cache_max:256K,narenas:1,\
              background_thread:true,huge_budget:0,hpa:false"
        }
        // Memory is there to be used.
        Preset::Throughput => {
            b"dirty_decay_ms:60000,dirty_max:512M,dirty_share:100,cache_max:64M,narenas:default,\
              background_thread:auto,huge_budget:50,hpa:true"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, apply, words::Word};
    use super::*;
    use crate::options::Options;
    use std::string::String;
    use std::vec::Vec;

    fn keys(preset: Preset) -> Vec<String> {
        let text = String::from_utf8(bundle(preset).to_vec()).unwrap();
        let key = |pair: &str| pair.split(':').next().unwrap().into();
        text.split(',').map(key).collect()
    }

    #[test]
    fn bundles_name_the_same_keys_with_good_values() {
        for &preset in Preset::MEANINGS {
            assert_eq!(keys(preset), keys(Preset::None), "P2 {}", preset.name());
            let mut options = Options::DEFAULT;
            apply(
                &mut options,
                Origin::MallocConf,
                bundle(preset),
                &mut |_, news| {
                    assert!(matches!(news, super::super::News::Taken(..)));
                },
            );
        }
    }

    #[test]
    fn none_is_the_default() {
        let mut options = Options::DEFAULT;
        apply(
            &mut options,
            Origin::MallocConf,
            b"preset:low_memory,preset:none",
            &mut |_, _| {},
        );
        assert_eq!(
            std::format!("{options:?}"),
            std::format!("{:?}", Options::DEFAULT)
        );
    }
}
