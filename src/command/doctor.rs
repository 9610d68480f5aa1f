//! `cml doctor`: what was inferred and from where, and what the token may do. Nothing it does has an effect.

use crate::app::App;
use crate::ci::ForgeHint;
use crate::connect::{self, Connected, DetectedRepository, Global, Inferred};
use crate::error::{Error, Kind, Result};
use crate::forge::permissions::{Diagnosis, PermissionState, Work};
use crate::forge::{About, Context, Forge, Repository, Target, TargetSpec, local, repository_not_visible};
use crate::log::sanitize;
use clap::Args;
use std::fmt::Write;
use std::rc::Rc;

mod clearml;

/// Options of `cml doctor`: only the global ones.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  # Show what this job can do with its own token\n  cml doctor\n\n  \
    # Check a token before making it a CI secret\n  \
    REPO_TOKEN=… cml doctor --repo https://github.com/owner/name\n\n\
    Changes nothing, and never shows the token. Fails when there is no repository or no token, when the forge does \
    not take the token, or when it may not comment on pull requests.")]
pub struct Doctor {}

/// A line: its label, the value, and the source of the value.
type Line = (&'static str, String, &'static str);

/// Runs the command.
pub async fn run(app: &App, global: &Global) -> Result<()> {
    let forge = diagnose(app, global).await;
    let clearml = clearml::diagnose(app).await;
    forge.and(clearml)
}

/// Shows what is known about the run and the forge.
async fn diagnose(app: &App, global: &Global) -> Result<()> {
    let inferred =
        connect::infer(app, global, Repository::parse).await.locate(app, connect::MIN_REPOSITORY_NAMES).await;
    let found = inferred.found.clone();
    let forge = found.as_ref().ok().and_then(|found| Some(inferred.connect(app, found.as_ref()?, None)));
    let about = forge.as_ref().and_then(|forge| Some(forge.as_ref().ok()?.about()));
    let lines = inference(app, &inferred, about.unwrap_or_default()).await;
    show(app, &format!("cml {}\n\nFound\n{}", env!("CARGO_PKG_VERSION"), table(&lines)))?;
    let (Some(found), Some(forge)) = (found?, forge) else {
        // The local preview needs nothing.
        return if inferred.named.is_some() { Ok(()) } else { Err(connect::unknown_forge(inferred.in_ci)) };
    };
    let (driver, forge) = (found.driver, forge?);
    let no_token = inferred.token.is_none();
    if no_token && !inferred.has_signed_checks(driver) {
        return Err(connect::missing_token(driver, inferred.in_ci));
    }
    let diagnosis = match forge.permissions() {
        Some(permissions) => permissions.diagnose().await.map_err(|error| match error.kind() {
            Kind::NotFound => repository_not_visible(&found.repository),
            _ => error,
        })?,
        None => Diagnosis::default(),
    };
    let target = if no_token { None } else { comment_target(app, &inferred, &found, forge).await };
    print_diagnosis(app, &diagnosis, target, no_token)?;
    match diagnosis.permissions.iter().find(|line| line.work == Work::Comment) {
        _ if no_token => Err(connect::missing_token(driver, inferred.in_ci)),
        Some(line) if line.state == PermissionState::Missing => {
            Err(Error::auth("the token is not allowed to comment on pull requests").hint(line.needs.clone()))
        }
        _ => Ok(()),
    }
}

/// Returns what was inferred, without a request.
async fn inference(app: &App, inferred: &Inferred<'_>, about: About) -> Vec<Line> {
    let Context { commit, pull_request, branch, fork, sources, .. } = &inferred.context;
    let mut lines: Vec<Line> = vec![match &inferred.ci {
        Some(ci) => ("CI", ci.title().to_owned(), ci.source()),
        None => ("CI", "none".to_owned(), ""),
    }];
    match &inferred.found {
        Ok(Some(found)) => {
            lines.push(("forge", found.driver.title.to_owned(), found.driver_source));
            lines.push(("repository", found.repository.url(), found.source));
            lines.push(("API", about.api, about.api_source));
        }
        Ok(None) if inferred.named.is_some() => {
            lines.push(("forge", local::DRIVER.title.to_owned(), "--driver (or CML_DRIVER)"))
        }
        _ => lines.extend(unusable_repository(inferred)),
    }
    let pull = pull_request.map_or_else(|| "not named".to_owned(), |number| number.to_string());
    lines.push(("pull request", pull, sources.pull_request));
    if let Some(fork) = fork {
        lines.push(("from a fork", format!("yes, of {fork}"), sources.pull_request));
    }
    match (commit, pull_request) {
        // It is asked for when it is needed.
        (None, Some(number)) => {
            lines.push(("commit", format!("the head of pull request {number}"), sources.pull_request));
        }
        _ => {
            lines.push(or_git(app, "commit", (commit, sources.commit), &["rev-parse", "HEAD"]).await);
            lines.push(or_git(app, "branch", (branch, sources.branch), &["symbolic-ref", "--short", "HEAD"]).await);
        }
    }
    match &inferred.token {
        Some((_, source)) => lines.push(("token", about.token.unwrap_or("given").to_owned(), source)),
        None => lines.push(("token", "none".to_owned(), "")),
    }
    let version = app.run(&["git", "--version"]).await.ok().filter(|output| output.code == Some(0));
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let git = version.map(|text| text.trim_start_matches("git version ").to_owned());
    let without = || "not found; cml pr and cml repo require it".to_owned();
    lines.push(("git", git.unwrap_or_else(without), ""));
    lines
}

