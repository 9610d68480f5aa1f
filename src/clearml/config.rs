//! The server and the credentials, as ClearML's SDK finds them: variables `CLEARML_…`, then `TRAINS_…`, then `clearml.conf`.
//! <https://clear.ml/docs/latest/docs/configs/env_vars>

use super::hocon;
use super::hosts::{self, DEFAULT_API};
use crate::app::App;
use crate::env::{Secret, Var, vars};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use url::Url;

/// How requests say who sends them.
#[derive(Clone)]
pub enum Credentials {
    /// An access key and its secret.
    Keys(Secret, Secret),
    /// A token, which is exchanged for a fresh one.
    Token(Secret),
}

/// Where a ClearML server is.
#[derive(Debug, Clone)]
pub struct Server {
    /// The base address of its API.
    pub api: Url,
    /// The address of its pages, without a slash at the end, if it is known.
    pub web: Option<String>,
    /// The address of its files, if it is known and may get the token.
    pub files: Option<Url>,
}

/// The settings: variables over files.
pub struct Settings<'a> {
    app: &'a App,
    file: BTreeMap<String, String>,
}

impl<'a> Settings<'a> {
    /// Reads the configuration files, where there are any: `CLEARML_CONFIG_FILE`, else `~/trains.conf` and `~/clearml.conf` over it.
    ///
    /// # Errors
    /// The file that `CLEARML_CONFIG_FILE` names cannot be read.
    pub fn load(app: &'a App) -> Result<Self> {
        let mut file = BTreeMap::new();
        let named = given(app, &[vars::CLEARML_CONFIG_FILE, vars::TRAINS_CONFIG_FILE]);
        if let Some((var, path)) = named {
            let bytes = app.host.read(&in_home(app, path)).map_err(|e| {
                Error::config(format!("cannot read {path}, the file of {} ({e})", var.name))
                    .hint("correct its path, or unset the variable to use ~/clearml.conf")
            })?;
            add(app, &mut file, &bytes);
        } else if let Some(home) = app.env().get(vars::HOME) {
            for name in ["trains.conf", "clearml.conf"] {
                if let Ok(bytes) = app.host.read(&Path::new(home).join(name)) {
                    add(app, &mut file, &bytes);
                }
            }
        }
        Ok(Settings { app, file })
    }

