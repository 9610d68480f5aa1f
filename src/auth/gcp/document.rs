//! Credentials files: <https://google.aip.dev/auth/4110> and the pages of each kind.

use super::{Purpose, external, key, user};
use crate::app::App;
use crate::auth::Source;
use crate::env::{Secret, is_reference, vars};
use crate::error::{Error, Result};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// The domain of the only universe that is supported.
const UNIVERSE: &str = "googleapis.com";

/// A credentials file.
#[derive(Debug)]
pub struct Document {
    /// Its content.
    pub fields: Value,
    /// Where it comes from, for people.
    pub origin: String,
}

/// Returns the credentials that a variable contains or names, or else gcloud's; `None` when there are none, or the job's identity goes
/// before gcloud's.
///
/// # Errors
/// They cannot be read, or are not JSON.
pub fn find(app: &App) -> Result<Option<Document>> {
    match find_given(app)? {
        None if app.env().get(vars::CML_GCP_WORKLOAD_IDENTITY_PROVIDER).is_none() => find_gclouds(app),
        document => Ok(document),
    }
}

fn find_given(app: &App) -> Result<Option<Document>> {
    let set = |var| app.env().get(var).filter(|value| !is_reference(value));
    let data = vars::GOOGLE_APPLICATION_CREDENTIALS_DATA;
    if let Some(content) = set(data) {
        return Document::parse(content, data.name.to_owned()).map(Some);
    }
    let file = vars::GOOGLE_APPLICATION_CREDENTIALS;
    let Some(path) = set(file) else { return Ok(None) };
    Document::read(app, Path::new(path), format!("{path} of {}", file.name)).map(Some)
}

/// Returns the credentials that `gcloud auth application-default login` has written.
fn find_gclouds(app: &App) -> Result<Option<Document>> {
    let env = app.env();
    let home = || Some(Path::new(env.get(vars::HOME)?).join(".config").join("gcloud"));
    let windows = || Some(Path::new(env.named("APPDATA")?).join("gcloud"));
    let folder = env.get(vars::CLOUDSDK_CONFIG).map(PathBuf::from).or_else(windows).or_else(home);
    let Some(folder) = folder else { return Ok(None) };
    let path = folder.join("application_default_credentials.json");
    match app.host.read(&path) {
        Ok(bytes) => Document::parse(&String::from_utf8_lossy(&bytes), path.display().to_string()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::config(format!("cannot read {} ({error})", path.display()))),
    }
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not JSON.
    pub fn read(app: &App, path: &Path, origin: String) -> Result<Document> {
        let bytes = app.host.read(path).map_err(|error| {
            let data = vars::GOOGLE_APPLICATION_CREDENTIALS_DATA.name;
            Error::config(format!("cannot read {origin} ({error})"))
                .hint(format!("give the path of a credentials file, or its content in {data}"))
        })?;
        Document::parse(&String::from_utf8_lossy(&bytes), origin)
    }

    fn parse(content: &str, origin: String) -> Result<Document> {
        let fields: Option<Value> = serde_json::from_str(content).ok().filter(Value::is_object);
        match fields {
            Some(fields) => Ok(Document { fields, origin }),
            None => {
                Err(Error::config(format!("{origin} is not a Google Cloud credentials file in JSON")).hint(format!(
                    "{} takes the content of the file, {} its path",
                    vars::GOOGLE_APPLICATION_CREDENTIALS_DATA.name,
                    vars::GOOGLE_APPLICATION_CREDENTIALS.name
                )))
            }
        }
    }

    /// Returns the project that it names.
    pub fn project(&self) -> Option<String> {
        let named = self.fields["project_id"].as_str().or(self.fields["quota_project_id"].as_str());
        named.filter(|project| !project.is_empty()).map(str::to_owned)
    }

    /// Returns the project of the service account that it acts as.
    pub fn account_project(&self) -> Option<String> {
        external::project_of(self.fields["service_account_impersonation_url"].as_str()?)
    }

    /// Returns a field's text.
    ///
    /// # Errors
    /// It is missing.
    pub fn text(&self, name: &str) -> Result<&str> {
        let text = self.fields[name].as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| Error::config(format!("{} has no {name}", self.origin)))
    }

    /// Returns the source of tokens that it describes.
    ///
    /// # Errors
    /// It is incomplete, or of a kind that is not supported.
    pub fn source(self, app: &App, purpose: Purpose) -> Result<Box<dyn Source<Secret>>> {
        let universe = self.fields["universe_domain"].as_str().unwrap_or(UNIVERSE);
        if universe != UNIVERSE {
            return Err(Error::unsupported(format!(
                "{} is for the universe {universe}; cml supports {UNIVERSE} only",
                self.origin
            )));
        }
        Ok(match self.text("type")? {
            "service_account" => Box::new(key::ServiceAccountKey::new(app, &self, purpose)?),
            "external_account" => Box::new(external::ExternalAccount::new(&self, purpose)?),
            "authorized_user" => Box::new(user::AuthorizedUser::new(app, &self)?),
            kind => {
                return Err(Error::unsupported(format!("{} has credentials of the type {kind}", self.origin))
                    .hint("use the key of a service account, or a workload identity (docs/gcp.md)"));
            }
        })
    }
}
