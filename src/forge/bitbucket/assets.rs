//! Files as downloads of the repository:
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-downloads/>.

use super::Bitbucket;
use crate::error::Result;
use crate::forge::assets::{Asset, Assets, Progress, send_each};
use async_trait::async_trait;

impl Bitbucket {
    /// Returns the address of a published file.
    fn download(&self, name: &str) -> String {
        format!("{}/downloads/cml-{name}", self.page)
    }
}

#[async_trait(?Send)]
impl Assets for Bitbucket {
    /// Uploads files. One of the same name is replaced, and the name is the content's hash.
    async fn upload(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
        let path = format!("{}/downloads", self.root);
        let send = async |asset: &Asset| {
            let name = asset.unique_name();
            self.rest.upload(&path, "files", &format!("cml-{name}"), &asset.mime, &asset.read()?).await?;
            Ok(self.download(&name))
        };
        send_each(assets, progress, send).await
    }

    fn is_asset(&self, address: &str, name: &str) -> bool {
        address == self.download(name)
    }
}
