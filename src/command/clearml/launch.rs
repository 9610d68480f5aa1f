//! Options that say what to run on an agent, and what is looked up before anything is created: the queue and its workers, the commit, the
//! entry point.

use super::selection::{Run, full_commit};
use crate::app::App;
use crate::clearml::Client;
use crate::clearml::launch::Draft;
use crate::clearml::queues::Queue;
use crate::connect::Global;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::git::{Git, Reach};
use clap::ArgAction::Set;
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use url::Url;

/// The remote that a clone has of its own.
const REMOTE: &str = "origin";
/// What starts a script, as ClearML's own program has it. An agent takes its own Python for `python`.
const PYTHON: &str = "python";
const SHELL: &str = "/bin/bash";

/// What to run, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Task")]
pub struct Launch {
    /// Queue whose agents run the task
    #[arg(long, value_name = "QUEUE")]
    pub queue: String,
    /// Script to run, by its path in the repository
    #[arg(long, value_name = "FILE", conflicts_with = "module", required_unless_present_any = ["module", "template"])]
    pub script: Option<String>,
    /// Python module to run instead of a script, with its arguments
    #[arg(long, value_name = "MODULE")]
    pub module: Option<String>,
    /// Working directory, by its path in the repository
    #[arg(long, value_name = "FOLDER")]
    pub cwd: Option<String>,
    /// Program that runs the script, such as python3.11 [default: python of the agent; /bin/bash for .sh]
    #[arg(long, value_name = "PROGRAM")]
    pub binary: Option<String>,
    /// Argument of the script as NAME=VALUE; may be given several times
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = argument)]
    pub args: Vec<(String, String)>,
    /// File with the packages to install [default: requirements.txt of the repository]
    #[arg(long, value_name = "FILE")]
    pub requirements: Option<PathBuf>,
    /// Package to install; may be given several times
    #[arg(long, value_name = "PACKAGE")]
    pub package: Vec<String>,
    /// Container image, for agents that use containers
    #[arg(long, value_name = "IMAGE")]
    pub docker: Option<String>,
    /// Arguments of the container
    #[arg(long, value_name = "ARGUMENTS")]
    pub docker_args: Option<String>,
    /// Shell script that prepares the container
    #[arg(long, value_name = "FILE")]
    pub setup_script: Option<PathBuf>,
    /// ID of a task to clone, with its packages, container and parameters
    #[arg(long, value_name = "ID")]
    pub template: Option<String>,
    /// Commit to run [default: the head of the pull request, or HEAD]
    #[arg(long, value_name = "COMMIT")]
    pub commit: Option<String>,
    /// Branch that has the commit [default: detected]
    #[arg(long, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// Project of the task [default: none, or the template's]
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Name of the task [default: 'cml check' or 'cml run', and the commit]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Type of the task
    #[arg(id = "kind", long = "type", value_name = "TYPE", default_value = "training")]
    pub kind: String,
    /// Tag of the task; may be given several times
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Fail if no worker watches the queue, rather than wait for one
    #[arg(long, action = Set, default_value_t = false)]
    pub require_worker: bool,
    /// Run the code of a pull request from a fork on your agents
    #[arg(long, action = Set, default_value_t = false)]
    pub allow_fork: bool,
}

/// Parses `NAME=VALUE`.
fn argument(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.trim_start_matches('-').to_owned(), value.to_owned()))
        .ok_or_else(|| "expected NAME=VALUE".to_owned())
}

/// What was looked up.
pub struct Plan {
    /// The queue.
    pub queue: Queue,
    /// The task to create; without tags and comment of the verb.
    pub draft: Draft,
    /// The commit.
    pub commit: String,
}

impl Launch {
    /// Looks everything up. Nothing is created.
    ///
    /// # Errors
    /// There is no such queue, or nobody watches it and that is required; agents cannot fetch the commit; it lacks the entry point.
    pub async fn plan(&self, app: &App, global: &Global, run: &Run, client: &Client, verb: &str) -> Result<Plan> {
        if run.is_fork && !self.allow_fork {
            return Err(Error::auth("not running the code of a pull request from a fork on ClearML agents")
                .hint("review the code first, then pass --allow-fork and --repo with the fork's address"));
        }
        if run.is_fork && global.repo.is_none() {
            return Err(Error::usage("--allow-fork needs --repo").hint("pass the address of the fork's repository"));
        }
        let queue = client.queue(&self.queue).await?;
        self.check_workers(app, client, &queue).await?;
        if let Some(template) = &self.template {
            client.task(template).await.map_err(|error| error.context(format!("cannot use --template {template}")))?;
        }
        let commit = match (&self.commit, &run.context.commit) {
            (Some(name), _) => full_commit(app, name).await?,
            (None, Some(commit)) => commit.clone(),
            (None, None) => app.query_git(&["rev-parse", "HEAD"]).await.ok_or_else(|| {
                Error::config("cannot determine the commit").hint("pass --commit SHA, or run inside a git repository")
            })?,
        };
        let own = app.query_git(&["config", "--get", "remote.origin.url"]).await.map(|url| without_secret(&url));
        let repository = self.repository(global, run, own.as_deref())?;
        let remote = if own.as_deref() == Some(&repository) { REMOTE } else { &repository };
        let branch = self.check_commit(app, run, remote, &repository, &commit).await?;
        let short = commit.get(..7).unwrap_or(&commit);
        let marker = format!("cml-{:016x}", app.host.random());
        let draft = Draft {
            template: self.template.clone(),
            name: self.name.clone().unwrap_or_else(|| format!("cml {verb} {short}")),
            project: self.project.clone(),
            kind: self.kind.clone(),
            tags: self.tag.clone(),
            comment: format!(
                "Commit {commit}{}, by cml clearml {verb} ({marker}).",
                run.context.run_url.as_ref().map(|url| format!(", {url}")).unwrap_or_default()
            ),
            script: self.script(app, &repository, branch, &commit)?,
            args: self.args.clone(),
            container: self.container(app)?,
            marker,
        };
        app.log.check("the ClearML task", format!("{draft:?}"))?;
        Ok(Plan { queue, draft, commit })
    }