    /// Returns a setting, and the variable or key that it comes from.
    fn get(&self, variables: &[Var], keys: &[&'static str]) -> Option<(&'static str, &str)> {
        if let Some((var, value)) = given(self.app, variables) {
            return Some((var.name, value));
        }
        let key = |key: &&'static str| Some((*key, self.file.get(*key)?.trim())).filter(|(_, value)| !value.is_empty());
        keys.iter().find_map(key)
    }

    /// Returns where the address of the API and the credentials come from, if they are given.
    pub fn sources(&self) -> (Option<&'static str>, Option<&'static str>) {
        let api = self.get(&[vars::CLEARML_API_HOST, vars::TRAINS_API_HOST], &["api.api_server", "api.host"]);
        let token = self.get(&[vars::CLEARML_AUTH_TOKEN], &[]);
        let key =
            self.get(&[vars::CLEARML_API_ACCESS_KEY, vars::TRAINS_API_ACCESS_KEY], &["api.credentials.access_key"]);
        (api.map(|(source, _)| source), token.or(key).map(|(source, _)| source))
    }

    /// Returns the server.
    ///
    /// # Errors
    /// An address is wrong, or credentials would be sent to another computer unencrypted and `insecure_http` does not allow that.
    pub fn server(&self, insecure_http: bool) -> Result<Server> {
        let api = self.get(&[vars::CLEARML_API_HOST, vars::TRAINS_API_HOST], &["api.api_server", "api.host"]);
        let (source, api) = api.unwrap_or(("the default", DEFAULT_API));
        let api = hosts::parse(api, source)?;
        if hosts::is_web(&api) {
            return Err(Error::config(format!("{source} has the address of ClearML's web pages, {api}"))
                .hint(format!("set it to that of the API: {}", api.as_str().replacen("://app.", "://api.", 1))));
        }
        let is_private = |url: &Url| url.scheme() == "https" || hosts::is_loopback(url) || insecure_http;
        if !is_private(&api) {
            return Err(Error::config(format!("not sending ClearML credentials unencrypted to {api}"))
                .hint("use https, or pass --insecure-http in a network that you trust"));
        }
        let web = match self.get(&[vars::CLEARML_WEB_HOST, vars::TRAINS_WEB_HOST], &["api.web_server"]) {
            Some((source, web)) => Some(hosts::parse(web, source)?.as_str().trim_end_matches('/').to_owned()),
            None => hosts::derive_web(&api),
        };
        let files = match self.get(&[vars::CLEARML_FILES_HOST, vars::TRAINS_FILES_HOST], &["api.files_server"]) {
            // A bucket is no server that takes our token.
            Some((_, files)) if !files.starts_with("http") => None,
            Some((source, files)) => Some(hosts::parse(files, source)?),
            None => hosts::derive_files(&api),
        };
        Ok(Server { api, web, files: files.filter(is_private) })
    }

    /// Returns the credentials, hidden in the log from now on; `None` where there are none.
    pub fn credentials(&self) -> Option<Credentials> {
        let hidden = |(name, value): (&str, &str)| {
            let secret = Secret::new(value);
            self.app.log.hide(name, &secret);
            secret
        };
        if let Some(token) = self.get(&[vars::CLEARML_AUTH_TOKEN], &[]) {
            return Some(Credentials::Token(hidden(token)));
        }
        let keys = [vars::CLEARML_API_ACCESS_KEY, vars::TRAINS_API_ACCESS_KEY];
        let secrets = [vars::CLEARML_API_SECRET_KEY, vars::TRAINS_API_SECRET_KEY];
        let key = self.get(&keys, &["api.credentials.access_key"]);
        let secret = self.get(&secrets, &["api.credentials.secret_key"]);
        Some(Credentials::Keys(hidden(key?), hidden(secret?)))
    }

    /// Trusts the authority that a setting names, as the SDK does: a truth word, or the path of a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or is not PEM.
    pub fn trust(&self) -> Result<()> {
        let variables = [vars::CLEARML_API_HOST_VERIFY_CERT, vars::TRAINS_API_HOST_VERIFY_CERT];
        let Some((source, value)) = self.get(&variables, &["api.verify_certificate"]) else { return Ok(()) };
        match value.to_ascii_lowercase().as_str() {
            "y" | "yes" | "t" | "true" | "on" | "1" => Ok(()),
            "n" | "no" | "f" | "false" | "off" | "0" => {
                self.app.log.warn_with_hint(
                    &format!("{source} turns the check of certificates off; cml checks them all the same"),
                    "set it to the PEM file of the server's certificate authority, or pass --ca-cert FILE",
                );
                Ok(())
            }
            _ => {
                let wrong = |why: String| Error::config(format!("cannot use {value}, the file of {source} ({why})"));
                let pem = self.app.host.read(&in_home(self.app, value)).map_err(|e| wrong(e.to_string()))?;
                self.app.host.trust(&pem).map_err(wrong)
            }
        }
    }
}

/// Returns the error for a run without credentials.
pub fn missing_credentials() -> Error {
    Error::auth("no ClearML credentials found").hint(
        "set CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY (or CLEARML_AUTH_TOKEN) from the CI's secrets; see docs/clearml.md",
    )
}

/// Returns the first of some variables that is set; one of white space counts as unset, as in the SDK.
fn given<'a>(app: &'a App, variables: &[Var]) -> Option<(Var, &'a str)> {
    variables.iter().find_map(|var| Some((*var, app.env().get(*var)?.trim())).filter(|(_, value)| !value.is_empty()))
}

/// Returns a path in which `~` is the user's folder.
fn in_home(app: &App, path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), app.env().get(vars::HOME)) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn add(app: &App, settings: &mut BTreeMap<String, String>, bytes: &[u8]) {
    settings.extend(hocon::read(&String::from_utf8_lossy(bytes), &|name| app.env().named(name).map(str::to_owned)));
}
