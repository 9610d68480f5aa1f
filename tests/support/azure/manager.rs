//! The Resource Manager.

use super::routes::{Route, implied};
use super::shapes::{judge, machine_is_wrong, shape};
use super::{CLIENT, GROUP, MACHINES, SUBSCRIPTION, State, TOKEN, refusal};
use crate::support::fake::http::{Request, Response};
use serde_json::{Value, json};

/// The Resource Manager.
pub fn manage(
    state: &mut State,
    request: &Request,
    route: &Route,
    action: &str,
    version: &str,
    failure: Option<(&str, &str)>,
) -> Response {
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if let Some(machine) = bearer.strip_prefix(&format!("{TOKEN}-of-")) {
        // A machine's own identity may what its role says, on the machine alone, when that has got about.
        let role = state.roles.iter_mut().find(|(of, ..)| of == machine);
        let is_allowed = request.path().ends_with(&format!("/{machine}"))
            && role.is_some_and(|(.., delay)| {
                let is_over = *delay == 0;
                *delay = delay.saturating_sub(1);
                is_over
            });
        if !is_allowed {
            return refusal(403, "AuthorizationFailed", "The client does not have authorization to perform action.");
        }
    } else if bearer != TOKEN {
        return refusal(401, "InvalidAuthenticationToken", "The access token is invalid.");
    }
    if request.param("api-version").as_deref() != Some(version) {
        return refusal(400, "InvalidApiVersionParameter", &request.target);
    }
    let kind = if let Route::Resource(kind, _) = route { kind.as_str() } else { "" };
    let has_own_identity = request.json()["identity"]["type"] == "SystemAssigned";
    let more: &[&str] = if request.method == "PUT" { implied(kind, has_own_identity) } else { &[] };
    if let Some(denied) = std::iter::once(action).chain(more.iter().copied()).find(|one| state.denied.contains(*one)) {
        let code = if denied == action { "AuthorizationFailed" } else { "LinkedAuthorizationFailed" };
        let message = format!(
            "The client '{CLIENT}' does not have authorization to perform action '{denied}' over scope '{}' or the scope is invalid.",
            request.path()
        );
        return refusal(403, code, &message);
    }
    state.used.extend(more.iter().map(|one| (*one).to_owned()));
    let missing = || refusal(404, "ResourceNotFound", &format!("The Resource '{}' was not found.", request.path()));
    match (route, request.method.as_str()) {
        (Route::Operation(id), _) => {
            let Some((looks, outcome)) = state.operations.get_mut(id) else { return missing() };
            if *looks > 0 {
                *looks -= 1;
                return Response::json(200, &json!({"status": "InProgress"})).header("Retry-After", "0");
            }
            Response::json(200, outcome)
        }
        (Route::Skus, _) => Response::json(200, &json!({"value": skus(state, request)})),
        (Route::Versions(image), _) => versions(image),
        (Route::Permissions, _) if state.hides_permissions => refusal(
            403,
            "AuthorizationFailed",
            "does not have authorization to perform action 'Microsoft.Authorization/permissions/read'",
        ),
        (Route::Permissions, _) if !state.has_group && request.path().contains("/resourceGroups/") => {
            refusal(404, "ResourceGroupNotFound", "Resource group could not be found.")
        }
        (Route::Permissions, _) => {
            // Those of Contributor, which most applications have.
            let assigning = ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"];
            let assigning = assigning.into_iter().filter(|_| !state.may_assign).map(str::to_owned);
            let denied: Vec<String> = state.denied.iter().cloned().chain(assigning).collect();
            Response::json(200, &json!({"value": [{"actions": ["*"], "notActions": denied}]}))
        }
        (Route::Group, "GET") if state.has_group => {
            Response::json(200, &json!({"id": request.path(), "name": GROUP, "tags": {}}))
        }
        (Route::Group, "GET") => refusal(404, "ResourceGroupNotFound", "Resource group could not be found."),
        (Route::Group, "PUT") => {
            if let Some(wrong) = judge(&request.json(), &json!({"location": "", "tags": {"*": ""}}), "$") {
                return refusal(400, "InvalidRequestContent", &wrong);
            }
            state.has_group = true;
            Response::json(201, &json!({"properties": {"provisioningState": "Succeeded"}}))
        }
        (Route::Role(machine, name), "PUT") => {
            let body = request.json();
            let principal = json!(state.of(MACHINES).get(machine).map(|one| one["identity"]["principalId"].clone()));
            let role = format!(
                "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/9980e02c-c2be-4d73-94e8-173b1dc7cf3c"
            );
            let properties =
                json!({"roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal"});
            if body != json!({ "properties": properties }) || !name.split('-').map(str::len).eq([8, 4, 4, 4, 12]) {
                return refusal(400, "InvalidRequestContent", &body.to_string());
            }
            if let Some((_, other, _)) = state.roles.iter().find(|(of, ..)| of == machine) {
                let is_same = other == name;
                return if is_same {
                    Response::json(200, &body)
                } else {
                    refusal(409, "RoleAssignmentExists", "It exists.")
                };
            }
            state.roles.push((machine.clone(), name.clone(), state.delay));
            Response::json(201, &body)
        }
        (Route::Resource(..), _) if !state.has_group => {
            refusal(404, "ResourceGroupNotFound", "Resource group could not be found.")
        }
        (Route::Resource(kind, names), method) => {
            resource(state, request, method, kind, names, failure).unwrap_or_else(missing)
        }
        (route, method) => panic!("{method} {route:?}"),
    }
}

