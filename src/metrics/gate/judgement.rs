//! The verdict on a value, with the words for it.

use super::{Goal, Rule, Verdict, table};
use crate::metrics::python::significant;
use crate::metrics::statistics::{Comparison, MIN_HISTORY, Test};
use serde_json::{Value, json};

/// A value, judged.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The file that it is in; empty if it is in none.
    pub file: String,
    /// The metric's name.
    pub name: String,
    /// Its value; the mean of several.
    pub value: f64,
    /// The baseline's.
    pub baseline: Option<f64>,
    /// The rule.
    pub rule: Rule,
    /// The verdict.
    pub verdict: Verdict,
    /// How it was compared; `None` if there is no baseline, or only the limits count.
    pub comparison: Option<Comparison>,
    /// `p` adjusted for the number of tests, where there was one, and that number.
    pub adjusted: Option<(f64, usize)>,
    /// Who accepts it although it is worse.
    pub accepted_by: Option<String>,
    /// Bars of its values at earlier commits, and its own.
    pub trend: Option<String>,
}

impl Judgement {
    /// Judges a value that is in no file.
    pub fn new(name: String, value: f64, baseline: Option<f64>, rule: Rule) -> Self {
        let verdict = rule.judge(value, baseline, None);
        let file = String::new();
        Judgement {
            file,
            name,
            value,
            baseline,
            rule,
            verdict,
            comparison: None,
            adjusted: None,
            accepted_by: None,
            trend: None,
        }
    }

    /// Returns whether the gate fails because of it.
    pub fn is_failure(&self) -> bool {
        self.verdict == Verdict::Worse && !self.rule.is_warning && self.accepted_by.is_none()
    }

    /// Returns why the value is worse, as a sentence without an end: `loss rose from 1 to 2 (a rise of 2% is allowed)`.
    pub fn reason(&self) -> String {
        let (name, value) = (&self.name, shown(self.value));
        match (self.rule.min, self.rule.max, self.rule.goal, self.baseline) {
            (Some(min), ..) if self.value < min => format!("{name} is {value}, less than {min}"),
            (_, Some(max), ..) if self.value > max => format!("{name} is {value}, more than {max}"),
            (_, _, Some(goal), Some(baseline)) => {
                let moved = if goal == Goal::Higher { "fell" } else { "rose" };
                let test = self.test().map(|test| format!("; {test}")).unwrap_or_default();
                format!("{name} {moved} from {} to {value} ({}{test})", shown(baseline), self.allowed(goal))
            }
            _ => format!("{name} is {value}"),
        }
    }

    fn allowed(&self, goal: Goal) -> String {
        let noun = if goal == Goal::Higher { "drop" } else { "rise" };
        if self.rule.tolerance.is_zero() {
            format!("no {noun} is allowed")
        } else {
            format!("a {noun} of {} is allowed", self.rule.tolerance)
        }
    }

    /// Returns how it was tested, if it was: `Welch's t test of 5 and 5 runs, p = 0.003, or 0.015 as one of 5 metrics`.
    fn test(&self) -> Option<String> {
        let Comparison { test, counts: (old, new), p, .. } = self.comparison?;
        let of = match test {
            Test::Tolerance | Test::Z => String::new(),
            Test::Welch => format!(" of {old} and {new} runs"),
            Test::SignFlip => format!(" of {new} seeds"),
            Test::McNemar => format!(" of {new} examples"),
            Test::Fisher => format!(" of {old} and {new} examples"),
            Test::History => format!(" by the runs of {old} earlier commits"),
        };
        let several = match self.adjusted {
            Some((p, count)) if count > 1 => format!(", or {} as one of {count} metrics", probability(p)),
            _ => String::new(),
        };
        Some(format!("{}{of}, p = {}{several}", test.title(), probability(p?)))
    }

    /// Returns why the verdict is what it is, as a sentence; `None` if the table says it all.
    pub fn explanation(&self, significance: f64) -> Option<String> {
        let name = &self.name;
        let too_few = |comparison: &Comparison| comparison.least_p >= significance;
        match (self.verdict, self.comparison, self.test()) {
            (Verdict::Worse, ..) => Some(self.reason()),
            (Verdict::Better, _, Some(test)) => Some(format!("{name} is better ({test})")),
            (Verdict::NotToldApart, _, Some(test)) => match self.adjusted {
                Some((p, _)) if p < significance => {
                    Some(format!("the difference of {name} is within the tolerance ({test})"))
                }
                _ => Some(format!("the difference of {name} may be chance ({test})")),
            },
            (Verdict::NotEnoughData, Some(comparison), Some(test)) if too_few(&comparison) => Some(format!(
                "so little data cannot show that {name} differs: p is at least {} ({test})",
                probability(comparison.least_p)
            )),
            (Verdict::NotEnoughData, Some(comparison), _) if too_few(&comparison) => {
                let (old, new) = comparison.counts;
                Some(match comparison.test {
                    Test::History => {
                        format!("the history has runs of {name} for {old} earlier commits: {MIN_HISTORY} are the least")
                    }
                    _ => format!("{name} has {old} and {new} runs: two of each version are the least"),
                })
            }
            (Verdict::NotEnoughData, Some(_), _) => {
                Some(format!("{name} has no standard error, which its tolerance {} needs", self.rule.tolerance))
            }
            (Verdict::NotEnoughData, None, _) => Some(format!("there is no baseline for {name}")),
            _ => None,
        }
    }

    /// Returns it for programs.
    pub fn json(&self) -> Value {
        let interval = self.comparison.and_then(|comparison| comparison.interval);
        let verdict = if self.verdict == Verdict::WithinLimits { Verdict::NotToldApart } else { self.verdict };
        json!({
            "file": self.file,
            "metric": self.name,
            "verdict": verdict.name(),
            "old": self.baseline,
            "new": self.value,
            "diff": self.baseline.map(|baseline| self.value - baseline),
            "low": interval.map(|(low, _)| low),
            "high": interval.map(|(_, high)| high),
            "p": self.comparison.and_then(|comparison| comparison.p),
            "test": self.comparison.map(|comparison| comparison.test.name()),
        })
    }
}

fn shown(value: f64) -> String {
    significant(value, table::DIGITS)
}

fn probability(p: f64) -> String {
    if p < 1e-4 { "0.0001 at most".to_owned() } else { significant(p, 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_sentences() {
        for (text, value, baseline, reason) in [
            ("a: higher", 0.85, 0.9, "a fell from 0.9 to 0.85 (no drop is allowed)"),
            ("a: lower, rise 2%", 2.0, 1.0, "a rose from 1 to 2 (a rise of 2% is allowed)"),
            ("a: lower, max 1.5", 2.0, 1.0, "a is 2, more than 1.5"),
            ("a >= 0.9", 0.85, 0.1, "a is 0.85, less than 0.9"),
            ("a >= 0.9", f64::NAN, 0.1, "a is nan"),
        ] {
            assert_eq!(Judgement::new("a".into(), value, Some(baseline), text.parse().unwrap()).reason(), reason);
        }
    }
}
