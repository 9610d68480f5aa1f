//! Instances, and lists over all zones.

use super::shapes::is_valid_instance;
use super::{PROJECT, State, date, missing, refusal, shown};
use crate::support::fake::http::{Request, Response};
use serde_json::{Value, json};

/// The types of the catalogue, each with whether it has GPUs of its own, and the zones without it.
const TYPES: [(&str, bool, &[&str]); 9] = [
    ("n2-standard-8", false, &[]),
    ("n2d-standard-8", false, &["c"]),
    ("e2-standard-8", false, &[]),
    ("n4-standard-8", false, &["a", "c"]),
    ("n1-standard-4", false, &[]),
    ("g2-standard-4", true, &["a"]),
    ("g2-standard-8", true, &["a"]),
    ("t2a-standard-8", false, &["a"]),
    ("c4a-standard-8", false, &[]),
];

const REGIONS: [&str; 14] = [
    "us-west1",
    "us-east1",
    "us-central1",
    "us-east4",
    "us-west2",
    "us-west3",
    "europe-west1",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-north1",
    "europe-southwest1",
    "asia-east1",
    "us-south1",
];

impl State {
    pub fn insert(&mut self, request: &Request, zone: &str, failure: Option<(&str, &str)>) -> Response {
        let id = request.param("requestId").unwrap_or_default();
        if let Some(name) = self.requests.get(&id) {
            return Response::json(200, &shown(&self.operations[name]));
        }
        let mut one = request.json();
        let name = one["name"].as_str().unwrap().to_owned();
        let machine = one["machineType"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        if let Err(error) = is_valid_instance(&one, zone, &machine, &id) {
            return refusal(400, "invalid", &error);
        }
        let letter = zone.rsplit('-').next().unwrap();
        let Some((_, has_gpu, without)) = TYPES.iter().find(|(known, ..)| *known == machine) else {
            return missing(&format!("projects/{PROJECT}/zones/{zone}/machineTypes/{machine}"));
        };
        if without.contains(&letter) {
            return missing(&format!("projects/{PROJECT}/zones/{zone}/machineTypes/{machine}"));
        }
        let scheduling = &one["scheduling"];
        if (*has_gpu || one.get("guestAccelerators").is_some()) && scheduling["onHostMaintenance"] != "TERMINATE" {
            return refusal(400, "invalid", "Instances with guest accelerators do not support live migration.");
        }
        let key = (zone.to_owned(), name.clone());
        if self.instances.contains_key(&key) {
            let message = format!("The resource 'projects/{PROJECT}/zones/{zone}/instances/{name}' already exists");
            return refusal(409, "alreadyExists", &message);
        }
        let model = scheduling["provisioningModel"].as_str().unwrap();
        let failure = match failure {
            Some((code, message)) => Some(json!({ "code": code, "message": message })),
            _ if self.full.contains(&format!("{zone} {model}")) => {
                let metadata = json!({ "zonesAvailable": self.recommends.unwrap_or_default() });
                Some(json!({ "code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
                    "message": format!("The zone '{zone}' does not have enough resources available to fulfill the request."),
                    "errorDetails": [{ "errorInfo": { "reason": "resource_availability", "metadatas": metadata } }] }))
            }
            _ => None,
        };
        let failed = failure.is_some();
        let operation = self.operation(request, &format!("zones/{zone}"), failure);
        if failed {
            return Response::json(200, &operation);
        }
        one["status"] = json!("PROVISIONING");
        one["creationTimestamp"] = json!(date(self.now()));
        one["machineType"] = json!(format!(
            "https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}/machineTypes/{machine}"
        ));
        one["metadata"]["fingerprint"] = json!("Zm9v");
        one["networkInterfaces"][0]["networkIP"] = json!("10.138.0.2");
        if one["networkInterfaces"][0].get("accessConfigs").is_some() {
            one["networkInterfaces"][0]["accessConfigs"][0]["natIP"] = json!("203.0.113.9");
        }
        self.instances.insert(key, one);
        let operation_name = operation["name"].as_str().unwrap();
        self.operations.get_mut(operation_name).unwrap()["instance"] = json!([zone, name]);
        Response::json(200, &operation)
    }

    pub fn aggregated(&self, kind: &str, request: &Request) -> Response {
        let zones = REGIONS.iter().flat_map(|region| ["a", "b", "c"].map(|letter| format!("{region}-{letter}")));
        let conditions = request.param("filter").unwrap_or_default();
        let is_or = conditions.contains(") OR (");
        let conditions: Vec<(String, String)> = conditions
            .split(if is_or { " OR " } else { ") (" })
            .map(|part| part.trim_matches(['(', ')']).split_once(" = ").expect("a condition"))
            .map(|(field, value)| (field.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        let fits = |object: &Value| {
            let holds = |(field, value): &(String, String)| {
                let pointer = format!("/{}", field.replace('.', "/"));
                object.pointer(&pointer).is_some_and(|found| found == value.as_str())
            };
            if is_or { conditions.iter().any(holds) } else { conditions.iter().all(holds) }
        };
        let objects = |zone: &str| -> Vec<Value> {
            let letter = zone.rsplit('-').next().unwrap();
            match kind {
                "instances" => {
                    self.instances.iter().filter(|((of, _), _)| of == zone).map(|(_, one)| one.clone()).collect()
                }
                "machineTypes" => {
                    let here = TYPES.iter().filter(|(.., without)| !without.contains(&letter));
                    here.map(|(name, has_gpu, _)| {
                        let arch = if name.starts_with("t2a") || name.starts_with("c4a") { "ARM64" } else { "X86_64" };
                        let gpus = json!([{ "guestAcceleratorType": "nvidia-l4", "guestAcceleratorCount": 1 }]);
                        let gpus = if *has_gpu { gpus } else { json!([]) };
                        json!({ "name": name, "architecture": arch, "accelerators": gpus })
                    })
                    .collect()
                }
                _ if letter == "b" => vec![json!({ "name": "nvidia-tesla-t4" })],
                _ => Vec::new(),
            }
        };
        let parts: Vec<(String, Value)> = zones
            .map(|zone| {
                let found: Vec<Value> = objects(&zone).into_iter().filter(|object| fits(object)).collect();
                let part = if found.is_empty() {
                    json!({ "warning": { "code": "NO_RESULTS_ON_PAGE" } })
                } else {
                    json!({ kind: found })
                };
                (format!("zones/{zone}"), part)
            })
            .collect();
        let from: usize = request.param("pageToken").map_or(0, |text| text.parse().unwrap());
        let next = from.saturating_add(self.page);
        let items: serde_json::Map<String, Value> = parts.iter().skip(from).take(self.page).cloned().collect();
        let mut answer = json!({ "items": items });
        if next < parts.len() {
            answer["nextPageToken"] = json!(next.to_string());
        }
        Response::json(200, &answer)
    }
}