/// A resource of the group; `None` where there is none.
fn resource(
    state: &mut State,
    request: &Request,
    method: &str,
    kind: &str,
    names: &[String],
    failure: Option<(&str, &str)>,
) -> Option<Response> {
    let Some(name) = names.first() else {
        let machines: Vec<Value> = state.of(kind).values().map(|one| shown(one, false)).collect();
        return Some(Response::json(200, &json!({"value": machines})));
    };
    if kind == "Microsoft.ManagedIdentity/userAssignedIdentities" {
        let id = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/{kind}/{name}");
        return state.has_identity.then(|| Response::json(200, &json!({"id": id, "properties": {"clientId": CLIENT}})));
    }
    match (method, names.get(1).map(String::as_str)) {
        ("GET", Some("subnets")) => {
            let subnets = state.of(kind).get(name)?["properties"]["subnets"].clone();
            let found = subnets.as_array()?.iter().find(|one| one["name"] == *names[2])?.clone();
            Some(Response::json(200, &found))
        }
        ("GET", None) => {
            let expands = request.param("$expand").as_deref() == Some("instanceView");
            state.of(kind).get(name).map(|one| Response::json(200, &shown(one, expands)))
        }
        ("POST", Some("retrieveBootDiagnosticsData")) => {
            state.of(kind).get(name)?;
            let address = format!("https://md-1.z1.blob.storage.azure.net/console/{name}?sig=signature");
            Some(Response::json(200, &json!({ "serialConsoleLogBlobUri": address })))
        }
        ("DELETE", None) => {
            state.of(kind).get(name)?;
            match kind {
                MACHINES => {
                    assert_eq!(request.param("forceDeletion").as_deref(), Some("true"));
                    state.delete_machine(name);
                }
                _ => drop(state.of(kind).remove(name)),
            }
            Some(Response::empty(202).header("Location", request.target.clone()))
        }
        ("PUT", None) => Some(put(state, request, kind, name, failure)),
        _ => panic!("{method} {}", request.target),
    }
}

