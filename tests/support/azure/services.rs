//! What is not the Resource Manager: the login, the prices, a console's text, the metadata service and the wire server.

use super::{CLIENT, MACHINES, State, TENANT, TOKEN};
use crate::support::fake::http::{Request, Response};
use serde_json::json;

/// What the wire server wants of a machine.
const GOAL: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><GoalState><Version>2012-11-30</Version><Incarnation>1</Incarnation>\
    <Container><ContainerId>c-1</ContainerId><RoleInstanceList><RoleInstance><InstanceId>r-1</InstanceId><State>Started</State>\
    </RoleInstance></RoleInstanceList></Container></GoalState>";

/// The login, the prices, a console's text, and the metadata service.
pub fn other(state: &mut State, request: &Request, host: &str) -> Response {
    match host {
        "login.microsoftonline.com" => login(state, request),
        "prices.azure.com" => {
            let filter = request.param("$filter").unwrap();
            let size = filter.split("armSkuName eq '").nth(1).unwrap().split('\'').next().unwrap();
            let item = |price: f64, sku: String| json!({"retailPrice": price, "productName": "Virtual Machines", "skuName": sku, "unitOfMeasure": "1 Hour", "armSkuName": size});
            let items = [item(0.384, size.to_owned()), item(0.0768, format!("{size} Spot"))];
            Response::json(200, &json!({"Items": items, "NextPageLink": null}))
        }
        "md-1.z1.blob.storage.azure.net" => {
            assert!(request.header("authorization").is_none(), "the token is not for the storage");
            let name = request.segments().pop().unwrap();
            match state.console.get(&name) {
                Some(text) => Response::bytes(200, "text/plain", text.clone()),
                None => Response::bytes(404, "application/xml", "<Error><Code>BlobNotFound</Code></Error>"),
            }
        }
        "127.0.0.1" => metadata(state, request, ""),
        "169.254.169.254" => {
            let only = state.of(MACHINES).keys().next().cloned().unwrap_or_default();
            metadata(state, request, &only)
        }
        "168.63.129.16" => wire_server(state, request),
        _ => Response::json(404, &json!({"error": {"code": "InvalidResourceType", "message": request.target}})),
    }
}

fn login(state: &State, request: &Request) -> Response {
    let refused = |description: &str| {
        let text = format!("{description} Trace ID: 1 Correlation ID: 2 Timestamp: 3");
        Response::json(401, &json!({"error": "invalid_client", "error_description": text}))
    };
    if request.path() != format!("/{TENANT}/oauth2/v2.0/token") {
        return refused("AADSTS90002: Tenant not found.");
    }
    let field = |name: &str| request.field(name).unwrap_or_default();
    assert_eq!(
        (field("grant_type").as_str(), field("scope").as_str()),
        ("client_credentials", "https://management.azure.com/.default")
    );
    if field("client_id") != CLIENT {
        return refused("AADSTS700016: Application with identifier was not found in the directory.");
    }
    let is_right = match field("client_assertion") {
        token if !token.is_empty() => {
            assert_eq!(field("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            if token != "identity-token-of-the-job" {
                return refused(
                    "AADSTS700213: No matching federated identity record found for presented assertion subject.",
                );
            }
            true
        }
        _ => field("client_secret") == state.secret,
    };
    if !is_right {
        return refused("AADSTS7000215: Invalid client secret provided.");
    }
    Response::json(200, &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}))
}

/// What tells the programs of a machine what to do, and is told that it is ready, as cloud-init asks it (`sources/helpers/azure.py`).
fn wire_server(state: &mut State, request: &Request) -> Response {
    match (request.verb(), request.param("comp").as_deref()) {
        ("GET", Some("goalstate")) => Response::bytes(200, "text/xml", GOAL),
        ("POST", Some("health")) => {
            state.is_ready = String::from_utf8_lossy(&request.body).contains("<State>Ready</State>");
            Response::empty(200)
        }
        _ => Response::empty(404),
    }
}

/// The metadata service of the machine in the path, or of this one.
fn metadata(state: &mut State, request: &Request, this: &str) -> Response {
    assert_eq!(request.header("metadata"), Some("true"));
    let path = request.path();
    let (machine, path) = match path.strip_prefix("/of/").and_then(|rest| rest.split_once('/')) {
        Some((machine, path)) => (machine, format!("/{path}")),
        None => (this, path.to_owned()),
    };
    match path.as_str() {
        "/metadata/identity/oauth2/token" => {
            let identity = state.resources.get(MACHINES).and_then(|all| Some(all.get(machine)?["identity"].clone()));
            let is_named = request.param("client_id").or(request.param("msi_res_id")).is_some();
            let is_own = identity.as_ref().is_some_and(|identity| identity["principalId"].is_string());
            if identity.is_none() || is_named == is_own {
                return Response::json(
                    400,
                    &json!({"error": "invalid_request", "error_description": "Identity not found"}),
                );
            }
            assert_eq!(request.param("resource").as_deref(), Some("https://management.azure.com/"));
            let token = if is_own { format!("{TOKEN}-of-{machine}") } else { TOKEN.to_owned() };
            Response::json(200, &json!({"access_token": token, "expires_on": "4000000000", "token_type": "Bearer"}))
        }
        "/metadata/instance/compute" => {
            let id = &state.resources[MACHINES][machine]["id"];
            Response::json(200, &json!({"name": machine, "resourceId": id, "vmId": "x"}))
        }
        "/metadata/instance/compute/name" => {
            Response::bytes(200, "text/plain", if machine.is_empty() { "vm-1" } else { machine })
        }
        "/metadata/instance" => {
            let user =
                json!({"computerName": machine, "adminUsername": "cml", "disablePasswordAuthentication": "true"});
            let compute = json!({"name": machine, "vmId": "x", "osProfile": user});
            Response::json(200, &json!({"compute": compute, "network": {"interface": []}}))
        }
        "/metadata/scheduledevents" => {
            state.asked_for_events += 1;
            Response::json(200, &state.events)
        }
        _ => Response::json(404, &json!({"error": "Not found"})),
    }
}
