//! What a context means: its files are read, its data decoded.

use super::config::{Cluster, Entry, Selection, User};
use super::plugin::{Plugin, Setting};
use super::{ClusterAccess, Fixed, TokenFile, UserCredential, gke};
use crate::app::App;
use crate::auth::{Credentials, Source};
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::host::{ClientIdentity, TlsOptions};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::path::Path;
use url::Url;

/// Returns the access that a context gives.
///
/// # Errors
/// Something in it is invalid or not supported, or a file that it names cannot be read.
pub fn resolve(app: &App, selected: &Selection<'_>) -> Result<ClusterAccess> {
    let Selection { context, namespace, cluster, user } = selected;
    let server = server(cluster)?;
    let tls = tls(app, cluster)?;
    let source = match user {
        Some(user) => source(app, user, cluster.value, &server, tls.ca.as_deref())?,
        None => (Box::new(Fixed(UserCredential::default())) as Box<dyn Source<UserCredential>>, false),
    };
    let (source, is_renewable) = source;
    Ok(ClusterAccess {
        context: (*context).to_owned(),
        namespace: if namespace.is_empty() { "default".to_owned() } else { (*namespace).to_owned() },
        server,
        tls,
        proxy: cluster.value.proxy_url.clone().filter(|proxy| !proxy.is_empty()),
        credentials: Credentials::new(app, vec![source], UserCredential::hidden),
        is_renewable,
    })
}

/// Returns the address of the API.
fn server(cluster: &Entry<'_, Cluster>) -> Result<Url> {
    let Entry { name, value, file } = cluster;
    let server = Url::parse(value.server.trim());
    let server = server.ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    server.ok_or_else(|| {
        Error::config(format!("the cluster '{name}' in {} has no valid server", file.origin))
            .hint("it must be an address such as https://203.0.113.1:6443")
    })
}

fn tls(app: &App, cluster: &Entry<'_, Cluster>) -> Result<TlsOptions> {
    let Entry { name, value, file } = cluster;
    let named = Material { what: "certificate-authority", of: format!("the cluster '{name}'"), cluster_or_user: file };
    let ca = named.read(app, value.certificate_authority_data.as_deref(), value.certificate_authority.as_deref())?;
    let insecure = value.insecure_skip_tls_verify.unwrap_or_default();
    if insecure && ca.is_some() {
        let message = format!(
            "the cluster '{name}' in {} has both a certificate-authority and insecure-skip-tls-verify",
            file.origin
        );
        return Err(Error::config(message).hint("remove insecure-skip-tls-verify"));
    }
    let server_name = value.tls_server_name.clone().filter(|name| !name.is_empty());
    Ok(TlsOptions { ca, identity: None, server_name, insecure })
}

/// Returns where the user's credentials come from, and whether they may change.
fn source(
    app: &App,
    user: &Entry<'_, User>,
    cluster: &Cluster,
    server: &Url,
    ca: Option<&str>,
) -> Result<(Box<dyn Source<UserCredential>>, bool)> {
    let Entry { name, value, file } = user;
    let whose = format!("the user '{name}' in {}", file.origin);
    if value.impersonate.as_deref().is_some_and(|other| !other.is_empty()) {
        return Err(Error::unsupported(format!("{whose} acts as another one, which cml does not support"))
            .hint("remove `as` from the user, and give its own account the rights"));
    }
    let identity = identity(app, user)?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(path) = given(&value.token_file) {
        return Ok((Box::new(TokenFile { path: file.folder.join(path), identity }), true));
    }
    let token = value.token.as_ref().map(Secret::expose).filter(|token| !token.is_empty());
    if let Some(token) = token {
        let credential = UserCredential::bearer(&format!("token of {whose}"), token, identity)?;
        return Ok((Box::new(Fixed(credential)), false));
    }
    if let (Some(username), Some(password)) = (given(&value.username), &value.password) {
        app.log.hide("the password of the Kubernetes user", password);
        let pair = BASE64_STANDARD.encode(format!("{username}:{}", password.expose()));
        let authorization = Some(Secret::new(format!("Basic {pair}")));
        return Ok((Box::new(Fixed(UserCredential { authorization, identity })), false));
    }
    if let Some(exec) = &value.exec {
        let setting = Setting { whose: &whose, folder: &file.folder, cluster, server, ca };
        let plugin = Plugin::new(app, exec, identity, &setting)?;
        return Ok((Box::new(plugin), true));
    }
    if value.auth_provider.as_ref().is_some_and(|provider| provider.name == "gcp") {
        return Ok((Box::new(gke::AuthProvider { whose }), true));
    }
    if let Some(provider) = &value.auth_provider {
        let message = format!("{whose} has the auth-provider '{}', which Kubernetes 1.26 has removed", provider.name);
        let hint = match provider.name.as_str() {
            "azure" => "convert the kubeconfig with: kubelogin convert-kubeconfig",
            _ => "use an exec plugin, a token or a client certificate",
        };
        return Err(Error::unsupported(message).hint(hint));
    }
    Ok((Box::new(Fixed(UserCredential { authorization: None, identity })), false))
}

/// Returns the user's client certificate; `None` without one.
fn identity(app: &App, user: &Entry<'_, User>) -> Result<Option<ClientIdentity>> {
    let Entry { name, value, file } = user;
    let named = |what| Material { what, of: format!("the user '{name}'"), cluster_or_user: file };
    let certificate = named("client-certificate").read(
        app,
        value.client_certificate_data.as_deref(),
        value.client_certificate.as_deref(),
    )?;
    let data = value.client_key_data.as_ref().map(Secret::expose);
    let key = named("client-key").read(app, data, value.client_key.as_deref())?;
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(ClientIdentity { certificate, key: Secret::new(key) })),
        (certificate, _) => {
            let (have, missing) = match certificate {
                Some(_) => ("client-certificate", "client-key"),
                None => ("client-key", "client-certificate"),
            };
            Err(Error::config(format!("the user '{name}' in {} has a {have} but no {missing}", file.origin))
                .hint("get a complete kubeconfig with: kubectl config view --raw --minify --flatten"))
        }
    }
}

/// A certificate or key, in a file or in base64.
struct Material<'a> {
    /// The name of its field.
    what: &'static str,
    /// Whose it is, for people.
    of: String,
    cluster_or_user: &'a super::config::Loaded,
}

impl Material<'_> {
    /// Returns its text; the data take precedence over the file. `None` when there is neither.
    fn read(&self, app: &App, data: Option<&str>, path: Option<&str>) -> Result<Option<String>> {
        let Material { what, of, cluster_or_user: file } = self;
        if let Some(data) = data.filter(|data| !data.trim().is_empty()) {
            let packed: String = data.chars().filter(|c| !c.is_whitespace()).collect();
            let bytes = BASE64_STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let wrong = || Error::config(format!("{what}-data of {of} in {} is not PEM in base64", file.origin));
            return bytes.map(Some).ok_or_else(wrong);
        }
        let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
        let path = file.folder.join(Path::new(path));
        let bytes = app.host.read(&path).map_err(|error| {
            Error::config(format!("cannot read the {what} {} of {of} in {} ({error})", path.display(), file.origin))
                .hint("get a kubeconfig without files with: kubectl config view --raw --minify --flatten")
        })?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
