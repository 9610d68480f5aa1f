//! Programs that print credentials for a cluster:
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>.

use super::config::{Cluster, Exec};
use super::{UserCredential, eks, gke};
use crate::app::App;
use crate::auth::{Expiring, Source, checked_value};
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::host::{ClientIdentity, Command, Output};
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;
use std::io;
use std::path::Path;
use url::Url;

/// The versions of what a plugin prints.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// A program that prints credentials. Where Amazon's or Google's is missing, cml makes its token itself.
pub struct Plugin {
    exec: Exec,
    /// Whose it is, for people.
    whose: String,
    /// The program and its arguments.
    argv: Vec<String>,
    /// The client certificate of the kubeconfig file, in case that the program prints none.
    identity: Option<ClientIdentity>,
    /// What `KUBERNETES_EXEC_INFO` contains.
    info: String,
    server: Url,
}

/// What a plugin prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<Secret>,
    client_certificate_data: Option<String>,
    client_key_data: Option<Secret>,
    expiration_timestamp: Option<String>,
}

/// Where a plugin is configured, and the cluster that it is for.
pub struct Setting<'a> {
    /// The user that has it, for people.
    pub whose: &'a str,
    /// The folder of the kubeconfig file.
    pub folder: &'a Path,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The address of its API.
    pub server: &'a Url,
    /// Its authority.
    pub ca: Option<&'a str>,
}

impl Plugin {
    /// Returns the plugin of a user, whose client certificate serves where the plugin prints none.
    ///
    /// # Errors
    /// It is of a version that is not supported, or needs a terminal.
    pub fn new(app: &App, exec: &Exec, identity: Option<ClientIdentity>, setting: &Setting<'_>) -> Result<Self> {
        let Setting { whose, folder, server, .. } = setting;
        if !VERSIONS.contains(&exec.api_version.as_str()) {
            let message = format!("{whose} has an exec plugin of the unknown version '{}'", exec.api_version);
            return Err(Error::unsupported(message).hint(
                "get a new kubeconfig, such as with: aws eks update-kubeconfig, or gcloud container clusters get-credentials",
            ));
        }
        if exec.interactive_mode.as_deref() == Some("Always") {
            let message =
                format!("the exec plugin {} of {whose} needs a terminal (interactiveMode: Always)", exec.command);
            return Err(Error::unsupported(message).hint("use a user with a token, such as that of a service account"));
        }
        for variable in exec.env.iter().filter(|variable| crate::env::is_sensitive(&variable.name)) {
            app.log.hide(&variable.name, &variable.value);
        }
        let is_path = exec.command.contains(['/', '\\']);
        let command = if is_path { folder.join(&exec.command).display().to_string() } else { exec.command.clone() };
        Ok(Plugin {
            argv: [command].into_iter().chain(exec.args.iter().cloned()).collect(),
            info: info(exec, setting),
            exec: exec.clone(),
            whose: (*whose).to_owned(),
            identity,
            server: (*server).clone(),
        })
    }

    fn failed(&self, why: &str) -> Error {
        Error::auth(format!("the exec plugin {} of {} failed ({why})", self.exec.command, self.whose))
    }

    /// Returns the error of a plugin that is not installed.
    fn missing(&self) -> Error {
        let Exec { command, install_hint, .. } = &self.exec;
        let program = Path::new(command).file_stem().map(|name| name.to_string_lossy().into_owned());
        let hint = match program.as_deref() {
            Some(gke::PLUGIN) => {
                let install = "install it before cml, with: gcloud components install gke-gcloud-auth-plugin";
                if gke::is_replaceable(&self.exec) {
                    format!("{install}; or give cml credentials, of which it found none: {}", gke::SOURCES)
                } else {
                    format!("{install}; cml makes no tokens for the account that the plugin is to use")
                }
            }
            Some("aws" | "aws-iam-authenticator") => {
                "install the AWS CLI before cml, or give AWS_ROLE_ARN or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: then cml does not need it".to_owned()
            }
            Some("kubelogin") => "install it before cml: https://azure.github.io/kubelogin/install.html".to_owned(),
            _ => match install_hint.as_deref().and_then(|hint| hint.lines().find(|line| !line.trim().is_empty())) {
                Some(hint) => hint.trim().to_owned(),
                None => "install it before cml, or use a user with a token, such as that of a service account".to_owned(),
            },
        };
        Error::config(format!("the exec plugin {command} of {} is not installed", self.whose)).hint(hint)
    }

