//! Files as uploads of the project: <https://docs.gitlab.com/api/project_markdown_uploads/>.

use super::GitLab;
use crate::error::{Error, Result};
use crate::forge::assets::{Asset, Assets, Progress, is_hash, send_each};
use async_trait::async_trait;
use serde::Deserialize;

#[derive(Deserialize)]
struct Upload {
    url: String,
    full_path: Option<String>,
}

#[async_trait(?Send)]
impl Assets for GitLab {
    async fn upload(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
        let path = format!("{}/uploads", self.root);
        let send = async |asset: &Asset| {
            let bytes = asset.read()?;
            let answer = self.rest.upload(&path, "file", &asset.unique_name(), &asset.mime, &bytes).await?;
            let upload: Upload = serde_json::from_slice(&answer)
                .map_err(|e| Error::remote(format!("unexpected answer from GitLab to an upload ({e})")))?;
            let number = upload.full_path.as_ref().and_then(|path| {
                let (_, below) = path.split_once("/-/project/")?;
                below.split('/').next()?.parse().ok()
            });
            self.project.set(number.or(self.project.get()));
            Ok(match upload.full_path {
                Some(path) => format!("{}{path}", self.origin),
                None => format!("{}{}", self.page, upload.url),
            })
        };
        send_each(assets, progress, send).await
    }

    /// Uploads are below the project, by its number or, before GitLab 17, by its path. Those of a project of another number
    /// are somebody else's; without the number none is known.
    fn is_asset(&self, address: &str, name: &str) -> bool {
        let by_number = || {
            let path = address.strip_prefix(&self.installation).filter(|path| path.starts_with("/-/"));
            let path = path.or_else(|| address.strip_prefix(&self.origin))?;
            path.strip_prefix(&format!("/-/project/{}", self.project.get()?))
        };
        let by_path = || address.strip_prefix(&self.page);
        let upload = |below: Option<&str>| {
            let secret = below?.strip_prefix("/uploads/")?.strip_suffix(name)?.strip_suffix('/')?;
            Some(is_hash(secret, 32))
        };
        upload(by_number()).or_else(|| upload(by_path())).unwrap_or(false)
    }
}
