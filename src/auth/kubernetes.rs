//! The Kubernetes cluster of the environment, and credentials for it, as kubectl finds them:
//! <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>.
//!
//! The content of a kubeconfig file in `KUBERNETES_CONFIGURATION` or `KUBECONFIG_DATA` → the files of `KUBECONFIG` → `~/.kube/config` →
//! the service account of the pod that this runs in.

use super::{Credentials, Expiring, Source, checked_value};
use crate::app::App;
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::host::{ClientIdentity, ProxyOverride, TlsOptions};
use crate::http::secret_header;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, header};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

mod config;
mod eks;
mod find;
mod gke;
mod in_cluster;
mod plugin;
mod resolve;

/// How long the token of a file is used before the file is read again: the kubelet replaces it.
const FILE_LIFETIME: Duration = Duration::from_secs(60);

/// The cluster, the namespace and the user that the environment names.
pub struct ClusterAccess {
    context: String,
    namespace: String,
    server: Url,
    tls: TlsOptions,
    proxy: Option<String>,
    credentials: Credentials<UserCredential>,
    is_renewable: bool,
}

/// Finds the cluster of the environment. It reads variables and files, and neither sends nor runs anything.
///
/// # Errors
/// There is no configuration, or it is invalid, names what does not exist, or asks for what is not supported.
pub fn connect(app: &App) -> Result<ClusterAccess> {
    let access = match find::kubeconfigs(app)? {
        Some(files) => resolve::resolve(app, &config::select(&files)?)?,
        None => in_cluster::access(app, Path::new(in_cluster::FOLDER))?.ok_or_else(|| {
            Error::auth("no Kubernetes configuration found").hint(
                "set KUBERNETES_CONFIGURATION to the content of a kubeconfig file, as kubectl config view --raw --minify --flatten prints it, or KUBECONFIG to its path",
            )
        })?,
    };
    if access.tls.insecure {
        app.log.warn(&format!("the certificate of {} is not checked: insecure-skip-tls-verify", access.server));
    }
    Ok(access)
}

impl ClusterAccess {
    /// Returns the address of the API, which may have a path.
    pub fn server(&self) -> &Url {
        &self.server
    }

    /// Returns the context's namespace; `default` when it names none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the context's name, for people; `in-cluster` for a pod's service account.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Adds the user's credentials to a request, and how to connect to the cluster. They are fetched, or renewed, if need be; several
    /// callers at the same time cause one fetch.
    ///
    /// # Errors
    /// They cannot be fetched.
    pub async fn authorize(&self, request: &mut Request<Bytes>) -> Result<()> {
        let UserCredential { authorization, identity } = self.credentials.get().await?.unwrap_or_default();
        if let Some(authorization) = authorization {
            let value = secret_header("the token of the Kubernetes user", authorization.expose())?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let tls = TlsOptions { identity, ..self.tls.clone() };
        if tls != TlsOptions::default() {
            request.extensions_mut().insert(Arc::new(tls));
        }
        if let Some(proxy) = &self.proxy {
            request.extensions_mut().insert(ProxyOverride(proxy.clone()));
        }
        Ok(())
    }

    /// Forgets the credentials, which the cluster has refused, so that the next request gets others. Returns whether there may be any.
    pub async fn forget(&self) -> bool {
        self.credentials.forget().await;
        self.is_renewable
    }
}

/// What shows a cluster who the user is; nothing for an anonymous one.
#[derive(Debug, Clone, Default)]
struct UserCredential {
    /// The value of the header `Authorization`.
    authorization: Option<Secret>,
    identity: Option<ClientIdentity>,
}

impl UserCredential {
    /// Returns the credential of a bearer token.
    ///
    /// # Errors
    /// The token cannot be sent. `name` says where it comes from.
    fn bearer(name: &str, token: &str, identity: Option<ClientIdentity>) -> Result<Self> {
        let token = checked_value(name, token)?;
        Ok(UserCredential { authorization: Some(Secret::new(format!("Bearer {token}"))), identity })
    }

    /// Keeps the secrets out of the log.
    fn hidden(app: &App, credential: UserCredential) -> Result<UserCredential> {
        let value = credential.authorization.as_ref().and_then(|value| value.expose().split_once(' '));
        if let Some((_, value)) = value {
            app.log.hide("the token of the Kubernetes user", &Secret::new(value));
        }
        if let Some(identity) = &credential.identity {
            app.log.hide("the key of the Kubernetes user", &identity.key);
        }
        Ok(credential)
    }
}

/// A credential that the configuration contains.
struct Fixed(UserCredential);

#[async_trait(?Send)]
impl Source<UserCredential> for Fixed {
    async fn fetch(&self, _: &App) -> Result<Option<Expiring<UserCredential>>> {
        Ok(Some(Expiring::never(self.0.clone())))
    }
}

/// A token in a file, which is replaced from time to time.
struct TokenFile {
    path: PathBuf,
    identity: Option<ClientIdentity>,
}

#[async_trait(?Send)]
impl Source<UserCredential> for TokenFile {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<UserCredential>>> {
        let path = self.path.display();
        let bytes = app.host.read(&self.path).map_err(|error| {
            Error::config(format!("cannot read the Kubernetes token {path} ({error})"))
                .hint("check tokenFile of the user in the kubeconfig file, and that this user may read it")
        })?;
        let value = UserCredential::bearer(&path.to_string(), &String::from_utf8_lossy(&bytes), self.identity.clone())?;
        Ok(Some(Expiring { value, expires: Some(app.host.now() + FILE_LIFETIME) }))
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
