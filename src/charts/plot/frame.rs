//! What is around the marks: frames with axes, a heading for each, labels, the legend.

use super::Plot;
use super::scale::{Bands, Linear, name_of};
use crate::charts::ticks::{number, round};
use crate::charts::{COLOURS, escape, head, shortened};
use std::fmt::Write;

/// The width and height of a frame.
pub const SIDE: f64 = 300.0;
/// From one frame to the next, as Vega-Lite lays them out.
const STEP: f64 = SIDE + 22.0;
const LETTER: f64 = 6.6;
const LABEL_LETTERS: usize = 24;
const TOP: f64 = 48.0;
const RIGHT: f64 = 24.0;
const LEGEND_ROW: f64 = 18.0;
const LEGEND_LETTERS: usize = 40;
/// Labels closer than this are left out.
const LABEL_HEIGHT: f64 = 12.0;
/// Dashes of the groups, as DVC has them: <https://github.com/iterative/dvc-render/blob/main/src/dvc_render/vega.py>.
const DASHES: [&str; 7] = ["", "8 8", "8 4", "4 4", "4 2", "2 1", "1 1"];

/// A mark of an axis: its place, and what stands there.
type Label = (f64, String);

/// The scale of an axis.
pub enum Scale {
    /// Of numbers.
    Linear(Linear),
    /// Of categories.
    Bands(Bands),
}

impl Scale {
    /// Returns the marks with their labels.
    fn labels(&self) -> Vec<Label> {
        match self {
            Scale::Linear(scale) => {
                let ticks = if scale.low < scale.high { round(scale.low, scale.high, 6) } else { vec![scale.low] };
                ticks.into_iter().map(|tick| (scale.place(tick), number(tick, 4))).collect()
            }
            Scale::Bands(bands) => {
                let label = |(at, name)| (bands.at(at) + bands.width / 2.0, shortened(&name_of(name), LABEL_LETTERS));
                let every = (LABEL_HEIGHT * bands.names.len() as f64 / SIDE).ceil().max(1.0) as usize;
                bands.names.iter().enumerate().step_by(every).map(label).collect()
            }
        }
    }

    /// Returns whether zero is at the lower end, as numbers are read, and not at the upper one, as lists are.
    fn is_upward(&self) -> bool {
        matches!(self, Scale::Linear(_))
    }
}

/// A picture with a grid of frames.
pub struct Sheet<'a> {
    plot: &'a Plot,
    /// The headings of the frames, row by row.
    rows: Vec<Vec<String>>,
    x: Scale,
    y: Scale,
    left: f64,
    top: f64,
    out: String,
    below: String,
}

/// What the legend shows of a series besides its colour.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Legend {
    /// Nothing: headings tell.
    None,
    /// A line.
    Lines,
    /// The shape of points.
    Points,
    /// An area: only revisions are told apart.
    Areas,
}

impl<'a> Sheet<'a> {
    /// Lays the frames out.
    pub fn new(plot: &'a Plot, rows: Vec<Vec<String>>, x: Scale, y: Scale) -> Self {
        let letters = |scale: &Scale| scale.labels().iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
        let left = 44.0 + LETTER * letters(&y) as f64;
        let top = if rows.iter().flatten().any(|heading| !heading.is_empty()) { TOP + 22.0 } else { TOP };
        Sheet { plot, rows, x, y, left, top, out: String::new(), below: String::new() }
    }

    /// Returns where a frame begins.
    pub fn frame(&self, row: usize, column: usize) -> (f64, f64) {
        (self.left + STEP * column as f64, self.top + STEP * row as f64)
    }

    /// Adds a mark.
    pub fn add(&mut self, mark: &str) {
        self.out.push_str(mark);
        self.out.push('\n');
    }

