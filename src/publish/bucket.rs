//! Buckets of S3, Google Cloud Storage and Azure, through `object_store`, whose requests go through our
//! client. Credentials are the ones that the environment gives, as each cloud's own tools read them.

use super::media;
use crate::app::App;
use crate::auth::{aws, checked_value};
use crate::error::{Error, Kind, Result};
use crate::forge::assets::{Asset, Progress, send_each};
use crate::http::{Discloses, Http, RetryPolicy};
use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
#[cfg(not(target_arch = "wasm32"))]
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{Attribute, ClientOptions, ObjectStore, ObjectStoreExt, PutOptions, RetryConfig};
use send_wrapper::SendWrapper;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Uploads what is not there yet; returns the addresses in order, signed when a number of hours is given.
pub async fn upload(
    app: &App,
    url: &Url,
    hours: Option<u32>,
    assets: &[Asset],
    progress: Progress<'_>,
) -> Result<Vec<String>> {
    let bucket = Bucket::open(app, url, &Access::default())?;
    let put = async |asset: &Asset| bucket.put(asset, hours).await.map_err(|error| explain(error, url, "write to"));
    send_each(assets, progress, put).await
}

/// How a bucket is reached, where that is not as the environment says.
#[derive(Default)]
pub struct Access {
    /// Settings by the names that `object_store` has for them, such as `aws_region`.
    pub settings: Vec<(&'static str, String)>,
    /// Amazon's keys.
    pub keys: Option<aws::Keys>,
}

/// Reads an object of at most so many bytes; `None` where there is none of that name.
pub async fn read(app: &App, url: &Url, access: &Access, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
    let bucket = Bucket::open(app, url, access)?;
    let path = Path::from_iter(bucket.prefix.parts().chain(Path::from(name).parts()));
    let found = match bucket.store.get(&path).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        found => found.map_err(|error| explain(error, url, "read"))?,
    };
    if found.meta.size > most {
        return Err(Error::too_large(format!("{name} in {url} is larger than {} MB", most >> 20)));
    }
    Ok(Some(found.bytes().await.map_err(|error| explain(error, url, "read"))?.to_vec()))
}

struct Bucket {
    store: Arc<dyn ObjectStore>,
    signer: Arc<dyn Signer>,
    prefix: Path,
    /// The address of the bucket's root for a reader.
    public: String,
}

