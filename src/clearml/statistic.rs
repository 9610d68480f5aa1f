//! Which value of a scalar counts, and how tasks are ranked by it. Pure.

use super::task::{Scalar, Task};
use crate::metrics::gate::Goal;

/// A value that the server keeps of a scalar. There is a mean too, but the server rounds it to two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// The last one.
    Last,
    /// The greatest one.
    Max,
    /// The least one.
    Min,
}

const STATISTICS: [(&str, Statistic); 3] =
    [(":last", Statistic::Last), (":max", Statistic::Max), (":min", Statistic::Min)];

impl Statistic {
    /// Returns a name without the statistic at its end, such as `:max`; `None` if it has none.
    pub fn split(name: &str) -> Option<(&str, Self)> {
        STATISTICS.into_iter().find_map(|(ending, statistic)| Some((name.strip_suffix(ending)?.trim_end(), statistic)))
    }

    /// Returns what is added to the name of a scalar: nothing for the last value.
    pub const fn ending(self) -> &'static str {
        match self {
            Statistic::Last => "",
            Statistic::Max => ":max",
            Statistic::Min => ":min",
        }
    }

    /// Returns the value; `None` if it is not finite, or not known.
    pub fn of(self, scalar: &Scalar) -> Option<f64> {
        match self {
            Statistic::Last => scalar.last,
            Statistic::Max => scalar.max.map(|(value, _)| value),
            Statistic::Min => scalar.min.map(|(value, _)| value),
        }
    }

    /// Returns the field in which the server keeps it.
    const fn field(self) -> &'static str {
        match self {
            Statistic::Last => "value",
            Statistic::Max => "max_value",
            Statistic::Min => "min_value",
        }
    }
}

/// How tasks are ranked: by a scalar.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// The scalar, as one task has it.
    pub scalar: Scalar,
    /// Which of its values counts.
    pub statistic: Statistic,
    /// Which values are better.
    pub goal: Goal,
}

impl Ranking {
    /// Returns the field by which the server sorts tasks, the best first.
    pub fn order(&self) -> String {
        let sign = if self.goal == Goal::Higher { "-" } else { "" };
        format!("{sign}last_metrics.{}.{}", self.scalar.key, self.statistic.field())
    }

    /// Returns the value of a task. One of 0 where others are not may stand for NaN, and does not count.
    pub fn value(&self, task: &Task) -> Option<f64> {
        let scalar = self.scalar.find_in(task).filter(|scalar| !scalar.is_suspicious())?;
        let is_varied = scalar.min.map(|(value, _)| value) != scalar.max.map(|(value, _)| value);
        self.statistic.of(scalar).filter(|value| *value != 0.0 || !is_varied)
    }

    /// Returns whether a task is better than another; of equal ones that with the lower ID, so that everybody agrees.
    pub fn is_better(&self, task: &Task, other: &Task) -> bool {
        match (self.value(task), self.value(other)) {
            (Some(value), Some(before)) if value != before => self.goal.gain(value, before) > 0.0,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            _ => task.id < other.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, last: Option<f64>) -> Task {
        let scalar = Scalar { metric: "acc".into(), variant: "val".into(), last, ..Scalar::default() };
        Task { id: id.into(), scalars: vec![scalar], ..Task::default() }
    }

    #[test]
    fn names_have_statistics() {
        assert_eq!(Statistic::split("a/b:max"), Some(("a/b", Statistic::Max)));
        assert_eq!(Statistic::split("a:b"), None);
        let scalar = Scalar { last: Some(2.0), min: Some((1.0, None)), max: Some((3.0, Some(4))), ..Scalar::default() };
        for (name, value) in [("a:last", 2.0), ("a:min", 1.0), ("a:max", 3.0)] {
            let (_, statistic) = Statistic::split(name).unwrap();
            assert_eq!(statistic.of(&scalar), Some(value));
        }
    }

    #[test]
    fn what_may_stand_for_nan_does_not_count() {
        let value = |statistic, last: f64, min: f64, max: f64| {
            let scalar =
                Scalar { last: Some(last), min: Some((min, None)), max: Some((max, None)), ..Scalar::default() };
            let task = Task { scalars: vec![scalar.clone()], ..Task::default() };
            Ranking { scalar, statistic, goal: Goal::Lower }.value(&task)
        };
        assert_eq!(value(Statistic::Last, 0.0, 0.0, 2.0), None);
        assert_eq!(value(Statistic::Min, 1.0, 0.0, 2.0), None);
        assert_eq!(value(Statistic::Max, -1.0, -2.0, 0.0), None);
        assert_eq!(value(Statistic::Last, 0.0, 0.0, 0.0), Some(0.0));
        assert_eq!(value(Statistic::Min, 1.0, 0.5, 2.0), Some(0.5));
    }

    #[test]
    fn everybody_agrees_on_the_best_task() {
        let scalar = Scalar { key: "m.v".into(), ..task("", None).scalars[0].clone() };
        let by = |goal| Ranking { scalar: scalar.clone(), statistic: Statistic::Max, goal };
        assert_eq!(by(Goal::Higher).order(), "-last_metrics.m.v.max_value");
        assert_eq!(by(Goal::Lower).order(), "last_metrics.m.v.max_value");
        let last = |goal| Ranking { statistic: Statistic::Last, ..by(goal) };
        let (high, low, none) = (task("c", Some(2.0)), task("b", Some(1.0)), task("a", None));
        for (goal, best, other) in [
            (Goal::Higher, &high, &low),
            (Goal::Lower, &low, &high),
            (Goal::Lower, &high, &none),
            (Goal::Higher, &task("b", Some(2.0)), &high),
        ] {
            assert!(last(goal).is_better(best, other) && !last(goal).is_better(other, best), "{goal:?} {best:?}");
        }
    }
}
