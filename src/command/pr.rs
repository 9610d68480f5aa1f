//! `cml pr create`: changed files become a commit on a branch, and that a pull request.
//!
//! What changed → the branch on the forge, and its open pull request → a commit beside the working copy → push →
//! pull request → merge, where asked for. Nothing in the working copy moves.

use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::pull_requests::{self, Merge, Merged, NewPullRequest, PullRequest, PushConfig};
use crate::git::{CommitAuthor, Git, Status, pathspecs};
use crate::outputs;
use crate::report::decode::clean;
use clap::ArgAction::Set;
use clap::{Args, Subcommand};

/// Open a pull request with changed files
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Commit changed files to a new branch and open a pull request for it
    Create(Box<Create>),
}

/// Options of `cml pr create`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pull request")]
#[command(after_help = "Examples:\n  \
    # Open a pull request with everything that changed\n  cml pr create .\n\n  \
    # Squash and merge some files when the checks have passed\n  \
    cml pr create '**/*.json' '!secrets.json' --squash\n\n  \
    # Link the pull request in a report\n  cml pr create --md model.json >> report.md\n\n\
    The working copy, its branch and git's configuration are not changed.")]
pub struct Create {
    /// Files, folders and globs to commit, such as 'models/**/*.json' '!models/tmp' [default: only push the job's own
    /// commits]
    #[arg(id = "glob", value_name = "GLOB", num_args = 0..)]
    pub globs: Vec<String>,

    /// Title
    #[arg(long, value_name = "TITLE")]
    pub title: Option<String>,
    /// Description of the pull request, Markdown
    #[arg(long, value_name = "TEXT")]
    pub body: Option<String>,
    /// Branch to create [default: <target>-cml-pr-<commit>]
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// Branch to merge into [default: the run's branch]
    #[arg(long, value_name = "BRANCH")]
    pub target_branch: Option<String>,
    /// Remote to push to
    #[arg(long, value_name = "REMOTE", default_value = "origin")]
    pub remote: String,

    /// Merge with a merge commit when the checks have passed
    #[arg(long, alias = "auto-merge", help_heading = "Merging", conflicts_with_all = ["rebase", "squash"], action = Set, default_value_t = false)]
    pub merge: bool,
    /// Rebase and merge when the checks have passed
    #[arg(long, help_heading = "Merging", conflicts_with = "squash", action = Set, default_value_t = false)]
    pub rebase: bool,
    /// Squash and merge when the checks have passed
    #[arg(long, help_heading = "Merging", action = Set, default_value_t = false)]
    pub squash: bool,

    /// Commit message
    #[arg(long, value_name = "TEXT", help_heading = "Commit")]
    pub message: Option<String>,
    /// Mark the commit so that it starts no pipeline [default without --message and merging]
    #[arg(long, help_heading = "Commit", action = Set, default_value_t = false)]
    pub skip_ci: bool,
    /// E-mail address of the author [default: the forge's CI bot]
    #[arg(long, value_name = "EMAIL", help_heading = "Commit")]
    pub user_email: Option<String>,
    /// Name of the author [default: the forge's CI bot]
    #[arg(long, value_name = "NAME", help_heading = "Commit")]
    pub user_name: Option<String>,

    /// Show the branches, files, title and body that would be sent, and send nothing
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub dry_run: bool,
    /// Print a Markdown link instead of the address
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub md: bool,
}

/// Larger files are data.
const LARGEST_TEXT: u64 = 32 << 20;

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Create(args) = command;
    let connected = connect::connect(app, global, None).await?;
    let is_shown_only = args.dry_run && connected.is_preview();
    let push_config =
        if is_shown_only { PushConfig::without_forge() } else { connected.pull_requests()?.push_config() };
    let connected = connected.with_head().await?;
    let merge = args.merging();
    if let Some(how) = merge.filter(|how| !push_config.merges.contains(how)) {
        return Err(Error::unsupported(format!(
            "{} does not support {} for a single {}",
            connected.driver.title,
            option(how),
            push_config.noun.to_lowercase()
        ))
        .hint("use --merge or --squash; rebasing is a setting of the project there"));
    }
    let git = Git::new(app).trusting(global.ca_cert.as_deref())?.with_push_config(&connected.repository, &push_config);
    let git = git.reaching(&args.remote).await?;
    let Some(job) = Job::prepare(app, args, &connected, &push_config, &git).await? else { return Ok(()) };
    if args.dry_run {
        return job.show();
    }
    let Some(pull) = job.open().await? else { return Ok(()) };
    let announced = job.announce(&pull);
    if let Some(how) = merge.filter(|_| pull.open) {
        job.merge(&pull, how).await?;
    }
    announced
}

