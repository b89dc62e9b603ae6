//! Control: start, options, forks, what is done now and then, what is reported.

pub(crate) mod boot;
pub(crate) mod channel;
pub(crate) mod container;
mod fork;
pub(crate) mod hardening;
pub(crate) mod limit;
pub(crate) mod mallctl;
pub(crate) mod modes;
pub(crate) mod options;
pub(crate) mod profiling;
pub(crate) mod purger;
pub(crate) mod report;
mod rss_text;
pub(crate) mod stats_print;
pub(crate) mod tcache;
pub(crate) mod upkeep;
