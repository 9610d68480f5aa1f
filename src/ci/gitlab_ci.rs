//! GitLab CI/CD: <https://docs.gitlab.com/ci/variables/predefined_variables/>.

use super::{Ci, Context, ForgeHint, Row, Sources, first};
use crate::env::{Env, Var, vars};
use crate::host::Host;
use crate::repository::Repository;
use async_trait::async_trait;

/// GitLab CI/CD's row. Its identity tokens are in variables that users name themselves, cml's in `CML_ID_TOKEN`:
/// <https://docs.gitlab.com/ci/secrets/id_token_authentication/>. The file for results has such a name too, `CML_DOTENV`.
pub const CI: Row = Row {
    title: TITLE,
    identity_hint: Some(|audience| format!("add to the job: id_tokens: {{ CML_ID_TOKEN: {{ aud: {audience} }} }}")),
    new: |env| Some(Box::new(GitLabCi::new(env)?)),
};

const TITLE: &str = "GitLab CI/CD";

/// A job of GitLab CI/CD.
struct GitLabCi<'a> {
    env: &'a Env,
    /// The page of the project.
    project: &'a str,
}

impl<'a> GitLabCi<'a> {
    /// Returns the job, if this process runs in one.
    fn new(env: &'a Env) -> Option<Self> {
        let project = env.get(vars::CI_PROJECT_URL)?;
        Some(GitLabCi { env, project })
    }
}

#[async_trait(?Send)]
impl Ci for GitLabCi<'_> {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn forge(&self) -> ForgeHint {
        ForgeHint::Known("gitlab")
    }

    fn context(&self, _: &dyn Host) -> Context {
        context_of(self.env, self.project)
    }

    fn workspace(&self) -> Option<&str> {
        self.env.get(vars::CI_PROJECT_DIR)
    }
}

/// Returns what the variables say. `project` is the page of the project.
fn context_of(env: &Env, project: &str) -> Context {
    let merge_request = env.get(vars::CI_MERGE_REQUEST_IID).and_then(|iid| iid.parse().ok());
    // The pipeline of a fork's merge request runs in the fork; the merge request is in the other project.
    let target = env.get(vars::CI_MERGE_REQUEST_PROJECT_URL).filter(|_| merge_request.is_some());
    let open = env.get(vars::CI_OPEN_MERGE_REQUESTS).and_then(|list| {
        list.split(',').find_map(|reference| {
            let (path, iid) = reference.trim().rsplit_once('!')?;
            // Of a fork's branch they may be in other projects.
            let is_ours = match env.get(vars::CI_PROJECT_PATH) {
                Some(own) => own == path,
                None => project.ends_with(&format!("/{path}")),
            };
            is_ours.then(|| iid.parse().ok())?
        })
    });
    let text = |var| env.get(var).map(str::to_owned);
    let named = |var: Var| (text(var), var.name);
    let (commit, commit_source) = first([named(vars::CI_MERGE_REQUEST_SOURCE_BRANCH_SHA), named(vars::CI_COMMIT_SHA)]);
    // Of a tag's pipeline it is the tag.
    let reference = text(vars::CI_COMMIT_REF_NAME).filter(|_| env.get(vars::CI_COMMIT_TAG).is_none());
    let (branch, branch_source) =
        first([named(vars::CI_MERGE_REQUEST_SOURCE_BRANCH_NAME), (reference, vars::CI_COMMIT_REF_NAME.name)]);
    let (pull_request, pull_source) =
        first([(merge_request, vars::CI_MERGE_REQUEST_IID.name), (open, vars::CI_OPEN_MERGE_REQUESTS.name)]);
    let of_project = if target.is_some() { vars::CI_MERGE_REQUEST_PROJECT_URL } else { vars::CI_PROJECT_URL };
    Context {
        repository: Repository::parse(target.unwrap_or(project), None).ok(),
        commit,
        checked_out: text(vars::CI_COMMIT_SHA),
        pull_request,
        issue: None,
        branch,
        target_branch: text(vars::CI_MERGE_REQUEST_TARGET_BRANCH_NAME),
        default_branch: text(vars::CI_DEFAULT_BRANCH),
        fork: target.filter(|target| *target != project).map(|_| project.to_owned()),
        workflow: text(vars::CI_PIPELINE_ID),
        run: text(vars::CI_JOB_ID),
        job: text(vars::CI_JOB_ID),
        run_url: text(vars::CI_JOB_URL),
        sources: Sources {
            repository: of_project.name,
            commit: commit_source,
            pull_request: pull_source,
            branch: branch_source,
        },
    }
}
