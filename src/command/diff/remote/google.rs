//! DVC's remotes in Google Cloud Storage: <https://dvc.org/doc/user-guide/data-management/remote-storage/google-cloud-storage>.

use super::get;
use crate::app::App;
use crate::auth::gcp::{self, GoogleAccess, endpoint};
use crate::error::{Error, Kind, Result};
use crate::http::{Refusal, explain_status, secret_header};
use http::header::AUTHORIZATION;
use std::cell::OnceCell;
use std::path::Path;
use url::Url;

/// The account that reads the remotes of a project, once one was read.
#[derive(Default)]
pub struct Google(OnceCell<GoogleAccess>);

impl Google {
    /// Reads an object below `gs://bucket/prefix`; `None` if there is none of that name. `key` is the file with the account's key, where
    /// the configuration names one. <https://cloud.google.com/storage/docs/json_api/v1/objects/get>
    ///
    /// # Errors
    /// There are no credentials, or they are not allowed to read the bucket.
    pub async fn read(&self, app: &App, remote: &Url, key: Option<&str>, name: &str) -> Result<Option<Vec<u8>>> {
        let bucket = remote.host_str().ok_or_else(|| Error::config("its url does not name a bucket"))?;
        let prefix = percent_encoding::percent_decode_str(remote.path()).decode_utf8_lossy().into_owned();
        let object = [prefix.trim_matches('/'), name].into_iter().filter(|part| !part.is_empty());
        let object = object.collect::<Vec<_>>().join("/");
        let mut url = endpoint(app, "STORAGE", "https://storage.googleapis.com")?;
        let no_path = |()| Error::config("the address of Google Cloud Storage cannot have a path");
        url.path_segments_mut().map_err(no_path)?.pop_if_empty().extend(["storage", "v1", "b", bucket, "o", &object]);
        url.set_query(Some("alt=media"));
        let token = self.access(app, key)?.token().await?;
        let header = secret_header("the access token of Google Cloud", &format!("Bearer {}", token.expose()))?;
        get(&app.http.explained_by(refused), &url, Some((AUTHORIZATION, header))).await
    }

    fn access(&self, app: &App, key: Option<&str>) -> Result<&GoogleAccess> {
        if self.0.get().is_none() {
            // The variable is that of buckets for images.
            let variable = || Some((app.env().named("GOOGLE_SERVICE_ACCOUNT")?, "GOOGLE_SERVICE_ACCOUNT"));
            let access = match key.map(|path| (path, "DVC's configuration")).or_else(variable) {
                Some((path, from)) => gcp::connect_with(app, Path::new(path), format!("{path} of {from}"))?,
                None => gcp::connect(app)?,
            };
            let _ = self.0.set(access);
        }
        self.0.get().ok_or_else(|| Error::internal("no access to Google Cloud Storage"))
    }
}

/// Translates a refusal.
fn refused(refusal: &Refusal) -> Error {
    let text = String::from_utf8_lossy(refusal.body);
    let message = refusal.json()["error"]["message"].as_str().map(str::to_owned);
    let message = message.unwrap_or_else(|| text.lines().next().unwrap_or_default().to_owned());
    let error = explain_status(refusal, "Google Cloud Storage", &message);
    if error.kind() == Kind::Auth {
        return error
            .hint("give the account the role Storage Object Viewer (roles/storage.objectViewer) for the bucket");
    }
    error
}
