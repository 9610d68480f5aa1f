//! What a command leaves for the steps after it and for the job's page, in each CI's own way.

use crate::app::App;
use crate::ci::{self, Outputs, Summary};
use crate::env::vars;
use crate::error::{Error, Result};
use crate::files::LARGEST_REPORT;
use crate::log::sanitize;
use crate::report::split;
use std::borrow::Cow;
use std::path::Path;

/// The names of all results.
pub const NAMES: &[(&str, &str)] = &[
    ("asset-url", "Address of the published file"),
    ("baseline", "Value of the first metric that was compared, of the ClearML task to compare with"),
    ("check-id", "Number of the check on GitHub, for --check-id of a later step"),
    ("check-url", "Address of the check"),
    ("comment-url", "Address of the comment"),
    ("instance-id", "ID of the instance that was launched"),
    ("metric", "Value of the first metric that was compared"),
    ("pr-url", "Address of the pull request"),
    ("promoted", "true if the tag is on the ClearML task now, else false"),
    ("run-url", "Address of the run that was restarted"),
    ("runner-name", "Name of the runner that was launched on an instance"),
    ("task-id", "ID of the ClearML task"),
    ("task-status", "Status of the ClearML task"),
    ("task-url", "Address of the ClearML task"),
    ("verdict", "Verdict on the metrics: better, worse, not_told_apart, not_enough_data or within_limits"),
    ("version", "Version of cml that was set up"),
];

/// Hands named results on: in the CI's own file, and in the one that `CML_DOTENV` names (a dotenv report of GitLab). A file that the CI names and that is not there, as in a container of the user's own, is a
/// warning: what the results are of was done.
pub fn set(app: &App, results: &[(&str, &str)]) -> Result<()> {
    for (name, value) in results {
        app.log.check(format!("the result {name}"), value)?;
    }
    let results = results.iter().map(|(name, value)| (*name, sanitize::one_line(value)));
    let results: Vec<(&str, Cow<'_, str>)> = results.collect();
    let own = ci::detect(app.env()).and_then(|ci| ci.outputs());
    let named = app.env().get(vars::CML_DOTENV).map(|path| Outputs::Dotenv(path.into()));
    for file in own.into_iter().chain(named) {
        let (path, written) = match &file {
            Outputs::Heredoc(path) => {
                let text: String =
                    results.iter().map(|(name, value)| heredoc(name, value, app.host.random())).collect();
                (path, app.host.append(path, text.as_bytes()))
            }
            Outputs::Dotenv(path) => (path, note(app, path, &results.iter().map(dotenv).collect::<String>())),
        };
        written.or_else(|e| unwritten(app, &format!("the step's results to {}", path.display()), e))?;
    }
    Ok(())
}

/// Adds lines `NAME=value` to a file, in place of those that have the same names: only the last of a name counts, and the file of
/// a GitLab job may have 5 KB. <https://docs.gitlab.com/administration/instance_limits/#limit-dotenv-file-size>
fn note(app: &App, path: &Path, lines: &str) -> std::io::Result<()> {
    // A job may keep the file as an artifact, and it may be a link that a stranger has committed.
    let files = app.files().map_err(|error| std::io::Error::other(error.to_string()))?;
    files.check_target(path).map_err(|refusal| std::io::Error::other(refusal.to_string()))?;
    let before = match files.named(path).and_then(|file| file.read(LARGEST_REPORT)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(), // whatever it is, appending tells
    };
    let new: Vec<_> = lines.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let stays = |line: &&str| !line.split_once('=').is_some_and(|(name, _)| new.contains(&name));
    let kept: String = before.lines().filter(stays).map(|line| format!("{line}\n")).collect();
    if kept == before {
        app.host.append(path, lines.as_bytes())
    } else {
        app.host.write(path, (kept + lines).as_bytes())
    }
}

/// `name<<delimiter` so that no value can end it and set another output.
fn heredoc(name: &str, value: &str, random: u64) -> String {
    format!("{name}<<cml-{random:016x}\n{value}\ncml-{random:016x}\n")
}

/// Returns a line `NAME=value`.
fn dotenv((name, value): &(&str, Cow<'_, str>)) -> String {
    format!("{}={value}\n", name.replace('-', "_").to_ascii_uppercase())
}

/// Returns whether the job's page takes a report.
pub fn has_summary(app: &App) -> bool {
    ci::detect(app.env()).is_some_and(|ci| ci.summary().is_some())
}

/// Adds the report to the job's page, cut to what it takes.
pub fn summary(app: &App, report: &str) -> Result<()> {
    let Some(Summary { file, limit }) = ci::detect(app.env()).and_then(|ci| ci.summary()) else { return Ok(()) };
    app.log.check("the report", report)?;
    let path = file.as_path();
    let used = app.host.stat(path).map_or(0, |stat| stat.len);
    let room = usize::try_from(limit.saturating_sub(used + 2)).unwrap_or(usize::MAX);
    let note = "*The report was cut here: it is too long for a job summary.*";
    let text = if report.len() <= room { report.to_owned() } else { cut(report, room, note) };
    if text.len() > room {
        app.log.warn("the job summary is full; the report was not added");
        return Ok(());
    }
    let written = app.host.append(path, format!("{text}\n\n").as_bytes());
    written.or_else(|e| unwritten(app, &format!("the job summary to {}", path.display()), e))
}

/// Warns of a file of the CI's that is not there; fails where it is and cannot be written.
fn unwritten(app: &App, what: &str, error: std::io::Error) -> Result<()> {
    let text = format!("cannot write {what} ({error})");
    if error.kind() != std::io::ErrorKind::NotFound {
        return Err(Error::config(text));
    }
    app.log.warn_of(&text, Some("in a container that you start yourself, mount the folder of the CI's files"));
    Ok(())
}

/// Returns the report cut to so many bytes, where there is room for more than the note.
fn cut(report: &str, room: usize, note: &str) -> String {
    let units = split::length(&report[..report.floor_char_boundary(room)]);
    let text = split::truncate(report, units.max(2 * note.len()), note);
    if text.len() <= room {
        text
    } else {
        // Definitions that are repeated at the end can have more bytes than what they replace, three a unit.
        split::truncate(report, (room / 3).max(2 * note.len()), note)
    }
}
