//! Profiles in `~/.aws`: <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>.

use super::Keys;
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::{Env, Secret, vars};
use crate::error::{Error, Result};
use crate::host::Command;
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The settings of one profile.
type Settings = BTreeMap<String, String>;

/// The profile of `AWS_PROFILE` or `default`.
pub struct Profile;

#[async_trait(?Send)]
impl Source<Keys> for Profile {
    /// # Errors
    /// The profile of `AWS_PROFILE` does not exist, or gets its keys in a way that this program does not support.
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Keys>>> {
        let env = app.env();
        let named = env.get(vars::AWS_PROFILE);
        let name = named.unwrap_or("default");
        let profile = read(app, name);
        if profile.is_empty() {
            return match named {
                Some(name) => Err(Error::config(format!("no AWS profile {name}"))
                    .hint("check AWS_PROFILE, and that ~/.aws belongs to this user")),
                None => Ok(None),
            };
        }
        let get = |key: &str| profile.get(key).map(String::as_str);
        let source = format!("the profile {name}");
        if let (Some(id), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
            let token = get("aws_session_token").map(Secret::new);
            let keys = Keys { id: id.to_owned(), secret: Secret::new(secret), token, source };
            return Ok(Some(Expiring::never(keys)));
        }
        if let Some(command) = get("credential_process") {
            return from_process(app, command, source).await.map(Some);
        }
        let other = ["sso_session", "sso_start_url", "role_arn"].iter().any(|key| get(key).is_some());
        if other || named.is_some() {
            return Err(Error::unsupported(format!("the AWS profile {name} has no keys and no credential_process"))
                .hint(format!("run: eval \"$(aws configure export-credentials --profile {name} --format env)\"")));
        }
        Ok(None)
    }
}

/// The output of a `credential_process`:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

async fn from_process(app: &App, command: &str, source: String) -> Result<Expiring<Keys>> {
    let failed = |why: String| Error::auth(format!("the credential_process of {source} failed ({why})"));
    let words = shlex::split(command).ok_or_else(|| failed("unbalanced quotes in its command line".to_owned()))?;
    let limit = Some(app.http.time_left());
    // The user's own program may need this environment's tokens.
    let command = Command { trusted: true, limit, ..Command::new(words) };
    let output = app.host.execute(&command).await.map_err(|error| failed(error.to_string()))?;
    if output.code != Some(0) {
        let says = String::from_utf8_lossy(&output.stderr);
        return Err(failed(says.trim().lines().last().unwrap_or("no error message").to_owned()));
    }
    let printed: Printed =
        serde_json::from_slice(&output.stdout).map_err(|_| failed("its output is not valid".to_owned()))?;
    let keys = Keys {
        id: printed.access_key_id,
        secret: Secret::new(printed.secret_access_key),
        token: printed.session_token.map(Secret::new),
        source,
    };
    Ok(Expiring::at(keys, printed.expiration.as_deref()))
}

/// Reads the settings of a profile from both files; `credentials` takes precedence.
fn read(app: &App, name: &str) -> Settings {
    let file = |var, default: &str, section: &[String]| {
        let path = path(app.env(), var, default);
        let text = path.and_then(|path| app.host.read(&path).ok()).unwrap_or_default();
        section_of(&String::from_utf8_lossy(&text), section)
    };
    let in_config = if name == "default" { vec!["default".to_owned()] } else { vec![] };
    let in_config = [in_config, vec![format!("profile {name}")]].concat();
    let mut profile = file(vars::AWS_CONFIG_FILE, "config", &in_config);
    profile.extend(file(vars::AWS_SHARED_CREDENTIALS_FILE, "credentials", &[name.to_owned()]));
    profile
}

fn path(env: &Env, var: crate::env::Var, default: &str) -> Option<PathBuf> {
    let named = env.get(var).map(PathBuf::from);
    let home = env.named("HOME").or_else(|| env.named("USERPROFILE"));
    named.or_else(|| Some(PathBuf::from(home?).join(".aws").join(default)))
}

/// Parses the settings of the sections of these names. Indented settings belong to the one before them.
fn section_of(text: &str, names: &[String]) -> Settings {
    let mut found = Settings::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(title) = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let title = title.0.split_whitespace().collect::<Vec<_>>().join(" ").replace(['"', '\''], "");
            inside = names.contains(&title);
        } else if inside
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            let value = value.split_once(" #").map_or(value, |(value, _)| value);
            found.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_as_amazons_tools_read_it() {
        let text = "# mine\n[default]\nregion = eu-north-1\n\n[profile  \"ml\"]\nregion=us-west-2 # near\n\
            s3 =\n  max_concurrent_requests = 20\nAWS_ACCESS_KEY_ID = AKIA\n[other]\nregion = x\n";
        let profile = section_of(text, &["profile ml".to_owned()]);
        let expected = [("aws_access_key_id", "AKIA"), ("region", "us-west-2"), ("s3", "")];
        assert_eq!(profile, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert!(section_of(text, &["profile default".to_owned()]).is_empty());
    }
}
