//! Gates: what a metric should be, and the verdict on a value. One value a side: statistics of several are not known here.
//!
//! A [`Rule`] has limits (`accuracy >= 0.9`), and a direction with a tolerance (`loss: lower, rise 2%`), by which a value is compared
//! with a baseline. [`table`] writes the verdicts as Markdown.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

pub mod table;

/// Values whose difference is smaller than this many times their precision are the same: `0.9 - 0.895` is more than `0.005`.
const ROUNDING: f64 = 8.0 * f64::EPSILON;

/// Which values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The higher, the better.
    Higher,
    /// The lower, the better.
    Lower,
}

/// How much worse than the baseline a value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// By this much.
    Absolute(f64),
    /// By this part of the baseline's size, whatever its sign.
    Relative(f64),
}

/// What a metric should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The metric's name, or a pattern with `*`.
    pub name: String,
    /// Which values are better than the baseline's; `None` if only the limits count.
    pub goal: Option<Goal>,
    /// How much worse than the baseline's it may be.
    pub tolerance: Tolerance,
    /// The least allowed value.
    pub min: Option<f64>,
    /// The greatest allowed value.
    pub max: Option<f64>,
    /// Whether a worse value is a warning only.
    pub is_warning: bool,
}

/// The verdict on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Better than the baseline, by more than the tolerance.
    Better,
    /// Worse than the baseline, by more than the tolerance; or beyond a limit; or not a number.
    Worse,
    /// Within the tolerance.
    NotToldApart,
    /// There is no baseline to compare with.
    NotEnoughData,
    /// Within the limits, which are all that counts.
    WithinLimits,
}

/// A value, judged.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The metric's name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// The baseline's.
    pub baseline: Option<f64>,
    /// The rule.
    pub rule: Rule,
    /// The verdict.
    pub verdict: Verdict,
}

impl Goal {
    /// Returns by how much a value is better than another; negative if it is worse.
    pub fn gain(self, value: f64, baseline: f64) -> f64 {
        match self {
            Goal::Higher => value - baseline,
            Goal::Lower => baseline - value,
        }
    }
}

impl Tolerance {
    fn at(self, baseline: f64) -> f64 {
        match self {
            Tolerance::Absolute(much) => much,
            Tolerance::Relative(part) => part * baseline.abs(),
        }
    }
}

impl FromStr for Tolerance {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let (digits, is_percent) = match text.strip_suffix('%') {
            Some(digits) => (digits.trim_end(), true),
            None => (text, false),
        };
        if digits.ends_with("se") {
            return Err(Error::usage(format!("the tolerance '{text}' needs the standard error of a metric"))
                .hint("one value a side has none: write a number such as 0.01, or a part of the baseline such as 2%"));
        }
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => {
                Ok(if is_percent { Tolerance::Relative(number / 100.0) } else { Tolerance::Absolute(number) })
            }
            _ => Err(Error::usage(format!("'{text}' is not a tolerance"))
                .hint("write a number such as 0.01, or a part of the baseline such as 2%")),
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::Absolute(much) => write!(f, "{much}"),
            // 0.07 * 100 is 7.000000000000001.
            Tolerance::Relative(part) => write!(f, "{}%", super::python::significant(part * 100.0, 12)),
        }
    }
}

impl Rule {
    /// Returns a rule that compares with the baseline.
    pub fn new(name: &str, goal: Goal, tolerance: Tolerance) -> Self {
        Rule { goal: Some(goal), tolerance, ..Rule::without_conditions(name) }
    }

    fn without_conditions(name: &str) -> Self {
        let tolerance = Tolerance::Absolute(0.0);
        Rule { name: name.trim().to_owned(), goal: None, tolerance, min: None, max: None, is_warning: false }
    }

