//! A chart of one quantity: a line for each run over the steps.

use super::series::{Point, Series};
use super::ticks::{Axis, number, short};
use super::{COLOURS, escape, head, shortened};
use std::fmt::Write;

/// Lines after the sixth have other strokes.
const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];
/// Lines beyond these are not drawn: the table has them.
pub const LINES: usize = COLOURS.len() * DASHES.len();

pub(super) const WIDTH: f64 = 640.0;
/// The area of the lines: left, top, right, bottom.
pub(super) const AREA: [f64; 4] = [64.0, 40.0, 624.0, 300.0];
const ROW: f64 = 18.0;
/// The width of a character, as far as it can be told without the font.
const LETTER: f64 = 6.6;
const LEGEND_LETTERS: usize = 40;

/// Draws a chart with its title. `log` asks for a logarithmic axis of values.
pub fn svg(title: &str, lines: &[(&str, &Series)], log: bool) -> String {
    let lines: Vec<(&str, Vec<Point>)> =
        lines.iter().take(LINES).map(|(name, series)| (*name, series.line())).collect();
    let points = || lines.iter().flat_map(|(_, points)| points);
    // A training that goes on without numbers must not look as if it had ended well.
    let x = Axis::tight(points().map(|point| point.step as f64), 8);
    let y = Axis::new(points().map(|point| point.value), 6, log);
    let names: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    let (legend, rows) = legend(&names);
    let height = AREA[3] + 32.0 + ROW * rows as f64;
    let mut out = head(title, WIDTH, height);
    axes(&mut out, &x, &y);
    for (n, (_, points)) in lines.iter().enumerate() {
        line(&mut out, n, points, &x, &y);
    }
    out + &legend + "</svg>\n"
}

pub(super) fn across(x: &Axis, step: i64) -> f64 {
    AREA[0] + x.place(step as f64) * (AREA[2] - AREA[0])
}

pub(super) fn up(y: &Axis, value: f64) -> f64 {
    AREA[3] - y.place(value) * (AREA[3] - AREA[1])
}

pub(super) fn axes(out: &mut String, x: &Axis, y: &Axis) {
    let [left, top, right, bottom] = AREA;
    for tick in &y.ticks {
        let at = up(y, *tick);
        let _ = writeln!(
            out,
            "<path class=\"a\" d=\"M{left} {at:.1}H{right}\" stroke=\"#d1d9e0\"/><text class=\"l\" x=\"{:.1}\" \
             y=\"{:.1}\" text-anchor=\"end\" fill=\"#59636e\">{}</text>",
            left - 8.0,
            at + 4.0,
            number(*tick, 4)
        );
    }
    for tick in &x.ticks {
        let at = left + x.place(*tick) * (right - left);
        let _ = writeln!(
            out,
            "<path class=\"a\" d=\"M{at:.1} {bottom}v4\" stroke=\"#d1d9e0\"/><text class=\"l\" x=\"{at:.1}\" \
             y=\"{:.1}\" text-anchor=\"middle\" fill=\"#59636e\">{}</text>",
            bottom + 18.0,
            short(*tick)
        );
    }
    let _ = writeln!(out, "<path class=\"a\" d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#d1d9e0\"/>");
}

pub(super) fn line(out: &mut String, n: usize, points: &[Point], x: &Axis, y: &Axis) {
    let (colour, class) = (COLOURS[n % COLOURS.len()].0, n % COLOURS.len());
    let mut path = String::new();
    let mut single = Vec::new();
    // What is not a number leaves a gap, and crosses where it begins and ends.
    for part in points.split(|point| !point.value.is_finite()) {
        let place = |point: &Point| (across(x, point.step), up(y, point.value));
        match part {
            [] => {}
            [point] => single.push(place(point)),
            part => {
                for (m, (x, y)) in part.iter().map(place).enumerate() {
                    let _ = write!(path, "{}{x:.1} {y:.1}", if m == 0 { 'M' } else { 'L' });
                }
            }
        }
    }
    if !path.is_empty() {
        let _ = writeln!(
            out,
            "<path class=\"s{class}\" d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.75\" \
             stroke-linejoin=\"round\"{}/>",
            dash(n)
        );
    }
    for (x, y) in single {
        let _ = writeln!(out, "<circle class=\"f{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
    let crosses: String = gaps(points).into_iter().map(|(step, kind)| cross(across(x, step), kind)).collect();
    if !crosses.is_empty() {
        let _ = writeln!(
            out,
            "<path class=\"s{class}\" d=\"{crosses}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.75\"/>"
        );
    }
}

/// Where a value cannot be drawn.
#[derive(Clone, Copy, PartialEq)]
enum Gap {
    /// Infinite: above.
    Above,
    /// Not a number, or minus infinity: below.
    Below,
}

/// Returns the first and the last step of each stretch of values that cannot be drawn.
fn gaps(points: &[Point]) -> Vec<(i64, Gap)> {
    let kind = |point: &Point| match point.value {
        value if value.is_finite() => None,
        value if value == f64::INFINITY => Some(Gap::Above),
        _ => Some(Gap::Below),
    };
    let mut gaps = Vec::new();
    for stretch in points.chunk_by(|a, b| kind(a) == kind(b)) {
        if let [first, .., last] | [first @ last] = stretch
            && let Some(kind) = kind(first)
        {
            gaps.push((first.step, kind));
            gaps.extend((last.step != first.step).then_some((last.step, kind)));
        }
    }
    gaps
}

/// Returns a cross at the upper or the lower edge.
fn cross(x: f64, kind: Gap) -> String {
    let y = match kind {
        Gap::Above => AREA[1] + 4.0,
        Gap::Below => AREA[3] - 4.0,
    };
    format!("M{:.1} {:.1}l6 6m0 -6l-6 6", x - 3.0, y - 3.0)
}

fn dash(n: usize) -> String {
    match DASHES[n / COLOURS.len() % DASHES.len()] {
        "" => String::new(),
        dash => format!(" stroke-dasharray=\"{dash}\""),
    }
}

/// Returns the names of the lines below the chart, and the rows that they take.
fn legend(names: &[&str]) -> (String, usize) {
    let (mut out, mut left, mut row) = (String::new(), 16.0, 0);
    for (n, name) in names.iter().enumerate() {
        let name = shortened(name, LEGEND_LETTERS);
        let width = 40.0 + name.chars().count() as f64 * LETTER;
        if left > 16.0 && left + width > WIDTH {
            (left, row) = (16.0, row + 1);
        }
        let (at, colour, class) = (AREA[3] + 38.0 + ROW * row as f64, COLOURS[n % COLOURS.len()].0, n % COLOURS.len());
        let _ = writeln!(
            out,
            "<path class=\"s{class}\" d=\"M{left:.0} {:.0}h20\" stroke=\"{colour}\" stroke-width=\"2.5\"{}/><text \
             class=\"t\" x=\"{:.0}\" y=\"{at:.0}\" fill=\"#1f2328\">{}</text>",
            at - 4.0,
            dash(n),
            left + 26.0,
            escape(&name)
        );
        left += width;
    }
    (out, row + 1)
}
