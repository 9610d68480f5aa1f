//! The addresses of a ClearML server: of its API, its pages and its files.

use crate::error::{Error, Result};
use url::Url;

/// The API of the hosted service.
pub const DEFAULT_API: &str = "https://api.clear.ml";
/// Ports of a self-hosted server: API, pages, files.
/// <https://clear.ml/docs/latest/docs/deploying_clearml/clearml_server_config>
const PORTS: [u16; 3] = [8008, 8080, 8081];

/// Parses the address of a server; `https://` is added where the scheme is missing. `name` is where the text comes from.
///
/// # Errors
/// It is not an address, or has user information.
pub fn parse(text: &str, name: &str) -> Result<Url> {
    let text = text.trim();
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&whole).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| {
        Error::config(format!("the value of {name} is not an address")).hint("write it as https://api.example.org")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config(format!("the address in {name} has a user or password"))
            .hint("pass keys in CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY"));
    }
    Ok(url)
}

/// Returns whether requests to a server stay on this computer.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Returns whether an address looks like that of the pages.
pub fn is_web(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host.starts_with("app."))
}

/// Returns the address of the pages of the server with this API, without a slash at the end, as the SDK derives it; `None` where it
/// cannot be derived.
pub fn derive_web(api: &Url) -> Option<String> {
    derive(api, "app.", PORTS[1])
}

/// Returns the address of the files of that server in the same way.
pub fn derive_files(api: &Url) -> Option<Url> {
    Url::parse(&derive(api, "files.", PORTS[2])?).ok()
}

fn derive(api: &Url, label: &str, port: u16) -> Option<String> {
    let mut url = api.clone();
    let host = api.host_str()?;
    if let Some(rest) = host.strip_prefix("api.") {
        url.set_host(Some(&format!("{label}{rest}"))).ok()?;
    } else if api.port() == Some(PORTS[0]) {
        url.set_port(Some(port)).ok()?;
    } else {
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_addresses_follow_from_the_first() {
        for (api, web, files) in [
            ("api.clear.ml", Some("https://app.clear.ml"), Some("https://files.clear.ml/")),
            ("https://api.ml.example.org/", Some("https://app.ml.example.org"), Some("https://files.ml.example.org/")),
            ("http://10.0.0.7:8008", Some("http://10.0.0.7:8080"), Some("http://10.0.0.7:8081/")),
            ("https://example.org/clearml", None, None),
        ] {
            let api = parse(api, "CLEARML_API_HOST").unwrap();
            assert_eq!(derive_web(&api).as_deref(), web, "{api}");
            assert_eq!(derive_files(&api).as_ref().map(Url::as_str), files, "{api}");
        }
    }

    #[test]
    fn what_is_no_address_names_the_variable() {
        for wrong in ["ftp://x", "https://", "a b"] {
            assert!(parse(wrong, "CLEARML_API_HOST").unwrap_err().to_string().contains("CLEARML_API_HOST"), "{wrong}");
        }
        assert!(!parse("https://u:secret@x", "X").unwrap_err().to_string().contains("secret"));
        let loopback = |text: &str| is_loopback(&parse(text, "X").unwrap());
        assert!(loopback("http://127.0.0.1:8008") && loopback("http://[::1]") && loopback("http://localhost"));
        assert!(!loopback("http://10.0.0.1") && !loopback("http://localhost.example.org"));
        assert!(is_web(&parse("app.clear.ml", "X").unwrap()));
    }
}
