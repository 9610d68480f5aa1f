//! Which variables of the environment hold secrets.

use super::{Env, Secret, vars};
use url::Url;

/// Words in the name of a secret.
const SECRET: &[&str] = &[
    "TOKEN",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PAT",
    "JWT",
    "CREDENTIALS",
    "APIKEY",
    "WEBHOOK",
    "SIGNATURE",
];
/// Words that make a key of some kind a secret.
const KEY: &[&str] = &[
    "ACCESS",
    "ACCOUNT",
    "API",
    "APP",
    "AUTH",
    "CLIENT",
    "DEPLOY",
    "ENCRYPTION",
    "LICENSE",
    "MASTER",
    "PRIVATE",
    "SECRET",
    "SERVICE",
    "SIGNING",
    "SSH",
    "STORAGE",
];
/// Last words of the names of what is about a secret.
const ABOUT: &[&str] = &[
    "ALGORITHM",
    "ARN",
    "AUDIENCE",
    "COUNT",
    "DIR",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "FINGERPRINT",
    "HEADER",
    "HOST",
    "ID",
    "ISSUER",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "NAME",
    "PATH",
    "PORT",
    "REGION",
    "SCOPE",
    "SOURCE",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "USER",
    "USERNAME",
    "VERSION",
];
/// Ends of the last word of names that may mean a secret, without the number after them.
const ENDINGS: &[&str] = &[
    "AUTH",
    "AUTHORIZATION",
    "BEARER",
    "COOKIE",
    "CRED",
    "CREDS",
    "KEY",
    "KEYS",
    "PASS",
    "PAT",
    "PRIVATE",
    "PWD",
    "SALT",
    "SECRET",
    "SESSION",
    "TOKEN",
];
/// What tokens begin with, whatever variable they are in.
const PREFIXES: &[&str] = &[
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "glcbt-",
    "gldt-",
    "glptt-",
    "glrt-",
    "glsoat-",
    "ATCTT3",
    "ATBB",
    "ATATT3",
    "hf_",
    "sk-",
    "xoxb-",
    "xoxp-",
];
/// A word of fewer letters may stand in any text.
const LONGEST_WORD: usize = 15;

/// Returns whether the name of a variable or field says that its value is a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    // As in PGPASSWORD.
    let is_secret = |word: &&str| SECRET.contains(word) || word.ends_with("PASSWORD") || word.ends_with("TOKEN");
    let Some((last, before)) = words.split_last() else { return false };
    match *last {
        "KEY" if before.contains(&"PUBLIC") => false,
        "KEY" => before.iter().any(|word| KEY.contains(word) || is_secret(word)),
        "URL" => before.contains(&"WEBHOOK"),
        "STRING" => before.contains(&"CONNECTION"),
        last => !ABOUT.contains(&last) && words.iter().any(is_secret),
    }
}

/// Returns whether the name of a variable may mean a secret: then its value tells.
fn may_be_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let is_public = ["CACHE", "GPG", "PROJECT", "PUBLIC", "PUB"].iter().any(|word| words.contains(word));
    let is_end = |last: &&str| ENDINGS.iter().any(|ending| last.ends_with(ending));
    !is_public && words.last().is_some_and(is_end)
}

/// Returns whether a value looks as only made-up keys do: long, without blanks, and of letters in both cases with
/// digits, or of hexadecimal digits.
fn looks_random(value: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| value.bytes().any(|byte| kind(&byte));
    let is_graphic = value.bytes().all(|byte| byte.is_ascii_graphic());
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    let is_hexadecimal = value.len() >= 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    value.len() >= 16 && is_graphic && (is_mixed || is_hexadecimal)
}

/// Returns the secrets of the environment with the names of their variables, which some names say, and some values.
pub fn secrets(env: &Env) -> Vec<(String, Secret)> {
    let mut found = Vec::new();
    for (name, value) in env.iter() {
        let value = value.trim();
        let is_named = is_secret_name(name) || may_be_secret_name(name) && looks_random(value);
        if is_named && !may_be_public(value) || has_form_of_token(value) {
            found.push((name.to_owned(), Secret::new(value)));
        }
        let passwords =
            in_address(value).into_iter().chain(in_header(env, name, value)).chain(in_kubeconfig(name, value));
        found.extend(passwords.map(|password| (name.to_owned(), Secret::new(password))));
    }
    found
}

