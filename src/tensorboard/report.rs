//! The Markdown of some logs: a table of the scalars, the charts, the images.

use super::{Image, Point, Run, Series};
use crate::charts::lines;
use crate::charts::ticks::number;
use crate::report::escape::escape;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What stands above the table.
#[derive(Debug, Default)]
pub struct Heading<'a> {
    /// A heading.
    pub title: Option<&'a str>,
    /// A paragraph.
    pub description: Option<&'a str>,
}

/// A picture of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// What it is of.
    pub name: String,
    /// Its file's name.
    pub file: String,
    /// Its file.
    pub bytes: Vec<u8>,
    /// The heading that it stands under.
    pub is_chart: bool,
}

/// A report before its pictures have addresses.
#[derive(Debug)]
pub struct Report {
    text: String,
    /// Its pictures.
    pub pictures: Vec<Picture>,
}

/// Makes the report of some runs. `log` draws values on a logarithmic axis.
pub fn make<'a>(heading: &Heading<'_>, runs: impl Iterator<Item = (&'a str, &'a Run)>, log: bool) -> Report {
    let mut scalars: BTreeMap<&str, Vec<(&str, &Series)>> = BTreeMap::new();
    let mut images: BTreeMap<&str, Vec<(&str, &Image)>> = BTreeMap::new();
    for (name, run) in runs {
        run.scalars.iter().for_each(|(tag, series)| scalars.entry(tag).or_default().push((name, series)));
        run.images.iter().for_each(|(tag, image)| images.entry(tag).or_default().push((name, image)));
    }
    let mut text = String::new();
    if let Some(title) = heading.title {
        let _ = write!(text, "## {}\n\n", escape(title));
    }
    if let Some(description) = heading.description {
        let _ = write!(text, "{}\n\n", description.trim());
    }
    if scalars.is_empty() && images.is_empty() {
        text.push_str("*The logs have no scalars and no images yet.*\n");
    }
    if !scalars.is_empty() {
        text.push_str("| tag | run | last | min | max |\n| --- | --- | ---: | ---: | ---: |\n");
    }
    let mut pictures = Vec::new();
    for (tag, found) in &scalars {
        for (run, series) in found {
            let [last, min, max] = [series.last(), series.min(), series.max()].map(cell);
            let _ = writeln!(text, "| {} | {} | {last} | {min} | {max} |", escape(tag), escape(run));
        }
        let bytes = lines::svg(tag, found, log).into_bytes();
        pictures.push(Picture { name: (*tag).to_owned(), file: file_name(tag, ".svg"), bytes, is_chart: true });
    }
    for (tag, found) in images {
        for (run, image) in found {
            let name = format!("{tag}, {run}, step {}", image.step);
            // Its content tells its type.
            let file = file_name(&format!("{tag} {run}"), "");
            pictures.push(Picture { name, file, bytes: image.bytes.clone(), is_chart: false });
        }
    }
    Report { text, pictures }
}

impl Report {
    /// Returns the Markdown, with the addresses of the pictures in their order.
    pub fn markdown(&self, addresses: &[String]) -> String {
        let mut text = self.text.clone();
        for (picture, address) in self.pictures.iter().zip(addresses) {
            // A heading would need more room than the name of an image does.
            let name = escape(&picture.name);
            let caption = if picture.is_chart { String::new() } else { format!("{name}\n\n") };
            let _ = write!(text, "\n{caption}![{name}]({address})\n");
        }
        text
    }
}

/// Returns a value with its step.
fn cell(point: Option<Point>) -> String {
    point.map_or_else(|| "–".to_owned(), |point| format!("{} (step {})", number(point.value, 5), point.step))
}

fn file_name(text: &str, ending: &str) -> String {
    let sound = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    format!("{}{ending}", text.chars().take(60).map(sound).collect::<String>())
}