fn option(how: Merge) -> &'static str {
    match how {
        Merge::Commit => "--merge",
        Merge::Rebase => "--rebase",
        Merge::Squash => "--squash",
    }
}

impl Create {
    fn merging(&self) -> Option<Merge> {
        let modes = [(self.merge, Merge::Commit), (self.rebase, Merge::Rebase), (self.squash, Merge::Squash)];
        modes.into_iter().find_map(|(is_on, how)| is_on.then_some(how))
    }

    /// Refuses secrets in what is going to be pushed: the texts, and the files as far as they may be texts.
    fn check_secrets(&self, app: &App, status: &Status) -> Result<()> {
        let texts = [
            ("--title", &self.title),
            ("--body", &self.body),
            ("--message", &self.message),
            ("--branch", &self.branch),
            ("--target-branch", &self.target_branch),
            ("--user-name", &self.user_name),
            ("--user-email", &self.user_email),
        ];
        for (option, text) in texts {
            app.log.check(option, &*clean(text.as_deref().unwrap_or_default()))?;
        }
        let top = app.working_copy()?;
        for name in &status.changed {
            let name = String::from_utf8_lossy(name);
            let path = top.join(&*name);
            app.log.check("the name of a file", &*name)?;
            if app.host.stat(&path).is_ok_and(|stat| stat.is_file && stat.len <= LARGEST_TEXT)
                && let Ok(bytes) = app.host.read(&path)
            {
                app.log.check(&name, bytes)?;
            }
        }
        Ok(())
    }

    fn skips_ci(&self) -> bool {
        self.skip_ci || (self.message.is_none() && self.merging().is_none())
    }
}

/// What is to be done, once it is known that something is.
struct Job<'a> {
    app: &'a App,
    args: &'a Create,
    connected: &'a Connected,
    push_config: &'a PushConfig,
    git: &'a Git<'a>,
    status: Status,
    /// The commit that the run is about.
    trigger: String,
    /// What a new branch begins with.
    parent: String,
    /// Whether the clone may not have that.
    missing: bool,
    /// Whether the working copy has commits of the user's above the trigger.
    own: bool,
    source: String,
    target: String,
}

impl<'a> Job<'a> {
    async fn prepare(
        app: &'a App,
        args: &'a Create,
        connected: &'a Connected,
        push_config: &'a PushConfig,
        git: &'a Git<'a>,
    ) -> Result<Option<Self>> {
        // git has no file of that name.
        let nothing = || vec![":(top,literal).git".to_owned()];
        let specs = if args.globs.is_empty() { nothing() } else { pathspecs(app, &args.globs) };
        let status = git.status(&specs).await?;
        let context = &connected.context;
        let trigger = context.commit.clone().unwrap_or_else(|| status.head.clone());
        let Base { parent, missing, own } = base(git, connected, &status.head, &trigger).await?;
        for nested in &status.nested {
            app.log.warn_with_hint(
                &format!("{nested} is a repository of its own and was left out"),
                "to keep a version of it, run `git submodule add`",
            );
        }
        if status.is_clean() && !own {
            if args.globs.is_empty() {
                app.log.warn("nothing to push: no commits after the run's commit, and no files were given")
            } else {
                warn_nothing_to_commit(app, git, &specs).await?
            }
            return Ok(None);
        }
        let target = target(args, connected, &status)?;
        let source = args.branch.clone().unwrap_or_else(|| pull_requests::branch(&target, &trigger));
        if source.contains([':', '*', '?', '[', '\\', '^', '~', ' ']) || source.contains("..") {
            return Err(Error::usage(format!("--branch {source} is not a valid branch name"))
                .hint("use letters, digits, and any of - _ . /"));
        }
        if source == target {
            return Err(Error::usage(format!("--branch {source} is the branch to merge into"))
                .hint("omit --branch, or choose another name"));
        }
        args.check_secrets(app, &status)?;
        if let Some(branch) = &args.target_branch
            && git.branch(&args.remote, branch).await?.is_none()
        {
            return Err(Error::not_found(format!("branch {branch} not found on {}", args.remote))
                .hint("check --target-branch, or push that branch first"));
        }
        Ok(Some(Job { app, args, connected, push_config, git, status, trigger, parent, missing, own, source, target }))
    }

