//! Reads virtual machines: <https://learn.microsoft.com/rest/api/compute/virtual-machines/get>.

use super::body::Tags;
use crate::cloud::{Instance, InstanceState, Labels};
use crate::error::Kind;
use serde::Deserialize;

/// A virtual machine, as Azure answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its region.
    #[serde(default)]
    pub location: String,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    zones: Vec<String>,
    identity: Option<OwnIdentity>,
    #[serde(default)]
    properties: Properties,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnIdentity {
    principal_id: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    provisioning_state: Option<String>,
    hardware_profile: Option<HardwareProfile>,
    priority: Option<String>,
    time_created: Option<String>,
    instance_view: Option<InstanceView>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HardwareProfile {
    vm_size: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct InstanceView {
    #[serde(default)]
    statuses: Vec<Status>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: String,
    message: Option<String>,
}

impl Machine {
    /// Returns our labels, or `None` if the machine is not ours.
    pub fn labels(&self) -> Option<Labels> {
        Labels::read(&self.tags)
    }

    /// Returns the id of its own identity, if it has one.
    pub fn principal(&self) -> Option<&str> {
        self.identity.as_ref()?.principal_id.as_deref().filter(|id| !id.is_empty())
    }

    /// Returns whether its creation or another operation has failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.properties.provisioning_state.as_deref(), Some("Failed" | "Canceled"))
    }

    /// Returns whether it is still being created.
    pub fn is_being_created(&self) -> bool {
        matches!(self.properties.provisioning_state.as_deref(), Some("Creating" | "Updating"))
    }

    /// Returns the instance, or `None` if the machine is not ours.
    pub fn instance(&self) -> Option<Instance> {
        let Properties { hardware_profile, priority, time_created, .. } = &self.properties;
        let created = time_created.as_deref().and_then(|date| chrono::DateTime::parse_from_rfc3339(date).ok());
        let state = self.state();
        Some(Instance {
            id: self.name.clone(),
            instance_type: hardware_profile.as_ref().and_then(|profile| profile.vm_size.clone()).unwrap_or_default(),
            zone: self.zones.first().map(|zone| format!("{}-{zone}", self.location)),
            reason: (state == InstanceState::Stopped)
                .then(|| "it has powered off, and costs its full price until it is deleted".to_owned()),
            state,
            spot: priority.as_deref() == Some("Spot"),
            address: None,
            launched: created.map(|date| date.timestamp()),
            labels: self.labels()?,
        })
    }

    /// <https://learn.microsoft.com/azure/virtual-machines/states-billing>
    fn state(&self) -> InstanceState {
        let mut statuses = self.properties.instance_view.iter().flat_map(|view| &view.statuses);
        let power = statuses.clone().find_map(|status| status.code.strip_prefix("PowerState/"));
        match (self.properties.provisioning_state.as_deref(), power) {
            (Some("Deleting"), _) => InstanceState::Terminated,
            (Some("Failed" | "Canceled"), _) => {
                let failed = statuses.rfind(|status| status.code.starts_with("ProvisioningState/failed"));
                let message = failed.and_then(|status| status.message.clone().or_else(|| Some(status.code.clone())));
                let message = message.unwrap_or_else(|| "Azure could not create it".to_owned());
                InstanceState::Failed { kind: Kind::Died, message }
            }
            (_, Some("running")) => InstanceState::Running,
            (_, Some("stopped" | "stopping" | "deallocated" | "deallocating")) => InstanceState::Stopped,
            _ => InstanceState::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(provisioning: &str, codes: &[&str]) -> InstanceState {
        let statuses: Vec<_> =
            codes.iter().map(|code| json!({"code": code, "message": format!("about {code}")})).collect();
        let machine = json!({"name": "n", "properties": {"provisioningState": provisioning, "instanceView": {"statuses": statuses}}});
        serde_json::from_value::<Machine>(machine).unwrap().state()
    }

    #[test]
    fn states_say_what_costs() {
        assert_eq!(state("Creating", &[]), InstanceState::Pending);
        assert_eq!(state("Succeeded", &["ProvisioningState/succeeded", "PowerState/running"]), InstanceState::Running);
        assert_eq!(state("Succeeded", &["PowerState/starting"]), InstanceState::Pending);
        for power in ["PowerState/stopped", "PowerState/deallocated"] {
            assert_eq!(state("Succeeded", &[power]), InstanceState::Stopped);
        }
        assert_eq!(state("Deleting", &["PowerState/running"]), InstanceState::Terminated);
        let failed = state("Failed", &["ProvisioningState/failed/OSProvisioningTimedOut", "PowerState/running"]);
        let message = "about ProvisioningState/failed/OSProvisioningTimedOut".to_owned();
        assert_eq!(failed, InstanceState::Failed { kind: Kind::Died, message });
    }

    #[test]
    fn only_what_has_our_tags_is_ours() {
        let machine = |tags: serde_json::Value| {
            let zones = json!(["2"]);
            let machine = json!({"name": "n", "location": "westeurope", "zones": zones, "tags": tags, "properties": {
                "priority": "Spot", "timeCreated": "2026-11-28T12:00:00.1234567+00:00", "hardwareProfile": {"vmSize": "Standard_X"}}});
            serde_json::from_value::<Machine>(machine).unwrap().instance()
        };
        assert!(machine(json!({"team": "ml"})).is_none());
        let ours = machine(json!({"cml-managed": "true", "cml-name": "r"})).unwrap();
        assert_eq!((ours.zone.as_deref(), ours.launched, ours.spot), (Some("westeurope-2"), Some(1_795_867_200), true));
        assert_eq!((ours.labels.name.as_str(), ours.instance_type.as_str()), ("r", "Standard_X"));
    }
}
