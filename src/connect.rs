//! Detects the forge, the repository and the token, and connects.
//!
//! Precedence: the command line (which already includes the options' environment variables), then the CI's variables,
//! then git.

use crate::app::App;
use crate::ci::{self, Ci, ForgeHint};
use crate::env::{self, Secret, Var, vars};
use crate::error::{Error, Result};
use crate::forge::{
    Capability, Connection, Context, Driver, FORGES, Forge, Repository, Target, checks::Checks, driver_names, local,
    pull_requests::PullRequests, require, runners::Runners, runs::Runs,
};
use crate::http::request;
use crate::log::{Level, Verbosity};
use crate::publish::{Destination, Publish};
use crate::report::watermark::Watermark;
use crate::sticky::Sticky;
use bytes::Bytes;
use clap::ArgAction::Count;
use clap::Args;
use clap::builder::PossibleValuesParser;
use http::{Method, header};
use std::path::PathBuf;
use std::rc::Rc;

mod target;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Forge")]
pub struct Global {
    /// Forge to use [default: detected from the repository or CI]
    #[arg(long, global = true, value_name = "FORGE", value_parser = PossibleValuesParser::new(FORGES.iter().map(|f| f.name)))]
    pub driver: Option<String>,
    /// Repository as https://host/owner/name or owner/name [default: detected from the CI or git]
    #[arg(long, global = true, value_name = "REPOSITORY")]
    pub repo: Option<String>,
    /// Token; prefer REPO_TOKEN, which is not visible in process lists
    #[arg(long = "driver-token", alias = "token", global = true, value_name = "TOKEN", hide_default_value = true)]
    pub token: Option<Secret>,
    /// Give up after this many seconds, retries included
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 120, help_heading = "Global options", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// PEM file of additional certificate authorities to trust
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub ca_cert: Option<PathBuf>,
    /// Log level; json prints one JSON object per line
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", help_heading = "Global options", value_parser = Verbosity::parser())]
    pub log: Verbosity,
    /// Show debug messages too, as --log debug does
    #[arg(short, long, global = true, action = Count, conflicts_with = "log", help_heading = "Global options")]
    pub verbose: u8,
    /// Show only warnings and errors; -qq only errors
    #[arg(short, long, global = true, action = Count, conflicts_with_all = ["log", "verbose"], help_heading = "Global options")]
    pub quiet: u8,
}

impl Global {
    /// Returns what to log, by `--log`, `-v` and `-q` together.
    pub fn verbosity(&self) -> Verbosity {
        match (self.verbose, self.quiet) {
            (0, 0) => self.log,
            (0, 1) => Level::Warn.into(),
            (0, _) => Level::Error.into(),
            _ => Level::Debug.into(),
        }
    }
}

/// Variables that hold the token, whatever the forge.
pub const TOKEN_VARS: &[Var] = &[vars::REPO_TOKEN, vars::REPO_TOKEN_LOWER];

/// A connected forge and what is known about the run.
pub struct Connected {
    /// The forge.
    pub forge: Rc<dyn Forge>,
    /// The entry of [`FORGES`] for it.
    pub driver: &'static Driver,
    /// The repository.
    pub repository: Repository,
    /// The run as the CI describes it.
    pub context: Context,
    /// The variable or option that the token came from.
    pub token_source: Option<&'static str>,
}

/// Minimum number of names in the path of a repository.
pub const MIN_REPOSITORY_NAMES: usize = 2;
/// Minimum number of names in the path of an owner of repositories.
const MIN_OWNER_NAMES: usize = 1;

/// Parses the value of `--repo`.
type Parse = fn(&str, Option<&str>) -> Result<Repository>;

/// Connects to the forge, or to the local preview.
pub async fn connect(app: &App, global: &Global, publish_branch: Option<String>) -> Result<Connected> {
    let inferred = infer(app, global, Repository::parse).await.locate(app, MIN_REPOSITORY_NAMES).await;
    connect_inferred(app, global, publish_branch, &inferred, |_| false)
}

/// Connects to manage runners, which an organisation, group or workspace can have too: `--repo https://host/owner`.
/// There is no preview of runners, so a missing token is always an error.
pub async fn connect_runners(app: &App, global: &Global) -> Result<Connected> {
    let inferred = infer(app, global, Repository::parse_place).await.locate(app, MIN_OWNER_NAMES).await;
    match &inferred.found {
        Ok(Some(found)) if inferred.token.is_none() => Err(missing_token(found.driver, inferred.in_ci)
            .hint("pass one in REPO_TOKEN that may manage runners (a job's own token cannot); see docs/runners.md")),
        _ => connect_inferred(app, global, None, &inferred, |_| false),
    }
}

