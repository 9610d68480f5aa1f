//! Scales as d3 and Vega-Lite make them: from values to places in a frame.

use super::frame::SIDE;
use crate::metrics::Value;
use std::cmp::Ordering;

/// A scale of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// The number at its beginning.
    pub low: f64,
    /// The number at its end.
    pub high: f64,
}

impl Linear {
    /// Returns the scale of some numbers, rounded to whole steps of about a tenth.
    pub fn nice(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Linear { low: 0.0, high: 1.0 };
        }
        let (mut low, mut high, mut last) = (low, high, None);
        // As d3-scale's `nice`: until the step stays the same.
        for _ in 0..10 {
            let Some((step, inverse)) = step(low, high).filter(|step| last != Some(*step)) else { break };
            last = Some((step, inverse));
            (low, high) = if inverse {
                ((low * step).floor() / step, (high * step).ceil() / step)
            } else {
                ((low / step).floor() * step, (high / step).ceil() * step)
            };
        }
        Linear { low, high }
    }

    /// Returns where a number lies, in pixels from the beginning.
    pub fn place(&self, value: f64) -> f64 {
        // Halves, as the difference of two large numbers may be infinite.
        let range = self.high / 2.0 - self.low / 2.0;
        if range > 0.0 { (value / 2.0 - self.low / 2.0) / range * SIDE } else { SIDE / 2.0 }
    }
}

/// Returns the step of a tenth of a range, 1, 2 or 5 times a power of ten; below 1 its inverse, which is exact. As d3-array's
/// `tickIncrement`.
fn step(low: f64, high: f64) -> Option<(f64, bool)> {
    let rough = high / 10.0 - low / 10.0;
    if rough <= 0.0 || !rough.is_finite() {
        return None;
    }
    let power = rough.log10().floor();
    let error = rough / 10f64.powf(power);
    let factor = match error {
        error if error >= 50f64.sqrt() => 10.0,
        error if error >= 10f64.sqrt() => 5.0,
        error if error >= 2f64.sqrt() => 2.0,
        _ => 1.0,
    };
    let step = if power < 0.0 { 10f64.powf(-power) / factor } else { 10f64.powf(power) * factor };
    (step.is_finite() && step > 0.0).then_some((step, power < 0.0))
}

/// A scale of categories, each with a band.
#[derive(Debug, Clone, PartialEq)]
pub struct Bands {
    /// The categories, in their order.
    pub names: Vec<Value>,
    /// The width of a band.
    pub width: f64,
    start: f64,
    step: f64,
}

impl Bands {
    /// Returns bands for categories, with a gap that is this part of a step between them and around them.
    pub fn new(names: Vec<Value>, gap: f64) -> Self {
        let count = names.len() as f64;
        let step = SIDE / (count + gap).max(1.0);
        Bands { names, width: step * (1.0 - gap), start: (SIDE - step * (count - gap)) / 2.0, step }
    }

    /// Returns where the band of a category begins.
    pub fn place(&self, name: &Value) -> Option<f64> {
        Some(self.at(self.names.iter().position(|known| ascending(known, name) == Ordering::Equal)?))
    }

    /// Returns where a band begins.
    pub fn at(&self, place: usize) -> f64 {
        self.start + self.step * place as f64
    }
}

/// Compares values as Vega sorts categories: what is missing, numbers, then texts.
pub fn ascending(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        value if value.to_f64().is_some() => 1,
        _ => 2,
    };
    match (one.to_f64(), other.to_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        _ => rank(one).cmp(&rank(other)).then_with(|| name_of(one).cmp(&name_of(other))),
    }
}

/// Returns the different values, sorted.
pub fn categories<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let mut all: Vec<Value> = values.cloned().collect();
    all.sort_by(ascending);
    all.dedup_by(|one, other| ascending(one, other) == Ordering::Equal);
    all
}

/// Returns the name of a category.
pub fn name_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Float(number) => crate::charts::ticks::number(*number, 6),
        value => value.to_python(),
    }
}
