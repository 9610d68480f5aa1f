//! Azure's credentials: <https://learn.microsoft.com/azure/developer/intro/authentication-overview>.
//!
//! A client secret → a federated identity, from a file or of the CI job → the managed identity of the host. The variables are those
//! of Azure's SDKs (`AZURE_…`), of Terraform's provider (`ARM_…`), and the JSON of the action azure/login (`AZURE_CREDENTIALS`).

use super::{Source, checked_value};
use crate::app::App;
use crate::ci;
use crate::env::{Env, Secret, Var, vars};
use crate::error::{Error, Result};
use serde::Deserialize;
use url::Url;

mod exchange;
mod federated;
mod managed;
pub mod metadata;
mod secret;

/// The hosts of Azure's login, each with that of its Resource Manager:
/// <https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>.
const CLOUDS: [(&str, &str); 3] = [
    ("login.microsoftonline.com", "https://management.azure.com"),
    ("login.microsoftonline.us", "https://management.usgovcloudapi.net"),
    ("login.partner.microsoftonline.cn", "https://management.chinacloudapi.cn"),
];

/// A token of Microsoft Entra for the Resource Manager.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub value: Secret,
    /// Where it comes from, for people.
    pub source: String,
}

impl Token {
    /// Checks that the token can be sent, and keeps it out of the log.
    fn accepted(app: &App, token: Token) -> Result<Token> {
        checked_value(&format!("the token of {}", token.source), token.value.expose())?;
        app.log.hide("the token of Azure", &token.value);
        app.log.debug(&format!("Azure credentials from {}", token.source));
        Ok(token)
    }
}

/// What the environment says about the application and the subscription.
#[derive(Debug, Clone)]
pub struct Settings {
    tenant: Option<String>,
    client: Option<String>,
    secret: Option<Secret>,
    subscription: Option<String>,
    token_file: Option<String>,
    login: Url,
    management: &'static str,
}

/// The JSON that azure/login takes: <https://github.com/Azure/login#login-with-a-service-principal-secret>.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginJson {
    client_id: Option<String>,
    client_secret: Option<Secret>,
    subscription_id: Option<String>,
    tenant_id: Option<String>,
}

impl Settings {
    /// Reads the variables.
    ///
    /// # Errors
    /// `AZURE_CREDENTIALS` is not such JSON, an id has characters that no id has, or `AZURE_AUTHORITY_HOST` is unknown.
    pub fn read(env: &Env) -> Result<Settings> {
        let json = match env.get(vars::AZURE_CREDENTIALS) {
            // The parser's message would quote the secret.
            Some(text) => serde_json::from_str(text).map_err(|_| {
                Error::config(format!("{} is not the JSON of azure/login", vars::AZURE_CREDENTIALS.name)).hint(
                    "it has the fields clientId, clientSecret, subscriptionId and tenantId; or set AZURE_CLIENT_ID and so on",
                )
            })?,
            None => LoginJson::default(),
        };
        let LoginJson { client_id, client_secret, subscription_id, tenant_id } = json;
        let id = |names: [Var; 2], other: Option<String>| -> Result<Option<String>> {
            let (name, value) = match (env.first(&names), &other) {
                (Some((var, value)), _) => (var.name, value),
                (None, Some(value)) => (vars::AZURE_CREDENTIALS.name, value.as_str()),
                (None, None) => return Ok(None),
            };
            let value = value.trim();
            let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if value.is_empty() || !value.chars().all(is_id) {
                return Err(Error::config(format!("the value of {name} is not an id of Azure"))
                    .hint("it looks like 01234567-89ab-cdef-0123-456789abcdef"));
            }
            Ok(Some(value.to_owned()))
        };
        let secret = env.first(&[vars::AZURE_CLIENT_SECRET, vars::ARM_CLIENT_SECRET]);
        let file = env.first(&[vars::AZURE_FEDERATED_TOKEN_FILE, vars::ARM_OIDC_TOKEN_FILE_PATH]);
        let (login, management) = endpoints(env)?;
        Ok(Settings {
            tenant: id([vars::AZURE_TENANT_ID, vars::ARM_TENANT_ID], tenant_id)?,
            client: id([vars::AZURE_CLIENT_ID, vars::ARM_CLIENT_ID], client_id)?,
            secret: secret.map(|(_, value)| Secret::new(value)).or(client_secret),
            subscription: id([vars::AZURE_SUBSCRIPTION_ID, vars::ARM_SUBSCRIPTION_ID], subscription_id)?,
            token_file: file.map(|(_, path)| path.to_owned()),
            login,
            management,
        })
    }

    /// Returns the subscription.
    ///
    /// # Errors
    /// None is named.
    pub fn subscription(&self) -> Result<&str> {
        self.subscription.as_deref().ok_or_else(|| {
            Error::config(format!("{} is not set", vars::AZURE_SUBSCRIPTION_ID.name))
                .hint("set it to the id of the subscription that pays for the instances: az account show --query id")
        })
    }

    /// Returns the address of the Resource Manager, without a slash at its end.
    pub fn management(&self) -> &'static str {
        self.management
    }

    /// Returns the application's tenant and id.
    ///
    /// # Errors
    /// One of the two is missing. `set` is the variable that needs them.
    fn application(&self, set: &str) -> Result<Application<'_>> {
        let missing = |var: Var| {
            Error::config(format!("{set} is set, but {} is not", var.name))
                .hint("set both: a secret that does not exist, or that forks cannot read, is empty in CI")
        };
        let tenant = self.tenant.as_deref().ok_or_else(|| missing(vars::AZURE_TENANT_ID))?;
        let client = self.client.as_deref().ok_or_else(|| missing(vars::AZURE_CLIENT_ID))?;
        Ok(Application { tenant, client, login: &self.login, management: self.management })
    }
}

