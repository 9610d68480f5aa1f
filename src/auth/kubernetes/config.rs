//! kubeconfig files: their form, and the choice of a context. Pure.
//!
//! <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>

use crate::env::Secret;
use crate::error::{Error, Result};
use crate::metrics::{Value, yaml};
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;

/// The content of a kubeconfig file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Kubeconfig {
    #[serde(deserialize_with = "or_default")]
    current_context: String,
    #[serde(deserialize_with = "or_default")]
    contexts: Vec<NamedContext>,
    #[serde(deserialize_with = "or_default")]
    clusters: Vec<NamedCluster>,
    #[serde(deserialize_with = "or_default")]
    users: Vec<NamedUser>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    context: Context,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    cluster: Cluster,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    user: User,
}

/// A cluster, a user and a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    #[serde(deserialize_with = "or_default")]
    user: String,
    #[serde(deserialize_with = "or_default")]
    namespace: String,
}

/// How to connect to a cluster. Values `…-data` are in base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Cluster {
    /// The address of its API.
    pub server: String,
    /// The name that its certificate is for.
    pub tls_server_name: Option<String>,
    /// Whether its certificate is not checked.
    pub insecure_skip_tls_verify: Option<bool>,
    /// The file with its authority.
    pub certificate_authority: Option<String>,
    /// Its authority.
    pub certificate_authority_data: Option<String>,
    /// The proxy to it.
    pub proxy_url: Option<String>,
}

/// Who the user is. Values `…-data` are in base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct User {
    /// The file with the client's certificate.
    pub client_certificate: Option<String>,
    /// The client's certificate.
    pub client_certificate_data: Option<String>,
    /// The file with its key.
    pub client_key: Option<String>,
    /// Its key.
    pub client_key_data: Option<Secret>,
    /// A bearer token.
    pub token: Option<Secret>,
    /// The file with one.
    #[serde(rename = "tokenFile")]
    pub token_file: Option<String>,
    /// The name for basic authentication.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The user to act as instead.
    #[serde(rename = "as")]
    pub impersonate: Option<String>,
    /// The program that prints credentials.
    pub exec: Option<Exec>,
    /// The predecessor of such programs.
    pub auth_provider: Option<AuthProvider>,
}

/// A program that prints credentials:
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Exec {
    /// The version of what it prints.
    pub api_version: String,
    /// The program: a name, or a path from the folder of the file on.
    pub command: String,
    /// Its arguments.
    #[serde(deserialize_with = "or_default")]
    pub args: Vec<String>,
    /// Variables for it.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<ExecVariable>,
    /// How to install it.
    pub install_hint: Option<String>,
    /// Whether it gets the cluster's address and authority in `KUBERNETES_EXEC_INFO`.
    pub provide_cluster_info: bool,
    /// `Never`, `IfAvailable` or `Always`.
    pub interactive_mode: Option<String>,
}

/// A variable for such a program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExecVariable {
    /// Its name.
    pub name: String,
    /// Its value, which may be a secret.
    pub value: Secret,
}

/// The predecessor of such programs; Kubernetes 1.26 removed it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AuthProvider {
    /// Its name, such as `gcp`.
    pub name: String,
}

/// `null` is what kubectl writes for an empty list.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A kubeconfig file, and where it comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its content.
    pub content: Kubeconfig,
    /// Its path or variable, for people.
    pub origin: String,
    /// The folder from which its relative paths start.
    pub folder: PathBuf,
}

