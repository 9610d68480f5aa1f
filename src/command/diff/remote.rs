//! DVC's remotes: where files are that the local cache lacks. Read only.
//! <https://dvc.org/doc/user-guide/data-management/remote-storage>

use super::snapshot::{LARGEST, Snapshot};
use crate::app::App;
use crate::auth::aws;
use crate::dvc::cache;
use crate::dvc::config::Config;
use crate::dvc::lock::Object;
use crate::env::Secret;
use crate::error::{Error, Kind, Result};
use crate::http::{Http, request, secret_header};
use crate::publish::bucket;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
pub use google::Google;
use http::{HeaderName, HeaderValue, Method, header};
use std::fmt;
use url::Url;

#[cfg(feature = "gcp")]
mod google;

/// Google Cloud Storage, in a build without it.
#[cfg(not(feature = "gcp"))]
mod google {
    use super::{App, Error, Result, Url};

    #[derive(Default)]
    pub struct Google;

    impl Google {
        pub async fn read(&self, _: &App, _: &Url, _: Option<&str>, _: &str) -> Result<Option<Vec<u8>>> {
            Err(Error::unsupported("this build of cml has no support for Google Cloud"))
        }
    }
}

/// A remote of a project.
pub struct Remote<'a> {
    name: &'a str,
    url: &'a str,
}

/// Returns the remote that has an object, if there is one.
pub fn find<'a>(config: &'a Config, object: &'a Object) -> Option<Remote<'a>> {
    let name = object.remote.as_deref().or(config.default_remote())?;
    Some(Remote { name, url: config.of_remote(name, "url").unwrap_or_default() })
}

impl fmt::Display for Remote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address may have a password.
        let url = Url::parse(self.url).ok().filter(Url::has_host);
        let shown = url.map(|url| format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()));
        write!(f, "remote {} ({})", self.name, shown.as_deref().unwrap_or(self.url))
    }
}

impl Remote<'_> {
    /// Reads an object; `None` if the remote does not have it. `google` keeps the token for the next one.
    ///
    /// # Errors
    /// The remote cannot be read: of a kind that cml does not read, or without the credentials for it.
    pub async fn read(
        &self,
        snapshot: &Snapshot<'_>,
        config: &Config,
        object: &Object,
        google: &Google,
    ) -> Result<Option<Vec<u8>>> {
        let (app, name) = (snapshot.app, cache::path(object));
        let setting = |key: &str| config.of_remote(self.name, key);
        match self.url.split_once("://") {
            None if self.url.is_empty() => {
                Err(Error::config("it has no url in .dvc/config").hint("check `dvc remote list`"))
            }
            None => snapshot.read_cache(&snapshot.project.root.join(".dvc").join(self.url).join(name)),
            Some(("http" | "https", _)) => self.download(app, &setting, &name).await,
            Some(("s3", _)) => {
                let access = s3(&setting);
                bucket::read(app, &self.parse(self.url)?, &access, &name, LARGEST).await
            }
            Some(("gs", _)) => google.read(app, &self.parse(self.url)?, setting("credentialpath"), &name).await,
            Some(("azure", rest)) => {
                let access = azure(app, &setting)?;
                bucket::read(app, &self.parse(&format!("az://{rest}"))?, &access, &name, LARGEST).await
            }
            Some((scheme, _)) => Err(Error::unsupported(format!("cml does not read remotes of the kind {scheme}://"))),
        }
    }

    fn parse(&self, url: &str) -> Result<Url> {
        Url::parse(url).map_err(|error| Error::config(format!("its url is not valid ({error})")))
    }

    async fn download<'s>(
        &self,
        app: &App,
        setting: &impl Fn(&str) -> Option<&'s str>,
        name: &str,
    ) -> Result<Option<Vec<u8>>> {
        let url = self.parse(&format!("{}/{name}", self.url.trim_end_matches('/')))?;
        let (user, password) = (setting("user").unwrap_or_default(), setting("password").unwrap_or_default());
        let header = match setting("auth") {
            Some("basic") => {
                Some((header::AUTHORIZATION, format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))))
            }
            Some("custom") => {
                let name = setting("custom_auth_header").unwrap_or_default();
                let name = HeaderName::from_bytes(name.as_bytes());
                Some((name.map_err(|_| Error::config("its custom_auth_header is not valid"))?, password.to_owned()))
            }
            _ => None,
        };
        let header = match header {
            None => None,
            Some((header, value)) => {
                hide(app, "the password of DVC's remote", password);
                hide(app, "the credential of DVC's remote", &value);
                Some((header, secret_header("the password of DVC's remote", &value)?))
            }
        };
        get(&app.http, &url, header).await
    }
}

