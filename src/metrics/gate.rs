//! Gates: what a metric should be, and the verdict on it.
//!
//! A [`Rule`] has limits (`accuracy >= 0.9`), and a direction with a tolerance (`loss: lower, rise 2%`), by which a value is compared
//! with a baseline. Where there are several runs, or examples, a difference beyond the tolerance also has to be more than chance:
//! [`judge`] tests that for all rules together. [`config`] reads rules from a file, and [`table`] writes the verdicts as Markdown.

use super::statistics::{Comparison, Runs, Sample, by_history, holm};
pub use judgement::Judgement;
pub use rule::{Goal, Rule, Tolerance};

pub mod config;
mod judgement;
mod rule;
pub mod table;

/// The verdict on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Better than the baseline, by more than the tolerance and by more than chance.
    Better,
    /// Worse than the baseline, by more than the tolerance and by more than chance; or beyond a limit; or not a number.
    Worse,
    /// Within the tolerance, or it may be chance.
    NotToldApart,
    /// There is no baseline to compare with, or there are too few runs to tell.
    NotEnoughData,
    /// Within the limits, which are all that counts.
    WithinLimits,
}

/// A metric to judge.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The file that it is in, or the pattern of the files of its runs.
    pub file: String,
    /// Its name.
    pub name: String,
    /// What it should be.
    pub rule: Rule,
    /// What it is.
    pub new: Sample,
    /// What it was.
    pub old: Option<Sample>,
    /// The runs of earlier commits, oldest first.
    pub history: Vec<Runs>,
}

impl Subject {
    fn compare(&self) -> Option<Comparison> {
        let old = self.rule.goal.and(self.old.as_ref()).filter(|old| !old.mean().is_nan())?;
        if !self.rule.uses_history {
            return Some(self.new.compare(old));
        }
        let is_single = self.new.runs.len() == 1 && old.runs.len() == 1;
        let by_history = by_history(&old.runs, &self.new.runs, &self.history);
        // Several runs are tested without the history until it is long enough.
        Some(if is_single || by_history.p.is_some() { by_history } else { self.new.compare(old) })
    }
}

/// Judges metrics. Those that are tested have a probability of `significance` together that one differs by chance alone.
pub fn judge(subjects: Vec<Subject>, significance: f64) -> Vec<Judgement> {
    let comparisons: Vec<Option<Comparison>> = subjects.iter().map(Subject::compare).collect();
    let tested: Vec<f64> = comparisons.iter().flatten().filter_map(|comparison| comparison.p).collect();
    let mut adjusted = holm(&tested).into_iter();
    let each = subjects.into_iter().zip(comparisons);
    each.map(|(Subject { file, name, rule, new, old, .. }, comparison)| {
        let adjusted = comparison.and_then(|comparison| comparison.p).and_then(|_| adjusted.next());
        let (value, baseline) = (new.mean(), old.as_ref().map(Sample::mean));
        let error = comparison.and_then(|comparison| comparison.standard_error);
        let mut verdict = rule.judge(value, baseline, error);
        let is_told = matches!(verdict, Verdict::Better | Verdict::Worse) && !rule.is_beyond(value);
        if let Some(comparison) = comparison.filter(|_| is_told) {
            if comparison.least_p >= significance {
                verdict = Verdict::NotEnoughData;
            } else if adjusted.is_some_and(|p| p >= significance) {
                verdict = Verdict::NotToldApart;
            }
        }
        let adjusted = adjusted.map(|p| (p, tested.len()));
        Judgement { file, name, value, baseline, rule, verdict, comparison, adjusted, accepted_by: None, trend: None }
    })
    .collect()
}

