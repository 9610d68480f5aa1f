//! What a repository is called, in all the ways that people and git write it.

use crate::error::{Error, Result};
use std::fmt;
use url::Url;

/// A repository on a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The forge's pages, such as `https://github.com`.
    pub server: Url,
    /// The path below it, such as `owner/name`.
    pub path: String,
}

impl Repository {
    /// Reads `https://host/owner/name.git`, `git@host:owner/name`, `ssh://…` or, with a `default` server,
    /// `owner/name`. Credentials in it are dropped.
    pub fn parse(text: &str, default: Option<&str>) -> Result<Self> {
        let repository = Self::parse_place(text, default)?;
        if repository.is_owner() { Err(not_a_repository(text)) } else { Ok(repository) }
    }

    /// Returns the same, or what owns repositories: `https://host/owner`.
    pub fn parse_place(text: &str, default: Option<&str>) -> Result<Self> {
        let wrong = || not_a_repository(text);
        let text = text.trim().trim_end_matches('/');
        let text = text.strip_suffix(".git").unwrap_or(text);
        let url = match text.split_once("://") {
            Some(("http" | "https", _)) => text.to_owned(),
            Some(("ssh" | "git" | "git+ssh", rest)) => {
                let (authority, path) = rest.split_once('/').ok_or_else(wrong)?;
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                format!("https://{}/{path}", host.split(':').next().unwrap_or(host))
            }
            Some(_) => return Err(wrong()),
            None => match text.split_once(':') {
                // scp-like: user@host:path
                Some((host, path)) if !host.contains('/') => {
                    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
                    format!("https://{host}/{}", path.trim_start_matches('/'))
                }
                Some(_) => return Err(wrong()),
                None => format!("{}/{text}", default.ok_or_else(wrong)?.trim_end_matches('/')),
            },
        };
        let url = Url::parse(&url).map_err(|_| wrong())?;
        let path = url.path().trim_matches('/').to_owned();
        let well_formed = path.split('/').all(|part| !part.is_empty());
        if !well_formed || url.host_str().is_none() {
            return Err(wrong());
        }
        let mut server = url;
        server.set_path("");
        server.set_query(None);
        server.set_fragment(None);
        // Only a URL without a host refuses these, and this one has one.
        let _ = (server.set_username(""), server.set_password(None));
        Ok(Repository { server, path })
    }

    /// Returns whether this is an organisation, group or workspace and no repository. GitLab's groups may have longer
    /// paths.
    pub fn is_owner(&self) -> bool {
        !self.path.contains('/')
    }

    /// Returns the repository's page.
    pub fn url(&self) -> String {
        format!("{}{}", self.server, self.path)
    }

    /// Returns the host's name, with its port when it is not the usual one.
    pub fn host(&self) -> String {
        let host = self.server.host_str().unwrap_or_default();
        self.server.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

fn not_a_repository(text: &str) -> Error {
    Error::usage(format!("'{}' is not a repository", without_credentials(text)))
        .hint("pass --repo as https://host/owner/name or owner/name")
}

fn without_credentials(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn repositories_are_read_in_every_form() {
        for (text, url) in [
            ("https://github.com/o/r", "https://github.com/o/r"),
            ("https://user:secret@host:8443/g/sub/r.git/", "https://host:8443/g/sub/r"),
            ("git@gitlab.com:g/sub/r.git", "https://gitlab.com/g/sub/r"),
            ("ssh://git@bitbucket.org:22/w/r.git", "https://bitbucket.org/w/r"),
            ("o/r", "https://github.com/o/r"),
        ] {
            assert_eq!(Repository::parse(text, Some("https://github.com")).unwrap().url(), url);
        }
        for text in ["", "r", "https://github.com/o", "https://t0ken@", "ftp://host/o/r", "a:b:c"] {
            let error = Repository::parse(text, Some("https://github.com")).unwrap_err();
            assert!(error.kind() == Kind::Usage && !error.to_string().contains("t0ken"), "{text}: {error}");
        }
    }

    #[test]
    fn owners_are_read_where_they_will_do() {
        for (text, url) in [("https://github.com/org/", "https://github.com/org"), ("org", "https://github.com/org")] {
            let place = Repository::parse_place(text, Some("https://github.com")).unwrap();
            assert!(place.is_owner() && place.url() == url, "{text}: {place:?}");
        }
        assert!(!Repository::parse_place("o/r", Some("https://github.com")).unwrap().is_owner());
        for text in ["", "https://github.com/", "https://github.com"] {
            assert!(Repository::parse_place(text, Some("https://github.com")).is_err(), "{text}");
        }
    }
}
