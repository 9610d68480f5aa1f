//! The Kubernetes cluster of the environment: the content of a kubeconfig file in `KUBERNETES_CONFIGURATION`, with a token.

use crate::app::App;
use crate::env::{Secret, Var};
use crate::error::{Error, Result};
use crate::http::secret_header;
use bytes::Bytes;
use http::{Request, header};
use serde::Deserialize;
use url::Url;

const VAR: Var = Var { name: "KUBERNETES_CONFIGURATION", doc: "content of a kubeconfig file" };

/// The cluster, the namespace and the user that the environment names.
pub struct ClusterAccess {
    context: String,
    namespace: String,
    server: Url,
    token: Secret,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Config {
    current_context: String,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    contexts: Vec<NamedContext>,
}
#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}
#[derive(Deserialize)]
struct Cluster {
    server: String,
}
#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}
#[derive(Deserialize)]
struct User {
    token: String,
}
#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}
#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
    namespace: Option<String>,
}

/// Finds the cluster of the environment.
pub fn connect(app: &App) -> Result<ClusterAccess> {
    let missing = || {
        Error::auth("no Kubernetes configuration found")
            .hint("set KUBERNETES_CONFIGURATION to the content of a kubeconfig file")
    };
    let text = app.env().get(VAR).ok_or_else(missing)?;
    let config: Config = serde_saphyr::from_str(text).map_err(|_| missing())?;
    let context = config.contexts.into_iter().find(|one| one.name == config.current_context).ok_or_else(missing)?;
    let cluster = config.clusters.into_iter().find(|one| one.name == context.context.cluster).ok_or_else(missing)?;
    let user = config.users.into_iter().find(|one| one.name == context.context.user).ok_or_else(missing)?;
    let server = Url::parse(&cluster.cluster.server).map_err(|_| missing())?;
    let token = Secret::new(user.user.token);
    app.log.hide(VAR.name, &token);
    Ok(ClusterAccess {
        context: context.name,
        namespace: context.context.namespace.unwrap_or_else(|| "default".to_owned()),
        server,
        token,
    })
}

impl ClusterAccess {
    /// Returns the API server's address.
    pub fn server(&self) -> &Url {
        &self.server
    }
    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
    /// Returns the context's name.
    pub fn context(&self) -> &str {
        &self.context
    }
    /// Adds the credentials to a request.
    pub async fn authorize(&self, request: &mut Request<Bytes>) -> Result<()> {
        let value = secret_header(VAR.name, &format!("Bearer {}", self.token.expose()))?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(())
    }
    /// Forgets the token after a 401. Returns whether another one may be had.
    pub async fn forget(&self) -> bool {
        false
    }
}
