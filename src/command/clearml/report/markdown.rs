//! The Markdown of a report. Pure.

use super::pictures::{Picture, Pictures};
use super::{Params, Report};
use crate::charts::ticks::number;
use crate::clearml::links::Links;
use crate::clearml::select::Wanted;
use crate::clearml::task::{Scalar, Task};
use crate::messages::count;
use crate::metrics::gate::table::{difference, percent};
use crate::report::escape::escape;
use std::fmt::Write;

/// So many scalars stand in the open; further ones are folded, and more than [`MAX_SCALARS`] are left out.
const OPEN_SCALARS: usize = 20;
const MAX_SCALARS: usize = 300;
/// A longer table of parameters is cut.
const MAX_PARAMETERS: usize = 100;
/// Longer values of parameters are cut.
const VALUE_LETTERS: usize = 80;

/// What a report shows of one task.
pub struct Sheet<'a> {
    /// The task.
    pub task: &'a Task,
    /// The task to compare with.
    pub baseline: Option<&'a Task>,
    /// Why there is none, if one was asked for.
    pub no_baseline: Option<&'a str>,
    /// Its scalars, as far as they are asked for.
    pub scalars: Vec<Scalar>,
    /// The pages of the server.
    pub links: &'a Links,
    /// Pictures, published.
    pub pictures: Pictures,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// What is asked for.
    pub args: &'a Report,
}

impl Sheet<'_> {
    /// Returns the Markdown.
    pub fn markdown(&self) -> String {
        let mut text =
            format!("### ClearML: {}\n\n{}\n", escape(&self.task.name), facts(self.task, self.baseline, self.links));
        self.scalars(&mut text);
        self.parameters(&mut text);
        self.pictures(&mut text);
        self.lists(&mut text);
        text.push_str(&folded(&self.log));
        text
    }

    fn scalars(&self, text: &mut String) {
        let table = |scalars: &[Scalar]| self.table(scalars);
        match self.scalars.as_slice() {
            [] => text.push_str("\n*The task has no scalars.*\n"),
            all => {
                let (open, folded) = all.split_at(all.len().min(OPEN_SCALARS));
                let _ = write!(text, "\n{}", table(open));
                let folded = &folded[..folded.len().min(MAX_SCALARS)];
                if !folded.is_empty() {
                    let other =
                        format!("{} other {}", folded.len(), if folded.len() == 1 { "scalar" } else { "scalars" });
                    let _ = write!(text, "\n<details><summary>{other}</summary>\n\n{}\n</details>\n", table(folded));
                }
                let left_out = all.len() - open.len() - folded.len();
                if left_out > 0 {
                    let _ =
                        write!(text, "\n*{} left out: narrow them down with `--metric`.*\n", count(left_out, "scalar"));
                }
            }
        }
        for scalar in &self.scalars {
            text.push_str(&remark(scalar));
        }
        if let Some(reason) = &self.no_baseline {
            let _ = write!(text, "\n*There is no baseline yet: {}.*\n", escape(reason));
        }
    }

    /// Returns a table of scalars: with a baseline their differences, else the least and greatest values.
    fn table(&self, scalars: &[Scalar]) -> String {
        let mut text = String::from(match self.baseline {
            Some(_) => "| Metric | Series | Last | Baseline | Δ | Δ % |\n| --- | --- | --: | --: | --: | --: |\n",
            None => "| Metric | Series | Last | Min (iteration) | Max (iteration) |\n| --- | --- | --: | --: | --: |\n",
        });
        for scalar in scalars {
            let cells = match self.baseline {
                Some(baseline) => {
                    let before = scalar.find_in(baseline).and_then(|other| other.last);
                    [value(scalar.last), value(before), difference(scalar.last, before), percent(scalar.last, before)]
                        .join(" | ")
                }
                None => [value(scalar.last), extreme(scalar.min), extreme(scalar.max)].join(" | "),
            };
            let _ = writeln!(text, "| {} | {} | {cells} |", escape(&scalar.metric), escape(&scalar.variant));
        }
        text
    }

    fn parameters(&self, text: &mut String) {
        let before = self.baseline.map(|baseline| &baseline.parameters);
        let mut names: Vec<&String> =
            self.task.parameters.keys().chain(before.into_iter().flat_map(|b| b.keys())).collect();
        names.sort();
        names.dedup();
        let value = |name: &str| self.task.parameters.get(name);
        match (self.args.params, before) {
            (Params::None, _) | (Params::Changed, None) => return,
            (Params::Changed, Some(before)) => names.retain(|name| value(name) != before.get(*name)),
            (Params::All, _) => {}
        }
        if names.is_empty() {
            return;
        }
        let columns = if before.is_some() {
            ("| Parameter | Value | Baseline |", "| --- | --- | --- |")
        } else {
            ("| Parameter | Value |", "| --- | --- |")
        };
        let _ = write!(text, "\n{}\n{}\n", columns.0, columns.1);
        let cell = |value: Option<&String>| value.map_or_else(|| "–".to_owned(), |value| escape(&shortened(value)));
        for name in names.iter().take(MAX_PARAMETERS) {
            let _ = write!(text, "| {} | {} |", escape(name), cell(value(name)));
            if let Some(before) = before {
                let _ = write!(text, " {} |", cell(before.get(*name)));
            }
            text.push('\n');
        }
        if names.len() > MAX_PARAMETERS {
            let _ = write!(text, "\n*{} left out.*\n", count(names.len() - MAX_PARAMETERS, "parameter"));
        }
    }

    fn pictures(&self, text: &mut String) {
        for Picture { name, is_drawn, address } in &self.pictures.shown {
            let name = escape(name);
            // What is drawn here has its name in it.
            let caption = if *is_drawn { String::new() } else { format!("{name}\n\n") };
            let _ = write!(text, "\n{caption}![{name}]({address})\n");
        }
        for note in &self.pictures.notes {
            let _ = write!(text, "\n*{}.*\n", escape(note));
        }
        let plots = self.links.task(&self.task.project, &self.task.id, "plots");
        if let (others @ 1.., Some(url)) = (self.pictures.others, plots) {
            let _ = write!(text, "\n[{} in ClearML]({url})\n", count(others, "other plot"));
        }
    }

    fn lists(&self, text: &mut String) {
        for (is_wanted, title, items) in
            [(self.args.models, "Models", &self.task.models), (self.args.artifacts, "Artifacts", &self.task.artifacts)]
        {
            if is_wanted && !items.is_empty() {
                let _ = write!(text, "\n**{title}**\n\n");
                for (name, place) in items {
                    let _ = writeln!(text, "- {}: {}", escape(name), escape(place));
                }
            }
        }
    }
}

