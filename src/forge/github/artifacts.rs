//! Artifacts of workflow runs: <https://docs.github.com/en/rest/actions/artifacts>.

use super::GitHub;
use crate::error::Result;
use crate::forge::artifacts::{Artifact, Artifacts};
use crate::forge::rest::escape;
use crate::forge::seconds;
use async_trait::async_trait;
use serde::Deserialize;

/// Artifacts of a page, and pages of them, at most.
const PAGE: usize = 100;
const MAX_PAGES: usize = 5;
/// So many runs of the branch are looked at.
const MAX_RUNS: usize = 30;

#[derive(Deserialize)]
struct Page {
    artifacts: Vec<WireArtifact>,
}

#[derive(Deserialize)]
struct WireArtifact {
    id: u64,
    size_in_bytes: u64,
    expired: bool,
    created_at: Option<String>,
    workflow_run: Option<Origin>,
}

/// The run that kept it.
#[derive(Deserialize)]
struct Origin {
    id: u64,
    repository_id: u64,
    /// Another one for a pull request from a fork, whose branch can have any name.
    head_repository_id: Option<u64>,
    head_branch: Option<String>,
    head_sha: String,
}

#[derive(Deserialize)]
struct Run {
    conclusion: Option<String>,
}

#[async_trait(?Send)]
impl Artifacts for GitHub {
    async fn find(&self, name: &str, branch: &str, except: Option<&str>) -> Result<Option<Artifact>> {
        let (mut expired, mut runs) = (None, 0);
        for page in 1..=MAX_PAGES {
            let list = format!("{}/actions/artifacts?name={}&per_page={PAGE}&page={page}", self.root, escape(name));
            // The newest are first.
            let Page { artifacts } = self.client.get(&list).await?;
            let is_last = artifacts.len() < PAGE;
            for artifact in artifacts {
                let Some(origin) = &artifact.workflow_run else { continue };
                let is_ours = origin.head_repository_id == Some(origin.repository_id);
                let is_of_branch = is_ours && origin.head_branch.as_deref() == Some(branch);
                if !is_of_branch || except == Some(origin.head_sha.as_str()) || runs == MAX_RUNS {
                    continue;
                }
                runs += 1;
                let run: Run = self.client.get(&format!("{}/actions/runs/{}", self.root, origin.id)).await?;
                if run.conclusion.as_deref() != Some("success") {
                    continue;
                }
                let found = Artifact {
                    id: artifact.id,
                    commit: origin.head_sha.clone(),
                    time: artifact.created_at.as_deref().map_or(0, seconds).unsigned_abs(),
                    size: artifact.size_in_bytes,
                    is_expired: artifact.expired,
                };
                if !found.is_expired {
                    return Ok(Some(found));
                }
                expired.get_or_insert(found);
            }
            if is_last {
                break;
            }
        }
        Ok(expired)
    }

    async fn download(&self, artifact: &Artifact) -> Result<Vec<u8>> {
        // It redirects to storage.
        let path = format!("{}/actions/artifacts/{}/zip", self.root, artifact.id);
        Ok(self.client.get_with_headers(&path).await?.into_body().to_vec())
    }
}
