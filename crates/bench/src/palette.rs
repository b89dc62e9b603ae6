//! Palette: the colours of the charts, so that an allocator looks the same in all of them.

use crate::peers::JEMOXIDE;
use plotters::style::RGBColor;

pub(crate) const INK: RGBColor = RGBColor(30, 34, 40);
pub(crate) const FAINT: RGBColor = RGBColor(225, 228, 232);
pub(crate) const BAND: RGBColor = RGBColor(246, 247, 249);
pub(crate) const OURS: RGBColor = RGBColor(205, 32, 44);
const JEMALLOC: RGBColor = RGBColor(30, 80, 160);
const OLDER_JEMALLOC: RGBColor = RGBColor(125, 160, 215);
pub(crate) const GOAL: RGBColor = RGBColor(20, 130, 60);

/// Light, and far enough apart to follow one of them down the lines.
const OTHERS: &[RGBColor] = &[
    RGBColor(240, 160, 60),
    RGBColor(90, 190, 160),
    RGBColor(170, 140, 215),
    RGBColor(235, 130, 170),
    RGBColor(130, 185, 235),
    RGBColor(175, 190, 70),
    RGBColor(200, 165, 130),
    RGBColor(150, 160, 170),
    RGBColor(110, 205, 220),
    RGBColor(225, 200, 60),
];

/// The colour of `name`: ours, jemalloc's, or the next of the light ones, by its place among `names`.
pub(crate) fn of(name: &str, names: &[String]) -> RGBColor {
    if name == JEMOXIDE {
        return OURS;
    }
    if is_jemalloc(name) {
        let newer = names
            .iter()
            .any(|other| is_jemalloc(other) && other.len() > name.len());
        return if newer { OLDER_JEMALLOC } else { JEMALLOC };
    }
    let others = names
        .iter()
        .filter(|name| *name != JEMOXIDE && !is_jemalloc(name));
    let place = others.take_while(|other| *other != name).count();
    OTHERS[place % OTHERS.len()]
}

/// The distribution's, which is called that alone, or one whose name tells its version.
pub(crate) fn is_jemalloc(name: &str) -> bool {
    name.starts_with("jemalloc")
}
