//! What the program tells people while it works: lines on standard error, with every secret blotted out.

use crate::env::Secret;
use crate::host::Host;
use clap::ValueEnum;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// How much to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Only what made it fail.
    Error,
    /// Also what the user should look at.
    Warn,
    /// Also what was done.
    Info,
    /// Also each request.
    Debug,
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For a shell.
    Plain,
    /// As the step of a GitHub action: warnings and errors are annotations of the run, secrets are masked in
    /// all of its log.
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>
    Annotations,
}

/// The log: cheap to clone, all clones share the secrets.
#[derive(Clone)]
pub struct Log {
    host: Rc<dyn Host>,
    level: Level,
    style: Style,
    secrets: Rc<RefCell<Vec<Secret>>>,
}

impl Log {
    /// A log on the host's standard error.
    pub fn new(host: Rc<dyn Host>, level: Level) -> Self {
        Log { host, level, style: Style::Plain, secrets: Rc::default() }
    }

    /// The same log with other looks.
    #[must_use]
    pub fn style(self, style: Style) -> Self {
        Log { style, ..self }
    }

    /// From now on this value is blotted out of every line.
    pub fn hide(&self, secret: &Secret) {
        // Blotting out very short values would garble every line and protect nothing.
        if secret.expose().len() >= 4 {
            if self.style == Style::Annotations {
                self.host.out(&format!("::add-mask::{}\n", escaped(secret.expose())));
            }
            self.secrets.borrow_mut().push(secret.clone());
        }
    }

    /// The text without secrets, and without the credentials in addresses.
    pub fn redact(&self, text: &str) -> String {
        let secrets = self.secrets.borrow();
        secrets.iter().fold(without_credentials(text), |text, secret| text.replace(secret.expose(), "***"))
    }

    fn line(&self, level: Level, prefix: &str, text: &str) {
        if level <= self.level {
            self.host.log(&format!("{prefix}{}", inert(&self.redact(text))));
        }
    }

    /// A line that the runner makes an annotation of. `about` says where: `file=…,line=…`.
    fn annotation(&self, level: Level, about: &str, text: &str) {
        if level <= self.level {
            let kind = if level == Level::Error { "error" } else { "warning" };
            let about = if about.is_empty() { String::new() } else { format!(" {about}") };
            self.host.out(&format!("::{kind}{about}::{}\n", escaped(&self.redact(text))));
        }
    }

    /// Something failed; and what to do about it.
    pub fn error(&self, text: &str, hint: Option<&str>) {
        if self.style == Style::Annotations {
            let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            return self.annotation(Level::Error, "", &format!("{text}{hint}"));
        }
        self.line(Level::Error, "error: ", text);
        if let Some(hint) = hint {
            self.hint(hint);
        }
    }

    /// What the parser of command lines says of a wrong one.
    pub fn refusal(&self, text: &str) {
        match self.style {
            Style::Annotations => self.annotation(Level::Error, "", text.trim_start_matches("error: ")),
            Style::Plain => self.line(Level::Error, "", text),
        }
    }

    /// What another program said before it failed.
    pub fn quote(&self, text: &str) {
        self.line(Level::Error, "", text);
    }

    /// What to do about the warning before it.
    pub fn hint(&self, text: &str) {
        self.line(Level::Error, "hint: ", text);
    }

    /// Something is not as the user will want it.
    pub fn warn(&self, text: &str) {
        match self.style {
            Style::Annotations => self.annotation(Level::Warn, "", text),
            Style::Plain => self.line(Level::Warn, "warning: ", text),
        }
    }

    /// The same about a line of a file.
    pub fn warn_at(&self, file: &Path, line: usize, text: &str) {
        let file = file.display();
        match self.style {
            Style::Annotations => {
                let file = escaped(&file.to_string()).replace(':', "%3A").replace(',', "%2C");
                self.annotation(Level::Warn, &format!("file={file},line={line}"), text);
            }
            Style::Plain => self.line(Level::Warn, "warning: ", &format!("{file}:{line}: {text}")),
        }
    }

    /// Something was done.
    pub fn info(&self, text: &str) {
        self.line(Level::Info, "", text);
    }

    /// A detail for finding out what happened.
    pub fn debug(&self, text: &str) {
        self.line(Level::Debug, "debug: ", text);
    }

    /// A line that replaces itself: only on a terminal, so that CI logs stay short.
    pub fn progress(&self, text: &str) {
        // What follows on the same line would be no annotation.
        if self.level >= Level::Info && self.style == Style::Plain && self.host.is_terminal() {
            self.host.progress(&self.redact(text));
        }
    }
}

/// Text as the value of a workflow command.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text in which GitHub's runner finds no command: a report may be a stranger's, and what it shows has any name. The
/// runner takes `::name::` at the beginning of a line and `##[name]` anywhere:
/// <https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>.
fn inert(text: &str) -> String {
    let line = |line: &str| match line.trim_start().starts_with("::") {
        true => line.replacen("::", ": :", 1),
        false => line.to_owned(),
    };
    text.replace("##[", "## [").split_inclusive(['\n', '\r']).map(line).collect()
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
