//! JUnit's XML, as test runners write it: <https://github.com/testmoapp/junitxml>.

use super::{Example, Goal, Measure, PASS_RATE};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// A test that is being read.
#[derive(Default)]
struct Case {
    id: String,
    failure: Option<String>,
    /// Whether the text that follows is that of the failure.
    is_in_failure: bool,
    is_skipped: bool,
}

/// Reads the share of tests that passed, without those that were skipped, and the time that they took.
pub fn read(xml: &str) -> Result<Vec<Measure>, String> {
    let mut reader = Reader::from_str(xml);
    let wrong = |at: u64, what: &str| {
        let before = xml.get(..at as usize).unwrap_or(xml);
        format!("{what} at line {}", before.matches('\n').count() + 1)
    };
    let (mut examples, mut seconds) = (Vec::new(), 0.0);
    let (mut case, mut is_suite) = (None, false);
    loop {
        let event = reader.read_event().map_err(|error| wrong(reader.error_position(), &error.to_string()))?;
        let at = reader.buffer_position();
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Eof if !is_suite => return Err("there is no <testsuite>".to_owned()),
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) => match (tag.local_name().as_ref(), case.as_mut()) {
                (b"testsuite" | b"testsuites", _) => is_suite = true,
                (b"testcase", _) => {
                    let read = |name: &str| attribute(&tag, name).map_err(|what| wrong(at, &what));
                    let id = [read("classname")?, read("name")?].into_iter().flatten().filter(|part| !part.is_empty());
                    seconds += read("time")?.and_then(|time| time.replace(',', "").parse().ok()).unwrap_or(0.0);
                    let id = id.collect::<Vec<_>>().join("::");
                    case = Some(Case { id, ..Case::default() });
                    if is_empty {
                        finish(case.take(), &mut examples);
                    }
                }
                (b"failure" | b"error", Some(case)) => {
                    let message = attribute(&tag, "message").map_err(|what| wrong(at, &what))?;
                    case.failure.get_or_insert(message.unwrap_or_default());
                    case.is_in_failure = !is_empty;
                }
                (b"skipped", Some(case)) => case.is_skipped = true,
                _ => {}
            },
            // Without a message, what comes first in the element says it.
            Event::Text(text) => {
                if let Some(case) = case.as_mut().filter(|case| case.is_in_failure)
                    && let Some(failure) = case.failure.as_mut().filter(|failure| failure.is_empty())
                {
                    let text = text.decode().map_err(|error| wrong(at, &error.to_string()))?;
                    *failure = text.trim().lines().next().unwrap_or_default().to_owned();
                }
            }
            Event::End(tag) if tag.local_name().as_ref() == b"testcase" => finish(case.take(), &mut examples),
            _ => {}
        }
    }
    let duration = Measure::new("duration", seconds).with_goal(Goal::Lower).with_unit("s");
    Ok(Measure::pass_rate(PASS_RATE.to_owned(), examples).into_iter().chain([duration]).collect())
}

fn finish(case: Option<Case>, examples: &mut Vec<Example>) {
    let case = case.filter(|case| !case.is_skipped);
    examples.extend(case.map(|case| Example::new(case.id, case.failure.is_none(), &case.failure.unwrap_or_default())));
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = tag.try_get_attribute(name).map_err(|error| error.to_string())?;
    let value = found.map(|found| found.normalized_value(XmlVersion::Implicit1_0).map(|value| value.into_owned()));
    value.transpose().map_err(|error| error.to_string())
}
