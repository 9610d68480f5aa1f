//! `cml repo prepare`: what later git commands of a job need.

use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::pull_requests::PushConfig;
use crate::git::{CommitAuthor, Git};
use clap::ArgAction::Set;
use clap::{Args, Subcommand};

/// Prepare the working copy
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set the author of later commits and fetch more of the history
    Prepare(Box<Prepare>),
}

/// Options of `cml repo prepare`.
#[derive(Debug, Args)]
#[command(next_help_heading = "History")]
#[command(after_help = "Examples:\n  \
    # Make the forge's bot the author of later commits\n  cml repo prepare\n\n  \
    # Fetch the whole history, and let `git push` use the token\n  cml repo prepare --unshallow --credentials")]
pub struct Prepare {
    /// Fetch N commits of the checked-out commit and of each branch; 0 for all
    #[arg(long, value_name = "N")]
    pub fetch_depth: Option<u32>,
    /// Fetch the whole history of a shallow clone
    #[arg(long, action = Set, default_value_t = false)]
    pub unshallow: bool,
    /// Let later git commands use the token, through a credential helper that reads its environment variable
    #[arg(long, help_heading = "Commits", action = Set, default_value_t = false)]
    pub credentials: bool,
    /// E-mail address of the author [default: the forge's CI bot]
    #[arg(long, value_name = "EMAIL", help_heading = "Commits")]
    pub user_email: Option<String>,
    /// Name of the author [default: the forge's CI bot]
    #[arg(long, value_name = "NAME", help_heading = "Commits")]
    pub user_name: Option<String>,
}

impl Prepare {
    /// Returns whether only the forge would say what is to be set.
    fn asks_for_nothing(&self) -> bool {
        self.fetch_depth.is_none() && !self.unshallow && self.user_email.is_none() && self.user_name.is_none()
    }
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Prepare(args) = command;
    let connected = connect::connect(app, global, None).await?;
    let is_preview = connected.is_preview();
    let push_config = if is_preview { PushConfig::without_forge() } else { connected.pull_requests()?.push_config() };
    if is_preview && args.asks_for_nothing() {
        app.log.info("nothing to prepare: no forge is known here, and git's own settings stay");
    }
    let helper = if args.credentials { Some(helper(app, &connected, &push_config)?) } else { None };
    let git = Git::new(app).trusting(global.ca_cert.as_deref())?.with_push_config(&connected.repository, &push_config);
    let (name, email) = (args.user_name.as_deref(), args.user_email.as_deref());
    let author = CommitAuthor::new(name, email, push_config.author.as_ref());
    for (key, value) in [("user.name", author.name), ("user.email", author.email)] {
        if let Some(value) = value {
            git.configure(&[key, &value]).await?;
        }
    }
    if let Some(helper) = helper {
        let server = connected.repository.server.as_str().trim_end_matches('/');
        let key = format!("credential.{server}.helper");
        // The first, empty value takes the helpers back that are set elsewhere.
        git.configure(&["--replace-all", &key, ""]).await?;
        git.configure(&["--add", &key, &helper]).await?;
    }
    fetch(app, git, args).await
}

/// What is fetched besides the history that is asked for.
const FIXED: [&str; 4] = ["fetch", "--quiet", "--tags", "--update-shallow"];
const BRANCHES: &str = "+refs/heads/*:refs/remotes/origin/*";

async fn fetch(app: &App, git: Git<'_>, args: &Prepare) -> Result<()> {
    let depth = args.fetch_depth.filter(|depth| *depth > 0 && !args.unshallow);
    if depth.is_none() && args.fetch_depth.is_none() && !args.unshallow {
        return Ok(());
    }
    let git = &git.reaching("origin").await?;
    let shallow = git.query(&["rev-parse", "--is-shallow-repository"]).await? == "true";
    match depth {
        _ if !shallow => {
            app.log.info("the clone already has the whole history");
            git.transfer(&[&FIXED[..], &["origin", BRANCHES]].concat()).await
        }
        None => git.transfer(&[&FIXED[..], &["--unshallow", "origin", BRANCHES]].concat()).await,
        Some(depth) => deepen(app, git, depth).await,
    }
}

/// Gets so many commits of what is checked out and of each branch, but takes none away that the clone has.
async fn deepen(app: &App, git: &Git<'_>, depth: u32) -> Result<()> {
    let head = git.query(&["rev-parse", "HEAD"]).await?;
    let has = git.query(&["rev-list", "--count", "--first-parent", "HEAD"]).await?;
    let has: u32 = has.parse().unwrap_or_default();
    if has > depth {
        app.log.info(&format!("the clone already has {has} commits; keeping them"));
    }
    let option = format!("--depth={}", has.max(depth));
    let wanted = [&FIXED[..], &[&option, "origin"]].concat();
    // The branches alone do not lead to a test merge, nor to a commit that another one has followed.
    match git.transfer(&[&wanted[..], &[&head, BRANCHES]].concat()).await {
        // It was made here.
        Err(error) if error.kind() == Kind::NotFound => git.transfer(&[&wanted[..], &[BRANCHES]].concat()).await,
        fetched => fetched,
    }
}

/// Returns a helper of git's that prints the user name, and the token from its variable, which every later step must
/// have.
/// <https://git-scm.com/docs/gitcredentials#_custom_helpers>
fn helper(app: &App, connected: &Connected, push_config: &PushConfig) -> Result<String> {
    let variable =
        connected.token_source.filter(|source| source.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    let value = variable.and_then(|variable| app.env().named(variable));
    let (Some(credential), Some(variable), Some(value)) = (&push_config.credential, variable, value) else {
        return Err(Error::config(
            "--credentials requires the token in an environment variable, which later git commands read",
        )
        .hint("set it for the whole job: env: { REPO_TOKEN: ... }"));
    };
    let (user, password) = (credential.user, credential.password.expose());
    let read = match value.trim() {
        value if value == password => format!("${variable}"),
        value if value.ends_with(&format!(":{password}")) => format!("${{{variable}#*:}}"),
        _ => {
            return Err(Error::unsupported(format!("--credentials does not support a base64 token in {variable}"))
                .hint("pass it as email:token"));
        }
    };
    Ok(format!("!f() {{ test \"$1\" != get || printf 'username={user}\\npassword=%s\\n' \"{read}\"; }}; f"))
}
