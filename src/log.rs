//! What the program tells people while it works: lines on standard error, with every secret blotted out.

use crate::env::Secret;
use crate::error::{Error, Result};
use crate::host::{Host, Stream};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;

pub mod colours;
mod finder;
pub mod sanitize;
mod secrets;
mod verbosity;
pub use secrets::Leak;
use secrets::Secrets;
pub use verbosity::Verbosity;

/// A level of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Errors only.
    Error,
    /// Also warnings.
    Warn,
    /// Also progress.
    Info,
    /// Also every request.
    Debug,
}

impl Level {
    /// As `--log` and lines of JSON have it.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }

    const fn help(self) -> &'static str {
        match self {
            Level::Error => "Errors only",
            Level::Warn => "Also warnings",
            Level::Info => "Also progress",
            Level::Debug => "Also every request",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug => "debug: ",
        }
    }
}

/// How lines look.
#[derive(Clone, Copy)]
pub enum Style {
    /// For a shell.
    Plain,
    /// As a step that its CI understands: warnings and errors are annotations of the run, secrets are masked in all of its log.
    Commands(&'static Commands),
}

impl Style {
    /// Returns whether the lines are for a shell.
    pub fn is_plain(self) -> bool {
        matches!(self, Style::Plain)
    }
}

/// The commands that a CI reads from the standard output of a step.
pub struct Commands {
    /// Returns the command that makes an annotation of the run.
    pub annotate: fn(&Annotation<'_>) -> String,
    /// Returns the command that hides a value in the log of the whole job.
    pub mask: fn(&str) -> String,
}

/// A warning or an error of the run.
pub struct Annotation<'a> {
    /// Which of them.
    pub level: Level,
    /// The file and line that it is about.
    pub place: Option<(&'a str, usize)>,
    /// What it says.
    pub text: &'a str,
}

/// One thing told. As JSON its keys are in the order of the alphabet, as CML's were.
#[derive(Clone, Copy, Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(serialize_with = "name")]
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    message: &'a str,
}

fn name<S: serde::Serializer>(level: &Level, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(level.name())
}

impl<'a> Entry<'a> {
    fn new(level: Level, message: &'a str) -> Self {
        Entry { file: None, hint: None, kind: None, level, line: None, message }
    }
}

/// The log: cheap to clone, all clones share the secrets.
#[derive(Clone)]
pub struct Log {
    host: Rc<dyn Host>,
    verbosity: Verbosity,
    style: Style,
    /// Whether a line that replaces itself is on the screen.
    progress: Rc<Cell<bool>>,
    secrets: Rc<RefCell<Secrets>>,
}

impl Log {
    /// Returns a log on the host's standard error.
    pub fn new(host: Rc<dyn Host>, verbosity: impl Into<Verbosity>) -> Self {
        let verbosity = verbosity.into();
        Log { host, verbosity, style: Style::Plain, progress: Rc::default(), secrets: Rc::default() }
    }

    /// Returns the same log with other looks.
    #[must_use]
    pub fn style(self, style: Style) -> Self {
        Log { style, ..self }
    }

    /// Hides a value that `name`, a variable or option, holds: every line has it blotted out from now on, and
    /// [`Log::check`] refuses it.
    pub fn hide(&self, name: &str, secret: &Secret) {
        for form in self.secrets.borrow_mut().add(name, secret.expose()) {
            if let Style::Commands(commands) = self.style {
                let _ = self.host.out((commands.mask)(&form).as_bytes());
            }
        }
    }

    /// Hides the secrets of the environment in what is told here; what else the job prints is not ours to mask.
    pub fn hide_environment(&self) {
        for (name, secret) in crate::env::secrets(self.host.env()) {
            self.secrets.borrow_mut().add(&name, secret.expose());
        }
    }

    /// Returns the text without secrets, and without the credentials in addresses.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.borrow().redact(&without_credentials(text))
    }

    /// Finds a secret in what is going to be published.
    pub fn leak(&self, text: impl AsRef<[u8]>) -> Option<Leak> {
        self.secrets.borrow().leak(text.as_ref())
    }

    /// Refuses a text with a secret before it is published. `place` names the text.
    pub fn check(&self, place: impl std::fmt::Display, text: impl AsRef<[u8]>) -> Result<()> {
        match self.leak(text) {
            Some(leak) => Err(leak.error(place)),
            None => Ok(()),
        }
    }

