//! Numbers and texts as Python writes them.

/// Returns a number as `repr(float)` writes it: as few digits as tell it from every other, an exponent from 1e16 on and below 1e-4.
/// <https://docs.python.org/3/library/functions.html#repr>
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let shortest = format!("{number:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..16).contains(&exponent) {
        let fixed = number.to_string();
        return if fixed.contains('.') { fixed } else { fixed + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Returns a number rounded to decimals, as `round(number, decimals)` does.
pub fn round(number: f64, decimals: usize) -> f64 {
    // No floating-point number has more.
    if !number.is_finite() || decimals > 323 {
        return number;
    }
    format!("{number:.decimals$}").parse().unwrap_or(number)
}

/// Returns a number with significant digits, as `format(number, ".5g")` does.
pub fn significant(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        return float(number);
    }
    let digits = digits.max(1);
    let rounded = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let trim = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    match usize::try_from(exponent) {
        Ok(above) if above < digits => trim(&format!("{number:.*}", digits - 1 - above)),
        Err(_) if exponent >= -4 => trim(&format!("{number:.*}", digits - 1 + exponent.unsigned_abs() as usize)),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
        }
    }
}

/// Returns a text as `repr(str)` writes it.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&match u32::from(c) {
                code @ 0..=0xff => format!("\\x{code:02x}"),
                code @ 0x100..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
    out
}

/// Returns whether a character is printable in the sense of `str.isprintable`.
fn is_printable(c: char) -> bool {
    // Combining characters are escaped only where they are the first.
    !format!("a{c}").escape_debug().to_string().contains("\\u{") && !matches!(c, '\0'..='\x1f' | '\x7f')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (number, expected) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e-300, "1e-300"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(float(number), expected);
        }
    }

    #[test]
    fn rounding_is_that_of_the_exact_value() {
        for (number, decimals, expected) in
            [(2.675, 2, 2.67), (0.5, 0, 0.0), (1.5, 0, 2.0), (1.2e-7, 5, 0.0), (-1e-9, 5, -0.0), (1e300, 5, 1e300)]
        {
            assert_eq!(round(number, decimals).to_bits(), f64::to_bits(expected), "{number}");
        }
        assert!(round(f64::NAN, 5).is_nan() && round(f64::INFINITY, 5).is_infinite());
    }

    #[test]
    fn significant_digits_are_those_of_the_format_g() {
        for (number, expected) in [
            (1e-7, "1e-07"),
            (0.912_345_6, "0.91235"),
            (123_456.7, "1.2346e+05"),
            (99_999.6, "1e+05"),
            (12_345.0, "12345"),
            (0.5, "0.5"),
            (-0.000_123_456, "-0.00012346"),
            (0.000_012_3, "1.23e-05"),
            (0.0, "0"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(significant(number, 5), expected);
        }
    }

    #[test]
    fn texts_are_quoted_as_python_does() {
        for (text, expected) in [
            ("a", "'a'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("a\\\n\t\r", "'a\\\\\\n\\t\\r'"),
            ("\0\u{7f}\u{85}\u{a0}\u{ad}", "'\\x00\\x7f\\x85\\xa0\\xad'"),
            ("精e\u{301}😀", "'精e\u{301}😀'"),
            ("\u{200b}\u{e000}\u{10ffff}", "'\\u200b\\ue000\\U0010ffff'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_the_same_number(number in any::<f64>()) {
            let read: f64 = float(number).parse().unwrap();
            prop_assert!(read == number || number.is_nan());
        }
    }
}
