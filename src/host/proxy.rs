//! The proxies that the environment names, in the forms that curl reads: lower case first, and `HTTP_PROXY`
//! not inside CGI programs, where a request's `Proxy:` header sets it.

use crate::env::Env;
use url::Url;

/// Reached without a proxy whatever the environment says: the services of the machine itself, which have its keys, and which a
/// proxy elsewhere cannot reach. Link-local addresses, those of EC2 and Google on IPv6, and Google's name for them.
const DIRECT: &str = "169.254.0.0/16,fe80::/10,fd00:ec2::/32,fd20:ce::/64,metadata.google.internal";

/// What the environment says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Proxies {
    /// Address of the proxy for `http:`.
    pub http: Option<String>,
    /// Address of the proxy for `https:`.
    pub https: Option<String>,
    /// The list of servers that are reached without one.
    pub exceptions: Option<String>,
}

impl Proxies {
    /// Reads the environment. Fails with what is wrong with it.
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
}

/// The address with its scheme.
fn address(name: &str, url: String) -> Result<String, String> {
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    if let Some((scheme, _)) = url.split_once("://").filter(|(scheme, _)| !matches!(*scheme, "http" | "https")) {
        return Err(format!("{name} names a {scheme} proxy, which is not supported"));
    }
    match Url::parse(&url) {
        Ok(parsed) if parsed.has_host() => Ok(url),
        _ => Err(format!("{name} is not the address of a proxy")),
    }
}
