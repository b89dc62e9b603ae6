//! Explaining: what is in force, and where each value comes from.
//!
//! Nothing of this is kept by a running allocator: the sources are read again, by the same parser.
#![deny(unsafe_code)]

use super::keys::{self, KEYS};
use super::{News, Origin, apply, shown};
use crate::options::Options;
use core::str::from_utf8;

/// An option as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// Its key.
    pub name: &'a str,
    /// The value in force, as an option has it.
    pub value: &'a str,
    /// The value where nothing is said.
    pub default: &'a str,
    /// Where the value was said last. `None`: nowhere.
    pub origin: Option<Origin>,
    /// What the option is about, in a line.
    pub meaning: &'a str,
    /// Why it has no effect; empty where it has one.
    pub without_effect: &'a str,
}

/// Reads `sources` in order, as a process does at its start, and calls `each` for every option there is; `complain` gets
/// each line that a process would have written to standard error. Allocates nothing.
///
/// # Examples
///
/// ```
/// use jemoxide::settings::{Origin, explain};
///
/// let sources = [(Origin::MallocConf, &b"preset:low_memory,narenas:3"[..])];
/// explain(
///     &sources,
///     &mut |setting| {
///         if setting.name == "narenas" {
///             assert_eq!((setting.value, setting.default), ("3", "default"));
///             assert_eq!(setting.origin, Some(Origin::MallocConf));
///         }
///     },
///     &mut |line| panic!("{line}"),
/// );
/// ```
pub fn explain(
    sources: &[(Origin, &'static [u8])],
    each: &mut dyn FnMut(&Setting<'_>),
    complain: &mut dyn FnMut(&str),
) {
    let mut options = Options::DEFAULT;
    let mut origins = [None; KEYS.len()];
    for &(source, text) in sources {
        apply(&mut options, source, text, &mut |origin, news| match news {
            News::Taken(key, _) => {
                // A second way to write a value is a source of the first.
                let target = KEYS.get(key).and_then(keys::Key::alias_of);
                let at = target.and_then(keys::find).unwrap_or(key);
                if let Some(place) = origins.get_mut(at) {
                    *place = Some(origin);
                }
            }
            News::Unheard(line) | News::Wrong(line) => complain(valid(line)),
        });
    }
    for (at, (key, origin)) in KEYS.iter().zip(origins).enumerate() {
        if key.alias_of().is_some() {
            continue;
        }
        let (value, default) = (shown(at, &options), shown(at, &Options::DEFAULT));
        each(&Setting {
            name: key.name(),
            value: valid(value.as_bytes()),
            default: valid(default.as_bytes()),
            origin,
            meaning: key.meaning.as_str(),
            without_effect: key.without_effect(),
        });
    }
}

/// The part of `bytes` that is text.
fn valid(bytes: &[u8]) -> &str {
    from_utf8(bytes).unwrap_or_else(|wrong| {
        let (text, _) = bytes.split_at(wrong.valid_up_to().min(bytes.len()));
        from_utf8(text).unwrap_or("")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Preset;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// Key, value and source of each option.
    type Row = (String, String, Option<Origin>);

    fn settings(sources: &[(Origin, &'static [u8])]) -> (Vec<Row>, Vec<String>) {
        let (mut settings, mut lines) = (Vec::new(), Vec::new());
        explain(
            sources,
            &mut |it| settings.push((it.name.to_string(), it.value.to_string(), it.origin)),
            &mut |line| lines.push(line.to_string()),
        );
        (settings, lines)
    }

    #[test]
    fn every_value_says_where_it_was_said_last() {
        let (settings, lines) = settings(&[
            (Origin::Variable, b"narenas:3,dirty_max:1M,retain:false"),
            (
                Origin::MallocConf,
                b"preset:low_memory,dirty_share:7,hpa_hugification_threshold_ratio:0.5",
            ),
            (Origin::Harder, b"narenas:5,report_dir:/\xff"),
        ]);
        let of = |name: &str| {
            let found = settings.iter().find(|(key, ..)| key == name).unwrap();
            (found.1.as_str(), found.2)
        };
        assert_eq!(of("narenas"), ("5", Some(Origin::Harder)));
        assert_eq!(
            of("dirty_max"),
            ("1M", Some(Origin::Preset(Preset::LowMemory)))
        );
        assert_eq!(of("dirty_share"), ("7", Some(Origin::MallocConf)));
        assert_eq!(
            of("hpa_hugification_threshold"),
            ("1M", Some(Origin::MallocConf))
        );
        assert_eq!(of("muzzy_decay_ms"), ("0", None));
        assert_eq!(of("report_dir").0, "/");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            !settings
                .iter()
                .any(|(name, ..)| name.ends_with("threshold_ratio"))
        );
    }
}
