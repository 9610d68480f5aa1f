//! A heat map with numbers, such as a confusion matrix.

use super::ticks::number;
use super::{escape, head, shortened};
use std::fmt::Write;

/// Cells of larger maps have no numbers.
const MAX_NUMBERED: usize = 20;
/// Larger maps are cut.
const MAX_CELLS: usize = 100;
/// The size of a cell with a number, and of one without.
const CELL: (f64, f64) = (52.0, 30.0);
const SMALL_CELL: (f64, f64) = (6.0, 6.0);
const LABEL_LETTERS: usize = 16;
const LETTER: f64 = 6.6;
/// The strongest colour, of the greatest value; its contrast to white is above 4.5.
const STRONG: (f64, f64, f64) = (0.0, 90.0, 160.0);

/// The values of a heat map, row by row, from the lowest row to the highest as plotly draws them. `None` is not a number.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    /// The values.
    pub values: &'a [Vec<Option<f64>>],
    /// The names of the columns.
    pub columns: &'a [String],
    /// The names of the rows.
    pub rows: &'a [String],
}

/// Draws a heat map with its title.
pub fn svg(title: &str, cells: &Cells<'_>) -> String {
    let rows = cells.values.len().min(MAX_CELLS);
    let columns = cells.values.iter().map(Vec::len).max().unwrap_or_default().min(MAX_CELLS);
    let is_numbered = rows.max(columns) <= MAX_NUMBERED;
    let (width, height) = if is_numbered { CELL } else { SMALL_CELL };
    let label = |names: &[String]| names.iter().map(|name| name.chars().count().min(LABEL_LETTERS)).max().unwrap_or(0);
    let left = 24.0 + LETTER * label(cells.rows) as f64;
    let top = 40.0;
    let whole = ((left + width * columns as f64 + 16.0).max(240.0), top + height * rows as f64 + 36.0);
    let mut out = head(title, whole.0, whole.1);
    let scale = Scale::new(cells.values);
    for (n, row) in cells.values.iter().take(rows).enumerate() {
        let y = top + height * (rows - 1 - n) as f64;
        for (m, value) in row.iter().take(columns).enumerate() {
            let x = left + width * m as f64;
            let (fill, ink) = scale.colours(*value);
            let _ =
                write!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\"/>");
            if is_numbered {
                let text = value.map_or_else(|| "–".to_owned(), |value| number(value, 4));
                let (x, y) = (x + width / 2.0, y + height / 2.0 + 4.0);
                let _ =
                    write!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{text}</text>");
            }
            out.push('\n');
        }
        if let Some(name) = cells.rows.get(n).filter(|_| is_numbered) {
            let (x, y) = (left - 8.0, y + height / 2.0 + 4.0);
            out.push_str(&text_at(x, y, "end", name, LABEL_LETTERS));
        }
    }
    for (m, name) in cells.columns.iter().take(columns).enumerate().filter(|_| is_numbered) {
        let (x, y) = (left + width * (m as f64 + 0.5), top + height * rows as f64 + 18.0);
        out.push_str(&text_at(x, y, "middle", name, (width / LETTER) as usize));
    }
    out + "</svg>\n"
}

fn text_at(x: f64, y: f64, anchor: &str, text: &str, letters: usize) -> String {
    let text = escape(&shortened(text, letters));
    format!("<text class=\"l\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#59636e\">{text}</text>\n")
}

/// The colours of values, from the least to the greatest.
pub(super) struct Scale {
    low: f64,
    range: f64,
}

impl Scale {
    fn new(values: &[Vec<Option<f64>>]) -> Self {
        let finite = values.iter().flatten().flatten().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        Self::between(low, high)
    }

    /// Returns the scale between two values.
    pub fn between(low: f64, high: f64) -> Self {
        // Halves, as the difference of two large numbers may be infinite.
        Scale { low: low / 2.0, range: high / 2.0 - low / 2.0 }
    }

    /// Returns the colour of a cell, and of the number on it.
    pub fn colours(&self, value: Option<f64>) -> (String, &'static str) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return ("#e8e8e8".to_owned(), "#1f2328") };
        let share = if self.range > 0.0 { ((value / 2.0 - self.low) / self.range).clamp(0.0, 1.0) } else { 0.0 };
        let mix = |strong: f64| (245.0 + (strong - 245.0) * share).round() as u8;
        let fill = format!("#{:02x}{:02x}{:02x}", mix(STRONG.0), mix(STRONG.1), mix(STRONG.2));
        (fill, if share > 0.55 { "#ffffff" } else { "#1f2328" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_row_is_the_lowest_and_numbers_stand_in_the_cells() {
        let values = [vec![Some(1.0), Some(2.0)], vec![None, Some(4.0)]];
        let (columns, rows) = (["cat".to_owned(), "a <dog>".to_owned()], ["x".to_owned()]);
        let drawn = svg("cm", &Cells { values: &values, columns: &columns, rows: &rows });
        let y = |fill: &str| {
            let line = drawn.lines().find(|line| line.contains(fill)).unwrap();
            line.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(y("#f5f5f5") > y("#005aa0"), "{drawn}");
        assert!(drawn.contains(">4</text>") && drawn.contains(">–</text>") && drawn.contains("a &lt;dog&gt;"));
        assert!(drawn.contains("#ffffff\">4<") && drawn.contains("#1f2328\">1<"), "{drawn}");
    }

    proptest! {
        #[test]
        fn anything_can_be_drawn(values in prop::collection::vec(prop::collection::vec(any::<Option<f64>>(), 0..4), 0..4)) {
            let drawn = svg("t", &Cells { values: &values, columns: &[], rows: &[] });
            prop_assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n") && !drawn.contains("=\"NaN"), "{}", drawn);
        }
    }
}