    /// Returns the pull request, after the branch has the changes: the open one, or one that was merged with just
    /// these; `None` when there turns out to be nothing to say.
    async fn open(&self) -> Result<Option<PullRequest>> {
        let pulls = self.connected.pull_requests()?;
        let there = self.git.fetch_branch(&self.args.remote, &self.source).await?;
        let pull = match &there {
            // One that was merged is about these changes if it has all of the branch.
            Some(tip) => pulls.find(&self.source, &self.target).await?.filter(|p| p.open || p.is_at(tip)),
            None => None,
        };
        let commit = match &there {
            Some(tip) if !self.own => self.commit(tip).await?,
            _ => {
                if self.missing {
                    self.git.fetch(&self.args.remote, &[&self.parent]).await?;
                }
                let made = self.commit(&self.parent).await?;
                made.or_else(|| self.own.then(|| self.status.head.clone()))
            }
        };
        let moved = match commit.filter(|commit| there.as_ref() != Some(commit)) {
            Some(commit) => self.push(&commit, pull.is_some()).await?,
            None if there.is_none() => {
                self.app.log.warn("nothing to commit: the files are the same as in the run's commit");
                return Ok(None);
            }
            None => {
                self.app.log.info(&format!("{} already has these changes", self.source));
                false
            }
        };
        match pull.filter(|pull| pull.open || !moved) {
            Some(pull) if !pull.open => {
                self.app.log.info(&format!("they were already merged into {}", self.target));
                Ok(Some(pull))
            }
            Some(pull) => Ok(Some(pull)),
            None => pull_requests::create_once(pulls, &self.app.http, &self.pull_request()).await.map(Some),
        }
    }

    async fn commit(&self, parent: &str) -> Result<Option<String>> {
        if self.status.is_clean() {
            return Ok(None);
        }
        let short = self.short();
        let mut message = self.args.message.clone().unwrap_or_else(|| format!("CML PR for {short}"));
        if self.args.skips_ci() {
            message.push_str(" [skip ci]");
        }
        let (name, email) = (self.args.user_name.as_deref(), self.args.user_email.as_deref());
        let author = CommitAuthor::new(name, email, self.push_config.author.as_ref());
        self.git.commit(parent, &self.status, &message, author).await
    }

    /// Makes a commit that of the branch. Returns whether it is: a branch with a pull request and other commits stays.
    async fn push(&self, commit: &str, has_pull: bool) -> Result<bool> {
        let options = if self.args.skips_ci() { self.push_config.skip_ci } else { &[] };
        let source = &self.source;
        match self.git.push(&self.args.remote, commit, source, options, &self.status).await {
            Err(error) if error.kind() == Kind::Conflict && has_pull => {
                self.app.log.warn(&format!("{source} already has other commits and was not changed: {error}"));
                Ok(false)
            }
            Err(error) => Err(error),
            Ok(()) => {
                self.app.log.info(&format!("pushed {} to {source}", &commit[..commit.len().min(8)]));
                Ok(true)
            }
        }
    }

    fn short(&self) -> &str {
        &self.trigger[..self.trigger.len().min(8)]
    }

    fn pull_request(&self) -> NewPullRequest {
        let Job { args, source, target, trigger, .. } = self;
        let run = self.connected.context.run_url.as_ref().map(|url| format!(" in [this run]({url})"));
        let text = |given: &Option<String>| given.as_deref().map(|text| clean(text).into_owned());
        let body = || format!("Automated commits for {trigger}, created by CML{}.", run.unwrap_or_default());
        NewPullRequest {
            title: text(&args.title).unwrap_or_else(|| format!("CML PR for {target} {}", self.short())),
            body: text(&args.body).unwrap_or_else(body),
            source: source.clone(),
            target: target.clone(),
        }
    }