impl Verdict {
    /// Returns its word for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::NotToldApart => "not_told_apart",
            Verdict::NotEnoughData => "not_enough_data",
            Verdict::WithinLimits => "within_limits",
        }
    }

    /// Returns the verdict on several metrics that do not fail the gate: the best one.
    pub fn of_passed(judgements: &[Judgement]) -> Self {
        let order = [Verdict::Better, Verdict::NotToldApart, Verdict::WithinLimits, Verdict::Worse];
        let has = |verdict: &Verdict| judgements.iter().any(|judgement| judgement.verdict == *verdict);
        order.into_iter().find(has).unwrap_or(Verdict::NotEnoughData)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(values: &[f64], first: usize) -> Sample {
        let runs = values.iter().enumerate().map(|(at, value)| (format!("{}", first + at), *value));
        Sample { runs: runs.collect(), ..Sample::default() }
    }

    fn subject(text: &str, new: Sample, old: Option<Sample>) -> Subject {
        let rule = text.parse::<Rule>().unwrap();
        Subject { file: "m.json".into(), name: rule.name.clone(), rule, new, old, history: Vec::new() }
    }

    const OLD: [f64; 5] = [0.90, 0.91, 0.92, 0.93, 0.94];

    #[test]
    fn several_runs_have_to_differ_by_more_than_chance() {
        use Verdict::{Better, NotEnoughData, NotToldApart, Worse};
        let moved = |by: f64| runs(&OLD.map(|value| value + by), 5);
        for (text, new, verdict, reason) in [
            (
                "a: higher",
                moved(-0.05),
                Worse,
                "a fell from 0.92 to 0.87 (no drop is allowed; Welch's t test of 5 and 5 runs, p = 0.0011)",
            ),
            (
                "a: higher",
                moved(-0.01),
                NotToldApart,
                "the difference of a may be chance (Welch's t test of 5 and 5 runs, p = 0.35)",
            ),
            (
                "a: higher, drop 0.1",
                moved(-0.05),
                NotToldApart,
                "the difference of a is within the tolerance (Welch's t test of 5 and 5 runs, p = 0.0011)",
            ),
            ("a: higher", moved(0.05), Better, "a is better (Welch's t test of 5 and 5 runs, p = 0.0011)"),
            (
                "a: higher",
                runs(&OLD.map(|value| value - 0.05), 0),
                NotEnoughData,
                "so little data cannot show that a differs: p is at least 0.062 (sign-flip test of 5 seeds, p = 0.062)",
            ),
            ("a: higher", runs(&[0.5], 5), NotEnoughData, "a has 5 and 1 runs: two of each version are the least"),
            ("a: min 0.9", moved(-0.05), Worse, "a is 0.87, less than 0.9"),
        ] {
            let judged = judge(vec![subject(text, new, Some(runs(&OLD, 0)))], 0.05);
            assert_eq!((judged[0].verdict, judged[0].explanation(0.05).as_deref()), (verdict, Some(reason)), "{text}");
        }
        let none = judge(vec![subject("a: drop 2se", Sample::of(0.5), Some(Sample::of(0.9)))], 0.05);
        assert_eq!(none[0].explanation(0.05).unwrap(), "a has no standard error, which its tolerance 2se needs");
        let none = judge(vec![subject("a: higher", Sample::of(0.5), None)], 0.05);
        assert_eq!(none[0].explanation(0.05).unwrap(), "there is no baseline for a");
    }

    #[test]
    fn one_run_is_judged_by_how_much_runs_vary() {
        let judged = |text: &str, value: f64, records: usize| {
            let history = (0..records).map(|at| runs(&[0.9 + 0.01 * (at % 3) as f64], 0).runs).collect();
            let subject = Subject { history, ..subject(text, Sample::of(value), Some(Sample::of(0.91))) };
            judge(vec![subject], 0.05).remove(0)
        };
        for (text, value, records, verdict, reason) in [
            (
                "a: higher, sigma history",
                0.89,
                20,
                Verdict::NotToldApart,
                "the difference of a may be chance (t test by the runs of 20 earlier commits, p = 0.18)",
            ),
            (
                "a: higher, sigma history",
                0.8,
                20,
                Verdict::Worse,
                "a fell from 0.91 to 0.8 (no drop is allowed; t test by the runs of 20 earlier commits, p = 0.0001 at most)",
            ),
            (
                "a: drop 2se, sigma history",
                0.89,
                20,
                Verdict::NotToldApart,
                "the difference of a may be chance (t test by the runs of 20 earlier commits, p = 0.18)",
            ),
            (
                "a: higher, sigma history",
                0.5,
                7,
                Verdict::NotEnoughData,
                "the history has runs of a for 7 earlier commits: 8 are the least",
            ),
            (
                "a: drop 2se, sigma history",
                0.5,
                0,
                Verdict::NotEnoughData,
                "the history has runs of a for 0 earlier commits: 8 are the least",
            ),
        ] {
            let judged = judged(text, value, records);
            assert_eq!(
                (judged.verdict, judged.explanation(0.05).as_deref()),
                (verdict, Some(reason)),
                "{text} {value}"
            );
        }
    }

    #[test]
    fn several_runs_are_judged_by_those_of_earlier_commits() {
        let judged = |records: usize| {
            let history = (0..records).map(|at| runs(&OLD.map(|value| value + 0.1 * at as f64), 0).runs).collect();
            let new = runs(&OLD.map(|value| value - 0.025), 5);
            let rule = "a: higher, sigma history";
            judge(vec![Subject { history, ..subject(rule, new, Some(runs(&OLD, 0))) }], 0.05).remove(0)
        };
        // The seeds of all commits have the same luck.
        let reason = "the difference of a may be chance (t test by the runs of 20 earlier commits, p = 0.067)";
        assert_eq!(judged(20).explanation(0.05).unwrap(), reason);
        // Until there are enough, the runs tell it themselves.
        let reason = "a fell from 0.92 to 0.895 (no drop is allowed; Welch's t test of 5 and 5 runs, p = 0.037)";
        assert_eq!(judged(7).explanation(0.05).unwrap(), reason);
    }

    #[test]
    fn the_more_metrics_the_more_it_takes() {
        let worse = |count: usize| {
            let one = |_| subject("a: higher", runs(&OLD.map(|value| value - 0.03), 5), Some(runs(&OLD, 0)));
            judge((0..count).map(one).collect(), 0.05)
        };
        assert_eq!(worse(1)[0].verdict, Verdict::Worse);
        let five = worse(5);
        assert!(five.iter().all(|judged| judged.verdict == Verdict::NotToldApart), "{five:?}");
        let reason = "the difference of a may be chance (Welch's t test of 5 and 5 runs, p = 0.017, or 0.085 as one of 5 metrics)";
        assert_eq!(five[0].explanation(0.05).unwrap(), reason);
        let keys = ["diff", "file", "high", "low", "metric", "new", "old", "p", "test", "verdict"];
        let value = five[0].json();
        let mut found: Vec<&String> = value.as_object().unwrap().keys().collect();
        found.sort();
        assert_eq!(found, keys);
        assert!((value["p"].as_f64().unwrap() - 0.0170).abs() < 1e-3 && value["test"] == "welch", "{value}");
    }
}