/// Returns the last lines of a log, folded; nothing if there are none.
pub fn folded(log: &[String]) -> String {
    if log.is_empty() {
        return String::new();
    }
    let longest = log.iter().map(|line| longest_run(line)).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    let lines = log.join("\n");
    let summary = format!("Last {} of the log", count(log.len(), "line"));
    format!("\n<details><summary>{summary}</summary>\n\n{fence}text\n{lines}\n{fence}\n\n</details>\n")
}

/// Returns the line of facts below the heading.
pub fn facts(task: &Task, baseline: Option<&Task>, links: &Links) -> String {
    let link = |text: &str, url: Option<String>| url.map(|url| format!("[{text}]({url})"));
    let mut facts = Vec::new();
    facts.extend(link("task", links.task(&task.project, &task.id, "log")));
    if let Some(baseline) = baseline {
        facts.extend(link("compare", links.compare(&[&baseline.id, &task.id])));
    }
    if !task.commit.is_empty() {
        facts.push(format!("commit {}", escape(task.commit.get(..7).unwrap_or(&task.commit))));
    }
    facts.push(escape(task.status_word()));
    let worker = if task.worker.is_empty() { String::new() } else { format!(" on {}", escape(&task.worker)) };
    facts.extend(task.seconds.map(|seconds| format!("{}{worker}", time(seconds))));
    let diff = task.diff.as_deref().map(|diff| Wanted::default().refuse_diff(diff));
    facts.extend(diff.map(|dirty| dirty.unwrap_or_else(|| "no uncommitted changes".to_owned())));
    facts.join(" · ")
}

/// Returns what is to be said of a scalar that may not have been finite; usually nothing.
pub fn remark(scalar: &Scalar) -> String {
    if !scalar.is_suspicious() {
        return String::new();
    }
    let name = escape(&scalar.name());
    format!("\n> {name} is exactly 0, which ClearML also records for NaN and infinite values.\n")
}

/// Returns the length of the longest run of backticks.
fn longest_run(line: &str) -> usize {
    line.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(VALUE_LETTERS) {
        Some((at, _)) => format!("{}…", &value[..at]),
        None => value.to_owned(),
    }
}

/// Returns a value; what is not a number, or not known, is a dash.
fn value(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| number(value, 5))
}

fn extreme(extreme: Option<(f64, Option<i64>)>) -> String {
    match extreme {
        Some((value, Some(iteration))) => format!("{} ({iteration})", number(value, 5)),
        Some((value, None)) => number(value, 5),
        None => "–".to_owned(),
    }
}

/// Returns a time as people say it.
fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!([0.4, 59.0, 252.0, 7380.0].map(time), ["0 s", "59 s", "4 min 12 s", "2 h 3 min"]);
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(["", "a`b", "````x`"].map(longest_run), [0, 1, 4]);
    }
}