    async fn check_workers(&self, app: &App, client: &Client, queue: &Queue) -> Result<()> {
        let workers = client.watched_queues().await?;
        if workers.iter().any(|queues| queues.contains(&queue.id)) {
            return Ok(());
        }
        let message = format!("no worker watches the ClearML queue {}", queue.name);
        let hint = format!("start one: clearml-agent daemon --queue {}", queue.name);
        if self.require_worker {
            return Err(Error::new(Kind::NoCapacity, message).hint(hint));
        }
        // An autoscaler may start one when the task is there.
        app.log.warn_with_hint(&message, &hint);
        Ok(())
    }

    /// Returns the address that agents clone: never with a secret, as ClearML shows it.
    fn repository(&self, global: &Global, run: &Run, own: Option<&str>) -> Result<String> {
        let named = match global.repo.as_deref() {
            Some(text) if is_address(text) => Some(without_secret(text)),
            Some(_) => run.named.as_ref().map(|named| format!("{}.git", named.url())),
            None => None,
        };
        // The address of a clone is one that git has used.
        let origin = own.filter(|_| global.repo.is_none()).map(str::to_owned);
        let found = named
            .or(origin)
            .or_else(|| run.context.repository.as_ref().map(|repository| format!("{}.git", repository.url())));
        found.ok_or_else(|| {
            Error::config("cannot determine the repository")
                .hint("pass --repo https://host/owner/name, or run inside a clone of it")
        })
    }

    /// Checks that agents can fetch the commit and that it has the entry point, as far as this clone can tell. Returns the branch.
    async fn check_commit(
        &self,
        app: &App,
        run: &Run,
        remote: &str,
        repository: &str,
        commit: &str,
    ) -> Result<Option<String>> {
        let branch = self.branch.as_ref().or(run.context.branch.as_ref());
        let git = Git::new(app);
        if !git.has_checkout() {
            app.log.info("not inside a clone: not checked that agents can fetch the commit");
            return Ok(self.branch.clone());
        }
        let short = commit.get(..7).unwrap_or(commit);
        let git = git.reaching(remote).await?;
        // A shallow clone of a pull request has the test merge only. Where there is no such commit, that is told below.
        let fetched = git.fetch_commit(remote, commit).await;
        let push = "push the commit to a branch: agents clone branches and tags, and nothing else";
        let branch = match git.reach(remote, commit, branch.map(String::as_str)).await {
            Ok(Reach::Fetched(found)) => self.branch.clone().or(found),
            Ok(Reach::Hidden(name)) => {
                return Err(Error::not_found(format!(
                    "agents cannot fetch {short}: of {repository} only {name} has it"
                ))
                .hint(
                    "pass --commit with the head of the pull request, not its test merge; that of a fork needs --repo",
                ));
            }
            Ok(Reach::Missing) => {
                return Err(
                    Error::not_found(format!("no branch or tag of {repository} has the commit {short}")).hint(push)
                );
            }
            Ok(Reach::Unknown) => {
                app.log.warn_with_hint(
                    &format!("cannot tell whether a branch of {repository} has the commit {short}"),
                    push,
                );
                self.branch.clone()
            }
            Err(error) => {
                app.log.warn_of(&format!("not checked that agents can fetch {short}: {error}"), error.hint_text());
                return Ok(self.branch.clone());
            }
        };
        let paths = self.entry_paths();
        if paths.is_empty() {
            return Ok(branch);
        }
        if fetched.is_err() {
            app.log.info(&format!("this clone does not have {short}: not checked that it has {}", paths[0]));
        } else if git.path_in(commit, &paths).await?.is_none() {
            return Err(Error::not_found(format!("the commit {short} has no {}", paths[0]))
                .hint("--script and --cwd are paths from the top of the repository"));
        }
        Ok(branch)
    }

