//! Classic: the heap profile of gperftools, one line a stack.
//!
//! ```text
//! heap profile:   12:  4096 [  20:  8192] @ heap_v2/524288
//!      2:  1024 [     4:  2048] @ 0x4005a0 0x400611
//! MAPPED_LIBRARIES:
//! ```
//! `heap_v2/PERIOD` means the same numbers as in jemalloc's dumps; `heapprofile` means that nothing was sampled. The
//! older `heap/PERIOD` scales in another way and is refused.

use crate::amount::Amount;
use crate::build::Builder;
use crate::model::{Form, Profile};

use super::Unreadable;
use super::heap_v2::{addresses, counts_of, is_maps_heading, map_line};
use super::lines::{CUT_OFF, Counts, decimal, lines};

/// Reads a whole profile.
pub(super) fn read(bytes: &[u8]) -> Result<Profile, Unreadable> {
    let mut all = lines(bytes);
    let Some(first) = all.next() else {
        return Err(Unreadable::new("the file is empty", CUT_OFF));
    };
    let text = first.whole()?.text;
    let kind = text
        .iter()
        .position(|&byte| byte == b'@')
        .map(|at| text[at + 1..].trim_ascii())
        .unwrap_or_default();
    let period = match kind {
        b"heapprofile" | b"heap_v2" => Some(1),
        _ => kind
            .strip_prefix(b"heap_v2/")
            .and_then(decimal)
            .filter(|&period| period > 0),
    };
    let period = period.ok_or_else(|| {
        first.wrong("the first line must end in `@ heap_v2/PERIOD` or `@ heapprofile`")
    })?;

    let mut builder = Builder::new(Form::Classic, period);
    builder.profile.known.objects = true;
    let mut in_maps = false;
    for line in all {
        if in_maps {
            map_line(&mut builder, line);
        } else if is_maps_heading(line.text) {
            in_maps = true;
        } else if !line.text.is_empty() {
            let line = line.whole()?;
            let (Counts { live, cumulative }, rest) = counts_of(line)?;
            let frames = rest
                .trim_ascii()
                .strip_prefix(b"@")
                .and_then(|frames| addresses(&mut builder, frames))
                .ok_or_else(|| line.wrong("the numbers must be followed by `@` and addresses"))?;
            let index = builder.stack(frames).ok_or_else(super::too_many)?;
            let stack = &mut builder.profile.stacks[index];
            stack.live += Amount::scaled(live.0, live.1, period);
            stack.cumulative += Amount::scaled(cumulative.0, cumulative.1, period);
            builder.profile.known.cumulative |= cumulative.0 > 0;
        }
    }
    Ok(builder.finish())
}