    /// Returns the text for standard output, where it is not ours alone: without secrets, and without commands for
    /// the runner.
    pub fn harmless(&self, text: &str) -> String {
        inert(&sanitize::lines(&self.redact(text)))
    }

    /// Returns the text as one line of standard output, which others read: as it is, but that nothing in it controls
    /// a terminal or the runner.
    pub fn line(&self, text: &str) -> String {
        inert(&sanitize::one_line(text))
    }

    fn write_entry(&self, entry: Entry<'_>) {
        if entry.level > self.verbosity.level {
            return;
        }
        self.clear_progress();
        if let (Style::Commands(commands), Level::Error | Level::Warn) = (self.style, entry.level) {
            self.annotate(commands, entry);
        } else if self.verbosity.json {
            let message = self.redact(entry.message);
            let [file, hint] = [entry.file, entry.hint].map(|text| text.map(|text| self.redact(text)));
            let entry = Entry { file: file.as_deref(), hint: hint.as_deref(), message: &message, ..entry };
            // Nothing in it can fail to be JSON.
            self.host.log(&inert(&sanitize::json(&serde_json::to_string(&entry).unwrap_or_default())));
        } else {
            let at = entry.file.map_or(String::new(), |file| format!("{file}:{}: ", entry.line.unwrap_or(1)));
            self.plain(entry.level, entry.level.prefix(), &sanitize::one_line(&format!("{at}{}", entry.message)));
            if let Some(hint) = entry.hint {
                self.plain(Level::Info, "hint: ", &sanitize::one_line(hint));
            }
        }
    }

    fn plain(&self, colour: Level, prefix: &str, text: &str) {
        // The text decides what is inert: colours are no part of it.
        let line = inert(&format!("{prefix}{}", sanitize::lines(&self.redact(text))));
        match line.strip_prefix(prefix).filter(|_| self.has_colours()) {
            Some(text) => self.host.log(&format!("{}{text}", colours::prefix(colour, prefix))),
            None => self.host.log(&line),
        }
    }

    /// Returns whether lines are coloured.
    fn has_colours(&self) -> bool {
        let is_plain = self.style.is_plain() && !self.verbosity.json;
        is_plain && colours::wanted(self.host.env(), self.host.is_terminal(Stream::Error))
    }

    /// Writes a line that the CI makes an annotation of.
    fn annotate(&self, commands: &Commands, entry: Entry<'_>) {
        let file = entry.file.map(sanitize::one_line);
        let place = file.as_deref().map(|file| (file, entry.line.unwrap_or(1)));
        let hint = entry.hint.map_or(String::new(), |hint| format!("\nhint: {}", sanitize::one_line(hint)));
        let text = self.redact(&format!("{}{hint}", sanitize::lines(entry.message)));
        let _ = self.host.out((commands.annotate)(&Annotation { level: entry.level, place, text: &text }).as_bytes());
    }

    /// Something failed; and what to do about it.
    pub fn error(&self, error: &Error) {
        let message = error.to_string();
        let kind = Some(error.kind().name());
        self.write_entry(Entry { kind, hint: error.hint_text(), ..Entry::new(Level::Error, &message) });
    }

    /// What the parser of command lines says of a wrong one: `text` as it is, `coloured` for a terminal.
    pub fn refusal(&self, text: &str, coloured: &str) {
        if self.style.is_plain() && !self.verbosity.json {
            let text = if self.has_colours() { coloured.into() } else { sanitize::lines(text) };
            return self.host.log(&inert(&self.redact(&text)));
        }
        let text = text.trim_start_matches("error: ");
        if !self.style.is_plain() {
            return self.write_entry(Entry::new(Level::Error, text));
        }
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let message = one_line(text.split("\n\n").next().unwrap_or_default());
        let hint = text.split_once("  tip: ").map(|(_, rest)| one_line(rest.split("\n\n").next().unwrap_or_default()));
        let kind = Some(crate::error::Kind::Usage.name());
        self.write_entry(Entry { kind, hint: hint.as_deref(), ..Entry::new(Level::Error, &message) });
    }

    /// What another program said before it failed.
    pub fn quote(&self, text: &str) {
        if self.verbosity.json {
            self.write_entry(Entry::new(Level::Error, text))
        } else {
            self.plain(Level::Error, "", text)
        }
    }

