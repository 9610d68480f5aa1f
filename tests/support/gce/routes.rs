//! The permissions that a request needs, and the queries that it may have.

use crate::support::fake::http::Request;

/// The queries that a request may have.
pub fn queries(action: &str) -> &'static [&'static str] {
    match action {
        "compute.instances.create" | "compute.instances.delete" | "compute.instances.setMetadata" => &["requestId"],
        "compute.instances.getSerialPortOutput" => &["port", "start"],
        action if action.ends_with(".list") => &["filter", "maxResults", "pageToken"],
        _ => &[],
    }
}

/// What a request is: its path's parts, and the permissions that it needs.
pub fn needs(request: &Request, path: &[&str]) -> Vec<&'static str> {
    match (request.verb(), path) {
        ("GET", ["aggregated", "machineTypes"]) => vec!["compute.machineTypes.list"],
        ("GET", ["aggregated", "acceleratorTypes"]) => vec!["compute.acceleratorTypes.list"],
        ("GET", ["aggregated", "instances"]) => vec!["compute.instances.list"],
        ("GET", ["global", "firewalls", _]) => vec!["compute.firewalls.get"],
        ("POST", ["global", "firewalls"]) => vec!["compute.firewalls.create", "compute.networks.updatePolicy"],
        ("GET", ["global", "operations", _]) => vec!["compute.globalOperations.get"],
        ("GET", ["zones", _, "operations", _]) => vec!["compute.zoneOperations.get"],
        ("POST", ["zones", _, "instances"]) => {
            let body = request.json();
            let mut all = vec![
                "compute.instances.create",
                "compute.disks.create",
                "compute.disks.setLabels",
                "compute.instances.setLabels",
                "compute.instances.setMetadata",
                "compute.subnetworks.use",
            ];
            let interface = &body["networkInterfaces"][0];
            all.extend(body.get("tags").map(|_| "compute.instances.setTags"));
            all.extend(interface.get("accessConfigs").map(|_| "compute.subnetworks.useExternalIp"));
            all.extend(body.get("serviceAccounts").map(|_| "compute.instances.setServiceAccount"));
            all
        }
        ("GET", ["zones", _, "instances", _]) => vec!["compute.instances.get"],
        ("DELETE", ["zones", _, "instances", _]) => vec!["compute.instances.delete"],
        ("POST", ["zones", _, "instances", _, "setMetadata"]) => vec!["compute.instances.setMetadata"],
        ("GET", ["zones", _, "instances", _, "serialPort"]) => vec!["compute.instances.getSerialPortOutput"],
        _ => Vec::new(),
    }
}
