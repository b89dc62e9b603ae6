//! Top: functions by what they allocate.

use jemoxide_profile::views::functions;

use super::{Context, nothing, title};
use crate::heap::names::{short_place, shortened};
use crate::heap::{error, size, size_share, why_empty};
use crate::screen::numbers::of_them;
use crate::screen::style::FAINT;
use crate::screen::table::{Side, Table};

/// Columns that the numbers take, with two before and after each.
const NUMBERS: usize = 48;
/// The same where there is no room for errors and second shares.
const FEW_NUMBERS: usize = 32;
const ALL_FROM: usize = 72;
/// From this width on there is room for places.
const PLACES_FROM: usize = 100;

/// The table.
pub(super) fn text(context: &Context<'_>) -> String {
    let by = context.arguments.by;
    let mut text = title(&format!("Functions by {}", by.bytes()));
    let measure = by.measure();
    let rows = functions(context.profile, |stack| stack.amount(measure));
    let whole = context.profile.total(measure);
    let own = rows.iter().filter(|row| !row.own.is_zero()).count();
    if own == 0 {
        let why = why_empty(context.profile, measure);
        return text
            + &nothing(
                context,
                &why.unwrap_or_else(|| "Nothing was sampled.".to_owned()),
            );
    }
    let mut columns = vec![
        ("own", Side::Right),
        ("error", Side::Right),
        ("share", Side::Right),
        ("total", Side::Right),
        ("share", Side::Right),
        ("function", Side::Left),
    ];
    let has_places = context.width.is_none_or(|width| width >= PLACES_FROM);
    if has_places {
        columns.push(("", Side::Left));
    }
    let mut table = Table::new(&columns);
    for row in rows.iter().take(own.min(context.arguments.rows())) {
        let place = match context.width {
            None => row.place.map(|place| place.to_string()),
            Some(_) => row.place.map(short_place),
        };
        let place = place.filter(|_| has_places).unwrap_or_default();
        let name = match context.width {
            None => row.name.clone().into_owned(),
            Some(width) => {
                let taken = match width {
                    _ if has_places => NUMBERS + 30,
                    ALL_FROM.. => NUMBERS,
                    _ => FEW_NUMBERS,
                };
                shortened(&row.name, width.saturating_sub(taken).max(12))
            }
        };
        let mut cells = vec![
            (size(row.own), Default::default()),
            (error(row.own).unwrap_or_default(), FAINT),
            (size_share(row.own, whole), Default::default()),
            (size(row.total), Default::default()),
            (size_share(row.total, whole), FAINT),
            (name, Default::default()),
        ];
        if has_places {
            let place = context
                .width
                .map_or(place.clone(), |_| shortened(&place, 28));
            cells.push((place, FAINT));
        }
        table.styled_row(cells);
    }
    text.push_str(&table.text_within(2, context.width, &[4, 1, 3]));
    let rest = own.saturating_sub(context.arguments.rows());
    if rest > 0 {
        let rest = of_them(rest as u64, "more function", "more functions");
        text.push_str(&format!("{FAINT}  and {rest} (--limit){FAINT:#}\n"));
    }
    text
}
