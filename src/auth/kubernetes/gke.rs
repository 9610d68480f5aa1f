//! Tokens for clusters of Google Kubernetes Engine: an access token of Google's, as its plugin prints one.
//!
//! <https://cloud.google.com/kubernetes-engine/docs/how-to/api-server-authentication>

use super::UserCredential;
use super::config::Exec;
use crate::app::App;
use crate::auth::gcp::cluster_token;
use crate::auth::{Expiring, Source};
use crate::error::{Error, Result};
use async_trait::async_trait;
use std::path::Path;

/// The name of Google's plugin.
pub const PLUGIN: &str = "gke-gcloud-auth-plugin";
/// Its options that ask for another account than that of the environment.
const OTHER_ACCOUNT: [&str; 4] = ["account", "configuration", "impersonate_service_account", "use_edge_cloud"];
/// Where cml looks for credentials, for people.
pub const SOURCES: &str = "GOOGLE_APPLICATION_CREDENTIALS_DATA, GOOGLE_APPLICATION_CREDENTIALS, CML_GCP_WORKLOAD_IDENTITY_PROVIDER, the file of gcloud auth application-default login, or an instance's service account (docs/gcp.md)";

/// Returns whether a plugin is Google's, and would take the account of the environment.
pub fn is_replaceable(exec: &Exec) -> bool {
    let is_google = Path::new(&exec.command).file_stem().is_some_and(|name| name == PLUGIN);
    let is_other = |arg: &String| {
        let name = arg.trim_start_matches('-').split('=').next().unwrap_or_default();
        OTHER_ACCOUNT.contains(&name)
    };
    let is_set = exec.env.iter().any(|one| one.name.starts_with("CLOUDSDK_") || one.name.starts_with("GOOGLE_"));
    is_google && !is_set && !exec.args.iter().any(is_other)
}

/// Fetches a token with the credentials of the environment; `None` where there are none.
///
/// # Errors
/// They do not work.
pub async fn token(app: &App) -> Result<Option<Expiring<UserCredential>>> {
    let Some(Expiring { value, expires }) = cluster_token(app).await? else { return Ok(None) };
    app.log.debug("took a token for the GKE cluster with the Google Cloud credentials of the environment");
    let value = UserCredential::bearer("the token of Google Cloud", value.expose(), None)?;
    Ok(Some(Expiring { value, expires }))
}

/// The user of an old kubeconfig file: `auth-provider: { name: gcp }`, which Kubernetes 1.26 has removed.
pub struct AuthProvider {
    /// Whose it is, for people.
    pub whose: String,
}

#[async_trait(?Send)]
impl Source<UserCredential> for AuthProvider {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<UserCredential>>> {
        let token = token(app).await?;
        token.map(Some).ok_or_else(|| {
            let whose = &self.whose;
            Error::auth(format!("{whose} has the auth-provider 'gcp', and there are no Google Cloud credentials"))
                .hint(format!("give cml credentials, of which it found none: {SOURCES}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::ExecVariable;
    use super::*;
    use crate::env::Secret;

    #[test]
    fn a_plugin_for_another_account_is_not_replaced() {
        let asked = |command: &str, args: &str, variable: Option<&str>| {
            let env = variable.map(|name| ExecVariable { name: name.to_owned(), value: Secret::new("x") });
            is_replaceable(&Exec {
                command: command.to_owned(),
                args: args.split_whitespace().map(str::to_owned).collect(),
                env: env.into_iter().collect(),
                ..Exec::default()
            })
        };
        for (command, args, variable, expected) in [
            (PLUGIN, "", None, true),
            ("/opt/gke-gcloud-auth-plugin.exe", "--use_application_default_credentials", Some("HOME"), true),
            (PLUGIN, "--account=me@example.com", None, false),
            (PLUGIN, "--account me@example.com", None, false),
            (PLUGIN, "--use_edge_cloud --project p", None, false),
            (PLUGIN, "", Some("GOOGLE_APPLICATION_CREDENTIALS"), false),
            (PLUGIN, "", Some("CLOUDSDK_CONFIG"), false),
            ("aws", "eks get-token", None, false),
        ] {
            assert_eq!(asked(command, args, variable), expected, "{command} {args}");
        }
    }
}
