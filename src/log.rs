//! What the program tells people while it works: lines on standard error, with every secret blotted out.

use crate::env::Secret;
use crate::host::Host;
use clap::ValueEnum;
use std::cell::RefCell;
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

/// The log: cheap to clone, all clones share the secrets.
#[derive(Clone)]
pub struct Log {
    host: Rc<dyn Host>,
    level: Level,
    secrets: Rc<RefCell<Vec<Secret>>>,
}

impl Log {
    /// A log on the host's standard error.
    pub fn new(host: Rc<dyn Host>, level: Level) -> Self {
        Log { host, level, secrets: Rc::default() }
    }

    /// From now on this value is blotted out of every line.
    pub fn hide(&self, secret: &Secret) {
        // Blotting out very short values would garble every line and protect nothing.
        if secret.expose().len() >= 4 {
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
            self.host.log(&format!("{prefix}{}", self.redact(text)));
        }
    }

    /// Something failed.
    pub fn error(&self, text: &str) {
        self.line(Level::Error, "error: ", text);
    }

    /// What to do about the error before it.
    pub fn hint(&self, text: &str) {
        self.line(Level::Error, "hint: ", text);
    }

    /// Something is not as the user will want it.
    pub fn warn(&self, text: &str) {
        self.line(Level::Warn, "warning: ", text);
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
        if self.level >= Level::Info && self.host.is_terminal() {
            self.host.progress(&self.redact(text));
        }
    }
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
