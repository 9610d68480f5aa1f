//! What the gate says: as Markdown, as JSON, as remarks on lines, as an error.

use super::accepted::TRAILER;
use super::label::Lookup;
use super::samples::Groups;
use super::{Context, flipped};
use crate::command::diff::project::Project;
use crate::error::{Error, Kind};
use crate::forge::checks::Conclusion;
use crate::messages::count;
use crate::metrics::gate::{Judgement, Rule, Verdict, table};
use crate::metrics::statistics::Test;
use crate::report::annotations::{Annotation, Level};
use crate::report::escape::escape;
use serde_json::json;
use std::fmt::Write;

/// So many names of metrics are told.
const MAX_NAMES: usize = 5;

/// What was found.
pub struct Outcome<'a> {
    /// The verdicts.
    pub judgements: Vec<Judgement>,
    /// The rules whose metric is nowhere.
    pub missing: Vec<Rule>,
    /// What is told besides.
    pub context: Context,
    /// The probability of a verdict by chance.
    pub significance: f64,
    /// The metrics of the new version.
    pub now: &'a Groups,
    /// Those of the baseline.
    pub before: &'a Groups,
}

impl Outcome<'_> {
    fn failures(&self) -> impl Iterator<Item = &Judgement> {
        self.judgements.iter().filter(|judgement| judgement.is_failure())
    }

    /// Returns the verdict on all metrics.
    pub fn verdict(&self) -> Verdict {
        if self.failures().next().is_some() {
            Verdict::Worse
        } else if self.missing.is_empty() {
            Verdict::of_passed(&self.judgements)
        } else {
            Verdict::NotEnoughData
        }
    }

    /// Returns whether there is anything that people should know.
    pub fn is_notable(&self) -> bool {
        let is_told = |judgement: &Judgement| matches!(judgement.verdict, Verdict::Better | Verdict::Worse);
        self.judgements.iter().any(is_told) || !self.missing.is_empty() || !self.context.changes.is_empty()
    }

    /// Returns how the check ends.
    pub fn conclusion(&self, report_only: bool) -> Conclusion {
        match (self.error(), self.verdict()) {
            (Some(_), _) if !report_only => Conclusion::Failure,
            (Some(_), _) | (None, Verdict::NotEnoughData) => Conclusion::Neutral,
            _ => Conclusion::Success,
        }
    }

    /// Returns the error of a gate that does not pass.
    pub fn error(&self) -> Option<Error> {
        let reasons: Vec<String> = self.failures().map(Judgement::reason).collect();
        if reasons.is_empty() {
            let first = self.missing.first()?;
            let mut known: Vec<&String> = self.now.values().flat_map(|group| group.keys()).collect();
            known.sort_by_cached_key(|name| (-1000.0 * strsim::jaro_winkler(name, &first.name)) as i64);
            known.dedup();
            let known: Vec<&str> = known.into_iter().take(MAX_NAMES).map(String::as_str).collect();
            let hint = match known.as_slice() {
                [] => "there are no metrics at all: check the step that writes them".to_owned(),
                known => {
                    format!("there are {}; add `optional` to a rule whose metric may be missing", known.join(", "))
                }
            };
            return Some(Error::new(Kind::CannotJudge, self.missing_text()).hint(hint));
        }
        let text = match reasons.as_slice() {
            [only] => only.clone(),
            several => format!("{} metrics are worse: {}", several.len(), several.join("; ")),
        };
        let name = self.failures().next().map(|judgement| judgement.name.as_str()).unwrap_or_default();
        let label = match &self.context.lookup {
            Lookup::Absent => format!(", or set the label {}", self.context.label.name),
            _ => String::new(),
        };
        let hint = format!("to accept it, end a commit's message with the line `{TRAILER}: {name}`{label}");
        Some(Error::regression(text).hint(hint))
    }

    fn missing_text(&self) -> String {
        let names: Vec<&str> = self.missing.iter().map(|rule| rule.name.as_str()).collect();
        match names.as_slice() {
            [only] => format!("no file has the metric {only}"),
            names => format!("no file has the metrics {}", names.join(", ")),
        }
    }

    /// Returns it for programs.
    pub fn json(&self) -> String {
        let mut metrics: Vec<serde_json::Value> = self.judgements.iter().map(Judgement::json).collect();
        metrics.extend(self.missing.iter().map(|rule| {
            json!({
                "file": null, "metric": rule.name, "verdict": Verdict::NotEnoughData.name(), "old": null, "new": null,
                "diff": null, "low": null, "high": null, "p": null, "test": null,
            })
        }));
        format!("{}\n", json!({ "metrics": metrics }))
    }

    /// Returns the report.
    pub fn markdown(&self) -> String {
        let symbol = match self.verdict() {
            _ if self.error().is_some() => '✘',
            Verdict::NotEnoughData => '?',
            _ if self.judgements.iter().any(|judgement| judgement.verdict == Verdict::Worse) => '⚠',
            _ => '✔',
        };
        let mut text = format!("### Metrics {symbol}\n\n");
        self.alerts(&mut text);
        let compared = self.context.base.as_ref().map(|base| format!(", compared with {}", escape(base)));
        let _ = writeln!(text, "{}{}.", self.headline(), compared.unwrap_or_default());
        if !self.judgements.is_empty() {
            let _ = write!(text, "\n{}", table::markdown(&self.judgements));
        }
        self.explain(&mut text);
        text.push_str(&flipped::markdown(self));
        if let Some(note) = self.context.label.note(&self.context.lookup) {
            let _ = write!(text, "\n{note}\n");
        }
        for (what, old, new) in &self.context.changes {
            let side = |side: &Option<String>| side.as_ref().map_or_else(|| "no rule".to_owned(), |rule| escape(rule));
            let (what, old, new) = (escape(what), side(old), side(new));
            let _ = write!(text, "\n⚠ This change changes {what}: {old} → {new}.\n");
        }
        text
    }

    fn headline(&self) -> String {
        let mut parts = Vec::new();
        for (verdict, words) in [
            (Verdict::Worse, "worse"),
            (Verdict::Better, "better"),
            (Verdict::NotToldApart, "not told apart"),
            (Verdict::WithinLimits, "within limits"),
            (Verdict::NotEnoughData, "without enough data"),
        ] {
            let number = self.judgements.iter().filter(|judgement| judgement.verdict == verdict).count();
            match (number, parts.is_empty()) {
                (0, _) => {}
                (_, true) => parts.push(format!("{} {words}", count(number, "metric"))),
                (_, false) => parts.push(format!("{number} {words}")),
            }
        }
        if parts.is_empty() { "No metric was judged".to_owned() } else { format!("**{}**", parts.join(", ")) }
    }

    /// Writes what is wrong: <https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#alerts>.
    fn alerts(&self, text: &mut String) {
        let worse = |is_failure: bool| -> Vec<String> {
            let worse = self.judgements.iter().filter(|judgement| judgement.verdict == Verdict::Worse);
            worse.filter(|judgement| judgement.is_failure() == is_failure).map(Judgement::reason).collect()
        };
        let missing = if self.missing.is_empty() { Vec::new() } else { vec![self.missing_text()] };
        for (kind, reasons) in [("CAUTION", [worse(true), missing].concat()), ("WARNING", worse(false))] {
            if !reasons.is_empty() {
                let reasons: Vec<String> = reasons.iter().map(|reason| escape(reason)).collect();
                let _ = write!(text, "> [!{kind}]\n> {}\n\n", reasons.join("  \n> "));
            }
        }
    }

    fn explain(&self, text: &mut String) {
        let told = self.judgements.iter().filter(|judgement| judgement.verdict != Verdict::Worse);
        let explanations: Vec<String> = told
            .filter_map(|judgement| judgement.explanation(self.significance))
            .map(|explanation| format!("- {}\n", escape(&explanation)))
            .collect();
        if !explanations.is_empty() {
            let _ = write!(text, "\n{}", explanations.concat());
        }
        let is_z = |judgement: &Judgement| judgement.comparison.is_some_and(|comparison| comparison.test == Test::Z);
        if self.judgements.iter().any(is_z) {
            text.push_str(
                "\nThe standard errors are those of the examples of one run. Another run, with another seed, may differ by more: \
                 `sigma history` in the rule takes that from the runs of earlier commits.\n",
            );
        }
    }

    /// Returns remarks on the lines of metrics that are worse.
    pub fn annotations(&self, project: &Project) -> Vec<Annotation> {
        let worse = self.judgements.iter().filter(|judgement| judgement.verdict == Verdict::Worse);
        let remark = |judgement: &Judgement| {
            let (path, line) = self.now.get(&judgement.file)?.get(&judgement.name)?.place.as_ref()?;
            let line = u32::try_from(*line).ok()?;
            Some(Annotation {
                path: format!("{}{path}", project.prefix),
                start_line: line,
                end_line: line,
                columns: None,
                level: if judgement.is_failure() { Level::Error } else { Level::Warning },
                title: Some(judgement.name.clone()),
                message: judgement.reason(),
            })
        };
        worse.filter_map(remark).collect()
    }
}
