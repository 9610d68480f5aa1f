//! What a plain scalar is, by the expressions of ruamel.yaml for YAML 1.2: more than the standard's core schema, such as `1_000`.

use super::Value;
use crate::metrics::Integer;

/// Returns the value of a scalar without quotation marks or tag.
///
/// # Errors
/// It has the form of a number and is none, such as `0x_`.
pub fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(Value::Null),
        "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
        _ if is_float(text) => float(text),
        _ if is_integer(text) => integer(text),
        _ => Ok(Value::Text(text.to_owned())),
    }
}

/// Returns what `!!bool` makes of a text.
pub fn bool_of_tag(text: &str) -> Result<Value, String> {
    match text.to_lowercase().as_str() {
        "yes" | "y" | "true" | "on" => Ok(Value::Bool(true)),
        "no" | "n" | "false" | "off" => Ok(Value::Bool(false)),
        _ => Err(format!("{text} is not true or false")),
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn is_digits(text: &str, is_digit: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'_' || is_digit(byte))
}

fn is_integer(text: &str) -> bool {
    let rest = unsigned(text);
    let has_base = |prefix: &str, base: u32| {
        rest.strip_prefix(prefix).is_some_and(|digits| is_digits(digits, |byte| char::from(byte).is_digit(base)))
    };
    let begins = text.starts_with(|c: char| c.is_ascii_digit()) || rest.len() < text.len();
    begins
        && (is_digits(rest, |byte| byte.is_ascii_digit())
            || has_base("0b", 2)
            || has_base("0o", 8)
            || has_base("0x", 16))
}

/// Returns the whole number that a text is.
pub fn integer(text: &str) -> Result<Value, String> {
    let text_ = text.replace('_', "");
    let rest = unsigned(&text_);
    let bases = [("0b", 2), ("0x", 16), ("0o", 8)];
    let (digits, base) =
        bases.iter().find_map(|(prefix, base)| Some((rest.strip_prefix(prefix)?, *base))).unwrap_or((rest, 10));
    let sign = if text_.starts_with('-') { "-" } else { "" };
    let found = Integer::parse(&format!("{sign}{digits}"), base).filter(|_| !digits.starts_with(['-', '+']));
    found.map(Value::Int).ok_or_else(|| format!("{text} is not a number"))
}

fn is_float(text: &str) -> bool {
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let rest = unsigned(text);
    if matches!(rest, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let is_exponent = |text: &str, must_have_sign: bool| {
        let digits = unsigned(text);
        let has_sign = digits.len() < text.len();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && (has_sign || !must_have_sign)
    };
    let is_digit = |byte: u8| byte.is_ascii_digit();
    match mantissa.split_once('.') {
        // `.5e3` is a text, `.5e+3` a number.
        Some(("", fraction)) => is_digits(fraction, is_digit) && exponent.is_none_or(|text| is_exponent(text, true)),
        Some((whole, fraction)) => {
            whole.starts_with(|c: char| c.is_ascii_digit())
                && is_digits(whole, is_digit)
                && (fraction.is_empty() || is_digits(fraction, is_digit))
                && exponent.is_none_or(|text| is_exponent(text, false))
        }
        None => {
            mantissa.starts_with(|c: char| c.is_ascii_digit())
                && is_digits(mantissa, is_digit)
                && exponent.is_some_and(|text| is_exponent(text, false))
        }
    }
}

/// Returns the floating-point number that a text is.
pub fn float(text: &str) -> Result<Value, String> {
    let lower = text.replace('_', "").to_lowercase();
    let rest = unsigned(&lower);
    let number = match rest {
        ".inf" => Some(f64::INFINITY),
        ".nan" => Some(f64::NAN),
        rest => rest.parse().ok().filter(|_| !rest.starts_with(['-', '+'])),
    };
    let sign = if lower.starts_with('-') && rest != ".nan" { -1.0 } else { 1.0 };
    number.map(|number: f64| Value::Float(sign * number)).ok_or_else(|| format!("{text} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_decide() {
        for (text, expected) in [
            ("1", "1"),
            ("-0", "0"),
            ("+1_000", "1000"),
            ("017", "17"),
            ("0o17", "15"),
            ("0b101", "5"),
            ("-0xff", "-255"),
            ("0XFF", "'0XFF'"),
            ("1e5", "100000.0"),
            ("1e-300", "1e-300"),
            ("1.", "1.0"),
            ("-1_0.5_0E+2", "-1050.0"),
            (".5", "0.5"),
            (".5e3", "'.5e3'"),
            (".5e+3", "500.0"),
            ("e5", "'e5'"),
            ("1e", "'1e'"),
            ("1.5e", "'1.5e'"),
            (".", "'.'"),
            ("-", "'-'"),
            ("_1", "'_1'"),
            ("-.inf", "-inf"),
            ("+.INF", "inf"),
            (".iNf", "'.iNf'"),
            (".NaN", "nan"),
            ("inf", "'inf'"),
            ("nan", "'nan'"),
            ("tRUE", "'tRUE'"),
            ("12:30:45", "'12:30:45'"),
            ("1.2.3", "'1.2.3'"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            assert_eq!(plain(text).unwrap().repr(), expected, "{text}");
        }
        for text in ["0x_", "._", "-_"] {
            assert!(plain(text).is_err(), "{text}");
        }
    }
}
