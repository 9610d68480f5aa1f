//! Horizontal bars: `bar_horizontal` and `bar_horizontal_sorted`. A category has a bar for each revision, a group its own frame.

use super::frame::{Legend, Scale, Sheet, rect};
use super::scale::{Bands, Linear, ascending, categories};
use super::{Plot, Template, number_of};
use crate::metrics::Value;
use std::cmp::Ordering;

const GAP: f64 = 0.2;

/// A bar: its group, category, revision, and where it begins and ends.
struct Bar<'a> {
    group: usize,
    name: &'a Value,
    revision: usize,
    range: (f64, f64),
}

/// Draws the bars.
pub fn draw(plot: &Plot) -> String {
    let bars = bars(plot);
    let x = Linear::nice(bars.iter().flat_map(|bar| [bar.range.0, bar.range.1]));
    let mut names = categories(plot.points.iter().map(|point| &point.y));
    if plot.template == Template::BarHorizontalSorted {
        let sum = |name: &Value| {
            let same = plot.points.iter().filter(|point| is_same(&point.y, name));
            same.filter_map(|point| number_of(&point.x)).sum::<f64>()
        };
        let first = |name: &Value| plot.points.iter().position(|point| is_same(&point.y, name));
        // Of equal sums that which comes first in the data, as in Vega.
        let mut ranked: Vec<_> = names.into_iter().map(|name| (sum(&name), first(&name), name)).collect();
        ranked.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        names = ranked.into_iter().map(|(_, _, name)| name).collect();
    }
    let bands = Bands::new(names, GAP);
    let height = bands.width / plot.revisions.len().max(1) as f64;
    let mut sheet = Sheet::new(plot, vec![plot.groups.clone()], Scale::Linear(x), Scale::Bands(bands.clone()));
    for bar in bars {
        let Some(down) = bands.place(bar.name) else { continue };
        let (left, top) = sheet.frame(0, bar.group);
        let (from, to) = (x.place(bar.range.0.min(bar.range.1)), x.place(bar.range.0.max(bar.range.1)));
        let place = (left + from, top + down + height * bar.revision as f64);
        sheet.add(&rect(place, (to - from, height), bar.revision));
    }
    sheet.finish(Legend::Areas)
}

/// Returns the bars; several values of one category are stacked, from zero up and from zero down.
fn bars(plot: &Plot) -> Vec<Bar<'_>> {
    let mut bars: Vec<Bar<'_>> = Vec::new();
    for point in &plot.points {
        let Some(value) = number_of(&point.x) else { continue };
        let same = bars.iter().rev().find(|bar| {
            (bar.group, bar.revision) == (point.group, point.revision)
                && is_same(bar.name, &point.y)
                && (bar.range.1 < 0.0) == (value < 0.0)
        });
        let start = same.map_or(0.0, |bar| bar.range.1);
        let range = (start, start + value);
        bars.push(Bar { group: point.group, name: &point.y, revision: point.revision, range });
    }
    bars
}

fn is_same(one: &Value, other: &Value) -> bool {
    ascending(one, other) == Ordering::Equal
}