/// Returns the address of the repository, organisation, group or workspace that [`connect_runners`] would connect to, as
/// far as that is known without a token and without a request.
pub async fn runners_url(app: &App, global: &Global) -> Option<String> {
    match infer(app, global, Repository::parse_place).await.found {
        Ok(found) => found.map(|found| found.repository.url()),
        Err(_) => Some(Repository::parse_place(global.repo.as_deref()?, None).ok()?.url()),
    }
}

/// Connects to create a check, which in some CI systems needs no token.
pub async fn connect_to_check(app: &App, global: &Global, publish_branch: Option<String>) -> Result<Connected> {
    let inferred = infer(app, global, Repository::parse).await.locate(app, MIN_REPOSITORY_NAMES).await;
    connect_inferred(app, global, publish_branch, &inferred, |driver| inferred.has_signed_checks(driver))
}

fn connect_inferred(
    app: &App,
    global: &Global,
    publish_branch: Option<String>,
    inferred: &Inferred<'_>,
    no_token_needed: impl Fn(&Driver) -> bool,
) -> Result<Connected> {
    let found = inferred.found.clone()?;
    let connected = |forge, driver, repository, token_source| {
        let context = inferred.context.clone();
        Connected { forge, driver, repository, context, token_source }
    };
    if let Some(found) = &found {
        let driver = found.driver;
        let is_requested = inferred.in_ci || global.driver.is_some() || global.repo.is_some() || !local::IS_BUILT_IN;
        if inferred.token.is_some() || is_requested {
            if inferred.token.is_none() && !no_token_needed(driver) {
                return Err(missing_token(driver, inferred.in_ci));
            }
            let source = inferred.token.as_ref().map(|(_, source)| *source);
            let forge = inferred.connect(app, found, publish_branch)?;
            return Ok(connected(forge, driver, found.repository.clone(), source));
        }
        let url = found.repository.url();
        app.log.info(&format!(
            "no token found, writing a local preview; set REPO_TOKEN to comment on {url} ({})",
            driver.own_token_hint
        ));
    } else if (inferred.in_ci || !local::IS_BUILT_IN) && inferred.named.is_none() {
        return Err(unknown_forge(inferred.in_ci));
    } else if let Some((_, source)) = inferred.token.as_ref().filter(|_| inferred.named.is_none()) {
        app.log.warn_with_hint(
            &format!("{source} is set but no repository was found; writing a local preview"),
            "run this in a clone of the repository, or pass --repo https://host/owner/name",
        );
    }
    let repository = found.map_or_else(|| local::repository(app), |found| Ok(found.repository))?;
    let forge = (local::DRIVER.connect)(inferred.connection(app, &repository, None, publish_branch))?;
    Ok(connected(forge, &local::DRIVER, repository, None))
}

/// Returns the error for a run whose forge cannot be determined. Outside of a CI the native program needs none.
pub fn unknown_forge(in_ci: bool) -> Error {
    let preview = if in_ci || local::IS_BUILT_IN { "" } else { "; or run the native program, which needs no forge" };
    Error::config("cannot determine the forge")
        .hint(format!("pass --driver {}, and --repo URL{preview}", driver_names()))
}

/// Returns the error for a forge without a token; the hint depends on whether this runs in a CI.
pub fn missing_token(driver: &Driver, in_ci: bool) -> Error {
    let hint = if in_ci { driver.token_hint } else { driver.own_token_hint };
    Error::auth(format!("no token found for {}", driver.title)).hint(hint)
}

/// What is known from the command line, the CI and the working copy, before any request to a forge.
pub struct Inferred<'a> {
    /// The CI that this runs in, if it is a known one.
    pub ci: Option<Box<dyn Ci + 'a>>,
    /// Whether this runs in any CI.
    pub in_ci: bool,
    /// The forge that the user names.
    pub named: Option<&'static Driver>,
    /// The run as the CI describes it.
    pub context: Context,
    /// The repository; `None` if none was found, or if the user asked for the local preview.
    pub found: Result<Option<DetectedRepository>>,
    /// The token, and the variable or option that it came from.
    pub token: Option<(Secret, &'static str)>,
}

/// A repository and its forge, with where each was found.
#[derive(Clone)]
pub struct DetectedRepository {
    /// Its forge.
    pub driver: &'static Driver,
    /// What the forge was determined from.
    pub driver_source: &'static str,
    /// The repository.
    pub repository: Repository,
    /// What the repository was determined from.
    pub source: &'static str,
    /// The base URL of the API, if it had to be probed for.
    pub api: Option<String>,
}

