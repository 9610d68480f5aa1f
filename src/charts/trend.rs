//! A quantity over commits, oldest first, with the range that it usually has, and the value of one run beside them.

use super::lines::{AREA, WIDTH, across, axes, line, up};
use super::series::Point;
use super::ticks::Axis;
use super::{COLOURS, escape, head};
use std::fmt::Write;

/// What to draw.
pub struct Trend<'a> {
    /// The quantity.
    pub title: &'a str,
    /// Its values.
    pub values: &'a [f64],
    /// What the first and the last of them are of.
    pub ends: [&'a str; 2],
    /// The value of this run, which is not among them.
    pub current: Option<f64>,
}

/// Fewer values do not tell what is usual.
const MIN_VALUES: usize = 3;
const HEIGHT: f64 = AREA[3] + 50.0;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Returns the range of two standard deviations around the mean, of at least three values.
pub fn usual(values: &[f64]) -> Option<(f64, f64)> {
    let values: Vec<f64> = finite(values).collect();
    if values.len() < MIN_VALUES {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    let range = (mean - 2.0 * deviation, mean + 2.0 * deviation);
    (range.0.is_finite() && range.1.is_finite()).then_some(range)
}

fn finite(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied().filter(|value| value.is_finite())
}

/// Returns a character for each value, higher for a greater one; `·` for one that is not finite.
pub fn sparkline(values: &[f64]) -> String {
    let (low, high) = finite(values).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    // Halves, because the difference of two large numbers may not be finite.
    let bar = |value: f64| match (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) {
        share if share.is_finite() => BARS[((share * 8.0) as usize).min(7)],
        _ => BARS[3],
    };
    values.iter().map(|value| if value.is_finite() { bar(*value) } else { '·' }).collect()
}

/// Draws the chart.
pub fn svg(trend: &Trend<'_>) -> String {
    let [left, _, right, bottom] = AREA;
    let steps = (0i64..).zip(trend.values);
    let points: Vec<Point> = steps.map(|(step, value)| Point { step, wall_time: 0.0, value: *value }).collect();
    let own = trend.current.map(|value| (points.len() as i64, value));
    let last = points.len() as i64 - i64::from(own.is_none());
    let mut x = Axis::tight([0.0, last as f64].into_iter(), 2);
    x.ticks.clear();
    let band = usual(trend.values);
    let limits = band.into_iter().flat_map(|(low, high)| [low, high]);
    let y = Axis::new(trend.values.iter().copied().chain(limits).chain(trend.current), 6, false);
    let mut out = head(trend.title, WIDTH, HEIGHT);
    if let Some((low, high)) = band {
        let (top, end) = (up(&y, high), up(&y, low));
        let _ = writeln!(
            out,
            "<rect class=\"f0\" x=\"{left}\" y=\"{top:.1}\" width=\"{}\" height=\"{:.1}\" fill=\"{}\" \
             fill-opacity=\"0.15\"/>",
            right - left,
            end - top,
            COLOURS[0].0
        );
    }
    axes(&mut out, &x, &y);
    line(&mut out, 0, &points, &x, &y);
    if let Some((step, value)) = own.filter(|(_, value)| value.is_finite()) {
        let _ = writeln!(
            out,
            "<circle class=\"f1\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\" fill=\"{}\"><title>this run</title></circle>",
            across(&x, step),
            up(&y, value),
            COLOURS[1].0
        );
    }
    let [first, end] = trend.ends;
    let end = if own.is_some() { format!("{end}, then this run (dot)") } else { end.to_owned() };
    for (at, anchor, text) in [(left, "start", first), (right, "end", &end)] {
        let _ = writeln!(
            out,
            "<text class=\"l\" x=\"{at}\" y=\"{}\" text-anchor=\"{anchor}\" fill=\"#59636e\">{}</text>",
            bottom + 18.0,
            escape(text)
        );
    }
    if band.is_some() {
        let _ = writeln!(
            out,
            "<text class=\"l\" x=\"{left}\" y=\"{}\" fill=\"#59636e\">shaded: two standard deviations around the mean</text>",
            bottom + 38.0
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_usual_is_two_deviations_around_the_mean() {
        assert_eq!(usual(&[1.0, 2.0]), None);
        assert_eq!(usual(&[1.0, 2.0, f64::NAN, 3.0]), Some((0.0, 4.0)));
        assert_eq!(usual(&[f64::MAX, f64::MIN, f64::MAX]), None);
    }

    #[test]
    fn bars_are_as_high_as_their_values() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0, f64::NAN]), "▁▅█·");
        assert_eq!(sparkline(&[2.0, 2.0]), "▄▄");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn the_run_is_a_point_beside_the_line() {
        let mut trend =
            Trend { title: "a<b", values: &[1.0, 2.0, 3.0], ends: ["aaaaaaa", "bbbbbbb"], current: Some(9.0) };
        let text = svg(&trend);
        assert!(text.contains("<title>a&lt;b</title>") && text.contains("bbbbbbb, then this run (dot)"), "{text}");
        assert_eq!((text.matches("<circle").count(), text.matches("fill-opacity").count()), (1, 1));
        trend.current = None;
        trend.values = &[1.0];
        assert!(!svg(&trend).contains("this run"));
    }

    proptest! {
        #[test]
        fn any_values_are_drawn(values in proptest::collection::vec(any::<f64>(), 0..20), current in proptest::option::of(any::<f64>())) {
            let text = svg(&Trend { title: "t", values: &values, ends: ["a", "b"], current });
            prop_assert!(!text.contains("NaN\"") && !text.contains("inf\""), "{}", text);
            prop_assert_eq!(sparkline(&values).chars().count(), values.len());
        }
    }
}