impl Loaded {
    /// Parses a file.
    ///
    /// # Errors
    /// It is not a kubeconfig file. Its content is not shown: it holds secrets.
    pub fn parse(text: &str, origin: String, folder: PathBuf) -> Result<Self> {
        // A message with a part of the text would show secrets.
        let wrong = |what: &str| {
            let is_path = text.trim().starts_with(['/', '~', '.']) && !text.trim().contains('\n');
            Error::config(format!("{origin} is not a kubeconfig file: {what}")).hint(if is_path {
                "it must be the content of the file, not its path; for a path there is KUBECONFIG"
            } else {
                "it must be what kubectl config view --raw --minify --flatten prints"
            })
        };
        let value = yaml::parse(text).map_err(|error| {
            wrong(&format!("invalid YAML{}", error.rfind(" at line ").map_or("", |at| &error[at..])))
        })?;
        let mistyped = || wrong("a field is missing or has a value of another type");
        // From a list, serde would take a structure's fields in their order.
        let content: Option<Kubeconfig> = match value {
            Value::Null => None,
            Value::Map(_) => serde_json::from_value(value.to_json()).map_err(|_| mistyped())?,
            _ => return Err(mistyped()),
        };
        Ok(Loaded { content: content.unwrap_or_default(), origin, folder })
    }
}

/// An entry of a file, and the file.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a, T> {
    /// Its name.
    pub name: &'a str,
    /// The entry.
    pub value: &'a T,
    /// The file that has it.
    pub file: &'a Loaded,
}

/// The current context, with its cluster and its user.
#[derive(Debug)]
pub struct Selection<'a> {
    /// The context's name.
    pub context: &'a str,
    /// The context's namespace; empty when it names none.
    pub namespace: &'a str,
    /// Its cluster.
    pub cluster: Entry<'a, Cluster>,
    /// Its user; `None` for an anonymous one.
    pub user: Option<Entry<'a, User>>,
}

/// Chooses the current context of several files. Of entries of one name the first one counts, and only it:
/// <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files>.
///
/// # Errors
/// There is no current context, or something that it names.
pub fn select(files: &[Loaded]) -> Result<Selection<'_>> {
    let origins = files.iter().map(|file| file.origin.as_str()).collect::<Vec<_>>().join(", ");
    let contexts = || files.iter().flat_map(|file| file.content.contexts.iter().map(move |one| (file, one)));
    let known = match contexts().map(|(_, one)| one.name.as_str()).collect::<Vec<_>>()[..] {
        [] => "it has no contexts".to_owned(),
        ref names => format!("its contexts are: {}", names.join(", ")),
    };
    let current = files.iter().map(|file| file.content.current_context.as_str()).find(|name| !name.is_empty());
    let name = current.ok_or_else(|| {
        Error::config(format!("{origins} has no current-context"))
            .hint(format!("choose one with: kubectl config use-context NAME; {known}"))
    })?;
    let (file, NamedContext { context, .. }) = contexts().find(|(_, one)| one.name == name).ok_or_else(|| {
        Error::config(format!("{origins} has no context '{name}', which is its current-context"))
            .hint(format!("choose another one with: kubectl config use-context NAME; {known}"))
    })?;
    let missing = |what: &str, other: &str| {
        Error::config(format!(
            "the context '{name}' in {} names the {what} '{other}', which does not exist",
            file.origin
        ))
        .hint("check the kubeconfig file with: kubectl config view")
    };
    let clusters = files.iter().flat_map(|file| file.content.clusters.iter().map(move |one| (file, one)));
    let cluster = clusters.into_iter().find(|(_, one)| one.name == context.cluster);
    let (cluster_file, cluster) = cluster.ok_or_else(|| missing("cluster", &context.cluster))?;
    let mut users = files.iter().flat_map(|file| file.content.users.iter().map(move |one| (file, one)));
    let user = match context.user.as_str() {
        "" => None,
        user => {
            let (file, one) = users.find(|(_, one)| one.name == user).ok_or_else(|| missing("user", user))?;
            Some(Entry { name: &one.name, value: &one.user, file })
        }
    };
    Ok(Selection {
        context: name,
        namespace: &context.namespace,
        cluster: Entry { name: &cluster.name, value: &cluster.cluster, file: cluster_file },
        user,
    })
}

#[cfg(test)]
mod tests;
