//! Examples and tests that passed before and fail now, and the other way round.

use super::samples::{Groups, Measured};
use super::verdict::Outcome;
use crate::charts;
use crate::messages::count;
use crate::metrics::gate::Judgement;
use crate::report::escape::escape;
use crate::report::plain::{shorten, without_mentions};
use std::collections::BTreeSet;
use std::fmt::Write;

/// So many examples of a metric are shown.
const MAX_SHOWN: usize = 50;
/// So many letters of the name of one, and of why it fails, are shown.
const MAX_LETTERS: usize = 200;

/// Returns the examples of judged metrics that flipped, in Markdown; empty if there are none.
pub fn markdown(outcome: &Outcome<'_>) -> String {
    let (mut text, mut seen) = (String::new(), BTreeSet::new());
    for judgement in &outcome.judgements {
        let both = of(outcome.before, judgement).zip(of(outcome.now, judgement));
        if let Some((old, new)) = both.filter(|_| seen.insert((&judgement.file, &judgement.name))) {
            text.extend(section(&judgement.name, old, new, outcome.context.has_details));
        }
    }
    text
}

fn of<'g>(groups: &'g Groups, judgement: &Judgement) -> Option<&'g Measured> {
    groups.get(&judgement.file)?.get(&judgement.name)
}

fn section(name: &str, old: &Measured, new: &Measured, has_details: bool) -> Option<String> {
    let flipped = |passes: bool| -> Vec<&String> {
        let side = new.sample.examples.iter().filter(|(_, now)| **now == passes);
        side.filter(|(id, _)| old.sample.examples.get(*id) == Some(&!passes)).map(|(id, _)| id).collect()
    };
    let (broken, mended) = (flipped(false), flipped(true));
    let number = broken.len() + mended.len();
    if number == 0 {
        return None;
    }
    let of_them = |side: &[&String], one: &str, several: &str| match side.len() {
        0 => None,
        1 => Some(format!("1 {one} now")),
        many => Some(format!("{many} {several} now")),
    };
    let parts = [of_them(&broken, "fails", "fail"), of_them(&mended, "passes", "pass")];
    let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut lines = String::new();
    let each = broken.iter().map(|id| ('✘', *id)).chain(mended.iter().map(|id| ('✔', *id)));
    for (symbol, id) in each.take(MAX_SHOWN) {
        let shown = |text: &str| escape(&shorten(text, MAX_LETTERS));
        let why = new.failures.get(id).filter(|why| !why.is_empty());
        let why = why.map(|why| format!(": {}", shown(why))).unwrap_or_default();
        let _ = writeln!(lines, "- {symbol} {}{why}", shown(id));
    }
    if number > MAX_SHOWN {
        let _ = writeln!(lines, "- and {} more", number - MAX_SHOWN);
    }
    let title = format!("{} of {name} flipped: {parts}", count(number, "example"));
    Some(if has_details {
        // A summary is HTML.
        let title = charts::escape(&without_mentions(&title));
        format!("\n<details><summary>{title}</summary>\n\n{lines}\n</details>\n")
    } else {
        format!("\n{}\n\n{lines}", escape(&title))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(examples: &[(&str, Option<&str>)]) -> Measured {
        let mut measured = Measured::default();
        for (id, failure) in examples {
            measured.sample.examples.insert((*id).to_owned(), failure.is_none());
            measured.failures.extend(failure.map(|why| ((*id).to_owned(), why.to_owned())));
        }
        measured
    }

    #[test]
    fn what_fails_now_goes_first() {
        let old = measured(&[("a", Some("x")), ("b", None), ("c", None), ("gone", None), ("z", Some("same"))]);
        let new = measured(&[
            ("a", None),
            ("b", Some("1 < 2 @ada\n\n# x")),
            ("c", Some("")),
            ("new", Some("x")),
            ("z", Some("same")),
        ]);
        let lines = "- ✘ b: 1 \\< 2 \\@\u{200b}ada  \\# x\n- ✘ c\n- ✔ a\n";
        let text = section("a<b", &old, &new, true).unwrap();
        let title = "<details><summary>3 examples of a&lt;b flipped: 2 fail now, 1 passes now</summary>";
        assert_eq!(text, format!("\n{title}\n\n{lines}\n</details>\n"));
        let text = section("a<b", &old, &new, false).unwrap();
        assert_eq!(text, format!("\n3 examples of a\\<b flipped: 2 fail now, 1 passes now\n\n{lines}"));
        assert_eq!(section("a", &new, &new, true), None);
    }

    #[test]
    fn only_some_of_many_are_shown() {
        let names: Vec<String> = (100..160).map(|at| format!("{at}{}", "x".repeat(300))).collect();
        let side = |failure| measured(&names.iter().map(|name| (name.as_str(), failure)).collect::<Vec<_>>());
        let text = section("a", &side(None), &side(Some("why")), true).unwrap();
        assert!(text.contains("flipped: 60 fail now</summary>") && text.contains("x…: why\n- and 10 more\n"), "{text}");
        assert_eq!(text.matches('✘').count(), 50);
    }
}
