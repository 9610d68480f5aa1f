//! The network of an instance, and the rule that nothing comes in.

use super::Gcp;
use crate::cloud::gcp::args::GcpOptions;
use crate::cloud::rest::{Call, Failure};
use crate::digest::hash;
use crate::error::{Error, Result};
use http::Method;
use serde_json::{Value, json};

/// The tag of our instances, by which the rule applies to them, and the rule's name in the network `default`.
pub const TAG: &str = "cml-no-inbound";

/// The network of an instance.
#[derive(Debug, Clone)]
pub struct Network {
    /// Its path.
    pub path: String,
    /// The path of the subnetwork, if it is given.
    pub subnetwork: Option<String>,
    /// The firewall rule.
    pub firewall: Firewall,
}

/// The rule that refuses all that comes in: the network `default` lets SSH, RDP and ICMP in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firewall {
    /// It exists.
    Exists(String),
    /// It is created with the first instance, and kept.
    Missing(String),
    /// The network belongs to another project, whose rules apply.
    Foreign,
}

/// Returns the path of a network or subnetwork: names are ours, paths may be another project's.
fn path(text: &str, parent: &str) -> String {
    let text = text.trim_start_matches("https://www.googleapis.com/compute/v1/");
    if text.contains('/') { text.to_owned() } else { format!("{parent}/{text}") }
}

/// Returns the name of the rule of a network: names are the project's, so that a network needs its own.
fn rule(network: &str) -> String {
    match network.rsplit('/').next() {
        Some("default") => TAG.to_owned(),
        _ => format!("{TAG}-{}", &hash(network.as_bytes())[..8]),
    }
}

impl Gcp {
    /// Looks the network's rule up.
    pub(super) async fn network(&self, options: &GcpOptions) -> Result<Network> {
        let project = self.project().await?;
        let (network, subnetwork) = (options.network(), options.subnetwork());
        let regional = format!("regions/{}/subnetworks", self.region.name);
        let subnetwork = subnetwork.map(|name| path(name, &regional));
        let network = path(network.unwrap_or("default"), "global/networks");
        // A subnetwork of another project is shared, and its network with it.
        let is_foreign =
            |path: &str| path.starts_with("projects/") && !path.starts_with(&format!("projects/{project}/"));
        if is_foreign(&network) || subnetwork.as_deref().is_some_and(is_foreign) {
            return Ok(Network { path: network, subnetwork, firewall: Firewall::Foreign });
        }
        let name = rule(&network);
        let found = self.rest.find(self.url(&["projects", project, "global", "firewalls", &name])?).await?;
        let firewall = if found.is_some() { Firewall::Exists(name) } else { Firewall::Missing(name) };
        Ok(Network { path: network, subnetwork, firewall })
    }

    /// Creates the network's rule, unless it exists. Launches at the same time create one.
    pub(super) async fn ensure_firewall(&self, network: &Network) -> Result<()> {
        let Firewall::Missing(name) = &network.firewall else { return Ok(()) };
        let project = self.project().await?;
        let rule = json!({
            "name": name,
            "description": "Instances of cml take no connections. Created by cml, which keeps it.",
            "network": network.path,
            "direction": "INGRESS",
            "priority": 0,
            "denied": [{ "IPProtocol": "all" }],
            "sourceRanges": ["0.0.0.0/0"],
            "targetTags": [TAG],
        });
        let url = self.url(&["projects", project, "global", "firewalls"])?;
        // Sent again, it is a conflict.
        let call = Call::new(Method::POST, url).body(rule).idempotent();
        let created = match self.rest.send(&call).await {
            Ok(answer) => self.finish(&answer.body).await,
            Err(failure) => Err(failure),
        };
        match created {
            Err(failure) if is_conflict(&failure) => Ok(()),
            created => created.map(drop).map_err(Error::from),
        }
    }

    /// Returns the network interface of an instance.
    pub(super) fn interface(network: &Network, is_public: bool) -> Value {
        let mut interface = json!({ "network": network.path, "stackType": "IPV4_ONLY" });
        if let Some(subnetwork) = &network.subnetwork {
            interface["subnetwork"] = json!(subnetwork);
            // The subnetwork names its network; a shared one is another project's.
            if network.firewall == Firewall::Foreign {
                interface.as_object_mut().map(|fields| fields.remove("network"));
            }
        }
        if is_public {
            interface["accessConfigs"] =
                json!([{ "name": "External NAT", "type": "ONE_TO_ONE_NAT", "networkTier": "PREMIUM" }]);
        }
        interface
    }
}

fn is_conflict(failure: &Failure) -> bool {
    ["alreadyExists", "RESOURCE_ALREADY_EXISTS"].contains(&failure.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_has_a_rule_of_its_own() {
        assert_eq!(rule("global/networks/default"), TAG);
        let other = rule("global/networks/ml");
        assert!(other.starts_with("cml-no-inbound-") && other != rule("global/networks/web"), "{other}");
        assert_eq!(path("ml", "global/networks"), "global/networks/ml");
        assert_eq!(path("projects/host/global/networks/ml", "global/networks"), "projects/host/global/networks/ml");
    }
}