/// An application of Microsoft Entra, and where it logs in.
struct Application<'a> {
    tenant: &'a str,
    client: &'a str,
    login: &'a Url,
    management: &'a str,
}

/// Returns the addresses of the login and of the Resource Manager.
fn endpoints(env: &Env) -> Result<(Url, &'static str)> {
    let host = env.get(vars::AZURE_AUTHORITY_HOST).unwrap_or(CLOUDS[0].0).trim();
    let name = host.strip_prefix("https://").unwrap_or(host).trim_end_matches('/');
    let known = CLOUDS.iter().find(|(login, _)| *login == name);
    let (login, management) = known.ok_or_else(|| {
        let names: Vec<&str> = CLOUDS.iter().map(|(login, _)| *login).collect();
        Error::config(format!("unknown login of Azure '{host}' in {}", vars::AZURE_AUTHORITY_HOST.name))
            .hint(format!("use one of {}", names.join(", ")))
    })?;
    let login = Url::parse(&format!("https://{login}/"));
    Ok((login.map_err(|error| Error::internal(error.to_string()))?, management))
}

/// The token of the first source that is configured; it is fetched again when it expires.
pub struct Credentials {
    tokens: super::Credentials<Token>,
    client: Option<String>,
}

impl Credentials {
    /// Returns the credentials of these settings. No source is asked yet.
    pub fn new(app: &App, settings: &Settings) -> Self {
        if let Some(secret) = &settings.secret {
            app.log.hide(vars::AZURE_CLIENT_SECRET.name, secret);
        }
        let sources: Vec<Box<dyn Source<Token>>> = vec![
            Box::new(secret::ClientSecret(settings.clone())),
            Box::new(federated::JobIdentity(settings.clone())),
            Box::new(managed::ManagedIdentity(settings.clone())),
        ];
        Credentials { tokens: super::Credentials::new(app, sources, Token::accepted), client: settings.client.clone() }
    }

    /// Returns a token that is valid now.
    ///
    /// # Errors
    /// There is none, or the configured source does not work: the next source is never used silently.
    pub async fn token(&self) -> Result<Token> {
        let env = self.tokens.app.env();
        self.tokens.get().await?.ok_or_else(|| match &self.client {
            Some(client) => Error::auth(format!(
                "{} is set ({client}), but there is neither {} nor an identity token of the job",
                vars::AZURE_CLIENT_ID.name,
                vars::AZURE_CLIENT_SECRET.name
            ))
            .hint(match env.get(vars::BITBUCKET_REPO_UUID) {
                // Its subject is another one for each step, which Azure cannot compare.
                Some(_) => "set AZURE_CLIENT_SECRET: Azure does not accept the identity of a Bitbucket step".to_owned(),
                None => ci::identity_hint(env, federated::AUDIENCE),
            }),
            None => Error::auth("no Azure credentials found").hint(
                "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_SUBSCRIPTION_ID, and AZURE_CLIENT_SECRET or the job's identity token (docs/azure.md)",
            ),
        })
    }

    /// Forgets the token, which Azure has refused.
    pub async fn forget(&self) {
        self.tokens.forget().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&'static str, &str)]) -> Result<Settings> {
        Settings::read(&variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    #[test]
    fn variables_of_azure_go_before_terraforms_and_those_before_the_json() {
        let json = r#"{"clientId":"c3","clientSecret":"s3","subscriptionId":"b3","tenantId":"t3","resourceManagerEndpointUrl":"x"}"#;
        let read = settings(&[
            ("AZURE_CLIENT_ID", "c1"),
            ("ARM_CLIENT_ID", "c2"),
            ("ARM_TENANT_ID", " t2\n"),
            ("AZURE_CREDENTIALS", json),
        ])
        .unwrap();
        assert_eq!((read.client.as_deref(), read.tenant.as_deref()), (Some("c1"), Some("t2")));
        assert_eq!((read.subscription().unwrap(), read.secret.as_ref().unwrap().expose()), ("b3", "s3"));
        assert_eq!(settings(&[]).unwrap().subscription().unwrap_err().exit_code(), 3);
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        for (variables, says) in [
            ([("AZURE_CREDENTIALS", "{\"clientSecret\": hush}")], "AZURE_CREDENTIALS is not the JSON of azure/login"),
            ([("AZURE_TENANT_ID", "hush/x")], "the value of AZURE_TENANT_ID is not an id of Azure"),
            ([("ARM_CLIENT_ID", "hu sh")], "the value of ARM_CLIENT_ID is not an id of Azure"),
        ] {
            let error = settings(&variables).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (says, 3));
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
        let error = settings(&[("AZURE_AUTHORITY_HOST", "https://login.example/")]).unwrap_err();
        assert!(error.hint_text().is_some_and(|hint| hint.contains("login.microsoftonline.us")), "{error:?}");
    }

    #[test]
    fn national_clouds_have_their_own_resource_manager() {
        let of = |host: &str| settings(&[("AZURE_AUTHORITY_HOST", host)]).unwrap().management();
        assert_eq!(of("https://login.microsoftonline.us/"), "https://management.usgovcloudapi.net");
        assert_eq!(of("login.microsoftonline.com"), "https://management.azure.com");
    }
}
