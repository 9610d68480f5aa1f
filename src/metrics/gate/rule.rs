//! What a metric should be: limits, a direction and a tolerance, as a person writes them.

use super::Verdict;
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

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
    /// By this many standard errors of the difference.
    StandardErrors(f64),
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
    /// Whether the metric may be missing.
    pub is_optional: bool,
    /// Whether the history tells how much one run differs from another.
    pub uses_history: bool,
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
    /// Returns how much worse than a baseline a value may be; `None` if that depends on a standard error that is not known.
    fn at(self, baseline: f64, standard_error: Option<f64>) -> Option<f64> {
        match self {
            Tolerance::Absolute(much) => Some(much),
            Tolerance::Relative(part) => Some(part * baseline.abs()),
            Tolerance::StandardErrors(count) => Some(count * standard_error?),
        }
    }

    /// Returns whether nothing worse is allowed.
    pub(super) fn is_zero(self) -> bool {
        let (Tolerance::Absolute(much) | Tolerance::Relative(much) | Tolerance::StandardErrors(much)) = self;
        much == 0.0
    }
}

impl FromStr for Tolerance {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        type Kind = fn(f64) -> Tolerance;
        let kinds: [(&str, Kind); 3] = [
            ("%", |number| Tolerance::Relative(number / 100.0)),
            ("se", Tolerance::StandardErrors),
            ("", Tolerance::Absolute),
        ];
        let found = kinds.iter().find_map(|(unit, kind)| Some((text.strip_suffix(unit)?.trim_end(), kind)));
        let number = found.and_then(|(digits, kind)| Some((digits.parse::<f64>().ok()?, kind)));
        match number.filter(|(number, _)| number.is_finite() && *number >= 0.0) {
            Some((number, kind)) => Ok(kind(number)),
            None => Err(Error::usage(format!("'{text}' is not a tolerance")).hint(
                "write a number such as 0.01, a part of the baseline such as 2%, or standard errors such as 2se",
            )),
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tolerance::Absolute(much) => write!(f, "{much}"),
            // 0.07 * 100 is 7.000000000000001.
            Tolerance::Relative(part) => write!(f, "{}%", crate::metrics::python::significant(part * 100.0, 12)),
            Tolerance::StandardErrors(count) => write!(f, "{count}se"),
        }
    }
}

impl Rule {
    /// Returns a rule that compares with the baseline.
    pub fn new(name: &str, goal: Goal, tolerance: Tolerance) -> Self {
        Rule { goal: Some(goal), tolerance, ..Rule::without_conditions(name) }
    }

    /// Returns a rule that asks for nothing yet.
    pub fn without_conditions(name: &str) -> Self {
        let tolerance = Tolerance::Absolute(0.0);
        let name = name.trim().to_owned();
        Rule {
            name,
            goal: None,
            tolerance,
            min: None,
            max: None,
            is_warning: false,
            is_optional: false,
            uses_history: false,
        }
    }

    /// Returns whether the rule is about several metrics.
    pub fn is_pattern(&self) -> bool {
        self.name.contains('*')
    }

    /// Returns whether the rule is about a metric, of which `file` has the name too: `eval.json:accuracy`.
    pub fn is_about(&self, file: &str, name: &str) -> bool {
        let of_file = || self.name.strip_prefix(file).and_then(|rest| rest.strip_prefix(':'));
        has_form(&self.name, name) || of_file().is_some_and(|pattern| has_form(pattern, name))
    }

    /// Returns an error if it asks for the history, and has no direction in which that would be tested.
    pub fn check_history(&self) -> Result<()> {
        if self.uses_history && self.goal.is_none() {
            return Err(Error::usage(format!("the rule for {} has `sigma history` and no direction", self.name))
                .hint("add `higher` or `lower`: limits are not compared with the runs of earlier commits"));
        }
        Ok(())
    }

    /// Returns whether it has neither a direction nor a limit.
    pub fn is_empty(&self) -> bool {
        self.goal.is_none() && self.min.is_none() && self.max.is_none()
    }

    /// Returns whether a value is beyond a limit, or not a number.
    pub(super) fn is_beyond(&self, value: f64) -> bool {
        value.is_nan() || self.min.is_some_and(|min| value < min) || self.max.is_some_and(|max| value > max)
    }

    /// Returns the verdict on a value, as if chance had no part in it. `baseline` is `None` where there is none, or none that is a
    /// number, and `standard_error` where that of the difference is not known.
    pub fn judge(&self, value: f64, baseline: Option<f64>, standard_error: Option<f64>) -> Verdict {
        let compare = |goal: Goal| {
            let baseline = baseline.filter(|baseline| !baseline.is_nan())?;
            let rounding = ROUNDING * value.abs().max(baseline.abs());
            let rounding = if rounding.is_finite() { rounding } else { 0.0 };
            let allowed = self.tolerance.at(baseline, standard_error)? + rounding;
            let gain = goal.gain(value, baseline);
            Some(if gain > allowed {
                Verdict::Better
            } else if gain < -allowed {
                Verdict::Worse
            } else {
                Verdict::NotToldApart
            })
        };
        match self.goal {
            _ if self.is_beyond(value) => Verdict::Worse,
            None => Verdict::WithinLimits,
            Some(goal) => compare(goal).unwrap_or(Verdict::NotEnoughData),
        }
    }