/// Downloads an object; `None` if there is none at this address.
async fn get(http: &Http, url: &Url, header: Option<(HeaderName, HeaderValue)>) -> Result<Option<Vec<u8>>> {
    let mut request = request(Method::GET, url, Bytes::new())?;
    request.headers_mut().extend(header.map(|(name, value)| (Some(name), value)));
    match http.send(request).await {
        Ok(answer) if answer.body().len() as u64 > LARGEST => {
            Err(Error::too_large(format!("it has more than {} MB", LARGEST >> 20)))
        }
        Ok(answer) => Ok(Some(answer.into_body().to_vec())),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn hide(app: &App, name: &str, secret: &str) {
    if !secret.is_empty() {
        app.log.hide(name, &Secret::new(secret));
    }
}

/// Returns how to reach a bucket of S3: <https://dvc.org/doc/user-guide/data-management/remote-storage/amazon-s3>.
fn s3<'s>(setting: &impl Fn(&str) -> Option<&'s str>) -> bucket::Access {
    let names = [("aws_endpoint", "endpointurl"), ("aws_region", "region")];
    let settings = names.into_iter().filter_map(|(name, key)| Some((name, setting(key)?.to_owned())));
    let keys = setting("access_key_id").zip(setting("secret_access_key")).map(|(id, secret)| aws::Keys {
        id: id.to_owned(),
        secret: Secret::new(secret),
        token: setting("session_token").map(Secret::new),
        source: "DVC's configuration".to_owned(),
    });
    bucket::Access { settings: settings.collect(), keys }
}

/// Returns how to reach a container of Azure: <https://dvc.org/doc/user-guide/data-management/remote-storage/azure-blob-storage>.
///
/// # Errors
/// The repository names another account than the environment, whose token would be sent to it.
fn azure<'s>(app: &App, setting: &impl Fn(&str) -> Option<&'s str>) -> Result<bucket::Access> {
    let names = [
        ("azure_storage_account_name", "account_name"),
        ("azure_storage_account_key", "account_key"),
        ("azure_storage_sas_key", "sas_token"),
        ("azure_storage_tenant_id", "tenant_id"),
        ("azure_storage_client_id", "client_id"),
        ("azure_storage_client_secret", "client_secret"),
    ];
    let mut settings: Vec<(&'static str, String)> =
        names.into_iter().filter_map(|(name, key)| Some((name, setting(key)?.to_owned()))).collect();
    let of_env = app.env().named("AZURE_STORAGE_CONNECTION_STRING");
    let connection = setting("connection_string").or(of_env).unwrap_or_default();
    for (key, value) in connection.split(';').filter_map(|part| part.split_once('=')) {
        let name = match key {
            "AccountName" => "azure_storage_account_name",
            "AccountKey" => "azure_storage_account_key",
            "SharedAccessSignature" => "azure_storage_sas_key",
            "BlobEndpoint" => "azure_storage_endpoint",
            _ => continue,
        };
        settings.push((name, value.to_owned()));
    }
    let account = app.env().named("AZURE_STORAGE_ACCOUNT_NAME").map(str::trim);
    let other =
        settings.iter().find(|(name, _)| *name == "azure_storage_account_name").map(|(_, value)| value.as_str());
    if let (Some(account), Some(other)) = (account, other)
        && account != other
    {
        return Err(Error::config(format!(
            "it is in the account {other}, but AZURE_STORAGE_ACCOUNT_NAME is {account}"
        ))
        .hint("set AZURE_STORAGE_ACCOUNT_NAME to the account of the remote, with its key"));
    }
    for (name, value) in &settings {
        if ["key", "secret"].iter().any(|ending| name.ends_with(ending)) {
            hide(app, "the key of DVC's remote", value);
        }
    }
    Ok(bucket::Access { settings, keys: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_shown_without_its_password() {
        let mut config = Config::default();
        config.add("[core]\nremote = a\n['remote \"a\"']\nurl = https://user:hunter2@host/p\n['remote \"b\"']\nurl = ../store\n");
        let object = Object::new(&"a".repeat(32), false).unwrap();
        assert_eq!(find(&config, &object).unwrap().to_string(), "remote a (https://host/p)");
        let other = Object { remote: Some("b".to_owned()), ..object.clone() };
        assert_eq!(find(&config, &other).unwrap().to_string(), "remote b (../store)");
        assert!(find(&Config::default(), &object).is_none());
    }
}
