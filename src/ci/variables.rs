//! CI systems that say all in variables: what differs between them is a table.
//!
//! Each builds repositories of several forges. Where none of its variables names the forge, the repository's host tells it.

use super::{Ci, Context, ForgeHint, Row, Sources};
use crate::env::{Env, Secret, Var, vars};
use crate::error::Result;
use crate::host::Host;
use crate::http::Http;
use crate::log::Log;
use crate::repository::Repository;
use async_trait::async_trait;

/// Makes the row of a table.
macro_rules! row {
    ($table:expr) => {{
        const TABLE: Table = $table;
        Row { title: TABLE.title, identity_hint: None, new: |env| Some(Box::new(Variables::new(env, &TABLE)?)) }
    }};
}

/// Jenkins, with the plugins Git and Branch API: <https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables>,
/// <https://plugins.jenkins.io/git/#plugin-content-environment-variables> and
/// <https://www.jenkins.io/doc/book/pipeline/multibranch/#additional-environment-variables>.
///
/// In a change request's build `GIT_COMMIT` may be a merge that was made on the agent only.
pub const JENKINS: Row = row!(Table {
    title: "Jenkins",
    marker: vars::JENKINS_URL,
    repository: &[vars::GIT_URL, vars::GIT_URL_1],
    pull_request: &[vars::CHANGE_ID],
    pushed_commit: &[vars::GIT_COMMIT],
    branch: &[vars::CHANGE_BRANCH, vars::BRANCH_NAME, vars::GIT_BRANCH],
    target_branch: &[vars::CHANGE_TARGET],
    tag: &[vars::TAG_NAME],
    fork: &[vars::CHANGE_FORK],
    workflow: &[vars::JOB_NAME],
    run: &[vars::BUILD_NUMBER],
    job: &[vars::BUILD_TAG],
    run_url: &[vars::BUILD_URL],
    ..EMPTY
});

/// Buildkite: <https://buildkite.com/docs/pipelines/configure/environment-variables>.
pub const BUILDKITE: Row = row!(Table {
    title: "Buildkite",
    marker: vars::BUILDKITE,
    repository: &[vars::BUILDKITE_REPO],
    pull_request: &[vars::BUILDKITE_PULL_REQUEST],
    commit: &[vars::BUILDKITE_COMMIT],
    branch: &[vars::BUILDKITE_BRANCH],
    target_branch: &[vars::BUILDKITE_PULL_REQUEST_BASE_BRANCH],
    default_branch: &[vars::BUILDKITE_PIPELINE_DEFAULT_BRANCH],
    tag: &[vars::BUILDKITE_TAG],
    fork: &[vars::BUILDKITE_PULL_REQUEST_REPO],
    workflow: &[vars::BUILDKITE_PIPELINE_SLUG],
    run: &[vars::BUILDKITE_BUILD_NUMBER],
    job: &[vars::BUILDKITE_JOB_ID],
    run_url: &[vars::BUILDKITE_BUILD_URL],
    forge: Some((
        vars::BUILDKITE_PIPELINE_PROVIDER,
        &[
            ("github", ForgeHint::Known("github")),
            ("github_enterprise", ForgeHint::Known("github")),
            ("gitlab", ForgeHint::Known("gitlab")),
            ("bitbucket", ForgeHint::Known("bitbucket")),
        ],
    )),
    ..EMPTY
});

/// CircleCI: <https://circleci.com/docs/reference/variables/#built-in-environment-variables>. Pipelines of its GitHub App and of
/// GitLab have no variable with the pull request.
pub const CIRCLECI: Row = row!(Table {
    title: "CircleCI",
    marker: vars::CIRCLECI,
    repository: &[vars::CIRCLE_REPOSITORY_URL],
    pull_request: &[vars::CIRCLE_PULL_REQUEST, vars::CIRCLE_PR_NUMBER],
    commit: &[vars::CIRCLE_SHA1],
    branch: &[vars::CIRCLE_BRANCH],
    tag: &[vars::CIRCLE_TAG],
    fork: &[vars::CIRCLE_PR_USERNAME],
    workflow: &[vars::CIRCLE_WORKFLOW_ID],
    run: &[vars::CIRCLE_BUILD_NUM],
    job: &[vars::CIRCLE_WORKFLOW_JOB_ID, vars::CIRCLE_BUILD_URL],
    run_url: &[vars::CIRCLE_BUILD_URL],
    identity: &[vars::CIRCLE_OIDC_TOKEN_V2, vars::CIRCLE_OIDC_TOKEN],
    ..EMPTY
});

