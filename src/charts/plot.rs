//! The plots of DVC's built-in templates, with the revisions in one picture.
//!
//! Marks lie where Vega-Lite puts them for the same template (frames of 300 × 300, scales that are rounded as d3 does it, bands with the
//! same gaps), so that a picture can be compared with DVC's. What differs is for the reader's sake: colours with enough contrast on light
//! and dark ground, numbers in the cells of confusion matrices, a gap where a value is missing.
//! <https://dvc.org/doc/user-guide/experiment-management/visualizing-plots#plot-templates-data-series-only>

mod bars;
mod curves;
mod frame;
mod loess;
mod matrix;
mod recognize;
mod scale;
pub mod spec;

use crate::metrics::Value;

pub use recognize::recognize;

/// One of DVC's built-in templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Lines.
    Simple,
    /// Lines with a mark at their ends; `smooth` is the same without its slider.
    Linear,
    /// Points.
    Scatter,
    /// Points of categories, each a little beside its place.
    ScatterJitter,
    /// A confusion matrix with counts.
    Confusion,
    /// A confusion matrix with the share of each row.
    ConfusionNormalized,
    /// Horizontal bars.
    BarHorizontal,
    /// Horizontal bars, the longest first.
    BarHorizontalSorted,
}

impl Template {
    /// The names, as `dvc plots templates` lists them.
    pub const NAMES: [(&str, Template); 9] = [
        ("simple", Template::Simple),
        ("linear", Template::Linear),
        ("confusion", Template::Confusion),
        ("confusion_normalized", Template::ConfusionNormalized),
        ("scatter", Template::Scatter),
        ("scatter_jitter", Template::ScatterJitter),
        ("smooth", Template::Linear),
        ("bar_horizontal_sorted", Template::BarHorizontalSorted),
        ("bar_horizontal", Template::BarHorizontal),
    ];

    /// Returns the template with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, template)| *template)
    }

    /// Returns whether x and y have to be numbers; others are categories.
    pub fn wants_numbers(self) -> (bool, bool) {
        match self {
            Template::Simple | Template::Linear | Template::Scatter => (true, true),
            Template::BarHorizontal | Template::BarHorizontalSorted => (true, false),
            Template::ScatterJitter | Template::Confusion | Template::ConfusionNormalized => (false, false),
        }
    }
}

/// A plot with its data.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// What stands above it.
    pub title: String,
    /// What stands beside the axes.
    pub x_label: String,
    /// The same for y.
    pub y_label: String,
    /// How it is drawn.
    pub template: Template,
    /// The names of the revisions.
    pub revisions: Vec<String>,
    /// The names of the series of a revision: fields, files or both; a single empty name if there is only one series.
    pub groups: Vec<String>,
    /// The data.
    pub points: Vec<Point>,
}

/// One row of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The value of x.
    pub x: Value,
    /// The value of y.
    pub y: Value,
    /// Which of the revisions.
    pub revision: usize,
    /// Which of the groups.
    pub group: usize,
}

/// Returns a value as a number, as JavaScript takes it: a text with a number is one. What is missing or infinite is none.
pub fn number_of(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Text(text) => text.trim().parse().ok(),
        value => value.to_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// Fails with a field that has too many different values for a picture, which would be as large as their number, or its square.
///
/// # Errors
/// How many there are.
pub fn check(plot: &Plot) -> Result<(), String> {
    let most = match plot.template {
        Template::Confusion | Template::ConfusionNormalized => 200,
        _ => 1000,
    };
    let (x, y) = plot.template.wants_numbers();
    let count = |of: fn(&Point) -> &Value| scale::categories(plot.points.iter().map(of)).len();
    let counts =
        [("x", if x { 0 } else { count(|point| &point.x) }), ("y", if y { 0 } else { count(|point| &point.y) })];
    match counts.iter().find(|(_, count)| *count > most) {
        Some((axis, count)) => {
            Err(format!("{axis} has {count} different values, and this template draws at most {most}"))
        }
        None => Ok(()),
    }
}

/// Draws a plot as SVG, for light and dark pages alike.
pub fn draw(plot: &Plot) -> String {
    match plot.template {
        Template::Simple | Template::Linear | Template::Scatter => curves::draw(plot),
        Template::ScatterJitter => curves::draw_jittered(plot),
        Template::Confusion | Template::ConfusionNormalized => matrix::draw(plot),
        Template::BarHorizontal | Template::BarHorizontalSorted => bars::draw(plot),
    }
}

impl Plot {
    /// Returns the points of a revision and a group.
    fn of(&self, revision: usize, group: usize) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(move |point| point.revision == revision && point.group == group)
    }

    /// Returns every revision with every group, in the order in which DVC draws them.
    fn series(&self) -> impl Iterator<Item = (usize, usize)> {
        let groups = self.groups.len();
        (0..self.revisions.len()).flat_map(move |revision| (0..groups).map(move |group| (revision, group)))
    }
}

#[cfg(test)]
mod tests;
