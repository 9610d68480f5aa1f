//! What is wrong with a body: unknown fields, types and values, and what Azure demands besides.

use super::{MACHINES, State};
use serde_json::{Value, json};

/// What the description does not say, but Azure does.
pub fn machine_is_wrong(state: &mut State, body: &Value, name: &str) -> Option<String> {
    use base64::Engine as _;
    let properties = &body["properties"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let interface = &properties["networkProfile"]["networkInterfaceConfigurations"][0];
    let subnet = text(&interface["properties"]["ipConfigurations"][0]["properties"]["subnet"]["id"]);
    let network = subnet.split('/').nth_back(2).unwrap_or_default().to_owned();
    let data = base64::engine::general_purpose::STANDARD.decode(text(&properties["osProfile"]["customData"]));
    let is_spot = properties["priority"] == "Spot";
    let is_name = |name: &str| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    [
        (!is_name(name) || properties["osProfile"]["computerName"] != *name, "computerName"),
        (
            ["admin", "root", "user", "test", "ci"].contains(&&*text(&properties["osProfile"]["adminUsername"])),
            "adminUsername",
        ),
        (!data.is_ok_and(|data| data.len() <= 65_535), "customData"),
        (!state.of("Microsoft.Network/virtualNetworks").contains_key(&network), "subnet"),
        (is_spot != properties["evictionPolicy"].is_string(), "evictionPolicy"),
        (is_spot != properties["billingProfile"].is_object(), "billingProfile"),
        (body["placement"].is_object() && body["zones"].is_array(), "placement"),
        (properties["storageProfile"]["osDisk"]["diskSizeGB"].as_u64() < Some(30), "diskSizeGB"),
        (body["tags"].as_object().is_none_or(|tags| tags.len() > 50), "tags"),
    ]
    .into_iter()
    .find_map(|(is_wrong, what)| is_wrong.then(|| format!("The value of parameter {what} is invalid.")))
}

/// The fields of a resource that may be written: text is `""` or its values between bars, `0` is a number, `{"*": …}` has any names.
pub fn shape(kind: &str) -> Value {
    let reference = json!({"id": ""});
    let top = |properties: Value| json!({"location": "", "tags": {"*": ""}, "properties": properties});
    match kind {
        "Microsoft.Network/networkSecurityGroups" => {
            top(json!({"flushConnection": false, "securityRules": [{"name": "", "properties": {
            "description": "", "priority": 0, "direction": "Inbound|Outbound", "access": "Allow|Deny", "protocol": "Tcp|Udp|Icmp|Esp|Ah|*",
            "sourceAddressPrefix": "", "sourcePortRange": "", "destinationAddressPrefix": "", "destinationPortRange": ""}}]}))
        }
        "Microsoft.Network/virtualNetworks" => {
            top(json!({"addressSpace": {"addressPrefixes": [""]}, "subnets": [{"name": "", "properties": {
            "addressPrefix": "", "defaultOutboundAccess": false, "networkSecurityGroup": reference}}]}))
        }
        MACHINES => {
            let address = json!({"name": "", "tags": {"*": ""}, "sku": {"name": "Basic|Standard", "tier": "Regional|Global"}, "properties": {
                "deleteOption": "Delete|Detach", "publicIPAllocationMethod": "Dynamic|Static", "idleTimeoutInMinutes": 0}});
            let ip = json!({"name": "", "properties": {"primary": false, "subnet": reference, "publicIPAddressConfiguration": address}});
            let interface = json!({"name": "", "tags": {"*": ""}, "properties": {"primary": false, "deleteOption": "Delete|Detach",
                "networkSecurityGroup": reference, "ipConfigurations": [ip]}});
            let mut machine = top(json!({
                "hardwareProfile": {"vmSize": ""},
                "storageProfile": {"imageReference": {"publisher": "", "offer": "", "sku": "", "version": "", "id": ""},
                    "osDisk": {"name": "", "createOption": "FromImage|Attach|Empty", "deleteOption": "Delete|Detach", "caching": "None|ReadOnly|ReadWrite",
                        "diskSizeGB": 0, "managedDisk": {"storageAccountType": "Standard_LRS|Premium_LRS|StandardSSD_LRS"}}},
                "osProfile": {"computerName": "", "adminUsername": "", "customData": "", "allowExtensionOperations": false,
                    "linuxConfiguration": {"disablePasswordAuthentication": false, "provisionVMAgent": false,
                        "ssh": {"publicKeys": [{"path": "", "keyData": ""}]}}},
                "networkProfile": {"networkApiVersion": "2020-11-01|2022-11-01", "networkInterfaceConfigurations": [interface]},
                "securityProfile": {"securityType": "TrustedLaunch|ConfidentialVM", "uefiSettings": {"secureBootEnabled": false, "vTpmEnabled": false}},
                "priority": "Regular|Low|Spot", "evictionPolicy": "Deallocate|Delete", "billingProfile": {"maxPrice": 0.0},
                "diagnosticsProfile": {"bootDiagnostics": {"enabled": false}}}));
            machine["zones"] = json!([""]);
            machine["placement"] =
                json!({"zonePlacementPolicy": "Any|Auto", "includeZones": [""], "excludeZones": [""]});
            machine["identity"] = json!({"type": "SystemAssigned|UserAssigned|SystemAssigned, UserAssigned|None", "userAssignedIdentities": {"*": {}}});
            machine
        }
        other => panic!("nobody writes {other}"),
    }
}

/// What is wrong with a body.
pub fn judge(body: &Value, shape: &Value, at: &str) -> Option<String> {
    match (body, shape) {
        (Value::Object(fields), Value::Object(known)) => {
            fields.iter().find_map(|(name, value)| match known.get(name).or(known.get("*")) {
                Some(shape) => judge(value, shape, &format!("{at}.{name}")),
                None => Some(format!("Could not find member '{name}' at {at}.")),
            })
        }
        (Value::Array(items), Value::Array(shapes)) => items.iter().find_map(|item| judge(item, &shapes[0], at)),
        (Value::String(text), Value::String(values)) => {
            let fits = values.is_empty() || values.split('|').any(|value| value == text);
            (!fits).then(|| format!("'{text}' is not one of {values} at {at}."))
        }
        (Value::Bool(_), Value::Bool(_)) => None,
        (Value::Number(one), Value::Number(other)) if one.is_u64() || other.is_f64() => None,
        (value, _) => Some(format!("unexpected {value} at {at}.")),
    }
}

#[test]
fn a_wrong_body_is_refused() {
    let machine = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({"location": "w", "properties": {"priority": "Spot", "osProfile": {"customData": "eA=="}, "billingProfile": {"maxPrice": -1}}});
        change(&mut body);
        judge(&body, &shape(MACHINES), "$")
    };
    assert_eq!(machine(&|body| body["properties"]["billingProfile"]["maxPrice"] = json!(-1.0)), None);
    assert!(
        machine(&|body| body["properties"]["osProfile"]["customdata"] = json!("x")).unwrap().contains("customdata")
    );
    assert!(machine(&|body| body["properties"]["priority"] = json!("spot")).unwrap().contains("Regular|Low|Spot"));
    assert!(machine(&|body| body["location"] = json!(7)).unwrap().contains("$.location"));
}