/// TeamCity: <https://www.jetbrains.com/help/teamcity/predefined-build-parameters.html>. The repository, the branch and the pull
/// request are parameters and no variables: a build hands them on in `CML_REPO`, `CML_BRANCH` and `CML_PR`.
pub const TEAMCITY: Row = row!(Table {
    title: "TeamCity",
    marker: vars::TEAMCITY_VERSION,
    commit: &[vars::BUILD_VCS_NUMBER],
    workflow: &[vars::TEAMCITY_BUILDCONF_NAME],
    run: &[vars::BUILD_NUMBER],
    run_url: &[vars::BUILD_URL],
    ..EMPTY
});

/// Woodpecker: <https://woodpecker-ci.org/docs/usage/environment#built-in-environment-variables>.
pub const WOODPECKER: Row = row!(Table {
    title: "Woodpecker CI",
    marker: vars::CI,
    marker_value: Some("woodpecker"),
    repository: &[vars::CI_REPO_URL, vars::CI_REPO_CLONE_URL],
    pull_request: &[vars::CI_COMMIT_PULL_REQUEST],
    commit: &[vars::CI_COMMIT_SHA],
    // The last one is the target branch in the pipeline of a pull request.
    branch: &[vars::CI_COMMIT_SOURCE_BRANCH, vars::CI_COMMIT_BRANCH],
    target_branch: &[vars::CI_COMMIT_TARGET_BRANCH],
    default_branch: &[vars::CI_REPO_DEFAULT_BRANCH],
    tag: &[vars::CI_COMMIT_TAG],
    workflow: &[vars::CI_WORKFLOW_NAME],
    run: &[vars::CI_PIPELINE_NUMBER],
    job: &[vars::CI_STEP_URL],
    run_url: &[vars::CI_PIPELINE_URL],
    forge: Some((
        vars::CI_FORGE_TYPE,
        &[
            ("github", ForgeHint::Known("github")),
            ("gitlab", ForgeHint::Known("gitlab")),
            ("bitbucket", ForgeHint::Known("bitbucket")),
            ("bitbucket_dc", ForgeHint::Unsupported("Bitbucket Data Center")),
            ("forgejo", ForgeHint::Unsupported("Forgejo")),
            ("gitea", ForgeHint::Unsupported("Gitea")),
        ],
    )),
    ..EMPTY
});

/// Azure Pipelines: <https://learn.microsoft.com/azure/devops/pipelines/build/variables>. In the run of a pull request
/// `BUILD_SOURCEVERSION` is the test merge; not every version of the page has `System.PullRequest.SourceCommitId`.
pub const AZURE_PIPELINES: Row = row!(Table {
    title: "Azure Pipelines",
    marker: vars::TF_BUILD,
    repository: &[vars::BUILD_REPOSITORY_URI],
    pull_request: &[vars::SYSTEM_PULLREQUEST_PULLREQUESTNUMBER, vars::BUILD_SOURCEBRANCH],
    commit: &[vars::SYSTEM_PULLREQUEST_SOURCECOMMITID],
    pushed_commit: &[vars::BUILD_SOURCEVERSION],
    checked_out: &[vars::BUILD_SOURCEVERSION],
    branch: &[vars::SYSTEM_PULLREQUEST_SOURCEBRANCH, vars::BUILD_SOURCEBRANCH],
    target_branch: &[vars::SYSTEM_PULLREQUEST_TARGETBRANCH],
    fork: &[vars::SYSTEM_PULLREQUEST_SOURCEREPOSITORYURI],
    workflow: &[vars::BUILD_DEFINITIONNAME],
    run: &[vars::BUILD_BUILDID],
    job: &[vars::SYSTEM_JOBID],
    run_page: Some(azure_run),
    forge: Some((
        vars::BUILD_REPOSITORY_PROVIDER,
        &[
            ("GitHub", ForgeHint::Known("github")),
            ("GitHubEnterprise", ForgeHint::Known("github")),
            ("Bitbucket", ForgeHint::Known("bitbucket")),
            ("TfsGit", ForgeHint::Unsupported("Azure Repos")),
            ("TfsVersionControl", ForgeHint::Unsupported("Team Foundation Version Control")),
            ("Svn", ForgeHint::Unsupported("Subversion")),
        ],
    )),
    ..EMPTY
});

