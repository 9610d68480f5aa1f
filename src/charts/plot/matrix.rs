//! Confusion matrices: `confusion` and `confusion_normalized`. A revision is a column of frames, a group a row.

use super::frame::{Legend, Scale, Sheet};
use super::scale::{Bands, Linear, ascending, categories};
use super::{Plot, Point, Template};
use crate::charts::heat_map;
use crate::charts::ticks::number;
use crate::metrics::Value;
use std::cmp::Ordering;

/// Smaller cells have no numbers.
const MIN_NUMBERED: f64 = 14.0;

/// Draws the matrices.
pub fn draw(plot: &Plot) -> String {
    let is_share = plot.template == Template::ConfusionNormalized;
    let bands = |of: fn(&Point) -> &Value| Bands::new(categories(plot.points.iter().map(of)), 0.0);
    let (x, y) = (bands(|point| &point.x), bands(|point| &point.y));
    let heading = |revision: &String, group: &String| match group.as_str() {
        "" => revision.clone(),
        group => format!("{revision}, {group}"),
    };
    let row = |group: &String| plot.revisions.iter().map(|revision| heading(revision, group)).collect();
    let rows: Vec<Vec<String>> = plot.groups.iter().map(row).collect();
    let (across, down) = (x.clone(), y.clone());
    let cells = |(revision, group)| (revision, group, cells(plot, revision, group, &across, &down));
    let all: Vec<_> = plot.series().map(cells).collect();
    let most = all.iter().flat_map(|(_, _, cells)| cells).map(|cell| cell.count).fold(0.0, f64::max);
    let high = if is_share { 1.0 } else { Linear::nice([0.0, most].into_iter()).high };
    let colours = heat_map::Scale::between(0.0, high);
    let (width, height) = (x.width, y.width);
    let size = (height * 0.5).min(width * 0.35).clamp(6.0, 12.0);
    let mut sheet = Sheet::new(plot, rows, Scale::Bands(x), Scale::Bands(y));
    for (revision, group, cells) in all {
        let (left, top) = sheet.frame(group, revision);
        // What a row does not have has no share in it.
        for cell in cells.into_iter().filter(|cell| !is_share || cell.sum > 0.0) {
            let (Some(h), Some(v)) = (across.place(cell.x), down.place(cell.y)) else { continue };
            let value = if is_share { cell.count / cell.sum } else { cell.count };
            let (fill, ink) = colours.colours(Some(value));
            sheet.add(&format!(
                "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{fill}\" shape-rendering=\"crispEdges\"/>",
                left + h,
                top + v
            ));
            if width.min(height) >= MIN_NUMBERED {
                let text = number(value, if is_share { 2 } else { 6 });
                sheet.add(&format!(
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"{size:.1}\" fill=\"{ink}\">{text}</text>",
                    left + h + width / 2.0,
                    top + v + height / 2.0 + size * 0.35
                ));
            }
        }
    }
    sheet.finish(Legend::None)
}

/// How often x was with y.
struct Cell<'a> {
    x: &'a Value,
    y: &'a Value,
    count: f64,
    /// How often y was with anything.
    sum: f64,
}

/// Returns the cells of a revision and a group: of all pairs of categories, also of those that only others have.
fn cells<'a>(plot: &Plot, revision: usize, group: usize, x: &'a Bands, y: &'a Bands) -> Vec<Cell<'a>> {
    let order = |one: &Point, y: &Value, x: &Value| ascending(&one.y, y).then_with(|| ascending(&one.x, x));
    let mut points: Vec<&Point> = plot.of(revision, group).collect();
    points.sort_by(|one, other| order(one, &other.y, &other.x));
    let count = |y: &Value, x: &Value| {
        let start = points.partition_point(|point| order(point, y, x) == Ordering::Less);
        let end = points.partition_point(|point| order(point, y, x) != Ordering::Greater);
        (end - start) as f64
    };
    let mut cells = Vec::new();
    for y in &y.names {
        let counts: Vec<f64> = x.names.iter().map(|x| count(y, x)).collect();
        let sum = counts.iter().sum();
        cells.extend(x.names.iter().zip(counts).map(|(x, count)| Cell { x, y, count, sum }));
    }
    cells
}