    /// Adds a condition, such as `lower` or `rise 2%`.
    pub fn add(&mut self, condition: &str) -> Result<()> {
        let (word, value) = condition.trim().split_once(char::is_whitespace).unwrap_or((condition.trim(), ""));
        let value = value.trim();
        let goal = match (word, value) {
            ("higher", "") | ("better", "higher") => Goal::Higher,
            ("lower", "") | ("better", "lower") => Goal::Lower,
            ("warn", "") | ("level", "warn") => {
                self.is_warning = true;
                return Ok(());
            }
            ("level", "fail") => {
                self.is_warning = false;
                return Ok(());
            }
            ("optional", "" | "true" | "True" | "false" | "False") => {
                self.is_optional = !value.eq_ignore_ascii_case("false");
                return Ok(());
            }
            ("sigma", "history") => {
                self.uses_history = true;
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
                return Err(Error::usage(format!("'{}' is not a condition of a rule", condition.trim())).hint(
                    "conditions are: higher, lower, min N, max N, drop N, N% or Nse, rise N, N% or Nse, sigma history, warn, optional",
                ));
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

/// Returns whether a name has the form of a pattern, in which `*` stands for any text. Globs of paths differ: there `*` ends at a
/// slash, and names of metrics have brackets (`test[3]`) that would be special.
fn has_form(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = name.strip_prefix(first).and_then(|name| name.strip_suffix(last));
    let find = |inner: &str| middle.split('*').try_fold(0, |at, part| Some(at + inner[at..].find(part)? + part.len()));
    inner.and_then(find).is_some()
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
        if rule.name.is_empty() || rule.is_empty() {
            return Err(Error::usage(format!("'{text}' is not a rule"))
                .hint("write `accuracy >= 0.9`, `accuracy: higher, drop 0.005` or `loss: lower, rise 2%`"));
        }
        rule.check_history()?;
        Ok(rule)
    }
}

/// The conditions, without the name.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut conditions = Vec::new();
        let worse = self.goal.map(|goal| match goal {
            Goal::Higher => ("higher", "drop"),
            Goal::Lower => ("lower", "rise"),
        });
        if let Some((better, worse)) = worse {
            conditions.push(better.to_owned());
            if !self.tolerance.is_zero() {
                conditions.push(format!("{worse} {}", self.tolerance));
            }
        }
        conditions.extend(self.min.map(|min| format!("min {min}")));
        conditions.extend(self.max.map(|max| format!("max {max}")));
        conditions.extend(self.uses_history.then(|| "sigma history".to_owned()));
        conditions.extend(self.is_warning.then(|| "warn".to_owned()));
        conditions.extend(self.is_optional.then(|| "optional".to_owned()));
        f.write_str(&conditions.join(", "))
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
            ("f1: drop 2se, level fail, optional", "f1", "higher, drop 2se, optional"),
            ("f1: higher, sigma history", "f1", "higher, sigma history"),
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
            ("a: lower, sigma 2", "'sigma 2' is not a condition of a rule"),
            ("a: lower, drop 2%", "the rule for a has two directions"),
            ("a: drop -1", "'-1' is not a tolerance"),
            ("a: drop x", "'x' is not a tolerance"),
            ("a: drop inf%", "'inf%' is not a tolerance"),
            ("a: drop xse", "'xse' is not a tolerance"),
            ("a: min nan", "'nan' is not a number"),
            ("a: min 0.9, sigma history", "the rule for a has `sigma history` and no direction"),
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
            ("a: higher, drop 2se", 0.71, Some(0.9), NotToldApart),
            ("a: higher, drop 2se", 0.69, Some(0.9), Worse),
            ("a >= 0.8", 0.8, None, WithinLimits),
            ("a >= 0.8", 0.79, Some(0.1), Worse),
            ("a <= 3", f64::NAN, None, Worse),
            ("a: lower", f64::INFINITY, Some(1.0), Worse),
        ] {
            assert_eq!(rule(text).judge(value, baseline, Some(0.1)), verdict, "{text} {value} {baseline:?}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*", "a/b/c", true),
            ("*c", "a/b/c", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("a**c", "ac", true),
            ("é*", "éa", true),
            ("t[3]*", "t[3]/x", true),
            ("t[3]", "t3", false),
        ] {
            assert_eq!(has_form(pattern, name), expected, "{pattern} {name}");
        }
        // In time that grows with the lengths alone.
        assert!(!has_form(&"*a".repeat(100), &"a".repeat(99)));
    }

    #[test]
    fn patterns_are_of_names_and_files() {
        assert!(
            rule("gsm8k/*: higher").is_about("m.json", "gsm8k/acc/x")
                && !rule("gsm8k/*: higher").is_about("m.json", "acc")
        );
        assert!(
            rule("m.json:acc: higher").is_about("m.json", "acc")
                && !rule("m.json:acc: higher").is_about("n.json", "acc")
        );
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
            let judge = |goal| Rule::new("a", goal, Tolerance::Absolute(much)).judge(value, Some(baseline), None);
            let turned = |verdict| match verdict {
                Verdict::Better => Verdict::Worse,
                Verdict::Worse => Verdict::Better,
                other => other,
            };
            prop_assert_eq!(judge(Goal::Higher), turned(judge(Goal::Lower)));
        }
    }
}
