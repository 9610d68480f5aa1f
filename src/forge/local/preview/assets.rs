//! Published files in the preview's folder.

use super::{IGNORE, Local};
use crate::error::Result;
use crate::forge::assets::{Asset, Assets, Progress};
use crate::forge::local::copies;
use async_trait::async_trait;

#[async_trait(?Send)]
impl Assets for Local {
    async fn upload(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
        let mut addresses = Vec::new();
        for asset in assets {
            let name = asset.unique_name();
            for copy in copies::names(&name) {
                let path = self.folder.join("files").join(copy);
                if self.host.stat(&path).is_err() {
                    self.host.write(&path, &asset.read()?).map_err(|error| self.failed("write", &error))?;
                }
            }
            addresses.push(copies::address(&name));
            progress(addresses.len());
        }
        // What is published alone makes the folder too.
        self.write(IGNORE, b"*\n")?;
        Ok(addresses)
    }

    fn is_asset(&self, address: &str, name: &str) -> bool {
        address == copies::address(name)
    }

    fn address_outside(&self, address: &str) -> String {
        self.path(address)
    }
}