    /// Returns the verdict on a value. `baseline` is `None` where there is none, or none that is a number.
    pub fn judge(&self, value: f64, baseline: Option<f64>) -> Verdict {
        let is_beyond =
            value.is_nan() || self.min.is_some_and(|min| value < min) || self.max.is_some_and(|max| value > max);
        match (self.goal, baseline.filter(|baseline| !baseline.is_nan())) {
            _ if is_beyond => Verdict::Worse,
            (None, _) => Verdict::WithinLimits,
            (Some(_), None) => Verdict::NotEnoughData,
            (Some(goal), Some(baseline)) => {
                let rounding = ROUNDING * value.abs().max(baseline.abs());
                let allowed = self.tolerance.at(baseline) + if rounding.is_finite() { rounding } else { 0.0 };
                let gain = goal.gain(value, baseline);
                if gain > allowed {
                    Verdict::Better
                } else if gain < -allowed {
                    Verdict::Worse
                } else {
                    Verdict::NotToldApart
                }
            }
        }
    }

    /// Adds a condition, such as `lower` or `rise 2%`.
    fn add(&mut self, condition: &str) -> Result<()> {
        let (word, value) = condition.trim().split_once(char::is_whitespace).unwrap_or((condition.trim(), ""));
        let value = value.trim();
        let goal = match (word, value) {
            ("higher", "") | ("better", "higher") => Goal::Higher,
            ("lower", "") | ("better", "lower") => Goal::Lower,
            ("warn", "") | ("level", "warn") => {
                self.is_warning = true;
                return Ok(());
            }
            ("min", _) => {
                self.min = Some(number(value)?);
                return Ok(());
            }
            ("max", _) => {
                self.max = Some(number(value)?);
                return Ok(());
            }
            ("drop" | "rise", _) => {
                self.tolerance = value.parse()?;
                if word == "drop" { Goal::Higher } else { Goal::Lower }
            }
            _ => {
                return Err(Error::usage(format!("'{}' is not a condition of a rule", condition.trim()))
                    .hint("conditions are: higher, lower, min N, max N, drop N or N%, rise N or N%, warn"));
            }
        };
        if self.goal.is_some_and(|other| other != goal) {
            return Err(Error::usage(format!("the rule for {} has two directions", self.name))
                .hint("write `higher, drop 2%` or `lower, rise 2%`"));
        }
        self.goal = Some(goal);
        Ok(())
    }
}

fn number(text: &str) -> Result<f64> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number
        .ok_or_else(|| Error::usage(format!("'{text}' is not a number")).hint("write a limit as `min 0.9` or `max 2`"))
}

/// `NAME >= NUMBER`, `NAME <= NUMBER`, or `NAME: CONDITION, …`. A name may have colons.
impl FromStr for Rule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let limit = |sign: &str| {
            let (name, limit) = text.rsplit_once(sign)?;
            Some((Rule::without_conditions(name), limit.trim().parse::<f64>().ok().filter(|limit| limit.is_finite())?))
        };
        let rule = if let Some((rule, min)) = limit(">=") {
            Rule { min: Some(min), ..rule }
        } else if let Some((rule, max)) = limit("<=") {
            Rule { max: Some(max), ..rule }
        } else {
            let (name, conditions) = text.rsplit_once(':').unwrap_or_default();
            let mut rule = Rule::without_conditions(name);
            if !rule.name.is_empty() {
                conditions.split(',').try_for_each(|condition| rule.add(condition))?;
            }
            rule
        };
        if rule.name.is_empty() || rule.goal.is_none() && rule.min.is_none() && rule.max.is_none() {
            return Err(Error::usage(format!("'{text}' is not a rule"))
                .hint("write `accuracy >= 0.9`, `accuracy: higher, drop 0.005` or `loss: lower, rise 2%`"));
        }
        Ok(rule)
    }
}

