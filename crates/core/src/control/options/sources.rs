//! Where options stand.
//!
//! ```text
//! build < malloc_conf < /etc/malloc.conf < MALLOC_CONF < _RJEM_MALLOC_CONF < JEMOXIDE_CONF < malloc_conf_2_conf_harder
//! ```
//! U1  Later wins. A process with raised rights does not look at its environment.
//! U2  A variable counts under jemalloc's plain name, else under the one that Rust programs give it (`_rjem_` in front).
//! Source: jemalloc(3) "TUNING"; `_RJEM_` is the prefix of the crate tikv-jemalloc-sys, `JEMOXIDE_CONF` ours.
#![deny(unsafe_code)]

use crate::options::Preset;
use crate::sys::process;

/// Where an option stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The environment variable `JEMOXIDE_BUILD_CONF` of the build.
    Build,
    /// The program's variable `malloc_conf`.
    Variable,
    /// The text of the symbolic link `/etc/malloc.conf`.
    Link,
    /// The environment variable `MALLOC_CONF`.
    MallocConf,
    /// The environment variable `_RJEM_MALLOC_CONF`.
    RjemMallocConf,
    /// The environment variable `JEMOXIDE_CONF`.
    JemoxideConf,
    /// The program's variable `malloc_conf_2_conf_harder`.
    Harder,
    /// The bundle of a preset, which itself stands in one of the others.
    Preset(Preset),
}

impl Origin {
    /// What a person calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Variable => "variable malloc_conf",
            Self::Link => "/etc/malloc.conf",
            Self::MallocConf => "MALLOC_CONF",
            Self::RjemMallocConf => "_RJEM_MALLOC_CONF",
            Self::JemoxideConf => "JEMOXIDE_CONF",
            Self::Harder => "variable malloc_conf_2_conf_harder",
            Self::Preset(_) => "preset",
        }
    }
}

/// Options given to the build.
pub(crate) const BUILD: Option<&str> = option_env!("JEMOXIDE_BUILD_CONF");

/// Every source of this process, in order (U1).
pub(crate) fn gather() -> [(Origin, Option<&'static [u8]>); 7] {
    let [variable, harder] = process::linked_options();
    [
        (Origin::Build, BUILD.map(str::as_bytes)),
        (Origin::Variable, variable),
        (Origin::Link, process::link_text(c"/etc/malloc.conf")),
        (Origin::MallocConf, process::environment(b"MALLOC_CONF")),
        (
            Origin::RjemMallocConf,
            process::environment(b"_RJEM_MALLOC_CONF"),
        ),
        (Origin::JemoxideConf, process::environment(b"JEMOXIDE_CONF")),
        (Origin::Harder, harder),
    ]
}
