//! What a task has reported: curves, log, plots, images.

use super::client::Client;
use super::task::{NO_ITERATION, Scalar};
use crate::charts::{Point, Series};
use crate::error::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most points of a curve; of more, the server returns averages.
const SAMPLES: usize = 1000;

/// The curves of one metric, by variant.
pub type Curves = BTreeMap<String, Series>;

/// A heat map, such as a confusion matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Its title.
    pub name: String,
    /// The names of the columns; may be empty.
    pub columns: Vec<String>,
    /// The names of the rows, the first of which is the lowest; may be empty.
    pub rows: Vec<String>,
    /// The values, row by row; `None` for what is not a number.
    pub values: Vec<Vec<Option<f64>>>,
}

/// What a task has drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plots {
    /// Heat maps.
    pub heat_maps: Vec<HeatMap>,
    /// Images by name.
    pub images: Vec<(String, String)>,
    /// How many others there are.
    pub others: usize,
}

impl Client {
    /// Returns the curves of some scalars, by metric. Single values have none.
    pub async fn curves(&self, task: &str, scalars: &[&Scalar]) -> Result<BTreeMap<String, Curves>> {
        let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for scalar in scalars {
            wanted.entry(&scalar.metric).or_default().push(&scalar.variant);
        }
        let metrics: Vec<Value> =
            wanted.iter().map(|(metric, variants)| json!({ "metric": metric, "variants": variants })).collect();
        let body = json!({ "task": task, "samples": SAMPLES, "key": "iter", "metrics": metrics });
        let data = self.read("events.scalar_metrics_iter_histogram", &body).await?;
        let mut found = BTreeMap::new();
        for (metric, variants) in data.as_object().into_iter().flatten() {
            let lines = variants.as_object().into_iter().flatten();
            let lines = lines.map(|(variant, line)| (variant.clone(), series(line)));
            let lines: Curves = lines.filter(|(_, series)| series.count() > 0).collect();
            if !lines.is_empty() {
                found.insert(metric.clone(), lines);
            }
        }
        Ok(found)
    }

    /// Returns the last lines of a task's log, at most so many, in the order of time.
    pub async fn log_tail(&self, task: &str, lines: usize) -> Result<Vec<String>> {
        let body =
            json!({ "task": task, "batch_size": lines.clamp(1, 5000), "navigate_earlier": true, "order": "asc" });
        let data = self.read("events.get_task_log", &body).await?;
        let messages = data["events"].as_array().into_iter().flatten();
        let messages = messages.filter_map(|event| event["msg"].as_str());
        let all: Vec<String> = messages.flat_map(str::lines).map(visible).filter(|line| !line.is_empty()).collect();
        Ok(all[all.len().saturating_sub(lines)..].to_vec())
    }

    /// Returns the last plots of a task.
    pub async fn plots(&self, task: &str) -> Result<Plots> {
        let data = self.read("events.get_task_plots", &json!({ "task": task, "iters": 1 })).await?;
        let mut plots = Plots::default();
        for event in data["plots"].as_array().into_iter().flatten() {
            add_plot(&mut plots, event);
        }
        Ok(plots)
    }

    /// Returns the names and addresses of a task's last debug images.
    pub async fn images(&self, task: &str) -> Result<Vec<(String, String)>> {
        let body = json!({ "metrics": [{ "task": task }], "iters": 1 });
        let data = self.read("events.debug_images", &body).await?;
        let iterations = data["metrics"].as_array().into_iter().flatten();
        let iterations = iterations.flat_map(|metric| metric["iterations"].as_array().into_iter().flatten());
        let events = iterations.flat_map(|iteration| iteration["events"].as_array().into_iter().flatten());
        let mut images: Vec<(String, String)> =
            events.filter_map(|event| Some((name(event), event["url"].as_str()?.to_owned()))).collect();
        images.sort();
        images.dedup();
        Ok(images)
    }
}

/// Returns `metric/variant` of an event.
fn name(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    match (text("metric"), text("variant")) {
        (metric, "") => metric.to_owned(),
        (metric, variant) => format!("{metric}/{variant}"),
    }
}

