//! The start-up script of a machine.

use super::document::Document;
use crate::env::Secret;
use crate::error::{Error, Result};
use std::time::Duration;

/// The static program for the machine's architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub url: String,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
}

/// The script, for a POSIX shell, of at most `limit` bytes.
///
/// # Errors
/// It is too long.
pub fn render(document: &Document, program: &Program, lifetime: Duration, limit: usize) -> Result<Secret> {
    let text = format!(
        "#!/bin/sh\nset -eu\numask 077\nshutdown -P +{}\ncurl -fsSL -o /usr/local/bin/cml '{}'\n\
         printf '%s  /usr/local/bin/cml\\n' '{}' | sha256sum -c -\nchmod 0755 /usr/local/bin/cml\n\
         cat >/run/cml.json <<'CML_END'\n{}\nCML_END\nexec /usr/local/bin/cml runner agent --launch-file /run/cml.json\n",
        lifetime.as_secs().div_ceil(60),
        program.url,
        program.sha256,
        document.to_json().expose()
    );
    if text.len() > limit {
        return Err(Error::too_large(format!(
            "the machine's start-up script has {} bytes, {limit} are allowed",
            text.len()
        ))
        .hint("shorten --cloud-startup-script, or let it download what it needs"));
    }
    Ok(Secret::new(text))
}