/// Returns whether a value is in a variable for secrets, and yet may be in any text: a word, a path, a number, an
/// address.
fn may_be_public(value: &str) -> bool {
    let is_short_word = value.len() <= LONGEST_WORD && !value.bytes().any(|byte| byte.is_ascii_digit());
    let is_number = value.len() <= LONGEST_WORD && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_path =
        ["/", "./", "../", "~/"].iter().any(|start| value.starts_with(start)) && !value.contains(['+', '=', '\n']);
    // A webhook's address has its secret in its path.
    let is_address = Url::parse(value).is_ok_and(|url| url.has_host() && url.path().len() < 2);
    is_short_word || is_number || is_path || is_address || is_reference(value)
}

/// Returns whether a value is what a CI leaves of `$NAME` where there is no such variable.
pub fn is_reference(value: &str) -> bool {
    let name = value.trim().strip_prefix('$').map(|name| name.trim_matches(['{', '}']));
    name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// Returns whether a value is a token whatever its variable is called: of a known service, or a JSON Web Token
/// (<https://www.rfc-editor.org/rfc/rfc7519>), as GitLab's `id_tokens:` are; or a private key in PEM.
fn has_form_of_token(value: &str) -> bool {
    let is_token = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.=".contains(&byte));
    let known = PREFIXES.iter().any(|prefix| value.starts_with(prefix)) && value.len() >= 20;
    let jwt = value.starts_with("eyJ") && value.matches('.').count() == 2 && value.len() > 40;
    (known || jwt) && is_token(value) || value.contains("PRIVATE KEY-----")
}

/// Returns the password in an address such as a proxy's, as it is written and as it is meant.
fn in_address(value: &str) -> Vec<String> {
    let Some(url) = Url::parse(value).ok().filter(Url::has_host) else { return Vec::new() };
    // A name alone is a token where it looks like one.
    let alone = Some(url.username()).filter(|name| !may_be_public(name));
    let Some(written) = url.password().or(alone) else { return Vec::new() };
    let meant = percent_encoding::percent_decode_str(written).decode_utf8_lossy().into_owned();
    let mut both = vec![written.to_owned(), meant];
    both.dedup();
    both
}

/// Returns the credential in a header that git is to send.
/// <https://git-scm.com/docs/git-config#Documentation/git-config.txt-GITCONFIGCOUNT>
fn in_header(env: &Env, name: &str, value: &str) -> Option<String> {
    let key = env.named(&format!("GIT_CONFIG_KEY_{}", name.strip_prefix("GIT_CONFIG_VALUE_")?))?;
    let credential = value.rsplit(' ').next()?;
    key.to_ascii_lowercase().ends_with(".extraheader").then(|| credential.to_owned())
}

/// Returns the secrets in the content of a kubeconfig file, as far as they are written in one line: the rest of such a file is no
/// secret, and stands in any other one.
fn in_kubeconfig(name: &str, value: &str) -> Vec<String> {
    if ![vars::KUBERNETES_CONFIGURATION.name, vars::KUBECONFIG_DATA.name].contains(&name) {
        return Vec::new();
    }
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let fields = value.split(['\n', '\r', '{', '}', ',']).filter_map(|field| field.split_once(':'));
    let fields = fields.map(|(name, value)| (unquoted(name.trim().trim_start_matches("- ")), unquoted(value)));
    let is_secret =
        |name: &str, value: &str| (name == "client-key-data" || is_secret_name(name)) && !may_be_public(value);
    fields.filter(|(name, value)| is_secret(name, value)).map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_kubeconfig_file_only_keys_and_tokens_are_secret() {
        let yaml = "apiVersion: v1\nkind: Config\nusers:\n- name: deployer-account-1\n  user:\n    token: hunter2-0123456789\n    \
            client-certificate-data: Y2VydGlmaWNhdGU0\n    client-key-data: 'a2V5LW9mLWEtdXNlcg=='\n- token: eyJ0-second\n";
        let json =
            r#"{"users":[{"name":"deployer-account-1","user":{"token":"hunter2-0123456789","password":"p4ssword"}}]}"#;
        let env: Env = [("KUBERNETES_CONFIGURATION", yaml), ("KUBECONFIG_DATA", json)].into_iter().collect();
        let found: Vec<(String, String)> =
            secrets(&env).into_iter().map(|(name, secret)| (name, secret.expose().to_owned())).collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            found,
            [
                ("KUBECONFIG_DATA", "hunter2-0123456789"),
                ("KUBECONFIG_DATA", "p4ssword"),
                ("KUBERNETES_CONFIGURATION", "hunter2-0123456789"),
                ("KUBERNETES_CONFIGURATION", "a2V5LW9mLWEtdXNlcg=="),
                ("KUBERNETES_CONFIGURATION", "eyJ0-second"),
            ]
        );
    }

    #[test]
    fn names_say_what_is_secret() {
        for name in [
            "REPO_TOKEN",
            "CML_TOKEN",
            "CML_RUNNER_DRIVER_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "WANDB_API_KEY",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "ACTIONS_RUNTIME_TOKEN",
            "CI_JOB_TOKEN",
            "CI_REGISTRY_PASSWORD",
            "PGPASSWORD",
            "BITBUCKET_STEP_OIDC_TOKEN",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_CONNECTION_STRING",
            "SLACK_WEBHOOK_URL",
            "GOOGLE_CREDENTIALS",
            "TB_CREDENTIALS",
            "CML_RUNNER_CLOUD_SSH_PRIVATE_KEY",
            "repo_token",
            "private_key",
            "INPUT_GITHUB-TOKEN",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "",
            "KEY",
            "CACHE_KEY",
            "SONAR_PROJECT_KEY",
            "PUBLIC_KEY",
            "SSH_PUBLIC_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "TOKENIZERS_PARALLELISM",
            "PATH",
            "COMPASS",
            "private_key_id",
            "DATABASE_URL",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn keys_of_other_names_are_known_by_their_value() {
        for name in [
            "KAGGLE_KEY",
            "API_KEY_1",
            "MYAPIKEY",
            "secretAccessKey",
            "MYSQL_PWD",
            "DBPASS",
            "NPM_AUTH",
            "TOKEN2",
            "AWS_CREDS",
            "GCP_SA_KEY",
            "COOKIE",
            "SESSION",
        ] {
            for value in ["q8Zr/T5w+Xy2Kd93LmNb47VcHs61", "0123456789abcdef0123456789abcdef"] {
                let env: Env = [(name, value)].into_iter().collect();
                assert_eq!(secrets(&env).len(), 1, "{name}");
            }
        }
    }

    #[test]
    fn values_that_may_stand_in_any_text_are_none() {
        let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let jwt = format!("eyJ{}.eyJ{}.{}", "a1".repeat(10), "b2".repeat(10), "c3".repeat(10));
        let env: Env = [
            ("POSTGRES_PASSWORD", "postgres"),
            ("CML_PASSWORD", "$CML_PASSWORD"),
            ("APP_SECRET", "/run/secrets/app"),
            ("MAX_TOKEN", "4096"),
            ("CACHE_KEY", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"),
            ("SORT_KEY", "validation_accuracy_top5"),
            ("OLDPWD", "/home/User/Model1"),
            ("SESSION", "Nightly-run"),
            ("PLAIN", "hunter2-0123456789"),
            ("AUTH_TOKEN", "https://auth.example.com"),
            ("AWS_SECRET_ACCESS_KEY", key),
            ("DB_PASSWORD", "hunter2-0123456789"),
            ("MY_ID", &jwt),
            ("https_proxy", "http://user:p%40ssw0rd1@proxy:3128"),
            ("ORIGIN", "https://0123456789abcdef@host/x"),
            ("REMOTE", "ssh://git@host/x"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "http.https://github.com/.extraheader"),
            ("GIT_CONFIG_VALUE_0", "AUTHORIZATION: basic eDp5enp5eg=="),
        ]
        .into_iter()
        .collect();
        let found: Vec<(String, String)> =
            secrets(&env).into_iter().map(|(name, secret)| (name, secret.expose().to_owned())).collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            found,
            [
                ("AWS_SECRET_ACCESS_KEY", key),
                ("DB_PASSWORD", "hunter2-0123456789"),
                ("GIT_CONFIG_VALUE_0", "eDp5enp5eg=="),
                ("MY_ID", jwt.as_str()),
                ("ORIGIN", "0123456789abcdef"),
                ("https_proxy", "p%40ssw0rd1"),
                ("https_proxy", "p@ssw0rd1"),
            ]
        );
    }
}