/// Infers everything that needs no request.
pub async fn infer<'a>(app: &'a App, global: &Global, parse: Parse) -> Inferred<'a> {
    let ci = ci::detect(app.env());
    let read = ci::context(ci.as_deref(), &*app.host);
    let mut context = read.clone().unwrap_or_default();
    let named = global.driver.as_deref().and_then(find_driver);
    let hint = ci.as_ref().map_or(ForgeHint::Unknown, |ci| ci.forge());
    let found = match (read, named) {
        (Err(error), _) => Err(error),
        (Ok(_), Some(driver)) if driver.is_preview => Ok(None),
        (Ok(read), _) => find_repository(app, global, parse, named, &RunRepository { hint, context: &read }).await,
    };
    if let (Ok(Some(found)), ForgeHint::Unsupported(_)) = (&found, hint) {
        forget_numbers(&mut context, &found.repository);
    }
    let driver = found.as_ref().ok().and_then(|found| Some(found.as_ref()?.driver));
    let token = find_token(app, global, driver, ci.as_deref());
    Inferred { in_ci: ci.is_some(), ci, named, context, found, token }
}

/// Takes the numbers of the CI's pull request and issue out of the context, if the report goes to another server: there they
/// mean something else.
fn forget_numbers(context: &mut Context, repository: &Repository) {
    let is_here = context.repository.as_ref().is_none_or(|own| own.server == repository.server);
    if !is_here && context.sources.pull_request != vars::CML_PR.name {
        (context.pull_request, context.issue, context.fork) = (None, None, None);
        context.sources.pull_request = "";
    }
}

fn find_driver(name: &str) -> Option<&'static Driver> {
    FORGES.iter().find(|driver| driver.name == name)
}

/// What the CI says about the repository.
struct RunRepository<'a> {
    /// Its forge, if the CI knows it.
    hint: ForgeHint,
    context: &'a Context,
}

impl RunRepository<'_> {
    /// Returns the error for a repository whose forge cannot be determined.
    fn unknown(&self, repository: &Repository) -> Error {
        let is_own = self.context.repository.as_ref().is_some_and(|own| own.server == repository.server);
        match self.hint {
            ForgeHint::Unsupported(forge) if is_own => unsupported_forge(forge),
            _ => Error::config(format!("cannot determine the forge of {}", repository.host()))
                .hint(format!("pass --driver {}", driver_names())),
        }
    }
}

/// Returns the error for a repository on a forge that there is no driver for.
fn unsupported_forge(forge: &str) -> Error {
    Error::unsupported(format!("repositories on {forge} are not supported")).hint(
        "pass --repo and a token in REPO_TOKEN to report to GitHub, GitLab or Bitbucket; docs/other-ci.md says what else works",
    )
}

impl Inferred<'_> {
    /// Returns whether checks on a forge need no token here.
    pub fn has_signed_checks(&self, driver: &Driver) -> bool {
        self.ci.as_ref().is_some_and(|ci| ci.forge() == ForgeHint::Known(driver.name) && ci.signs_checks())
    }

    /// Probes for the API where it may be below a path of the server, and keeps the first candidate that answers.
    /// The token is not sent. `min_names` is [`MIN_REPOSITORY_NAMES`] or [`MIN_OWNER_NAMES`].
    pub async fn locate(mut self, app: &App, min_names: usize) -> Self {
        // Without a token there is no request.
        if let (Ok(Some(found)), Some(_)) = (&mut self.found, &self.token) {
            for api in (found.driver.api_candidates)(&found.repository, app.env(), min_names) {
                if has_api(app, &api).await {
                    app.log.debug(&format!("the API is at {api}"));
                    found.api = Some(api);
                    break;
                }
            }
        }
        self
    }

    fn connection(
        &self,
        app: &App,
        repository: &Repository,
        token: Option<(Secret, &'static str)>,
        publish_branch: Option<String>,
    ) -> Connection {
        Connection {
            repository: repository.clone(),
            api: self.found.as_ref().ok().and_then(|found| found.as_ref()?.api.clone()),
            token,
            context: self.context.clone(),
            publish_branch,
            http: app.http.clone(),
            log: app.log.clone(),
            host: app.host.clone(),
        }
    }

    /// Connects to the repository, with the token if there is one.
    pub fn connect(
        &self,
        app: &App,
        found: &DetectedRepository,
        publish_branch: Option<String>,
    ) -> Result<Rc<dyn Forge>> {
        let connection = self.connection(app, &found.repository, self.token.clone(), publish_branch);
        (found.driver.connect)(connection)
    }
}

