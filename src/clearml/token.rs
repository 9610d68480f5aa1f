//! What a ClearML token says about itself. It is a JSON Web Token, whose signature only the server can check.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The newest version of the API that this program knows.
const NEWEST: (u32, u32) = (2, 34);
/// The oldest one that it can use: below, tasks have other fields.
const OLDEST: (u32, u32) = (2, 13);
/// Seconds before its end at which a token is renewed, as the SDK does.
const EARLY: i64 = 360;

/// The claims of a token, as far as they are used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// When it ends, in seconds since 1970.
    pub expires: Option<i64>,
    /// The version of the server's API.
    pub api: Option<(u32, u32)>,
    /// The version of the server.
    pub server: Option<String>,
    /// The user whom it is for, and the role.
    pub user: Option<String>,
}

impl Claims {
    /// Reads the claims. A token that cannot be read has none.
    pub fn read(token: &str) -> Self {
        let body = token.split('.').nth(1).and_then(|body| URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).ok());
        let claims: Value = body.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        // Some servers write the version as a number.
        let version = match &claims["api_version"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let expires = claims["exp"].as_i64().or_else(|| claims["exp"].as_f64().map(|seconds| seconds as i64));
        let text = |pointer: &str| claims.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let name = text("/identity/user_name").or_else(|| text("/identity/user"));
        let role = text("/identity/role").map(|role| format!(" ({role})")).unwrap_or_default();
        Claims {
            expires,
            api: parse(&version),
            server: text("/server_version").map(str::to_owned),
            user: name.map(|name| format!("{name}{role}")),
        }
    }

    /// Returns the version of the API to ask for; `None` where the newest is meant. A server that is too old is an error.
    ///
    /// # Errors
    /// The version of the server, if it is too old.
    pub fn version(&self) -> Result<Option<String>, String> {
        match self.api {
            Some((major, minor)) if (major, minor) < OLDEST => Err(format!("{major}.{minor}")),
            Some(version) => {
                let (major, minor) = version.min(NEWEST);
                Ok(Some(format!("{major}.{minor}")))
            }
            None => Ok(None),
        }
    }

    /// Returns when it is renewed, in seconds since 1970; `None` for never. A short one lives for half its time at least.
    pub fn renew_at(&self, now: i64) -> Option<i64> {
        self.expires.map(|end| (end - EARLY).max(now + (end - now) / 2))
    }
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_version_is_the_older_of_both() {
        for (claims, version) in [
            (r#"{"api_version":"2.23","exp":1000}"#, Ok(Some("2.23"))),
            (r#"{"api_version":2.2}"#, Err("2.2")),
            (r#"{"api_version":"2.40"}"#, Ok(Some("2.34"))),
            (r#"{"api_version":"3.1"}"#, Ok(Some("2.34"))),
            ("{}", Ok(None)),
            ("not JSON", Ok(None)),
        ] {
            let found = Claims::read(&token(claims)).version();
            assert_eq!(found.as_ref().map(Option::as_deref).map_err(String::as_str), version, "{claims}");
        }
        assert_eq!(Claims::read("opaque"), Claims::default());
    }

    #[test]
    fn tokens_are_renewed_early() {
        let at = |exp: i64| Claims { expires: Some(exp), ..Claims::default() }.renew_at(1000);
        assert_eq!((at(10_000), at(1100), at(900)), (Some(9640), Some(1050), Some(950)));
        assert_eq!(Claims::default().renew_at(0), None);
    }
}