/// Returns the lines about a repository that cannot be used: what the CI says about it, if it does.
fn unusable_repository(inferred: &Inferred<'_>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    if let Some(ForgeHint::Unsupported(forge)) = inferred.ci.as_ref().map(|ci| ci.forge()) {
        lines.push(("forge", format!("{forge}, which is not supported"), "the CI"));
    }
    let Context { repository, sources, .. } = &inferred.context;
    lines.push(match repository {
        Some(repository) => ("repository", repository.url(), sources.repository),
        None => ("repository", "not found".to_owned(), ""),
    });
    lines
}

/// Returns what the CI says, else git.
async fn or_git(app: &App, name: &'static str, said: (&Option<String>, &'static str), args: &[&str]) -> Line {
    match said {
        (Some(value), source) => (name, value.clone(), source),
        (None, _) => match app.query_git(args).await {
            Some(value) => (name, value, "git"),
            None => (name, "unknown".to_owned(), ""),
        },
    }
}

/// Returns where a comment goes without `--target`.
async fn comment_target(
    app: &App,
    inferred: &Inferred<'_>,
    found: &DetectedRepository,
    forge: Rc<dyn Forge>,
) -> Option<Target> {
    let context = inferred.context.clone();
    let (driver, repository) = (found.driver, found.repository.clone());
    Connected { forge, driver, repository, context, token_source: None }.target(app, &TargetSpec::Auto).await.ok()
}

fn print_diagnosis(app: &App, diagnosis: &Diagnosis, target: Option<Target>, no_token: bool) -> Result<()> {
    let facts = diagnosis.facts.iter().map(|(name, value)| (*name, value.clone(), ""));
    let target = target.map(|target| ("comments go to", target.to_string(), ""));
    let facts: Vec<Line> = facts.chain(target).collect();
    let mut text = format!("\n{}\n{}", if no_token { "Without a token" } else { "The token" }, table(&facts));
    if !facts.is_empty() {
        text.push('\n');
    }
    let width = Work::ALL.iter().map(|work| work.to_string().len()).max().unwrap_or_default();
    for line in &diagnosis.permissions {
        let state = match line.state {
            PermissionState::Works => "works",
            PermissionState::Missing => "missing",
            PermissionState::Unknown => "unknown",
        };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {:width$}  {state}", line.work.to_string());
    }
    for (state, heading) in [
        (PermissionState::Missing, "What is missing"),
        (PermissionState::Unknown, "Cannot be determined without doing it"),
    ] {
        let lines: Vec<_> = diagnosis.permissions.iter().filter(|line| line.state == state).collect();
        if !lines.is_empty() {
            let _ = write!(text, "\n{heading}\n");
        }
        for line in lines {
            let _ = writeln!(text, "  {}: {}", line.work, sanitize::one_line(&line.needs));
        }
    }
    show(app, &text)
}

/// Returns the lines aligned, without control characters: names of branches and texts of forges can contain any.
fn table(lines: &[Line]) -> String {
    let names = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    let line = |(name, value, source): &Line| {
        let value = sanitize::one_line(value);
        if source.is_empty() {
            format!("  {name:names$}  {value}\n")
        } else {
            format!("  {name:names$}  {value}  (from {source})\n")
        }
    };
    lines.iter().map(line).collect()
}

/// Prints a text in which secrets are hidden.
fn show(app: &App, text: &str) -> Result<()> {
    app.print(&app.log.harmless(text))
}
