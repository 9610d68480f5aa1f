//! The service account of the pod that this runs in:
//! <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>.

use super::{ClusterAccess, TokenFile, UserCredential};
use crate::app::App;
use crate::auth::Credentials;
use crate::env::vars;
use crate::error::{Error, Result};
use crate::host::TlsOptions;
use std::path::Path;
use url::Url;

/// Where the kubelet puts the token, the authority and the name of the namespace.
pub const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Returns the access of the pod's service account, whose files are in a folder; `None` outside of a pod, and in one without a token.
///
/// # Errors
/// The variables or files are invalid.
pub fn access(app: &App, folder: &Path) -> Result<Option<ClusterAccess>> {
    let (host, port) = (app.env().get(vars::KUBERNETES_SERVICE_HOST), app.env().get(vars::KUBERNETES_SERVICE_PORT));
    let (Some(host), Some(port)) = (host, port) else { return Ok(None) };
    let read = |name: &str| app.host.read(&folder.join(name)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    if read("token").is_none() {
        return Ok(None);
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let server = Url::parse(&format!("https://{host}:{port}/")).map_err(|error| {
        Error::config(format!("invalid address of the cluster in {} ({error})", vars::KUBERNETES_SERVICE_HOST.name))
    })?;
    let namespace = read("namespace").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let token = TokenFile { path: folder.join("token"), identity: None };
    Ok(Some(ClusterAccess {
        context: "in-cluster".to_owned(),
        namespace: namespace.unwrap_or_else(|| "default".to_owned()),
        server,
        tls: TlsOptions { ca: read("ca.crt"), ..TlsOptions::default() },
        proxy: None,
        credentials: Credentials::new(app, vec![Box::new(token)], UserCredential::hidden),
        is_renewable: true,
    }))
}
