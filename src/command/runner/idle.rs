//! `--idle-timeout`: seconds, `never`, or a duration such as `5 minutes` and `1h30m`, as CML read them.

use crate::error::Error;
use std::str::FromStr;
use std::time::Duration;

/// The time without a job after which a runner ends; `None` for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle(pub Option<Duration>);

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// The units of CML's parser, timestring: its year has 365.25 days, its month a twelfth of that.
const UNITS: &[(&[&str], f64)] = &[
    (&["ms", "milli", "millisecond", "milliseconds"], 0.001),
    (&["s", "sec", "secs", "second", "seconds"], 1.0),
    (&["m", "min", "mins", "minute", "minutes"], MINUTE),
    (&["h", "hr", "hrs", "hour", "hours"], HOUR),
    (&["d", "day", "days"], DAY),
    (&["w", "week", "weeks"], 7.0 * DAY),
    (&["mon", "mth", "mths", "month", "months"], 365.25 / 12.0 * DAY),
    (&["y", "yr", "yrs", "year", "years"], 365.25 * DAY),
];

impl FromStr for Idle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse_duration(text).map(Idle).ok_or_else(|| {
            Error::usage(format!("--idle-timeout {text} is not a duration"))
                .hint("give seconds, a duration such as \"5 minutes\" or 1h30m, or never")
        })
    }
}

/// Parses a duration of at least a second; the inner `None` means never, the outer one that it is not a duration.
pub fn parse_duration(text: &str) -> Option<Option<Duration>> {
    let words = text.trim().to_ascii_lowercase();
    if words == "never" {
        return Some(None);
    }
    let time = match words.parse::<i64>() {
        Ok(seconds) if seconds <= 0 => return Some(None),
        Ok(seconds) => Duration::from_secs(seconds.unsigned_abs()),
        Err(_) => parse_units(&words)?,
    };
    (time >= Duration::from_secs(1)).then_some(Some(time))
}

/// Adds up numbers with units.
fn parse_units(words: &str) -> Option<Duration> {
    let text: String = words.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
    let (mut rest, mut sum) = (text.as_str(), 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, seconds) = UNITS.iter().find(|(names, _)| names.contains(&unit))?;
        sum += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    Duration::try_from_secs_f64(sum).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_cml() {
        for (text, seconds) in [
            ("5 minutes", Some(300)),
            ("300", Some(300)),
            ("1h30m", Some(5400)),
            ("1 hour, 30 mins", Some(5400)),
            ("1.5h", Some(5400)),
            ("2 Days", Some(172_800)),
            ("1w", Some(604_800)),
            ("1 month", Some(2_629_800)),
            ("1y", Some(31_557_600)),
            ("-1", None),
            ("0", None),
            ("never", None),
        ] {
            assert_eq!(text.parse::<Idle>().unwrap(), Idle(seconds.map(Duration::from_secs)), "{text}");
        }
        for text in ["", "soon", "5 parsecs", "m", "-5 minutes", "1..5h", "5m!", "99999999999999999999 years", "1ms"] {
            let error = text.parse::<Idle>().unwrap_err();
            assert_eq!(error.to_string(), format!("--idle-timeout {text} is not a duration"));
        }
    }
}
