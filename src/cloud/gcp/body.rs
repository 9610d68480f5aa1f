//! The body of a request for an instance: <https://cloud.google.com/compute/docs/reference/rest/v1/instances/insert>. Numbers of 64 bits
//! are text there.

use super::Gcp;
use super::images::Image;
use super::labels::Encoded;
use super::machines::Offer;
use super::network::{Firewall, Network, TAG};
use crate::cloud::attempts::Model;
use crate::cloud::labels::MANAGED;
use crate::env::Secret;
use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::time::Duration;

/// The key of the start-up script in the metadata.
pub const STARTUP_SCRIPT: &str = "startup-script";
/// The shortest time after which Google Cloud deletes an instance.
const MIN_RUN: u64 = 30;
/// How long before a preemption its notice comes, where that is supported.
const NOTICE: &str = "120";
const SCOPE_PREFIX: &str = "https://www.googleapis.com/auth/";
/// Scopes by gcloud's short names, which CML took: <https://cloud.google.com/sdk/gcloud/reference/compute/instances/create#--scopes>.
const SCOPES: [(&str, &str); 8] = [
    ("compute-ro", "compute.readonly"),
    ("compute-rw", "compute"),
    ("logging-write", "logging.write"),
    ("monitoring-write", "monitoring.write"),
    ("pubsub", "pubsub"),
    ("storage-full", "devstorage.full_control"),
    ("storage-ro", "devstorage.read_only"),
    ("storage-rw", "devstorage.read_write"),
];

/// A service account, with the scopes of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    email: String,
    scopes: Vec<String>,
}

impl Identity {
    /// Parses `--cloud-permission-set`: `email` or `email,scopes=a,b`.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse(text: &str) -> Result<Identity> {
        let (email, scopes) = text.split_once(",scopes=").unwrap_or((text, "cloud-platform"));
        let scopes = scopes.split(',').map(str::trim).filter(|scope| !scope.is_empty());
        let full = |scope: &str| {
            let known = SCOPES.iter().find(|(short, _)| *short == scope).map_or(scope, |(_, full)| full);
            if known.contains("://") { known.to_owned() } else { format!("{SCOPE_PREFIX}{known}") }
        };
        let scopes: Vec<String> = scopes.map(full).collect();
        if !email.contains('@') || email.contains([',', ' ', '/']) || scopes.is_empty() {
            return Err(Error::usage(format!("--cloud-permission-set {text} is not a service account"))
                .hint("give its e-mail address, and scopes if they are to be limited: NAME@PROJECT.iam.gserviceaccount.com,scopes=storage-ro"));
        }
        Ok(Identity { email: email.to_owned(), scopes })
    }

    /// Returns the account.
    pub fn email(&self) -> &str {
        &self.email
    }
}

/// What all attempts at an instance have in common.
pub struct Wanted<'a> {
    pub name: &'a str,
    pub labels: &'a Encoded,
    pub disk: u32,
    pub image: &'a Image,
    pub network: &'a Network,
    pub identity: Option<&'a Identity>,
    pub lifetime: Duration,
    pub script: &'a Secret,
}

/// What is left out or replaced when Google Cloud refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// The kind of the disk.
    pub disk_type: &'static str,
    /// Whether to ask for an early notice of a preemption.
    pub notice: bool,
    /// Whether it has a public address.
    pub is_public: bool,
}

/// Returns the body.
pub fn instance(wanted: &Wanted<'_>, offer: &Offer, zone: &str, model: Model, variant: Variant) -> Value {
    let Wanted { name, labels, image, network, .. } = wanted;
    let mut scheduling = json!({
        "provisioningModel": if model == Model::Spot { "SPOT" } else { "STANDARD" },
        "instanceTerminationAction": "DELETE",
        "maxRunDuration": { "seconds": wanted.lifetime.as_secs().max(MIN_RUN).to_string() },
        "onHostMaintenance": if model == Model::Spot || offer.gpu { "TERMINATE" } else { "MIGRATE" },
        "automaticRestart": false,
    });
    if model == Model::Spot && variant.notice {
        scheduling["preemptionNoticeDuration"] = json!({ "seconds": NOTICE });
    }
    let metadata =
        [(STARTUP_SCRIPT, wanted.script.expose()), ("block-project-ssh-keys", "TRUE"), ("serial-port-enable", "FALSE")];
    let mut body = json!({
        "name": name,
        "description": labels.description,
        "machineType": format!("zones/{zone}/machineTypes/{}", offer.machine.name),
        "labels": labels.labels,
        "disks": [{
            "boot": true,
            "autoDelete": true,
            "type": "PERSISTENT",
            "initializeParams": {
                "sourceImage": image.link,
                "diskSizeGb": wanted.disk.max(image.size).to_string(),
                "diskType": format!("zones/{zone}/diskTypes/{}", variant.disk_type),
                "labels": { MANAGED: "true" },
            },
        }],
        "networkInterfaces": [Gcp::interface(network, variant.is_public)],
        "scheduling": scheduling,
        "shieldedInstanceConfig": { "enableVtpm": true, "enableIntegrityMonitoring": true },
        "metadata": { "items": metadata.map(|(key, value)| json!({ "key": key, "value": value })) },
    });
    if network.firewall != Firewall::Foreign {
        body["tags"] = json!({ "items": [TAG] });
    }
    if let Some((kind, count)) = &offer.machine.accelerator {
        let kind = format!("zones/{zone}/acceleratorTypes/{kind}");
        body["guestAccelerators"] = json!([{ "acceleratorType": kind, "acceleratorCount": count }]);
    }
    if let Some(Identity { email, scopes }) = wanted.identity {
        body["serviceAccounts"] = json!([{ "email": email, "scopes": scopes }]);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_an_account_with_scopes() {
        let parsed = |text: &str| Identity::parse(text).unwrap();
        assert_eq!(parsed("a@p.iam.gserviceaccount.com").scopes, [format!("{SCOPE_PREFIX}cloud-platform")]);
        let two = parsed("a@p.iam.gserviceaccount.com,scopes=storage-ro,https://www.googleapis.com/auth/x");
        assert_eq!(two.scopes, [format!("{SCOPE_PREFIX}devstorage.read_only"), format!("{SCOPE_PREFIX}x")]);
        assert_eq!(two.email(), "a@p.iam.gserviceaccount.com");
        for wrong in ["role", "a@b,c", "a@b,scopes=", "arn:aws:iam::1:x"] {
            assert!(Identity::parse(wrong).is_err(), "{wrong}");
        }
    }
}
