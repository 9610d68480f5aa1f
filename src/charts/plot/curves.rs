//! Lines and points: `simple`, `linear`, `scatter` and `scatter_jitter`.

use super::frame::{Legend, SIDE, Scale, Sheet, dot, line_style, point};
use super::scale::{Bands, Linear, categories};
use super::{Plot, Point, Template, loess, number_of};
use std::fmt::Write;

/// The gap between bands, as Vega-Lite has it.
const GAP: f64 = 0.2;

/// Draws numbers over numbers.
pub fn draw(plot: &Plot) -> String {
    let is_scatter = plot.template == Template::Scatter;
    let pair = |point: &Point| Some((number_of(&point.x)?, number_of(&point.y)?));
    let pairs = || plot.points.iter().filter_map(pair);
    // Points are seen from zero, lines are not.
    let zero = || is_scatter.then_some(0.0).into_iter();
    let x = Linear::nice(pairs().map(|(x, _)| x).chain(zero()));
    let y = Linear::nice(pairs().map(|(_, y)| y).chain(zero()));
    let mut sheet = Sheet::new(plot, vec![vec![String::new()]], Scale::Linear(x), Scale::Linear(y));
    let (left, top) = sheet.frame(0, 0);
    let place = |(h, v): (f64, f64)| (left + x.place(h), top + SIDE - y.place(v));
    for (revision, group) in plot.series() {
        if is_scatter {
            let found = plot.of(revision, group).filter_map(pair);
            found.for_each(|pair| sheet.add(&point(place(pair), revision, group)));
            continue;
        }
        // A missing value is a gap.
        let mut rows: Vec<(f64, Option<f64>)> =
            plot.of(revision, group).filter_map(|p| Some((number_of(&p.x)?, number_of(&p.y)))).collect();
        rows.sort_by(|one, other| one.0.total_cmp(&other.0));
        let style = line_style(revision, group);
        let is_linear = plot.template == Template::Linear;
        let smooth = is_linear && rows.windows(2).any(|pair| pair[0].0 == pair[1].0);
        for part in parts(&rows) {
            if smooth {
                sheet.add(&format!("{}opacity=\"0.3\"/>", line(&part, &style, &place)));
                sheet.add(&format!("{}/>", line(&loess::smooth(&part), &style, &place)));
            }
        }
        if !smooth && rows.iter().any(|(_, y)| y.is_some()) {
            let path: String = parts(&rows).iter().map(|part| path(part, &place)).collect();
            sheet.add(&format!("<path d=\"{path}\" {style}/>"));
        }
        for part in parts(&rows).iter().filter(|part| part.len() == 1) {
            sheet.add(&dot(place(part[0]), revision));
        }
        let last = rows.iter().filter_map(|(x, y)| Some((*x, (*y)?))).reduce(|a, b| if b.0 > a.0 { b } else { a });
        if let Some(last) = last.filter(|_| is_linear) {
            sheet.add(&dot(place(last), revision));
        }
    }
    sheet.finish(if is_scatter { Legend::Points } else { Legend::Lines })
}

/// Returns the stretches without a gap.
fn parts(rows: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let part = |part: &[(f64, Option<f64>)]| part.iter().filter_map(|(x, y)| Some((*x, (*y)?))).collect();
    rows.split(|(_, y)| y.is_none()).map(part).filter(|part: &Vec<_>| !part.is_empty()).collect()
}

fn path(points: &[(f64, f64)], place: &dyn Fn((f64, f64)) -> (f64, f64)) -> String {
    let mut out = String::new();
    for (at, (x, y)) in points.iter().map(|pair| place(*pair)).enumerate() {
        let _ = write!(out, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    out
}

fn line(points: &[(f64, f64)], style: &str, place: &dyn Fn((f64, f64)) -> (f64, f64)) -> String {
    format!("<path d=\"{}\" {style} ", path(points, place))
}

/// Draws categories over categories.
pub fn draw_jittered(plot: &Plot) -> String {
    let x = Bands::new(categories(plot.points.iter().map(|point| &point.x)), GAP);
    let y = Bands::new(categories(plot.points.iter().map(|point| &point.y)), GAP);
    let (across, down) = (x.clone(), y.clone());
    let mut sheet = Sheet::new(plot, vec![vec![String::new()]], Scale::Bands(x), Scale::Bands(y));
    let (left, top) = sheet.frame(0, 0);
    let mut random = 1u32;
    // The same input has the same output: what only looks random is enough.
    let mut jitter = |width: f64| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(random >> 8) / f64::from(1u32 << 24) * width
    };
    for (revision, group) in plot.series() {
        for found in plot.of(revision, group) {
            if let (Some(h), Some(v)) = (across.place(&found.x), down.place(&found.y)) {
                let at = (left + h + jitter(across.width), top + v + jitter(down.width));
                sheet.add(&point(at, revision, group));
            }
        }
    }
    sheet.finish(Legend::Points)
}
