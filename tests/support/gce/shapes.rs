//! What is wrong with a body: unknown fields, types and values, and what Google demands besides.

use serde_json::{Value, json};

/// What bodies may have: a kind of value, `[of each]`, `{"*": of each}`, or fields.
pub fn schema(kind: &str) -> Value {
    let instance = json!({
        "name": "text", "description": "text", "machineType": "text", "labels": { "*": "label" }, "tags": { "items": ["text"] },
        "disks": [{ "boot": "bool", "autoDelete": "bool", "type": "SCRATCH|PERSISTENT", "initializeParams": {
            "sourceImage": "text", "diskSizeGb": "int64", "diskType": "text", "labels": { "*": "label" } } }],
        "networkInterfaces": [{ "network": "text", "subnetwork": "text", "stackType": "IPV4_IPV6|IPV4_ONLY|IPV6_ONLY",
            "accessConfigs": [{ "name": "text", "type": "DIRECT_IPV6|ONE_TO_ONE_NAT", "networkTier": "PREMIUM|STANDARD" }] }],
        "guestAccelerators": [{ "acceleratorType": "text", "acceleratorCount": "number" }],
        "scheduling": { "provisioningModel": "SPOT|STANDARD", "instanceTerminationAction": "DELETE|STOP", "maxRunDuration": { "seconds": "int64" },
            "onHostMaintenance": "MIGRATE|TERMINATE", "automaticRestart": "bool", "preemptionNoticeDuration": { "seconds": "int64" } },
        "shieldedInstanceConfig": { "enableVtpm": "bool", "enableIntegrityMonitoring": "bool", "enableSecureBoot": "bool" },
        "serviceAccounts": [{ "email": "text", "scopes": ["text"] }],
        "metadata": { "items": [{ "key": "text", "value": "text" }] },
    });
    match kind {
        "instance" => instance,
        "metadata" => json!({ "fingerprint": "text", "items": [{ "key": "text", "value": "text" }] }),
        "firewall" => {
            json!({ "name": "text", "description": "text", "network": "text", "direction": "EGRESS|INGRESS", "priority": "number",
            "denied": [{ "IPProtocol": "text" }], "sourceRanges": ["text"], "targetTags": ["text"] })
        }
        _ => json!({ "permissions": ["text"] }),
    }
}

/// What is wrong with a body.
pub fn faults(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    match (schema, value) {
        (Value::Object(fields), Value::Object(values)) => {
            let each = values.iter().flat_map(|(name, value)| match fields.get(name).or(fields.get("*")) {
                Some(schema) => faults(value, schema, &format!("{at}.{name}")),
                None => vec![format!("{at}.{name}: unknown field")],
            });
            each.collect()
        }
        (Value::Array(items), Value::Array(values)) => {
            values.iter().flat_map(|value| faults(value, &items[0], &format!("{at}[]"))).collect()
        }
        (Value::String(kind), value) => {
            let text = value.as_str();
            let is_right = match kind.as_str() {
                "text" => text.is_some(),
                "label" => text.is_some_and(|text| {
                    text.len() < 64
                        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
                }),
                "int64" => text.is_some_and(|text| text.parse::<i64>().is_ok()),
                "number" => value.is_i64(),
                "bool" => value.is_boolean(),
                values => text.is_some_and(|text| values.split('|').any(|one| one == text)),
            };
            if is_right { Vec::new() } else { vec![format!("{at}: {value} is no {kind}")] }
        }
        _ => vec![format!("{at}: {value} has another form")],
    }
}

/// What Google demands of an instance beyond the form of its fields.
pub fn is_valid_instance(one: &Value, zone: &str, machine: &str, request_id: &str) -> Result<(), String> {
    let check = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("Invalid value: {what}")) };
    let scheduling = &one["scheduling"];
    let is_spot = scheduling["provisioningModel"] == "SPOT";
    let name = one["name"].as_str().unwrap();
    check(
        name.len() < 64
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-')
            && !name.contains('_'),
        "name",
    )?;
    let is_uuid = request_id.len() == 36 && request_id.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    check(is_uuid && request_id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'), "requestId")?;
    check(one["machineType"] == format!("zones/{zone}/machineTypes/{machine}"), "machineType")?;
    check(one["description"].as_str().is_none_or(|text| text.chars().count() <= 2048), "description")?;
    check(!is_spot || scheduling["onHostMaintenance"] == "TERMINATE", "onHostMaintenance")?;
    check(is_spot || scheduling.get("preemptionNoticeDuration").is_none(), "preemptionNoticeDuration")?;
    check(
        scheduling.get("maxRunDuration").is_none() || scheduling.get("instanceTerminationAction").is_some(),
        "maxRunDuration",
    )?;
    check(scheduling["automaticRestart"] == false || !is_spot, "automaticRestart")?;
    check(one.get("guestAccelerators").is_none() || machine.starts_with("n1-"), "guestAccelerators")?;
    let disk = one["disks"][0]["initializeParams"]["diskType"].as_str().unwrap();
    let is_hyper = ["n4-", "c4a-", "g4-"].iter().any(|family| machine.starts_with(family));
    let wants = if is_hyper { "hyperdisk-balanced" } else { "pd-balanced" };
    check(
        disk == format!("zones/{zone}/diskTypes/{wants}"),
        &format!("diskType {disk}: [{disk}] features and [{machine}] are not compatible"),
    )?;
    let items = one["metadata"]["items"].as_array().unwrap();
    check(items.iter().all(|item| item["value"].as_str().unwrap().len() <= 262_144), "metadata")
}