/// Returns the page of a run of Azure Pipelines, which is in no variable.
fn azure_run(env: &Env) -> Option<String> {
    let server = env.get(vars::SYSTEM_COLLECTIONURI)?.trim_end_matches('/');
    let (project, build) = (env.get(vars::SYSTEM_TEAMPROJECT)?, env.get(vars::BUILD_BUILDID)?);
    let mut url = url::Url::parse(&format!("{server}/")).ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend([project, "_build", "results"]);
    url.query_pairs_mut().append_pair("buildId", build);
    Some(url.into())
}

/// The variables of a CI. Of several, the first that is set counts.
struct Table {
    /// The name people use.
    title: &'static str,
    /// A variable that is set in every job of this CI and nowhere else.
    marker: Var,
    /// The value by which that variable means this CI, if others set it too.
    marker_value: Option<&'static str>,
    /// URL of the repository, as git or people write it.
    repository: &'static [Var],
    /// Number, page or ref of the pull request.
    pull_request: &'static [Var],
    /// The commit: in a pull request's run its head.
    commit: &'static [Var],
    /// The commit of a push: in a pull request's run it may be a merge instead of the head, which the forge is then asked for.
    pushed_commit: &'static [Var],
    /// The commit that is checked out, where that is another one.
    checked_out: &'static [Var],
    /// The branch, also as a ref: in a pull request's run its source.
    branch: &'static [Var],
    /// The branch that the pull request goes into.
    target_branch: &'static [Var],
    /// The repository's default branch.
    default_branch: &'static [Var],
    /// Set when the run is for a tag, which is no branch.
    tag: &'static [Var],
    /// Repository or owner of the source branch.
    fork: &'static [Var],
    /// Name or identity of the workflow.
    workflow: &'static [Var],
    /// Number of the run.
    run: &'static [Var],
    /// What tells the job apart from every other.
    job: &'static [Var],
    /// The page of the run.
    run_url: &'static [Var],
    /// Returns that page, where no variable has it.
    run_page: Option<fn(&Env) -> Option<String>>,
    /// A variable that names the forge, and what its values mean.
    forge: Option<(Var, &'static [(&'static str, ForgeHint)])>,
    /// The identity token of the job.
    identity: &'static [Var],
}

/// A table without variables.
const EMPTY: Table = Table {
    title: "",
    marker: vars::CI,
    marker_value: None,
    repository: &[],
    pull_request: &[],
    commit: &[],
    pushed_commit: &[],
    checked_out: &[],
    branch: &[],
    target_branch: &[],
    default_branch: &[],
    tag: &[],
    fork: &[],
    workflow: &[],
    run: &[],
    job: &[],
    run_url: &[],
    run_page: None,
    forge: None,
    identity: &[],
};

/// A job of a CI that a table describes.
struct Variables<'a> {
    env: &'a Env,
    table: &'static Table,
}

impl<'a> Variables<'a> {
    /// Returns the job, if this process runs in one.
    fn new(env: &'a Env, table: &'static Table) -> Option<Self> {
        let value = env.get(table.marker)?;
        table.marker_value.is_none_or(|marker| marker == value).then_some(Variables { env, table })
    }