fn put(state: &mut State, request: &Request, kind: &str, name: &str, failure: Option<(&str, &str)>) -> Response {
    let mut body = request.json();
    if let Some(wrong) = judge(&body, &shape(kind), "$") {
        return refusal(400, "InvalidRequestContent", &wrong);
    }
    if kind != MACHINES {
        body["name"] = json!(name);
        state.of(kind).insert(name.to_owned(), body.clone());
        return state.operation(Response::json(201, &body), json!({"status": "Succeeded"}));
    }
    assert_eq!(request.header("if-none-match"), Some("*"));
    if state.of(MACHINES).contains_key(name) {
        return refusal(412, "PreconditionFailed", "The resource already exists.");
    }
    if let Some(wrong) = machine_is_wrong(state, &body, name) {
        return refusal(400, "InvalidParameter", &wrong);
    }
    state.create_machine(name, body, failure)
}

/// A resource as a list, or with `$expand`, shows it.
fn shown(resource: &Value, expands: bool) -> Value {
    let mut shown = resource.clone();
    let fields = shown.as_object_mut().unwrap();
    fields.remove("custom_data");
    let power = fields.remove("power");
    if let Some(power) = power.filter(|_| expands) {
        let state = shown["properties"]["provisioningState"].as_str().unwrap().to_ascii_lowercase();
        let statuses = [
            json!({"code": format!("ProvisioningState/{state}"), "level": "Info"}),
            json!({"code": format!("PowerState/{}", power.as_str().unwrap()), "level": "Info"}),
        ];
        shown["properties"]["instanceView"] = json!({ "statuses": statuses });
    }
    shown
}

fn skus(state: &State, request: &Request) -> Vec<Value> {
    let filter = request.param("$filter").unwrap();
    let location = filter.strip_prefix("location eq '").unwrap().trim_end_matches('\'');
    if location == "moon" {
        return Vec::new();
    }
    let sizes = [
        ("Standard_D8as_v5", "x64", "0"),
        ("Standard_D8s_v5", "x64", "0"),
        ("Standard_F8s_v2", "x64", "0"),
        ("Standard_D8ps_v5", "Arm64", "0"),
        ("Standard_NC4as_T4_v3", "x64", "1"),
    ];
    let sizes = sizes.into_iter().map(|(name, arch, gpus)| {
        let restricted =
            json!([{"type": "Location", "values": [location], "reasonCode": "NotAvailableForSubscription"}]);
        let restrictions = if state.restricted.contains(name) { restricted } else { json!([]) };
        let capability = |name: &str, value: &str| json!({"name": name, "value": value});
        json!({"resourceType": "virtualMachines", "name": name, "locations": [location], "restrictions": restrictions,
            "locationInfo": [{"location": location, "zones": ["1", "2", "3"]}],
            "capabilities": [capability("CpuArchitectureType", arch), capability("GPUs", gpus),
                capability("HyperVGenerations", "V1,V2"), capability("LowPriorityCapable", "True")]})
    });
    sizes.chain([json!({"resourceType": "disks", "name": "Premium_LRS"})]).collect()
}

/// The images that there are.
fn versions(image: &str) -> Response {
    let (path, version) = image.split_once("/versions").unwrap();
    let architecture = match path {
        "Canonical/artifacttypes/vmimage/offers/ubuntu-24_04-lts/skus/server"
        | "microsoft-dsvm/artifacttypes/vmimage/offers/ubuntu-hpc/skus/2404"
        | "vendor/artifacttypes/vmimage/offers/paid/skus/x" => "x64",
        "Canonical/artifacttypes/vmimage/offers/ubuntu-24_04-lts/skus/server-arm64" => "Arm64",
        _ => return refusal(404, "ImageNotFound", "The platform image was not found."),
    };
    if version.is_empty() {
        return Response::json(200, &json!([{"name": "24.4.202611200", "location": "westus2"}]));
    }
    let plan = if path.starts_with("vendor/") {
        json!({"name": "x", "publisher": "vendor", "product": "paid"})
    } else {
        Value::Null
    };
    let features = [json!({"name": "SecurityType", "value": "TrustedLaunchSupported"})];
    Response::json(
        200,
        &json!({"name": "24.4.202611200", "properties": {"architecture": architecture, "osDiskImage": {"operatingSystem": "Linux", "sizeInGb": 31},
            "hyperVGeneration": "V2", "plan": plan, "features": features}}),
    )
}