impl Bucket {
    fn open(app: &App, url: &Url, access: &Access) -> Result<Self> {
        let wrong = |error: object_store::Error| {
            Error::config(format!("cannot use {url} ({})", reason(&error))).hint(credentials(url))
        };
        let prefix =
            Path::from_url_path(url.path()).map_err(|e| Error::usage(format!("{url} is not a bucket ({e})")))?;
        let name = url.host_str().ok_or_else(|| Error::usage(format!("{url} does not name a bucket")))?;
        if cfg!(target_arch = "wasm32") && (access.settings.is_empty() || url.scheme() == "gs") {
            has_keys(app, url)?;
        }
        let connector = Connector(SendWrapper::new(app.http.clone()));
        // Retries are ours; so is the proxy and everything else about connections.
        let retry = RetryConfig { max_retries: 0, ..Default::default() };
        // The clouds' own variables only: a `TOKEN` or `ENDPOINT` in somebody's job is about something else.
        let own = |key: &str| ["AWS_", "GOOGLE_", "AZURE_", "IDENTITY_"].iter().any(|cloud| key.starts_with(cloud));
        for name in KEYS {
            checked_value(name, app.env().named(name).unwrap_or_default())?;
        }
        let env = || app.env().iter().filter(|(key, _)| own(key));
        let env = || env().map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned()));
        let setting =
            |name: &str| access.settings.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let env = || env().chain(access.settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let endpoint = setting("aws_endpoint").or_else(|| aws::endpoint(app.env(), "S3"));
        let options = ClientOptions::new().with_allow_http(endpoint.is_some_and(|e| e.starts_with("http://")));
        macro_rules! builder {
            ($builder:ty) => {{
                let builder = env().fold(<$builder>::new(), |builder, (key, value)| match key.parse() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                });
                let builder = builder.with_client_options(options).with_retry(retry).with_http_connector(connector);
                #[cfg(target_arch = "wasm32")]
                let builder = builder.with_crypto_provider(Arc::new(crate::host::node::Crypto));
                builder.with_url(url.as_str())
            }};
        }
        let (store, signer, public): (Arc<dyn ObjectStore>, Arc<dyn Signer>, String) = match url.scheme() {
            "s3" => {
                let region =
                    app.env().named("AWS_REGION").or_else(|| app.env().named("AWS_DEFAULT_REGION")).map(str::trim);
                let region = setting("aws_region").or(region).unwrap_or("us-east-1");
                let keys = match &access.keys {
                    Some(keys) => aws::Credentials::of(app, keys.clone()),
                    None => aws::Credentials::new(app, region),
                };
                let keys = Keys(SendWrapper::new(Rc::new(keys)));
                let builder = builder!(AmazonS3Builder).with_credentials(Arc::new(keys));
                let store = Arc::new(builder.build().map_err(wrong)?);
                let public = match endpoint {
                    Some(endpoint) => format!("{}/{name}", endpoint.trim_end_matches('/')),
                    None => format!("https://{name}.s3.{region}.{}", aws::domain(region)),
                };
                (store.clone(), store, public)
            }
            #[cfg(not(target_arch = "wasm32"))]
            "gs" => {
                let store = Arc::new(builder!(GoogleCloudStorageBuilder).build().map_err(wrong)?);
                (store.clone(), store, format!("https://storage.googleapis.com/{name}"))
            }
            "az" => {
                let store = Arc::new(builder!(MicrosoftAzureBuilder).build().map_err(wrong)?);
                let account = app.env().named("AZURE_STORAGE_ACCOUNT_NAME").unwrap_or_default().trim();
                (store.clone(), store, format!("https://{account}.blob.core.windows.net/{name}"))
            }
            other => {
                return Err(Error::usage(format!("unknown kind of bucket '{other}://'"))
                    .hint("use https://…, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"));
            }
        };
        Ok(Bucket { store, signer, prefix, public })
    }

    async fn put(&self, asset: &Asset, hours: Option<u32>) -> object_store::Result<String> {
        let path = self.prefix.clone().join(asset.unique_name());
        match self.store.head(&path).await {
            Ok(_) => {}
            // Without the permission to list, a bucket answers 403 for an object that does not exist.
            Err(object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. }) => {
                let mut options = PutOptions::default();
                options.attributes.insert(Attribute::ContentType, asset.mime.clone().into_owned().into());
                options.attributes.insert(Attribute::ContentDisposition, media::disposition(&asset.mime).into());
                let bytes =
                    asset.read().map_err(|e| object_store::Error::Generic { store: "file", source: Box::new(e) })?;
                self.store.put_opts(&path, bytes.into(), options).await?;
            }
            Err(error) => return Err(error),
        }
        match hours {
            None => {
                let address = format!("{}/{path}", self.public);
                Ok(Url::parse(&address).map_or(address, String::from))
            }
            Some(hours) => {
                let time = Duration::from_secs(u64::from(hours) * 3600);
                Ok(self.signer.signed_url(http::Method::GET, &path, time).await?.to_string())
            }
        }
    }
}

/// Amazon's keys as `object_store` asks for them, before each request.
struct Keys(SendWrapper<Rc<aws::Credentials>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let credentials = Rc::clone(&self.0);
        SendWrapper::new(async move {
            let keys = credentials.keys().await;
            let keys = keys.map_err(|e| object_store::Error::Generic { store: "S3", source: Box::new(e) })?;
            let token = keys.token.map(|token| token.expose().to_owned());
            Ok(Arc::new(AwsCredential { key_id: keys.id, secret_key: keys.secret.expose().to_owned(), token }))
        })
        .await
    }
}