    /// Returns the first value that can be read, and its variable.
    fn find<T>(&self, vars: &[Var], read: impl Fn(&str) -> Option<T>) -> (Option<T>, &'static str) {
        let found = vars.iter().find_map(|var| Some((read(self.env.get(*var)?)?, var.name)));
        found.map_or((None, ""), |(value, source)| (Some(value), source))
    }

    fn text(&self, vars: &[Var]) -> Option<String> {
        self.find(vars, |value| Some(value.to_owned())).0
    }
}

#[async_trait(?Send)]
impl Ci for Variables<'_> {
    fn title(&self) -> &'static str {
        self.table.title
    }

    fn forge(&self) -> ForgeHint {
        let named = self.table.forge.and_then(|(var, values)| {
            let value = self.env.get(var)?;
            values.iter().find(|(name, _)| *name == value)
        });
        named.map_or(ForgeHint::Unknown, |(_, hint)| *hint)
    }

    fn context(&self, _: &dyn Host) -> Context {
        let table = self.table;
        let (repository, of_repository) = self.find(table.repository, |url| Repository::parse(url, None).ok());
        let (pull_request, pull_source) =
            self.find(table.pull_request, |value| pull_number(value, repository.as_ref()));
        let pushed = if pull_request.is_none() { table.pushed_commit } else { &[] };
        let (commit, commit_source) = self.find(&[table.commit, pushed].concat(), commit_of);
        let has_branch = self.text(table.tag).is_none();
        let (branch, branch_source) = self.find(table.branch, |value| branch_of(value).filter(|_| has_branch));
        let (fork, _) = self.find(table.fork, |value| owner_of_fork(value, repository.as_ref()));
        Context {
            fork: fork.filter(|_| pull_request.is_some()),
            repository,
            commit,
            checked_out: self.find(table.checked_out, commit_of).0,
            pull_request,
            issue: None,
            branch,
            target_branch: self.find(table.target_branch, branch_of).0.filter(|_| pull_request.is_some()),
            default_branch: self.find(table.default_branch, branch_of).0,
            workflow: self.text(table.workflow),
            run: self.text(table.run),
            job: self.text(table.job),
            run_url: self.text(table.run_url).or_else(|| (table.run_page?)(self.env)),
            sources: Sources {
                repository: of_repository,
                commit: commit_source,
                pull_request: pull_source,
                branch: branch_source,
            },
        }
    }

    async fn identity_token(&self, _: &Http, _: &Log, _: &str) -> Result<Option<Secret>> {
        Ok(self.text(self.table.identity).map(Secret::new))
    }
}

/// Returns the number in `7`, in `refs/pull/7/merge`, or in the address of a pull request of the repository, such as
/// `https://github.com/owner/name/pull/7`.
pub fn pull_number(value: &str, repository: Option<&Repository>) -> Option<u64> {
    let digits = if let Ok(page) = url::Url::parse(value) {
        let own = repository.map_or(String::new(), |repository| format!("/{}", repository.path));
        let below = page.path().strip_prefix(&own)?.strip_prefix('/')?.trim_end_matches('/').to_owned();
        below.rsplit('/').next()?.to_owned()
    } else {
        let digits = value.strip_prefix("refs/pull/").map_or(value, |rest| rest.split('/').next().unwrap_or_default());
        digits.to_owned()
    };
    digits.parse().ok().filter(|number| *number > 0)
}

/// Returns a commit; not a symbolic name such as `HEAD`.
pub fn commit_of(value: &str) -> Option<String> {
    let is_hash = value.len() >= 7 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| value.to_ascii_lowercase())
}

/// Returns the branch in `main`, `refs/heads/main`, `origin/main` or, of a fork, `owner:main`.
pub fn branch_of(value: &str) -> Option<String> {
    let name = value.strip_prefix("refs/heads/").or(value.strip_prefix("origin/")).unwrap_or(value);
    let name = name.rsplit(':').next().unwrap_or(name);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_pull = name.strip_prefix("pull/").is_some_and(is_number);
    // What Jenkins calls a commit that was checked out by itself.
    let is_branch = !name.starts_with("refs/") && !is_pull && name != "detached";
    is_branch.then(|| name.to_owned())
}