    /// Prints what would be sent.
    fn show(&self) -> Result<()> {
        let NewPullRequest { title, body, source, target } = self.pull_request();
        let mut text = format!("title: {title}\nfrom:  {source}\ninto:  {target}\n");
        if self.own {
            text += &format!("commits: those above {}\n", self.short());
        }
        let mut names: Vec<_> = self.status.changed.iter().collect();
        names.sort();
        for name in names {
            text += &format!("file:  {}\n", self.app.log.line(&String::from_utf8_lossy(name)));
        }
        if let Some(how) = self.args.merging() {
            text += &format!("merge: {}\n", option(how).trim_start_matches('-'));
        }
        self.app.print_result(&format!("{text}\n{}\n", body.trim_end()))
    }

    fn announce(&self, pull: &PullRequest) -> Result<()> {
        let text =
            if self.args.md { format!("[CML's {}]({})", self.push_config.noun, pull.url) } else { pull.url.clone() };
        let printed = self.app.print_line(&text);
        let set = outputs::set(self.app, &[("pr-url", &pull.url)]);
        printed.and(set)
    }

    async fn merge(&self, pull: &PullRequest, how: Merge) -> Result<()> {
        let merged = pull_requests::merge(self.connected.pull_requests()?, &self.app.http, pull, how).await?;
        self.app.log.info(match merged {
            Merged::Now => "merged the pull request",
            Merged::Started => "the merge was started; see the pull request's page for its progress",
            Merged::Later => "the pull request will be merged when its checks have passed",
        });
        Ok(())
    }
}

/// What a new branch begins with.
struct Base {
    parent: String,
    /// Whether the clone may not have it.
    missing: bool,
    /// Whether the working copy has commits of the user's above it.
    own: bool,
}

/// Returns what a new branch begins with: the run's commit if HEAD is what the CI checked out, or its merge of the run's
/// commit; otherwise HEAD, which keeps the user's commits.
async fn base(git: &Git<'_>, connected: &Connected, head: &str, trigger: &str) -> Result<Base> {
    let context = &connected.context;
    if head == trigger || context.checked_out.as_deref() == Some(head) {
        return Ok(Base { parent: trigger.to_owned(), missing: head != trigger, own: false });
    }
    let above = git.between(context.checked_out.as_deref().unwrap_or(trigger), head).await?;
    let test_merge = context.pull_request.is_some()
        && matches!(&above[..], [one] if one.len() == 3 && one[1..].iter().any(|parent| parent == trigger));
    let parent = if test_merge { trigger } else { head }.to_owned();
    Ok(Base { parent, missing: false, own: !test_merge && !above.is_empty() })
}

/// Returns the branch to merge into.
fn target(args: &Create, connected: &Connected, status: &Status) -> Result<String> {
    if let Some(branch) = &args.target_branch {
        return Ok(branch.clone());
    }
    let context = &connected.context;
    if context.fork.is_some() {
        return Err(Error::unsupported("this run is for a branch of a fork, not of this repository")
            .hint("run this for the repository's own branches only, or pass --target-branch"));
    }
    context.branch.clone().or_else(|| status.branch.clone()).ok_or_else(|| {
        Error::config("cannot determine the target branch of the pull request")
            .hint("pass --target-branch, such as main")
    })
}

/// Warns why there is nothing to commit.
async fn warn_nothing_to_commit(app: &App, git: &Git<'_>, specs: &[String]) -> Result<()> {
    let warning = match git.fitting(specs).await? {
        (false, _) => {
            "nothing to commit: no file matches; check the globs (they are relative to the current directory)"
        }
        (true, false) => "nothing to commit: git ignores all matching files; see `git check-ignore --verbose FILE`",
        (true, true) => "nothing to commit: no matching file has changed",
    };
    app.log.warn(warning);
    Ok(())
}
