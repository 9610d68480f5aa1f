//! How the forges differ in what they make of Markdown, and what they draw that the page does not.

use crate::forge::{Repository, bitbucket, github, gitlab};

/// A forge's way to show a comment.
#[derive(Debug, Clone)]
pub struct Dialect {
    /// The forge's name, for people.
    pub title: &'static str,
    kind: Kind,
    /// The addresses of the repository and its server; `None` where no repository is known.
    repository: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    GitHub,
    GitLab,
    Bitbucket,
}

impl Dialect {
    /// Returns the dialect of the forge that has the repository: GitHub's, where no forge is known.
    pub fn new(repository: Option<&Repository>) -> Self {
        let host = repository.and_then(|repository| repository.server.host_str()).unwrap_or_default();
        let (title, kind) = if gitlab::DRIVER.has_host(host) {
            (gitlab::DRIVER.title, Kind::GitLab)
        } else if bitbucket::DRIVER.has_host(host) {
            (bitbucket::DRIVER.title, Kind::Bitbucket)
        } else {
            (github::DRIVER.title, Kind::GitHub)
        };
        let addresses = repository
            .map(|repository| (repository.url(), repository.server.as_str().trim_end_matches('/').to_owned()));
        Dialect { title, kind, repository: addresses }
    }

    /// Returns how comrak reads and writes it.
    pub fn options(&self) -> comrak::Options<'static> {
        let mut options = comrak::Options::default();
        let is_full = self.kind != Kind::Bitbucket;
        let extension = &mut options.extension;
        (extension.table, extension.strikethrough, extension.autolink) = (true, true, true);
        extension.tasklist = is_full;
        extension.footnotes = is_full;
        extension.alerts = is_full;
        extension.math_dollars = is_full;
        extension.math_code = is_full;
        extension.multiline_block_quotes = self.kind == Kind::GitLab;
        // GitHub's comments, unlike its files, end a line where the Markdown does.
        options.render.hardbreaks = self.kind == Kind::GitHub;
        options.render.gfm_quirks = true;
        // Bitbucket shows tags as text. What the others let through decides the sanitiser.
        options.render.escape = !is_full;
        options.render.r#unsafe = is_full;
        options
    }

    /// Returns what the page does not show as the forge does, in a sentence.
    pub fn differences(&self) -> String {
        let title = self.title;
        let drawn = match self.kind {
            Kind::GitHub => "does not draw formulas, diagrams or maps, ",
            Kind::GitLab => "does not draw formulas or diagrams, ",
            Kind::Bitbucket => "",
        };
        let links = match self.repository {
            Some(_) => "links users, issues and commits without checking that they exist",
            None => "does not link users, issues and commits, as no repository is known",
        };
        format!("This page follows {title}'s rendering. It {drawn}colours code in fewer languages, and {links}.")
    }

    /// Returns whether the forge shows HTML in Markdown.
    pub fn has_html(&self) -> bool {
        self.kind != Kind::Bitbucket
    }

    /// Returns what the forge draws from a code block of a language, if it does.
    pub fn drawing(&self, language: &str) -> Option<&'static str> {
        match (self.kind, language) {
            (Kind::Bitbucket, _) => None,
            (_, "mermaid") | (Kind::GitLab, "plantuml") => Some("diagram"),
            (_, "math") => Some("formula"),
            (Kind::GitHub, "geojson" | "topojson") => Some("map"),
            (Kind::GitHub, "stl") => Some("3D model"),
            _ => None,
        }
    }

    /// Returns whether the forge shows a piece of code that names a colour with that colour.
    pub fn has_swatch(&self, code: &str) -> bool {
        let is_hex = |digits: &str| {
            let lengths: &[usize] = if self.kind == Kind::GitLab { &[3, 4, 6, 8] } else { &[6] };
            lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let is_function = |name: &str| {
            let numbers = code.strip_prefix(name).and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
            numbers.is_some_and(|numbers| {
                numbers.split(',').count() >= 3
                    && numbers.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '%' | ' '))
            })
        };
        self.kind != Kind::Bitbucket
            && (code.strip_prefix('#').is_some_and(is_hex) || is_function("rgb") || is_function("hsl"))
    }

    /// Returns the address of the issue or pull request that `#12` means, where a repository is known.
    pub fn issue(&self, number: &str) -> Option<String> {
        self.below_repository(&format!("issues/{number}"))
    }

    /// Returns the address of the merge request that `!12` means on GitLab; the inner `None` where no repository is known.
    pub fn merge_request(&self, number: &str) -> Option<Option<String>> {
        (self.kind == Kind::GitLab).then(|| self.below_repository(&format!("merge_requests/{number}")))
    }

    /// Returns the address of a commit's page.
    pub fn commit(&self, sha: &str) -> Option<String> {
        let folder = if self.kind == Kind::Bitbucket { "commits" } else { "commit" };
        self.below_repository(&format!("{folder}/{sha}"))
    }

    /// Returns the address of a user's page, or of a team's: `owner/team`.
    pub fn user(&self, name: &str) -> Option<String> {
        let (_, server) = self.repository.as_ref()?;
        Some(match (self.kind, name.split_once('/')) {
            (Kind::GitHub, Some((owner, team))) => format!("{server}/orgs/{owner}/teams/{team}"),
            _ => format!("{server}/{name}"),
        })
    }

    fn below_repository(&self, path: &str) -> Option<String> {
        let (repository, _) = self.repository.as_ref()?;
        let dash = if self.kind == Kind::GitLab { "-/" } else { "" };
        Some(format!("{repository}/{dash}{path}"))
    }
}
