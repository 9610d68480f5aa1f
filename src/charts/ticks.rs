//! Places for the marks of an axis, and numbers for people.

/// An axis from the least to the greatest value of the data, made a little longer.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// The places of the marks.
    pub ticks: Vec<f64>,
}

/// Numbers beyond this have sums that are not finite.
const FAR: f64 = f64::MAX / 8.0;

impl Axis {
    /// Returns an axis for these values with about so many marks. `log` asks for a logarithmic one, and is ignored
    /// where a value is not positive.
    pub fn new(values: impl Iterator<Item = f64>, marks: usize, log: bool) -> Self {
        let finite = values.filter(|value| value.is_finite()).map(|value| value.clamp(-FAR, FAR));
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Axis { low: 0.0, high: 1.0, log: false, ticks: vec![0.0, 1.0] };
        }
        if log && low > 0.0 {
            let (low, high) = (low.log10(), high.log10());
            let room = ((high - low) * 0.04).max(0.02);
            let (low, high) = (low - room, high + room);
            return Axis { low, high, log: true, ticks: decades(low, high, marks) };
        }
        let room = match high - low {
            0.0 if low == 0.0 => 1.0,
            0.0 => low.abs() * 0.1,
            range => range * 0.04,
        };
        let (low, high) = (low - room, high + room);
        Axis { low, high, log: false, ticks: round(low, high, marks) }
    }

    /// Returns an axis of steps, which begins and ends with the data.
    pub fn tight(values: impl Iterator<Item = f64>, marks: usize) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low < high {
            let ticks = round(low, high, marks).into_iter().filter(|tick| tick.fract() == 0.0).collect();
            Axis { low, high, log: false, ticks }
        } else if low.is_finite() {
            Axis { low: low - 1.0, high: low + 1.0, log: false, ticks: vec![low] }
        } else {
            Axis { low: 0.0, high: 1.0, log: false, ticks: vec![0.0, 1.0] }
        }
    }

    /// Returns where a value lies: 0 at the beginning, 1 at the end.
    pub fn place(&self, value: f64) -> f64 {
        let value = value.clamp(-FAR, FAR);
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
pub(super) fn round(low: f64, high: f64, marks: usize) -> Vec<f64> {
    let rough = (high - low) / marks as f64;
    let power = 10f64.powi(rough.log10().floor() as i32);
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough * 0.7).unwrap_or(rough);
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    let count = (last - first).clamp(0.0, 2.0 * marks as f64) as u32;
    let mut ticks: Vec<f64> = (0..=count).map(|n| (first + f64::from(n)) * step).collect();
    // Where numbers are as dense as marks, several are the same.
    ticks.dedup();
    ticks
}

/// Powers of ten between two exponents; where they are few, also two and five times them.
fn decades(low: f64, high: f64, marks: usize) -> Vec<f64> {
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    let factors: &[f64] = if high - low < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let each = ((high - low) / marks as f64).ceil().max(1.0) as usize;
    let powers = (first..=last).step_by(each);
    let all = powers.flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
    let ticks: Vec<f64> = all.filter(|tick| (low..=high).contains(&tick.log10())).collect();
    if ticks.len() >= 2 { ticks } else { vec![10f64.powf(low), 10f64.powf(high)] }
}

/// Returns a number with up to so many digits that count, without zeros at the end.
pub fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".to_owned()
        } else if value > 0.0 {
            "∞".to_owned()
        } else {
            "−∞".to_owned()
        };
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits as i32 + 3).contains(&power) {
        let decimals = (digits as i32 - 1 - power).max(0) as usize;
        return without_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    format!("{}e{exponent}", without_zeros(mantissa))
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Returns a step for an axis, where there is little room.
pub fn short(step: f64) -> String {
    for (size, unit) in [(1e9_f64, "G"), (1e6, "M"), (1e3, "k")] {
        // Below ten thousand all digits are readable.
        if step.abs() >= size.max(1e4) {
            return format!("{}{unit}", number(step / size, 5));
        }
    }
    number(step, 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_round() {
        let axis = |values: &[f64], log| Axis::new(values.iter().copied(), 5, log).ticks;
        assert_eq!(axis(&[0.0, 10.0], false), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(axis(&[0.001, 1000.0], true), [0.01, 1.0, 100.0]);
        assert_eq!(axis(&[0.2, 1.1], true), [0.2, 0.5, 1.0]);
        assert_eq!(axis(&[-1.0, 1.0], true), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!(Axis::new([f64::MAX].into_iter(), 5, true).place(f64::MAX), 0.5);
        assert_eq!(Axis::tight([0.0, 3.0].into_iter(), 6).ticks, [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.123_456_78, "0.12346"),
            (1234567.0, "1234567"),
            (1.5e-7, "1.5e-7"),
            (100.0, "100"),
            (-0.05, "-0.05"),
            (1e10, "1e10"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "−∞"),
            (0.0, "0"),
            (0.99999999, "1"),
        ] {
            assert_eq!(number(value, 5), text);
        }
        assert_eq!([short(999.0), short(5000.0), short(12_000.0), short(2.5e6)], ["999", "5000", "12k", "2.5M"]);
    }

    proptest! {
        #[test]
        fn every_axis_has_marks_and_places(values in prop::collection::vec(any::<f64>(), 0..5), log: bool) {
            let axis = Axis::new(values.iter().copied(), 5, log);
            prop_assert!(axis.ticks.len() <= 20);
            for value in values.into_iter().filter(|value| value.is_finite()) {
                let place = axis.place(value);
                prop_assert!((-0.01..=1.01).contains(&place), "{axis:?} {value} {place}");
            }
        }
    }
}
