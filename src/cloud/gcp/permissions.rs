//! The permissions of a launch, which are asked for before anything is created:
//! <https://cloud.google.com/compute/docs/access/iam-permissions>.

use super::Gcp;
use super::network::{Firewall, Network};
use crate::auth::gcp::endpoint;
use crate::cloud::rest::Call;
use crate::error::{Error, Result};
use http::Method;
use serde_json::json;

/// What every launch, its rollback, `list`, `stop` and `reap` need.
const ALWAYS: [&str; 12] = [
    "compute.disks.create",
    "compute.disks.setLabels",
    "compute.firewalls.get",
    "compute.instances.create",
    "compute.instances.delete",
    "compute.instances.get",
    "compute.instances.getSerialPortOutput",
    "compute.instances.list",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.machineTypes.list",
    "compute.zoneOperations.get",
];
/// What an instance in a network of the project needs.
const IN_OWN_NETWORK: [&str; 3] =
    ["compute.instances.setTags", "compute.subnetworks.use", "compute.subnetworks.useExternalIp"];
/// What the first launch in a network needs, which creates the firewall rule.
const FOR_THE_RULE: [&str; 3] =
    ["compute.firewalls.create", "compute.globalOperations.get", "compute.networks.updatePolicy"];
/// What attached GPUs need.
const FOR_GPUS: &str = "compute.acceleratorTypes.list";
/// What `--cloud-permission-set` needs in the project, besides `iam.serviceAccounts.actAs` on the account.
const FOR_AN_IDENTITY: &str = "compute.instances.setServiceAccount";

/// What a launch does that not all do.
pub struct Needs {
    /// It attaches GPUs.
    pub gpus: bool,
    /// Its instance has an identity.
    pub identity: bool,
}

impl Gcp {
    /// Asks which permissions are missing in the project, of all that a launch may need. Where the service that knows does not answer,
    /// none: the launch will tell.
    pub(super) async fn missing_permissions(&self, needs: &Needs) -> Result<Vec<&'static str>> {
        let mut asked: Vec<&'static str> = [&ALWAYS[..], &IN_OWN_NETWORK, &FOR_THE_RULE].concat();
        asked.extend(needs.gpus.then_some(FOR_GPUS));
        asked.extend(needs.identity.then_some(FOR_AN_IDENTITY));
        let base = endpoint(&self.app, "CLOUDRESOURCEMANAGER", "https://cloudresourcemanager.googleapis.com")?;
        let url = base.join(&format!("v1/projects/{}:testIamPermissions", self.project().await?));
        let url = url.map_err(|error| Error::internal(error.to_string()))?;
        let call = Call::new(Method::POST, url).body(json!({ "permissions": asked })).idempotent();
        let granted = match self.rest.send(&call).await {
            Ok(answer) => answer.body["permissions"].as_array().cloned().unwrap_or_default(),
            Err(failure) => {
                self.app.log.debug(&format!("cannot ask for the permissions ({})", failure.error));
                return Ok(Vec::new());
            }
        };
        asked.retain(|permission| !granted.iter().any(|granted| granted == permission));
        Ok(asked)
    }
}

/// Fails for permissions that are missing and needed.
pub fn check(mut missing: Vec<&'static str>, network: Option<&Network>, project: &str) -> Result<()> {
    missing.retain(|permission| match network.map(|network| &network.firewall) {
        Some(Firewall::Exists(_)) => !FOR_THE_RULE.contains(permission),
        Some(Firewall::Foreign) => !FOR_THE_RULE.contains(permission) && !IN_OWN_NETWORK.contains(permission),
        Some(Firewall::Missing(_)) | None => true,
    });
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::auth(format!("Google Cloud does not allow {} in the project {project}", missing.join(", ")))
        .hint("grant the launcher's account the role of docs/gcp.md in the project"))
}
