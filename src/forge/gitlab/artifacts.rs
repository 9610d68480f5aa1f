//! Artifacts of jobs: <https://docs.gitlab.com/api/job_artifacts/>. Their name is that of the job. The address that finds them by branch and
//! job looks at the newest successful pipeline only, whether it had the job or not, and does not tell its commit.

use super::GitLab;
use crate::error::Result;
use crate::forge::artifacts::{Artifact, Artifacts};
use crate::forge::rest::escape;
use crate::forge::seconds;
use async_trait::async_trait;
use serde::Deserialize;

/// So many pipelines of the branch are looked at.
const MAX_PIPELINES: usize = 30;
/// Jobs of a page, and pages of them, at most.
const PAGE: usize = 100;
const MAX_PAGES: usize = 10;

/// <https://docs.gitlab.com/api/pipelines/#list-project-pipelines>
#[derive(Deserialize)]
struct Pipeline {
    id: u64,
    sha: String,
}

/// <https://docs.gitlab.com/api/jobs/#list-all-jobs-for-a-pipeline>
#[derive(Deserialize)]
struct Job {
    id: u64,
    name: String,
    finished_at: Option<String>,
    /// `None` if it kept none, or none that has not expired.
    artifacts_file: Option<File>,
    artifacts_expire_at: Option<String>,
}

#[derive(Deserialize)]
struct File {
    size: Option<u64>,
}

impl GitLab {
    async fn find_job(&self, pipeline: u64, name: &str) -> Result<Option<Job>> {
        for page in 1..=MAX_PAGES {
            let jobs = format!("{}/pipelines/{pipeline}/jobs", self.root);
            let path = format!("{jobs}?scope%5B%5D=success&per_page={PAGE}&page={page}");
            let (_, jobs): (_, Vec<Job>) = self.rest.get(&path).await?;
            let is_last = jobs.len() < PAGE;
            let found = jobs.into_iter().find(|job| job.name == name);
            if found.is_some() || is_last {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Artifacts for GitLab {
    async fn find(&self, name: &str, branch: &str, except: Option<&str>) -> Result<Option<Artifact>> {
        let branch = escape(branch);
        // The newest are first.
        let list = format!("{}/pipelines?ref={branch}&status=success&per_page={MAX_PIPELINES}", self.root);
        let (_, pipelines): (_, Vec<Pipeline>) = self.rest.get(&list).await?;
        let mut expired = None;
        for pipeline in pipelines.into_iter().filter(|pipeline| Some(pipeline.sha.as_str()) != except) {
            let Some(job) = self.find_job(pipeline.id, name).await? else { continue };
            let is_expired = job.artifacts_file.is_none();
            if is_expired && job.artifacts_expire_at.is_none() {
                continue;
            }
            let found = Artifact {
                id: job.id,
                commit: pipeline.sha,
                time: job.finished_at.as_deref().map_or(0, seconds).unsigned_abs(),
                size: job.artifacts_file.and_then(|file| file.size).unwrap_or_default(),
                is_expired,
            };
            if !is_expired {
                return Ok(Some(found));
            }
            expired.get_or_insert(found);
        }
        Ok(expired)
    }

    async fn download(&self, artifact: &Artifact) -> Result<Vec<u8>> {
        self.rest.bytes(&format!("{}/jobs/{}/artifacts", self.root, artifact.id)).await
    }
}