    /// Parses what it has printed.
    fn parse(&self, output: &Output) -> Result<Expiring<UserCredential>> {
        if output.code != Some(0) {
            let says = String::from_utf8_lossy(&output.stderr);
            let has_words = |line: &&str| line.contains(|c: char| c.is_alphanumeric());
            let last = says.lines().map(str::trim).rev().find(has_words);
            return Err(self.failed(last.unwrap_or("no error message")));
        }
        let printed: ExecCredential = serde_json::from_slice(&output.stdout)
            .map_err(|_| self.failed("its output is not an ExecCredential in JSON"))?;
        if printed.api_version != self.exec.api_version {
            let why = format!("it printed version {} instead of {}", printed.api_version, self.exec.api_version);
            return Err(self.failed(&why));
        }
        let status = printed.status.ok_or_else(|| self.failed("its output has no status"))?;
        let identity = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => Some(ClientIdentity { certificate, key }),
            (None, None) => self.identity.clone(),
            _ => return Err(self.failed("it printed a certificate without its key, or the key alone")),
        };
        let token = status.token.filter(|token| !token.expose().is_empty());
        let credential = match token {
            Some(token) => {
                let name = format!("the token of {}", self.exec.command);
                let token = checked_value(&name, token.expose())?;
                UserCredential::bearer(&name, token, identity)?
            }
            None if identity.is_some() => UserCredential { authorization: None, identity },
            None => return Err(self.failed("it printed neither a token nor a certificate")),
        };
        Ok(Expiring::at(credential, status.expiration_timestamp.as_deref()))
    }
}

#[async_trait(?Send)]
impl Source<UserCredential> for Plugin {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<UserCredential>>> {
        let variables = self.exec.env.iter().map(|one| (one.name.clone(), one.value.expose().to_owned()));
        let info = ("KUBERNETES_EXEC_INFO".to_owned(), self.info.clone());
        let command = Command {
            // The user's own program needs this environment's identity and keys.
            trusted: true,
            env: variables.chain([info]).collect(),
            limit: Some(app.http.time_left()),
            ..Command::new(self.argv.iter().cloned())
        };
        match app.host.execute(&command).await {
            Ok(output) => self.parse(&output).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token = if gke::is_replaceable(&self.exec) {
                    gke::token(app).await?
                } else {
                    eks::token(app, &self.exec, &self.server).await?
                };
                token.map(Some).ok_or_else(|| self.missing())
            }
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }
}

/// Returns the content of `KUBERNETES_EXEC_INFO`: <https://kubernetes.io/docs/reference/config-api/client-authentication.v1/>.
fn info(exec: &Exec, setting: &Setting<'_>) -> String {
    let Setting { cluster, server, ca, .. } = setting;
    let mut spec = json!({ "interactive": false });
    if exec.provide_cluster_info {
        let mut about = json!({ "server": server.as_str() });
        let set = [
            ("tls-server-name", cluster.tls_server_name.clone()),
            ("certificate-authority-data", ca.map(|ca| BASE64_STANDARD.encode(ca))),
            ("proxy-url", cluster.proxy_url.clone()),
        ];
        for (name, value) in set.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            about[name] = value.into();
        }
        if cluster.insecure_skip_tls_verify == Some(true) {
            about["insecure-skip-tls-verify"] = true.into();
        }
        spec["cluster"] = about;
    }
    json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_told_about_the_cluster_on_request_only() {
        let cluster = Cluster { tls_server_name: Some("kube".into()), ..Cluster::default() };
        let exec = Exec { api_version: VERSIONS[0].into(), ..Exec::default() };
        let server = Url::parse("https://127.0.0.1:6443").unwrap();
        let setting =
            Setting { whose: "u", folder: Path::new("/"), cluster: &cluster, server: &server, ca: Some("PEM") };
        let told = |exec: &Exec| info(exec, &setting);
        assert_eq!(
            told(&exec),
            r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}"#
        );
        let spec: serde_json::Value =
            serde_json::from_str(&told(&Exec { provide_cluster_info: true, ..exec })).unwrap();
        let expected = json!({
            "server": "https://127.0.0.1:6443/", "tls-server-name": "kube", "certificate-authority-data": "UEVN"
        });
        assert_eq!(spec["spec"]["cluster"], expected);
    }
}