    /// Something is not as the user will want it.
    pub fn warn(&self, text: &str) {
        self.write_entry(Entry::new(Level::Warn, text));
    }

    /// The same, with what to do about it.
    pub fn warn_with_hint(&self, text: &str, hint: &str) {
        self.warn_of(text, Some(hint));
    }

    /// The same with what is to be done about an error, where that is known.
    pub fn warn_of(&self, text: &str, hint: Option<&str>) {
        self.write_entry(Entry { hint, ..Entry::new(Level::Warn, text) });
    }

    /// The same about a line of a file.
    pub fn warn_at(&self, file: &Path, line: usize, text: &str, hint: Option<&str>) {
        let file = file.display().to_string();
        self.write_entry(Entry { file: Some(&file), line: Some(line), hint, ..Entry::new(Level::Warn, text) });
    }

    /// Something was done.
    pub fn info(&self, text: &str) {
        self.write_entry(Entry::new(Level::Info, text));
    }

    /// A detail for finding out what happened.
    pub fn debug(&self, text: &str) {
        self.write_entry(Entry::new(Level::Debug, text));
    }

    /// A line that replaces itself: only on a terminal, so that CI logs stay short.
    pub fn progress(&self, text: &str) {
        let is_told = self.verbosity.level >= Level::Info && !self.verbosity.json;
        // What follows on the same line would be no annotation.
        if is_told && self.style.is_plain() && colours::is_able(self.host.env(), self.host.is_terminal(Stream::Error)) {
            self.host.progress(&sanitize::one_line(&self.redact(text)));
            self.progress.set(true);
        }
    }

    /// Takes that line away.
    pub fn clear_progress(&self) {
        if self.progress.replace(false) {
            self.host.progress("");
        }
    }
}

/// Returns text in which no CI finds a command: a report may be a stranger's, and what it shows has any name. GitHub's
/// runner takes `::name::` at the beginning of a line and `##[name]` anywhere
/// (<https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>), Azure Pipelines `##vso[name]`
/// (<https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands>), TeamCity `##teamcity[name]`
/// (<https://www.jetbrains.com/help/teamcity/service-messages.html>).
fn inert(text: &str) -> String {
    let line =
        |line: &str| if line.trim_start().starts_with("::") { line.replacen("::", ": :", 1) } else { line.to_owned() };
    without_brackets(text).split_inclusive(['\n', '\r']).map(line).collect()
}

/// Returns text with a blank in each `##[` and `##word[`.
fn without_brackets(text: &str) -> String {
    let mut parts = text.split('[');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_command = out.trim_end_matches(|c: char| c.is_ascii_alphanumeric()).ends_with("##");
        out.push_str(if is_command { " [" } else { "[" });
        out.push_str(part);
    }
    out
}

/// `https://user:password@host/` as `https://***@host/`.
fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(part.len());
        let host = part[..end].rfind('@');
        out.push_str("://");
        out.push_str(host.map_or("", |_| "***"));
        out.push_str(&part[host.unwrap_or(0)..]);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_that_is_told_is_a_command_of_the_runner() {
        for (text, shown) in [
            ("a::b ##\n[x]:: c\n", "a::b ##\n[x]:: c\n"),
            ("::error::x", ": :error::x"),
            ("a\n \t::set-output name=x::y\r::stop-commands::z", "a\n \t: :set-output name=x::y\r: :stop-commands::z"),
            ("of ##[add-mask]e and ####[error]", "of ## [add-mask]e and #### [error]"),
            ("##vso[task.setvariable variable=x]y", "##vso [task.setvariable variable=x]y"),
            ("a ##teamcity[buildStop] # a[0] ## b [c]", "a ##teamcity [buildStop] # a[0] ## b [c]"),
        ] {
            assert_eq!(super::inert(text), shown);
        }
    }

    #[test]
    fn credentials_in_addresses_are_blotted_out() {
        for (text, shown) in [
            ("no address", "no address"),
            ("at https://u:p@host:8080/x@y and ftp://t@h", "at https://***@host:8080/x@y and ftp://***@h"),
            ("'http://u:p@ss@:x/' is none", "'http://***@:x/' is none"),
            ("https://host/@user mail@host", "https://host/@user mail@host"),
            ("ssh://git@host\nmail@host://", "ssh://***@host\nmail@host://"),
        ] {
            assert_eq!(super::without_credentials(text), shown);
        }
    }
}