    /// Returns the picture.
    pub fn finish(mut self, legend: Legend) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let whole = self.left + STEP * columns as f64 - 22.0;
        let bottom = self.top + STEP * self.rows.len() as f64 - 22.0;
        let (axes, down) = self.axes(columns, whole, bottom);
        let width = (whole + RIGHT).max(40.0 + 8.0 * self.plot.title.chars().count().min(75) as f64);
        let rows = self.legend(legend, width, bottom + down + 18.0);
        let height = bottom + down + 12.0 + LEGEND_ROW * rows as f64;
        let start = head(&self.plot.title, width.round(), height.round());
        format!("{start}{axes}{}{}</svg>\n", self.out, self.below)
    }

    /// Draws the axes, and returns how far down they reach below the frames.
    fn axes(&self, columns: usize, whole: f64, bottom: f64) -> (String, f64) {
        let mut out = String::new();
        let (across, up) = (self.x.labels(), self.y.labels());
        let longest = across.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0) as f64 * LETTER;
        let apart = if across.len() > 1 { (across[1].0 - across[0].0).abs() } else { SIDE };
        let is_turned = longest + 4.0 > apart;
        for (row, headings) in self.rows.iter().enumerate() {
            for (column, heading) in headings.iter().enumerate() {
                let (left, top) = self.frame(row, column);
                self.frame_axes(&mut out, (left, top), &across, &up);
                if !heading.is_empty() {
                    out.push_str(&text(left + SIDE / 2.0, top - 8.0, "middle", &shortened(heading, 44)));
                }
                if column == 0 {
                    for (at, label) in &up {
                        let at = if self.y.is_upward() { SIDE - at } else { *at };
                        out.push_str(&text(left - 8.0, top + at + 4.0, "end", label));
                    }
                }
            }
        }
        for column in 0..columns {
            for (at, label) in &across {
                let (x, y) = (self.frame(0, column).0 + at, bottom + 18.0);
                // Those at the ends of frames side by side must not meet.
                let anchor = match *at {
                    at if columns > 1 && at < 1.0 => "start",
                    at if columns > 1 && at > SIDE - 1.0 => "end",
                    _ => "middle",
                };
                if is_turned {
                    out.push_str(&turned(x + 4.0, bottom + 8.0, "end", label));
                } else {
                    out.push_str(&text(x, y, anchor, label));
                }
            }
        }
        let down = if is_turned { longest + 14.0 } else { 22.0 };
        let middle = f64::midpoint(self.left, whole);
        out.push_str(&text(middle, bottom + down + 16.0, "middle", &shortened(&self.plot.x_label, 60)));
        let middle = f64::midpoint(self.top, bottom);
        out.push_str(&turned(20.0, middle, "middle", &shortened(&self.plot.y_label, 60)));
        (out, down + 22.0)
    }

    fn frame_axes(&self, out: &mut String, (left, top): (f64, f64), across: &[Label], up: &[Label]) {
        let mut path = format!("M{left:.1} {top:.1}v{SIDE}h{SIDE}");
        for (at, _) in across {
            let _ = write!(path, "M{:.1} {:.1}v4", left + at, top + SIDE);
        }
        for (at, _) in up {
            let at = if self.y.is_upward() { SIDE - at } else { *at };
            let line = if self.y.is_upward() { format!("h{SIDE}") } else { "h-4".to_owned() };
            let _ = write!(path, "M{left:.1} {:.1}{line}", top + at);
        }
        let _ = writeln!(out, "<path class=\"a\" d=\"{path}\" fill=\"none\" stroke=\"#d1d9e0\"/>");
    }

    /// Writes the legend and returns its rows.
    fn legend(&mut self, legend: Legend, width: f64, top: f64) -> usize {
        if legend == Legend::None {
            return 0;
        }
        let (mut left, mut row) = (16.0, 0);
        for (revision, group) in self.plot.series() {
            if legend == Legend::Areas && group > 0 || self.plot.of(revision, group).next().is_none() {
                continue;
            }
            let (name, of_group) = (&self.plot.revisions[revision], &self.plot.groups[group]);
            let whole = if legend == Legend::Areas || of_group.is_empty() {
                name.clone()
            } else {
                format!("{name}, {of_group}")
            };
            let name = shortened(&whole, LEGEND_LETTERS);
            let needed = 40.0 + name.chars().count() as f64 * LETTER;
            if left > 16.0 && left + needed > width {
                (left, row) = (16.0, row + 1);
            }
            let at = top + LEGEND_ROW * f64::from(row);
            let (x, y) = (left + 10.0, at - 4.0);
            let sign = match legend {
                Legend::Points => point((x, y), revision, group),
                Legend::Areas => circle((x, y), 6.0, revision),
                _ => {
                    let style = line_style(revision, group);
                    format!("<line x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" {style}/>", left + 20.0)
                }
            };
            let _ = writeln!(
                self.below,
                "{sign}<text class=\"t\" x=\"{:.0}\" y=\"{at:.0}\" fill=\"#1f2328\">{}</text>",
                left + 26.0,
                escape(&name)
            );
            left += needed;
        }
        row as usize + 1
    }
}

/// Returns the class and colour of a revision.
fn colour(revision: usize) -> (usize, &'static str) {
    let place = revision % COLOURS.len();
    (place, COLOURS[place].0)
}

/// Returns the attributes of the line of a revision and a group.
pub fn line_style(revision: usize, group: usize) -> String {
    let (class, colour) = colour(revision);
    let dash = match DASHES[group % DASHES.len()] {
        "" => String::new(),
        dash => format!(" stroke-dasharray=\"{dash}\""),
    };
    format!(
        "class=\"s{class}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.75\" stroke-linejoin=\"round\"{dash}"
    )
}

/// Returns the end of a line.
pub fn dot(place: (f64, f64), revision: usize) -> String {
    circle(place, 2.5, revision)
}

fn circle((x, y): (f64, f64), radius: f64, revision: usize) -> String {
    let (class, colour) = colour(revision);
    format!("<circle class=\"f{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>")
}

/// Returns a filled rectangle.
pub fn rect((x, y): (f64, f64), (width, height): (f64, f64), revision: usize) -> String {
    let (class, colour) = colour(revision);
    format!(
        "<rect class=\"f{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{colour}\"/>"
    )
}

/// Returns a point; the group has its shape: circle, square, triangle, diamond. Their area is that of Vega's, 30.
pub fn point((x, y): (f64, f64), revision: usize, group: usize) -> String {
    let (class, colour) = colour(revision);
    let shape = match group % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.1\""),
        1 => format!("<path d=\"M{:.1} {:.1}h5.4v5.4h-5.4z\"", x - 2.7, y - 2.7),
        2 => format!("<path d=\"M{x:.1} {:.1}l4 6.8h-8z\"", y - 4.0),
        _ => format!("<path d=\"M{x:.1} {:.1}l3.8 3.8l-3.8 3.8l-3.8 -3.8z\"", y - 3.8),
    };
    format!("{shape} class=\"s{class}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" opacity=\"0.8\"/>")
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let text = escape(text);
    format!("<text class=\"l\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#59636e\">{text}</text>\n")
}

/// Returns a text that reads upwards.
fn turned(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let text = escape(text);
    format!(
        "<text class=\"l\" transform=\"translate({x:.1} {y:.1})rotate(-90)\" text-anchor=\"{anchor}\" fill=\"#59636e\">{text}</text>\n"
    )
}