/// Returns the repository and its forge, or `None` if neither the user, the CI nor git names one.
async fn find_repository(
    app: &App,
    global: &Global,
    parse: Parse,
    named: Option<&'static Driver>,
    ci: &RunRepository<'_>,
) -> Result<Option<DetectedRepository>> {
    let of_ci = ci.context.repository.clone().map(|repository| (repository, ci.context.sources.repository));
    let ci_driver = if let ForgeHint::Known(name) = ci.hint { find_driver(name) } else { None };
    let found = if let Some(text) = &global.repo {
        let server = named.and_then(|driver| driver.hosts.first()).map(|host| format!("https://{host}"));
        let is_same = named.is_none_or(|named| ci_driver.is_some_and(|driver| named.name == driver.name));
        let server = of_ci.filter(|_| is_same).map(|(repository, _)| repository.server.to_string()).or(server);
        Some((parse(text, Some(server.as_deref().unwrap_or("https://github.com")))?, "--repo (or CML_REPO)"))
    } else if of_ci.is_some() {
        of_ci
    } else {
        let origin = app.query_git(&["config", "--get", "remote.origin.url"]).await;
        origin.and_then(|url| Repository::parse(&url, None).ok()).map(|found| (found, "git's remote origin"))
    };
    let Some((repository, source)) = found else {
        return match named {
            Some(driver) => Err(Error::config(format!("cannot determine the repository on {}", driver.title))
                .hint("pass --repo https://host/owner/name, or run inside a clone of it")),
            None => Ok(None),
        };
    };
    let by_host = FORGES.iter().find(|driver| driver.has_host(repository.server.host_str().unwrap_or_default()));
    let driver = named
        .map(|driver| (driver, "--driver (or CML_DRIVER)"))
        .or(by_host.map(|driver| (driver, "the repository's host")))
        .or(ci_driver.map(|driver| (driver, "the CI")));
    match (driver, &global.repo) {
        (Some((driver, driver_source)), _) => {
            Ok(Some(DetectedRepository { driver, driver_source, repository, source, api: None }))
        }
        (None, Some(_)) => Err(ci.unknown(&repository)),
        (None, None) if ci.context.repository.is_some() => Err(ci.unknown(&repository)),
        (None, None) => Ok(None),
    }
}

/// Returns whether a forge's API answers below an address: with JSON, possibly to ask for a token.
async fn has_api(app: &App, api: &str) -> bool {
    let version = url::Url::parse(&format!("{api}/version")).ok();
    let Some(Ok(request)) = version.map(|url| request(Method::GET, &url, Bytes::new())) else { return false };
    let answer = app.http.send_raw(request).await;
    answer.is_ok_and(|answer| {
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        matches!(answer.status().as_u16(), 200 | 401 | 403) && kind.contains("json")
    })
}

fn find_token(
    app: &App,
    global: &Global,
    driver: Option<&Driver>,
    ci: Option<&dyn Ci>,
) -> Option<(Secret, &'static str)> {
    if let Some(token) = &global.token {
        return Some((token.clone(), "--token (or CML_TOKEN)"));
    }
    let given = |var: &Var| Some((*var, app.env().get(*var).filter(|value| !env::is_reference(value))?));
    let others = ci.map(|ci| ci.other_forges_tokens()).unwrap_or_default();
    let own = |var: &Var| given(var).filter(|(_, value)| !others.contains(value));
    let (var, value) = TOKEN_VARS.iter().find_map(given).or_else(|| driver?.token_vars.iter().find_map(own))?;
    let source = if var == vars::INPUT_TOKEN { "with: token" } else { var.name };
    Some((Secret::new(value), source))
}

impl Connected {
    /// Returns whether there is no forge, but a page on this machine.
    pub fn is_preview(&self) -> bool {
        self.driver.is_preview
    }

    /// Returns the forge's checks.
    pub fn checks(&self) -> Result<&dyn Checks> {
        require(self.forge.checks(), Capability::Checks, self.driver)
    }

    /// Returns the forge's pull requests.
    pub fn pull_requests(&self) -> Result<&dyn PullRequests> {
        require(self.forge.pull_requests(), Capability::PullRequests, self.driver)
    }

    /// Returns the runs of the forge's CI.
    pub fn runs(&self) -> Result<&dyn Runs> {
        require(self.forge.runs(), Capability::Runs, self.driver)
    }

    /// Returns the forge's runners.
    pub fn runners(&self) -> Result<&dyn Runners> {
        require(self.forge.runners(), Capability::Runners, self.driver)
    }

    /// Returns a publisher of the files that a command prints or posts: all of them must be there, and links to files are
    /// left as they are.
    pub fn publish<'a>(&'a self, app: &'a App, destination: &Destination) -> Publish<'a> {
        let (forge, repository) = (&*self.forge, &self.repository);
        Publish { app, forge, repository, destination: destination.clone(), links: false, strict: true }
    }

    /// Returns the comments with a watermark on a target; `commit` is what they are about.
    pub fn sticky<'a>(
        &'a self,
        app: &'a App,
        target: &'a Target,
        watermark: Option<&'a Watermark>,
        commit: Option<&'a str>,
    ) -> Sticky<'a> {
        Sticky { comments: self.forge.comments(), http: &app.http, log: &app.log, target, watermark, commit }
    }
}
