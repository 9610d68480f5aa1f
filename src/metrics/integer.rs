//! Whole numbers of any size, as decimal digits: they are read, compared, subtracted and written.

use std::cmp::Ordering;
use std::fmt;

/// A whole number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integer {
    is_negative: bool,
    /// Decimal digits, the highest first; none for 0.
    digits: Vec<u8>,
}

impl Integer {
    /// Parses digits in base 2, 8, 10 or 16, with an optional sign. `None` if there is anything else, or nothing.
    pub fn parse(text: &str, base: u32) -> Option<Self> {
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let values =
            rest.chars().map(|c| c.to_digit(base)).collect::<Option<Vec<u32>>>().filter(|all| !all.is_empty())?;
        let digits = if base == 10 {
            values.iter().map(|value| *value as u8).collect()
        } else {
            values.iter().fold(Vec::new(), |digits, value| times_plus(digits, base, *value))
        };
        Some(Integer { is_negative, digits }.trimmed())
    }

    fn trimmed(mut self) -> Self {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        self.is_negative &= !self.digits.is_empty();
        self
    }

    /// Returns the difference to another.
    pub fn minus(&self, other: &Integer) -> Integer {
        let other = Integer { is_negative: !other.is_negative, digits: other.digits.clone() };
        if self.is_negative == other.is_negative {
            let digits = add(&self.digits, &other.digits);
            return Integer { is_negative: self.is_negative, digits }.trimmed();
        }
        let (larger, smaller) =
            if compare(&self.digits, &other.digits) == Ordering::Less { (&other, self) } else { (self, &other) };
        Integer { is_negative: larger.is_negative, digits: subtract(&larger.digits, &smaller.digits) }.trimmed()
    }

    /// Returns the nearest floating-point number; infinity beyond the largest.
    pub fn to_f64(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Compares it with a floating-point number without rounding; `None` for NaN.
    pub fn compare_to_f64(&self, number: f64) -> Option<Ordering> {
        if number.is_nan() {
            return None;
        }
        if number.is_infinite() {
            return Some(if number > 0.0 { Ordering::Less } else { Ordering::Greater });
        }
        let whole = Integer::parse(&format!("{:.0}", number.trunc()), 10)?;
        let order = self.signed_compare(&whole);
        // Equal up to the fraction, which decides.
        Some(order.then(0.0.partial_cmp(&number.fract()).unwrap_or(Ordering::Equal)))
    }

    fn signed_compare(&self, other: &Integer) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => compare(&self.digits, &other.digits),
            (true, true) => compare(&other.digits, &self.digits),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl From<i64> for Integer {
    fn from(number: i64) -> Self {
        let digits = number.unsigned_abs().to_string().bytes().map(|byte| byte - b'0').collect();
        Integer { is_negative: number < 0, digits }.trimmed()
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        write!(f, "{}{digits}", if self.is_negative { "-" } else { "" })
    }
}

fn compare(one: &[u8], two: &[u8]) -> Ordering {
    one.len().cmp(&two.len()).then_with(|| one.cmp(two))
}

fn add(one: &[u8], two: &[u8]) -> Vec<u8> {
    let (mut sum, mut carry) = (Vec::new(), 0);
    let (mut one, mut two) = (one.iter().rev(), two.iter().rev());
    loop {
        let (a, b) = (one.next(), two.next());
        if a.is_none() && b.is_none() {
            break;
        }
        let digit = a.unwrap_or(&0) + b.unwrap_or(&0) + carry;
        sum.push(digit % 10);
        carry = digit / 10;
    }
    sum.push(carry);
    sum.reverse();
    sum
}

/// Returns the difference to a number that is not larger.
fn subtract(larger: &[u8], smaller: &[u8]) -> Vec<u8> {
    let (mut difference, mut borrow) = (Vec::new(), 0);
    let mut smaller = smaller.iter().rev();
    for digit in larger.iter().rev() {
        let take = smaller.next().unwrap_or(&0) + borrow;
        borrow = u8::from(*digit < take);
        difference.push(digit + 10 * borrow - take);
    }
    difference.reverse();
    difference
}

/// Returns a number times a factor plus a summand.
fn times_plus(digits: Vec<u8>, factor: u32, summand: u32) -> Vec<u8> {
    let (mut product, mut carry) = (Vec::new(), summand);
    for digit in digits.iter().rev() {
        let value = u32::from(*digit) * factor + carry;
        product.push((value % 10) as u8);
        carry = value / 10;
    }
    while carry > 0 {
        product.push((carry % 10) as u8);
        carry /= 10;
    }
    product.reverse();
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Integer {
        Integer::parse(text, 10).unwrap()
    }

    #[test]
    fn digits_are_read_in_every_base() {
        for (text, base, expected) in [
            ("-0", 10, "0"),
            ("+007", 10, "7"),
            ("ff", 16, "255"),
            ("-777", 8, "-511"),
            ("101", 2, "5"),
            ("ffffffffffffffffffffffffffffffffff", 16, "87112285931760246646623899502532662132735"),
        ] {
            assert_eq!(Integer::parse(text, base).unwrap().to_string(), expected);
        }
        for text in ["", "-", "1_0", "12a", "--1"] {
            assert_eq!(Integer::parse(text, 10), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_compared_without_rounding() {
        assert_eq!(of("9007199254740993").compare_to_f64(9_007_199_254_740_992.0), Some(Ordering::Greater));
        assert_eq!(of("-1").compare_to_f64(-1.5), Some(Ordering::Greater));
        assert_eq!(of("0").compare_to_f64(0.5), Some(Ordering::Less));
        assert_eq!(of("1").compare_to_f64(f64::INFINITY), Some(Ordering::Less));
        assert_eq!(of("1").compare_to_f64(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn differences_are_those_of_machine_numbers(a in any::<i64>(), b in any::<i64>()) {
            let difference = Integer::from(a).minus(&Integer::from(b));
            prop_assert_eq!(difference.to_string(), (i128::from(a) - i128::from(b)).to_string());
            prop_assert_eq!(Integer::from(a).to_f64(), a as f64);
            prop_assert_eq!(Integer::parse(&format!("{:x}", a.unsigned_abs()), 16).unwrap().to_string(), a.unsigned_abs().to_string());
            prop_assert_eq!(Integer::from(a).compare_to_f64(b as f64) == Some(Ordering::Equal), i128::from(a) == (b as f64) as i128);
        }
    }
}
