//! The proxies that the environment names, in the forms that curl reads: lower case first, and `HTTP_PROXY`
//! not inside CGI programs, where a request's `Proxy:` header sets it.

use crate::env::Env;
use std::net::IpAddr;
use url::{Host, Url};

/// Addresses that never go through a proxy: the metadata services of clouds, which serve the instance's credentials and
/// which a proxy elsewhere cannot reach. Link-local addresses, those of EC2 and Google on IPv6, and Google's name for them.
const DIRECT: &str = "169.254.0.0/16,fe80::/10,fd00:ec2::/32,fd20:ce::/64,metadata.google.internal";

/// The proxy settings of the environment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Proxies {
    /// Address of the proxy for `http:`.
    pub http: Option<String>,
    /// Address of the proxy for `https:`.
    pub https: Option<String>,
    /// The list of servers that are reached without one.
    exceptions: Option<String>,
}

impl Proxies {
    /// Reads the environment. Returns what is wrong with it as an error.
    pub fn from_env(env: &Env) -> Result<Self, String> {
        let get = |lower: &str, upper: &str| {
            let found = [lower, upper].into_iter().find_map(|n| Some((n.to_owned(), env.named(n)?.to_owned())));
            found.filter(|(name, _)| name != "HTTP_PROXY" || env.named("REQUEST_METHOD").is_none())
        };
        let all = get("all_proxy", "ALL_PROXY");
        let address = |lower: &str, upper: &str| {
            let found = get(lower, upper).or_else(|| all.clone());
            found.map(|(name, url)| address(&name, url)).transpose()
        };
        Ok(Proxies {
            http: address("http_proxy", "HTTP_PROXY")?,
            https: address("https_proxy", "HTTPS_PROXY")?,
            exceptions: Some(match get("no_proxy", "NO_PROXY") {
                Some((_, list)) => format!("{list},{DIRECT}"),
                None => DIRECT.to_owned(),
            }),
        })
    }

    /// Returns the proxy for an address; none where it is reached directly.
    pub fn for_url(&self, url: &Url) -> Option<&str> {
        let proxy = if url.scheme() == "http" { &self.http } else { &self.https };
        proxy.as_deref().filter(|_| !self.is_exception(url))
    }

    /// Returns whether `no_proxy` excludes an address.
    pub fn is_exception(&self, url: &Url) -> bool {
        let list = self.exceptions.as_deref().unwrap_or_default();
        let mut entries = list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        entries.any(|entry| is_excepted(url, entry))
    }
}

/// Returns whether an entry of `no_proxy` matches an address. The forms are those of curl, GitHub's runner and CML together: a name
/// means its subdomains too, `.domain` and `*.domain` mean subdomains, `*` means everything, and any may have a port;
/// addresses may be a network such as `10.0.0.0/8`.
fn is_excepted(url: &Url, entry: &str) -> bool {
    let entry = entry.to_ascii_lowercase();
    let (name, port) = match entry.rsplit_once(':') {
        // Not the last part of an IPv6 address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse::<u16>().ok()),
        _ => (entry.as_str(), None),
    };
    if port.is_some_and(|port| url.port_or_known_default() != Some(port)) {
        return false;
    }
    match url.host() {
        Some(Host::Domain(host)) => {
            let host = host.trim_end_matches('.');
            match name.strip_prefix('*') {
                Some(ending) => host.ends_with(ending),
                None => {
                    let name = name.trim_start_matches('.');
                    let above = host.strip_suffix(name);
                    above.is_some_and(|above| above.is_empty() || above.ends_with('.')) && !name.is_empty()
                }
            }
        }
        Some(Host::Ipv4(host)) => name == "*" || is_within(IpAddr::V4(host), name),
        Some(Host::Ipv6(host)) => name == "*" || is_within(IpAddr::V6(host), name.trim_matches(['[', ']'])),
        None => false,
    }
}

/// Returns whether an address equals another one, or is in a network.
fn is_within(host: IpAddr, network: &str) -> bool {
    let (start, length) = network.split_once('/').unwrap_or((network, "128"));
    let (Ok(start), Ok(length)) = (start.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let (width, [host, start]) = match (host, start) {
        (IpAddr::V4(host), IpAddr::V4(start)) => (32, [host, start].map(|ip| u128::from(u32::from(ip)))),
        (IpAddr::V6(host), IpAddr::V6(start)) => (128, [host, start].map(u128::from)),
        _ => return false,
    };
    (host ^ start).checked_shr(width - length.min(width)).is_none_or(|differs| differs == 0)
}

/// Adds the scheme to an address that has none, and checks it.
fn address(name: &str, url: String) -> Result<String, String> {
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    if let Some((scheme, _)) = url.split_once("://").filter(|(scheme, _)| !matches!(*scheme, "http" | "https")) {
        return Err(format!("{name} has a {scheme} proxy, which is not supported"));
    }
    match Url::parse(&url) {
        Ok(parsed) if parsed.has_host() => Ok(url),
        _ => Err(format!("{name} is not a valid proxy URL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_read_as_other_programs_read_them() {
        let direct = |list: &str, url: &str| {
            let env = [("https_proxy", "proxy:3128"), ("http_proxy", "proxy:3128"), ("no_proxy", list)];
            let proxies = Proxies::from_env(&env.into_iter().collect()).unwrap();
            proxies.for_url(&Url::parse(url).unwrap()).is_none()
        };
        for (list, url) in [
            ("api.github.com:443", "https://api.github.com/x"),
            ("*.github.com", "https://api.github.com"),
            ("*.github.com:443", "https://api.github.com"),
            (".github.com", "https://api.github.com"),
            (".github.com", "https://github.com"),
            ("github.com", "https://API.github.com"),
            ("other, GitHub.com", "https://github.com"),
            ("other github.com", "https://github.com"),
            ("*", "http://10.0.0.1"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/x"),
            ("10.0.0.0/8", "http://10.1.2.3"),
            ("fd00::/8", "https://[fd00:1::2]"),
            ("[::1]:8443", "https://[::1]:8443"),
            ("::1", "https://[::1]"),
        ] {
            assert!(direct(list, url), "{list}: {url}");
        }
        for (list, url) in [
            ("", "https://api.github.com"),
            (",.,:443", "https://api.github.com"),
            ("api.github.com:80", "https://api.github.com"),
            ("github.com", "https://notgithub.com"),
            ("*.github.com", "https://github.com"),
            ("127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("10.0.0.0/8", "http://11.0.0.1"),
            ("10.0.0.1", "http://10.0.0.11"),
            ("fd00::/8", "https://[fe00::1]"),
            ("0.0.1", "http://10.0.0.1"),
        ] {
            assert!(!direct(list, url), "{list}: {url}");
        }
    }
}