/// What is put into headers and addresses as it is.
const KEYS: &[&str] = &[
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
];
const NATIVE: &str = "set cml up with native: true, and run it in a later step";

/// Fails in WebAssembly without keys in the environment. Credentials that `object_store` itself fetches, it keeps by a clock that
/// WebAssembly does not have; those of S3 are ours.
fn has_keys(app: &App, url: &Url) -> Result<()> {
    let names: &[&str] = match url.scheme() {
        "s3" => return Ok(()),
        "az" => &[
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_SAS_KEY",
        ],
        _ => &[],
    };
    if names.iter().any(|name| app.env().named(name).is_some()) {
        return Ok(());
    }
    let (message, hint) = match names.first() {
        None => (format!("{} needs the native program", url.scheme()), NATIVE.to_owned()),
        Some(name) => (
            format!("{name} is not set (only the native program supports other credentials)"),
            format!("set {name} and its companions, or {NATIVE}"),
        ),
    };
    Err(Error::unsupported(format!("cannot use {url}: {message}")).hint(hint))
}

/// Our client as `object_store` wants it. The program has one thread: what the types ask to be `Send` never
/// leaves it.
#[derive(Clone)]
struct Connector(SendWrapper<Http>);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let http = self.0.clone().take();
        SendWrapper::new(async move {
            let (mut parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let of_machine = is_metadata(&parts.uri);
            // Keys are exchanged for others, or stand in the address; files were looked at before.
            parts.extensions.insert(Discloses);
            if of_machine {
                // Most machines are not a cloud's: not answering is an answer.
                parts.extensions.insert(RetryPolicy::Never);
            }
            let none = |why: String| {
                Error::auth(format!("no credentials found, neither in the environment nor on the machine ({why})"))
            };
            let sent = match http.send_raw(http::Request::from_parts(parts, body)).await {
                Err(error) if of_machine => Err(none(error.to_string())),
                Ok(answer) if of_machine && !answer.status().is_success() => Err(none(answer.status().to_string())),
                sent => sent,
            };
            sent.map(|answer| answer.map(Into::into)).map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))
        })
        .await
    }
}

/// Returns whether a request is for a cloud's metadata service.
fn is_metadata(uri: &http::Uri) -> bool {
    uri.host().is_some_and(|host| host.starts_with("169.254.") || host == "metadata.google.internal")
}

/// Returns our own error among the sources, or else explains the store's.
fn explain(error: object_store::Error, url: &Url, verb: &str) -> Error {
    if let Some(ours) = Error::from_chain(&error) {
        return ours.clone().or_hint(credentials(url));
    }
    match &error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            Error::auth(format!("the credentials are not allowed to {verb} {url} ({})", reason(&error)))
                .hint(credentials(url))
        }
        object_store::Error::NotFound { .. } => Error::new(Kind::NotFound, format!("no bucket found for {url}"))
            .hint("create the bucket, or check its name"),
        _ => Error::remote(format!("cannot {verb} {url} ({})", reason(&error))).hint(credentials(url)),
    }
}

/// Returns what a store says, without the document around it.
fn reason(error: &object_store::Error) -> String {
    let text = match error {
        object_store::Error::Generic { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let message = text.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    let line = message.map_or(text.as_str(), |(message, _)| message).lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

fn credentials(url: &Url) -> &'static str {
    match url.scheme() {
        "s3" => {
            "credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION), the job's identity (AWS_ROLE_ARN), AWS_PROFILE, or the machine's role"
        }
        "gs" => "credentials come from GOOGLE_SERVICE_ACCOUNT (a file), or the machine's service account",
        _ => "credentials come from AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or a client secret",
    }
}