/// Returns the owner of a repository that is not this one; `value` is its URL, its path or the owner.
fn owner_of_fork(value: &str, repository: Option<&Repository>) -> Option<String> {
    let path = Repository::parse(value, None).map_or_else(|_| value.to_owned(), |repository| repository.path);
    let is_own = repository.is_some_and(|own| own.path == path || own.path.split('/').next() == Some(&*path));
    let owner = path.split('/').next().unwrap_or_default().to_owned();
    (!is_own && !owner.is_empty()).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_pull_requests_are_read_in_every_form() {
        let own = Repository::parse("https://github.com/octo/model", None).unwrap();
        for (value, number) in [
            ("7", Some(7)),
            ("refs/pull/7/merge", Some(7)),
            ("https://github.com/octo/model/pull/7", Some(7)),
            ("https://bitbucket.org/octo/model/pull-requests/7/", Some(7)),
            ("https://gitlab.com/octo/model/-/merge_requests/7", Some(7)),
            // Into the repository that this one is a fork of.
            ("https://github.com/upstream/model/pull/7", None),
            ("https://github.com/octo/model-zoo/pull/7", None),
            ("false", None),
            ("0", None),
            ("PR-7", None),
            ("refs/heads/main", None),
        ] {
            assert_eq!(pull_number(value, Some(&own)), number, "{value}");
        }
        assert_eq!(pull_number("https://github.com/octo/model/pull/7", None), Some(7));
    }

    #[test]
    fn branches_and_commits_are_told_from_other_names() {
        for (value, branch) in [
            ("main", Some("main")),
            ("refs/heads/tune/lr", Some("tune/lr")),
            ("origin/main", Some("main")),
            ("visitor:tune", Some("tune")),
            ("refs/pull/7/merge", None),
            ("refs/tags/v1", None),
            ("pull/7", None),
        ] {
            assert_eq!(branch_of(value).as_deref(), branch, "{value}");
        }
        assert_eq!((commit_of("HEAD"), commit_of("ABCDEF0").as_deref()), (None, Some("abcdef0")));
    }

    #[test]
    fn the_branch_that_a_pull_request_goes_into_is_told_from_its_own() {
        for (row, variables, default) in [
            (
                JENKINS,
                &[("JENKINS_URL", "x"), ("CHANGE_ID", "7"), ("CHANGE_BRANCH", "tune"), ("CHANGE_TARGET", "dev")][..],
                None,
            ),
            (
                BUILDKITE,
                &[
                    ("BUILDKITE", "true"),
                    ("BUILDKITE_PULL_REQUEST", "7"),
                    ("BUILDKITE_BRANCH", "tune"),
                    ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "dev"),
                    ("BUILDKITE_PIPELINE_DEFAULT_BRANCH", "main"),
                ],
                Some("main"),
            ),
            (
                AZURE_PIPELINES,
                &[
                    ("TF_BUILD", "True"),
                    ("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "7"),
                    ("SYSTEM_PULLREQUEST_SOURCEBRANCH", "refs/heads/tune"),
                    ("SYSTEM_PULLREQUEST_TARGETBRANCH", "refs/heads/dev"),
                ],
                None,
            ),
        ] {
            let env: Env = variables.iter().copied().collect();
            let ci = (row.new)(&env).unwrap();
            let context = ci.context(&crate::host::native::Native::default());
            let found = [context.branch, context.target_branch, context.default_branch];
            assert_eq!(found.each_ref().map(Option::as_deref), [Some("tune"), Some("dev"), default], "{}", row.title);
        }
    }

    #[test]
    fn owners_of_forks_are_read_in_every_form() {
        let own = Repository::parse("https://github.com/octo/model", None).unwrap();
        for (value, owner) in [
            ("visitor", Some("visitor")),
            ("visitor/model", Some("visitor")),
            ("git://github.com/visitor/model.git", Some("visitor")),
            ("octo", None),
            ("git@github.com:octo/model.git", None),
        ] {
            assert_eq!(owner_of_fork(value, Some(&own)).as_deref(), owner, "{value}");
        }
    }
}