/// The conditions, without the name.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut conditions = Vec::new();
        let is_strict = matches!(self.tolerance, Tolerance::Absolute(0.0) | Tolerance::Relative(0.0));
        let worse = self.goal.map(|goal| match goal {
            Goal::Higher => ("higher", "drop"),
            Goal::Lower => ("lower", "rise"),
        });
        if let Some((better, worse)) = worse {
            conditions.push(better.to_owned());
            if !is_strict {
                conditions.push(format!("{worse} {}", self.tolerance));
            }
        }
        conditions.extend(self.min.map(|min| format!("min {min}")));
        conditions.extend(self.max.map(|max| format!("max {max}")));
        conditions.extend(self.is_warning.then(|| "warn".to_owned()));
        f.write_str(&conditions.join(", "))
    }
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

impl Judgement {
    /// Judges a value.
    pub fn new(name: String, value: f64, baseline: Option<f64>, rule: Rule) -> Self {
        let verdict = rule.judge(value, baseline);
        Judgement { name, value, baseline, rule, verdict }
    }

    /// Returns whether the gate fails because of it.
    pub fn is_failure(&self) -> bool {
        self.verdict == Verdict::Worse && !self.rule.is_warning
    }

    /// Returns why the value is worse, as a sentence without an end: `loss rose from 1 to 2 (a rise of 2% is allowed)`.
    pub fn reason(&self) -> String {
        let shown = |value: f64| super::python::significant(value, table::DIGITS);
        let (name, value) = (&self.name, shown(self.value));
        match (self.rule.min, self.rule.max, self.rule.goal, self.baseline) {
            (Some(min), ..) if self.value < min => format!("{name} is {value}, less than {min}"),
            (_, Some(max), ..) if self.value > max => format!("{name} is {value}, more than {max}"),
            (_, _, Some(goal), Some(baseline)) => {
                let (moved, noun) = if goal == Goal::Higher { ("fell", "drop") } else { ("rose", "rise") };
                let allowed = match self.rule.tolerance {
                    Tolerance::Absolute(0.0) | Tolerance::Relative(0.0) => format!("no {noun} is allowed"),
                    tolerance => format!("a {noun} of {tolerance} is allowed"),
                };
                format!("{name} {moved} from {} to {value} ({allowed})", shown(baseline))
            }
            _ => format!("{name} is {value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error: Error| panic!("{text}: {error}"))
    }

    #[test]
    fn rules_are_read_and_written() {
        for (text, name, conditions) in [
            ("accuracy >= 0.9", "accuracy", "min 0.9"),
            ("latency_ms<=10", "latency_ms", "max 10"),
            ("loss: lower, rise 2%", "loss", "lower, rise 2%"),
            ("loss: rise 2 %", "loss", "lower, rise 2%"),
            ("f1:higher,drop 0.005,min 0.8", "f1", "higher, drop 0.005, min 0.8"),
            ("a/b:max: better higher, level warn", "a/b:max", "higher, warn"),
            ("gsm8k/*: higher, drop 7%", "gsm8k/*", "higher, drop 7%"),
            ("x: min -1, max 1e3", "x", "min -1, max 1000"),
        ] {
            let rule = rule(text);
            assert_eq!((rule.name.as_str(), rule.to_string().as_str()), (name, conditions), "{text}");
        }
    }

    #[test]
    fn wrong_rules_say_what_is_wrong() {
        for (text, message) in [
            ("", "'' is not a rule"),
            ("accuracy", "'accuracy' is not a rule"),
            (": lower", "': lower' is not a rule"),
            ("a: warn", "'a: warn' is not a rule"),
            ("a > 1", "'a > 1' is not a rule"),
            ("a >= high", "'a >= high' is not a rule"),
            ("a: best", "'best' is not a condition of a rule"),
            ("a: lower, ", "'' is not a condition of a rule"),
            ("a: lower, drop 2%", "the rule for a has two directions"),
            ("a: drop -1", "'-1' is not a tolerance"),
            ("a: drop x", "'x' is not a tolerance"),
            ("a: drop inf%", "'inf%' is not a tolerance"),
            ("a: drop 2se", "the tolerance '2se' needs the standard error of a metric"),
            ("a: min nan", "'nan' is not a number"),
        ] {
            let error = text.parse::<Rule>().unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (message, 2), "{text}");
        }
    }

    #[test]
    fn values_are_judged_by_direction_and_tolerance() {
        use Verdict::{Better, NotEnoughData, NotToldApart, WithinLimits, Worse};
        for (text, value, baseline, verdict) in [
            ("a: higher", 0.95, Some(0.9), Better),
            ("a: higher", 0.9, Some(0.9), NotToldApart),
            ("a: higher", 0.899, Some(0.9), Worse),
            ("a: lower", 0.899, Some(0.9), Better),
            ("a: higher, drop 0.005", 0.895, Some(0.9), NotToldApart),
            ("a: higher, drop 0.005", 0.8949, Some(0.9), Worse),
            ("a: higher, drop 3%", 0.873, Some(0.9), NotToldApart),
            ("a: higher, drop 3%", 0.87, Some(0.9), Worse),
            // Of the size of a negative baseline.
            ("a: higher, drop 10%", -1.1, Some(-1.0), NotToldApart),
            ("a: higher, drop 10%", -1.11, Some(-1.0), Worse),
            ("a: higher, drop 10%", -0.8, Some(-1.0), Better),
            ("a: lower, rise 10%", -0.9, Some(-1.0), NotToldApart),
            ("a: lower, rise 10%", -0.89, Some(-1.0), Worse),
            ("a: lower, rise 2%", 0.0, Some(0.0), NotToldApart),
            ("a: lower, rise 2%", 1e-9, Some(0.0), Worse),
            ("a: higher", 0.9, None, NotEnoughData),
            ("a: higher", 0.9, Some(f64::NAN), NotEnoughData),
            ("a: higher, min 0.8", 0.7, None, Worse),
            ("a >= 0.8", 0.8, None, WithinLimits),
            ("a >= 0.8", 0.79, Some(0.1), Worse),
            ("a <= 3", f64::NAN, None, Worse),
            ("a: lower", f64::INFINITY, Some(1.0), Worse),
        ] {
            assert_eq!(rule(text).judge(value, baseline), verdict, "{text} {value} {baseline:?}");
        }
    }

    #[test]
    fn reasons_are_sentences() {
        for (text, value, baseline, reason) in [
            ("a: higher", 0.85, 0.9, "a fell from 0.9 to 0.85 (no drop is allowed)"),
            ("a: lower, rise 2%", 2.0, 1.0, "a rose from 1 to 2 (a rise of 2% is allowed)"),
            ("a: lower, max 1.5", 2.0, 1.0, "a is 2, more than 1.5"),
            ("a >= 0.9", 0.85, 0.1, "a is 0.85, less than 0.9"),
            ("a >= 0.9", f64::NAN, 0.1, "a is nan"),
        ] {
            assert_eq!(Judgement::new("a".into(), value, Some(baseline), rule(text)).reason(), reason);
        }
    }

    proptest! {
        #[test]
        fn a_rule_that_is_written_reads_the_same(name in "[a-z/* ]{0,5}[a-z]", higher: bool, part in 0u32..10_000, min in any::<Option<i32>>()) {
            let goal = if higher { Goal::Higher } else { Goal::Lower };
            let rule = Rule { min: min.map(f64::from), ..Rule::new(&name, goal, Tolerance::Absolute(f64::from(part) / 1e4)) };
            prop_assert_eq!(format!("{}: {rule}", rule.name).parse::<Rule>().unwrap(), rule);
        }

        #[test]
        fn what_is_better_one_way_is_worse_the_other(value in -1e6..1e6f64, baseline in -1e6..1e6f64, much in 0.0..10.0f64) {
            let judge = |goal| Rule::new("a", goal, Tolerance::Absolute(much)).judge(value, Some(baseline));
            let turned = |verdict| match verdict {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                other => other,
            };
            prop_assert_eq!(judge(Goal::Higher), turned(judge(Goal::Lower)));
        }
    }
}