/// `{x: […], y: […]}`; a value that is not finite is null.
fn series(line: &Value) -> Series {
    let mut series = Series::default();
    let numbers = |key: &str| line[key].as_array().cloned().unwrap_or_default();
    for (x, y) in numbers("x").iter().zip(numbers("y")) {
        let step = x.as_i64().or_else(|| x.as_f64().map(|x| x as i64)).unwrap_or(NO_ITERATION);
        if step != NO_ITERATION {
            series.push(Point { step, wall_time: 0.0, value: y.as_f64().unwrap_or(f64::NAN) });
        }
    }
    series
}

/// Returns the last state of a line that a progress bar has written over, without colours.
fn visible(line: &str) -> String {
    let last = line.trim_end().rsplit('\r').next().unwrap_or_default();
    let mut text = String::new();
    let mut chars = last.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            text.push(c);
        } else if chars.next() == Some('[') {
            // The sequence ends with a letter: https://www.ecma-international.org/publications-and-standards/standards/ecma-48/
            let _ = chars.by_ref().find(|c| ('@'..='~').contains(c));
        }
    }
    text.trim_end().to_owned()
}

/// `plot_str` is JSON in a text: <https://plotly.com/javascript/reference/>.
fn add_plot(plots: &mut Plots, event: &Value) {
    let figure = event["plot_str"].as_str().unwrap_or_default();
    let figure = crate::http::without_non_finite(figure.as_bytes());
    let figure: Value = serde_json::from_slice(&figure).unwrap_or_default();
    let images = figure["layout"]["images"].as_array().into_iter().flatten();
    let before = plots.images.len();
    plots.images.extend(images.filter_map(|image| Some((name(event), image["source"].as_str()?.to_owned()))));
    let traces = figure["data"].as_array().into_iter().flatten();
    let maps: Vec<HeatMap> = traces.filter_map(|trace| heat_map(name(event), trace)).collect();
    if maps.is_empty() && plots.images.len() == before {
        plots.others += 1;
    }
    plots.heat_maps.extend(maps);
}

fn heat_map(name: String, trace: &Value) -> Option<HeatMap> {
    if trace["type"].as_str() != Some("heatmap") {
        return None;
    }
    let labels = |key: &str| trace[key].as_array().into_iter().flatten().map(label).collect();
    let row = |row: &Value| row.as_array().into_iter().flatten().map(Value::as_f64).collect::<Vec<_>>();
    let values: Vec<Vec<Option<f64>>> = trace["z"].as_array()?.iter().map(row).collect();
    let has_cells = values.first().is_some_and(|row| !row.is_empty());
    has_cells.then(|| HeatMap { name, columns: labels("x"), rows: labels("y"), values })
}

fn label(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_bars_and_colours_are_resolved() {
        assert_eq!(visible("0%\r50%\r\u{1b}[31m100%\u{1b}[0m done\r"), "100% done");
        assert_eq!(visible("plain \u{1b}"), "plain");
    }

    #[test]
    fn heat_maps_and_images_are_found_in_figures() {
        let mut plots = Plots::default();
        let event = |figure: &str| json!({ "metric": "cm", "variant": "val", "plot_str": figure });
        add_plot(&mut plots, &event(r#"{"data":[{"type":"heatmap","z":[[1.0,NaN],[3,4]],"x":["a","b"],"y":[0,1]}]}"#));
        add_plot(&mut plots, &event(r#"{"data":[],"layout":{"images":[{"source":"https://files/a.png"}]}}"#));
        add_plot(&mut plots, &event(r#"{"data":[{"type":"scatter","x":[1],"y":[2]}]}"#));
        add_plot(&mut plots, &event("broken"));
        let map = HeatMap {
            name: "cm/val".into(),
            columns: vec!["a".into(), "b".into()],
            rows: vec!["0".into(), "1".into()],
            values: vec![vec![Some(1.0), None], vec![Some(3.0), Some(4.0)]],
        };
        assert_eq!(plots.heat_maps, [map]);
        assert_eq!((plots.images, plots.others), (vec![("cm/val".into(), "https://files/a.png".into())], 2));
    }

    #[test]
    fn curves_leave_single_values_out_and_have_gaps() {
        let line = series(&json!({ "x": [NO_ITERATION, 1.0, 2], "y": [5, null, 0.5] }));
        assert_eq!(line.count(), 2);
        assert!(line.line()[0].value.is_nan());
        assert_eq!(line.last().map(|point| (point.step, point.value)), Some((2, 0.5)));
    }
}
