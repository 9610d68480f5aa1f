//! The table of verdicts, and differences as people read them.

use super::super::python::significant;
use super::{Judgement, Verdict};
use crate::report::escape::escape;

/// So many digits of a value are shown.
pub const DIGITS: usize = 5;
/// What stands for a value that is not there.
const NOTHING: &str = "–";

/// Returns the table. It has the files if there are several, and intervals and the history if there are any.
pub fn markdown(judgements: &[Judgement]) -> String {
    let has_files = judgements.iter().any(|judgement| judgement.file != judgements[0].file);
    let has_intervals = judgements.iter().any(|judgement| interval(judgement).is_some());
    let has_trends = judgements.iter().any(|judgement| judgement.trend.is_some());
    let columns = [
        (has_files, "File", "---"),
        (true, "Metric", "---"),
        (true, "Value", "--:"),
        (true, "Baseline", "--:"),
        (true, "Δ", "--:"),
        (has_intervals, "95 %", "--:"),
        (true, "Δ %", "--:"),
        (has_trends, "History", "---"),
        (true, "Rule", "---"),
        (true, "Verdict", "---"),
    ];
    let row = |cells: [&str; 10]| {
        let shown = cells.iter().zip(&columns).filter(|(_, (is_shown, ..))| *is_shown);
        format!("| {} |\n", shown.map(|(cell, _)| *cell).collect::<Vec<_>>().join(" | "))
    };
    let mut text = row(columns.map(|(_, title, _)| title)) + &row(columns.map(|(.., line)| line));
    for judgement in judgements {
        let Judgement { file, name, value, baseline, rule, verdict, .. } = judgement;
        let before = baseline.map_or_else(|| NOTHING.to_owned(), |baseline| significant(baseline, DIGITS));
        let accepted = judgement.accepted_by.as_ref().map(|by| format!(", accepted by {}", escape(by)));
        text += &row([
            &escape(file),
            &escape(name),
            &significant(*value, DIGITS),
            &before,
            &format!("{}{}", arrow(judgement), difference(Some(*value), *baseline)),
            &interval(judgement).unwrap_or_else(|| NOTHING.to_owned()),
            &percent(Some(*value), *baseline),
            judgement.trend.as_deref().unwrap_or(NOTHING),
            &escape(&rule.to_string()),
            &format!("{} {}{}", symbol(judgement), verdict.name().replace('_', " "), accepted.unwrap_or_default()),
        ]);
    }
    text
}

/// Returns ▲ for a value that is better than the baseline, and ▼ for one that is worse, whatever its direction.
fn arrow(judgement: &Judgement) -> &'static str {
    let gain = judgement.rule.goal.zip(judgement.baseline);
    match gain.map_or(0.0, |(goal, baseline)| goal.gain(judgement.value, baseline)) {
        gain if gain > 0.0 => "▲ ",
        gain if gain < 0.0 => "▼ ",
        _ => "",
    }
}

/// Returns the interval of the difference.
fn interval(judgement: &Judgement) -> Option<String> {
    let (low, high) = judgement.comparison?.interval?;
    Some(format!("{} … {}", signed(low, 3), signed(high, 3)))
}

/// Returns the symbol of a verdict.
fn symbol(judgement: &Judgement) -> char {
    match judgement.verdict {
        Verdict::Better | Verdict::WithinLimits => '✔',
        Verdict::Worse if !judgement.is_failure() => '⚠',
        Verdict::Worse => '✘',
        Verdict::NotToldApart => '≈',
        Verdict::NotEnoughData => '?',
    }
}

/// Returns the difference to the baseline, with its sign.
pub fn difference(value: Option<f64>, baseline: Option<f64>) -> String {
    value.zip(baseline).map_or_else(|| NOTHING.to_owned(), |(value, baseline)| signed(value - baseline, DIGITS))
}

/// Returns the difference in parts of a hundred of the baseline's size, with its sign.
pub fn percent(value: Option<f64>, baseline: Option<f64>) -> String {
    let share = value.zip(baseline).map(|(value, baseline)| 100.0 * (value - baseline) / baseline.abs());
    let share = share.filter(|share| share.is_finite());
    share.map_or_else(|| NOTHING.to_owned(), |share| format!("{} %", signed(share, 3)))
}

fn signed(value: f64, digits: usize) -> String {
    let text = significant(value.abs(), digits);
    if text == "0" { text } else { format!("{}{text}", if value < 0.0 { '-' } else { '+' }) }
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::*;

    #[test]
    fn differences_are_of_the_size_of_the_baseline() {
        assert_eq!(percent(Some(-1.5), Some(-1.0)), "-50 %");
        assert_eq!(percent(Some(0.95), Some(0.9)), "+5.56 %");
        assert_eq!(percent(Some(1.0), Some(0.0)), "–");
        assert_eq!(difference(Some(0.5), Some(0.75)), "-0.25");
        assert_eq!(difference(Some(1.0), Some(1.0)), "0");
        assert_eq!(difference(None, Some(1.0)), "–");
    }

    #[test]
    fn rows_have_verdicts() {
        let judged = |rule: &str, value, baseline| {
            let rule: Rule = rule.parse().unwrap();
            Judgement::new(rule.name.clone(), value, baseline, rule)
        };
        let rows = [
            judged("a|b: higher, drop 2%", 0.95, Some(0.9)),
            judged("loss: lower, warn", 2.0, Some(1.0)),
            judged("x >= 3", 2.0, None),
            judged("n: higher", 1e-7, None),
        ];
        let expected = "| a\\|b | 0.95 | 0.9 | ▲ +0.05 | +5.56 % | higher, drop 2% | ✔ better |\n\
                        | loss | 2 | 1 | ▼ +1 | +100 % | lower, warn | ⚠ worse |\n\
                        | x | 2 | – | – | – | min 3 | ✘ worse |\n\
                        | n | 1e-07 | – | – | – | higher | ? not enough data |\n";
        assert_eq!(markdown(&rows).split_once("--- |\n").unwrap().1, expected);
        let mut rows = rows[..2].to_vec();
        rows[1].trend = Some("▁▂█".to_owned());
        let expected = "| a\\|b | 0.95 | 0.9 | ▲ +0.05 | +5.56 % | – | higher, drop 2% | ✔ better |\n\
                        | loss | 2 | 1 | ▼ +1 | +100 % | ▁▂█ | lower, warn | ⚠ worse |\n";
        assert!(
            markdown(&rows).ends_with(expected) && markdown(&rows).contains(" | Δ % | History | "),
            "{}",
            markdown(&rows)
        );
    }
}