    /// Returns the working directory and the entry point, in the form of ClearML's own program.
    fn entry(&self) -> Option<(String, String)> {
        let clean = |path: &str| {
            path.replace('\\', "/")
                .split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .collect::<Vec<_>>()
                .join("/")
        };
        let cwd = clean(self.cwd.as_deref().unwrap_or_default());
        if let Some(module) = &self.module {
            return Some((cwd, format!("-m {module}")));
        }
        let script = clean(self.script.as_deref()?);
        let entry = script.strip_prefix(&format!("{cwd}/")).unwrap_or(&script).to_owned();
        Some((cwd, entry))
    }

    /// Returns the files one of which is the entry point.
    fn entry_paths(&self) -> Vec<String> {
        let Some((cwd, entry)) = self.entry() else { return Vec::new() };
        let below = |path: String| if cwd.is_empty() { path } else { format!("{cwd}/{path}") };
        let Some(module) = &self.module else { return vec![below(entry)] };
        let path = module.split_whitespace().next().unwrap_or_default().replace('.', "/");
        // One of an installed package, such as torch.distributed.run, is not in the repository.
        let is_installed = module.contains(' ');
        if is_installed { Vec::new() } else { vec![below(format!("{path}.py")), below(format!("{path}/__main__.py"))] }
    }

    fn script(&self, app: &App, repository: &str, branch: Option<String>, commit: &str) -> Result<Map<String, Value>> {
        let mut script = Map::new();
        let mut add = |name: &str, value: Value| drop(script.insert(name.to_owned(), value));
        add("repository", json!(repository));
        add("version_num", json!(commit));
        add("branch", json!(branch.unwrap_or_default()));
        add("diff", json!(""));
        if let Some((cwd, entry)) = self.entry() {
            let is_shell = entry.ends_with(".sh") && self.module.is_none();
            let default = if is_shell { SHELL } else { PYTHON };
            add("binary", json!(self.binary.as_deref().unwrap_or(default)));
            add("working_dir", json!(if cwd.is_empty() { "." } else { &cwd }));
            add("entry_point", json!(entry));
        }
        let mut packages = match &self.requirements {
            Some(path) => read_text(app, "--requirements", path)?.lines().map(|line| line.trim().to_owned()).collect(),
            None => Vec::new(),
        };
        packages.extend(self.package.iter().cloned());
        if !packages.is_empty() {
            // Without it the agent cannot report.
            let name =
                |line: &String| line.split(['#', ';', '@', '=', '~', '<', '>', '[', ' ']).next() == Some("clearml");
            if !packages.iter().any(name) {
                packages.push("clearml".to_owned());
            }
            add("requirements", json!({ "pip": packages.join("\n") }));
        }
        Ok(script)
    }

    /// Returns the container; its fields are there in any case, as ClearML's own program has them, but for a template's.
    fn container(&self, app: &App) -> Result<Map<String, Value>> {
        let setup = match &self.setup_script {
            // As ClearML's own program does.
            Some(path) => match read_text(app, "--setup-script", path)? {
                text if text.starts_with("#!") => text.split_once('\n').map_or("", |(_, rest)| rest).to_owned(),
                text => text,
            },
            None => String::new(),
        };
        let (image, arguments) =
            (self.docker.as_deref().unwrap_or_default(), self.docker_args.as_deref().unwrap_or_default());
        let fields = [("image", image), ("arguments", arguments), ("setup_shell_script", &setup)];
        let is_kept = |value: &str| self.template.is_none() || !value.is_empty();
        Ok(fields
            .into_iter()
            .filter(|(_, value)| is_kept(value))
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect())
    }
}

fn read_text(app: &App, option: &str, path: &Path) -> Result<String> {
    let file = app.files()?.named(path).and_then(|file| file.read(files::LARGEST_REPORT));
    let bytes =
        file.map_err(|refusal| Error::config(format!("cannot read {option} {} ({refusal})", path.display())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns whether a text is more than `owner/name`.
fn is_address(text: &str) -> bool {
    text.contains("://") || text.contains(':') || text.starts_with('/')
}

/// Returns the address of a repository without a password, and over HTTP without a user, who may be a token.
fn without_secret(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return address.to_owned() };
    if !url.has_host() || url.username().is_empty() && url.password().is_none() {
        return address.to_owned();
    }
    let _ = url.set_password(None);
    if url.scheme().starts_with("http") {
        let _ = url.set_username("");
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_secrets() {
        for (address, safe) in [
            ("https://gitlab-ci-token:abc@gitlab.com/g/r.git", "https://gitlab.com/g/r.git"),
            ("https://token@github.com/o/r", "https://github.com/o/r"),
            ("https://github.com/o/r", "https://github.com/o/r"),
            ("ssh://git:pw@host/o/r.git", "ssh://git@host/o/r.git"),
            ("git@github.com:o/r.git", "git@github.com:o/r.git"),
            ("file:///srv/r.git", "file:///srv/r.git"),
            ("/srv/r.git", "/srv/r.git"),
        ] {
            assert_eq!(without_secret(address), safe);
        }
        assert!(is_address("git@github.com:o/r") && !is_address("o/r"));
    }

    #[test]
    fn arguments_have_names() {
        assert_eq!(argument("--lr=0.1"), Ok(("lr".into(), "0.1".into())));
        assert_eq!(argument("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(argument("lr").is_err() && argument("=1").is_err());
    }
}
