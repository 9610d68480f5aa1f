//! What Google Cloud's refusals mean: <https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-vm-creation>. A request is
//! refused with `{"error": {"code", "message", "errors": [{"reason"}]}}`; an operation that was accepted may fail later, with codes of
//! its own.

use crate::cloud::attempts::Reaction;
use crate::cloud::rest::{Dialect, Failure, Refused};
use crate::error::{Error, Kind};
use crate::http::Refusal;
use serde_json::Value;

/// How Google Cloud says no.
pub const DIALECT: Dialect = Dialect { title: "Google Cloud", read, explain, is_final };

/// Codes of a lack of capacity in one zone.
const STOCKOUTS: [&str; 3] = ["RESOURCE_POOL_EXHAUSTED", "insufficientCapacity", "resource_availability"];

/// Returns the failure of an operation that is done, or `None` if it succeeded.
pub fn failed_operation(operation: &Value) -> Option<Failure> {
    let first = operation["error"]["errors"].get(0)?;
    let text = |name: &str| first[name].as_str().unwrap_or_default().to_owned();
    let refused = Refused { status: 0, code: text("code"), message: text("message"), body: operation.clone() };
    Some(DIALECT.failure(refused))
}

/// Returns what a failure of a launch means for the other attempts.
pub fn react(failure: &Failure) -> Reaction {
    let Some(refused) = &failure.refused else { return Reaction::Fatal };
    let Refused { status, code, message, body } = &**refused;
    let is_unknown_type =
        |kind: &str| message.contains(kind) && (*status == 404 || *status == 400 || code.contains("NOT_FOUND"));
    if is_stockout(code) {
        Reaction::Next { first: zones_available(body) }
    } else if is_quota(code) {
        Reaction::OtherModel
    } else if is_unknown_type("machineTypes") || is_unknown_type("acceleratorTypes") {
        Reaction::Next { first: Vec::new() }
    } else if code == "rateLimitExceeded"
        || *status == 0 && ["INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "BACKEND_ERROR"].contains(&code.as_str())
    {
        Reaction::Retry
    } else {
        Reaction::Fatal
    }
}

fn is_stockout(code: &str) -> bool {
    STOCKOUTS.iter().any(|known| code.contains(known))
}

fn is_quota(code: &str) -> bool {
    code.to_ascii_uppercase().contains("QUOTA")
}

/// Returns the zones that the error says have capacity, wherever in it that is.
fn zones_available(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => match fields.get("zonesAvailable").and_then(Value::as_str) {
            Some(zones) => {
                zones.split(',').map(|zone| zone.trim().to_owned()).filter(|zone| !zone.is_empty()).collect()
            }
            None => fields.values().flat_map(zones_available).collect(),
        },
        Value::Array(items) => items.iter().flat_map(zones_available).collect(),
        _ => Vec::new(),
    }
}

fn read(body: &Value) -> (String, String) {
    let error = &body["error"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // `accessNotConfigured` is in the details of newer services.
    let detail = error["details"].as_array().into_iter().flatten().find_map(|detail| detail["reason"].as_str());
    let first = &error["errors"][0];
    let code = [first["reason"].as_str(), detail, error["status"].as_str()].into_iter().flatten().next();
    let message = if first["message"].is_string() { text(&first["message"]) } else { text(&error["message"]) };
    (code.unwrap_or_default().to_owned(), message)
}

fn is_final(refusal: &Refusal) -> bool {
    is_stockout(&read(&refusal.json()).0)
}

/// Translates a refusal.
fn explain(refused: &Refused) -> Error {
    let Refused { status, code, message, .. } = refused;
    let says = message.trim().trim_end_matches('.');
    let plain = || match (says, code.as_str()) {
        ("", "") => format!("Google Cloud answered {status}"),
        ("", code) => code.to_owned(),
        (says, "") => says.to_owned(),
        (says, code) => format!("{says} ({code})"),
    };
    let error = |kind, what: String| Error::new(kind, what);
    if is_stockout(code) {
        return error(Kind::NoCapacity, plain());
    }
    if is_quota(code) {
        return error(Kind::NoCapacity, format!("the project has reached its quota: {says} ({code})"))
            .hint("request more under IAM & Admin, Quotas; spot and on-demand instances have quotas of their own");
    }
    let is_off = ["accessNotConfigured", "SERVICE_DISABLED"].contains(&code.as_str());
    match (code.as_str(), *status) {
        _ if is_off => error(Kind::Auth, "the Compute Engine API is off in the project".to_owned())
            .hint("turn it on: gcloud services enable compute.googleapis.com"),
        ("IP_SPACE_EXHAUSTED", _) => {
            error(Kind::NoCapacity, plain()).hint("give another subnetwork with --cloud-gcp-subnetwork")
        }
        ("CONDITION_NOT_MET", _) if message.contains("constraints/compute.vmExternalIpAccess") => {
            error(Kind::Auth, format!("the organization forbids instances with public addresses: {says}"))
                .hint("give a subnetwork that reaches the internet through Cloud NAT with --cloud-gcp-subnetwork")
        }
        (_, 401) => {
            error(Kind::Auth, format!("Google Cloud rejected the credentials{}", crate::http::in_brackets(says)))
                .hint("check that the key or login still exists, and that the clock of this computer is right")
        }
        ("PERMISSIONS_ERROR" | "forbidden", _) | (_, 403) => not_allowed(says, code),
        (_, 404) => error(Kind::NotFound, plain()),
        (_, 409 | 412) => error(Kind::Conflict, plain()),
        (_, 413) => error(Kind::TooLarge, plain()),
        (_, 429) => error(Kind::RateLimited, plain()),
        (_, 400) => error(Kind::Config, format!("Google Cloud rejected the request: {}", plain())),
        (_, 0) => error(Kind::Remote, format!("Google Cloud could not do it: {}", plain())),
        _ => error(Kind::Remote, format!("Google Cloud answered {status}: {}", plain())),
    }
}

/// `Required 'compute.instances.create' permission for 'projects/p/zones/z/instances/x'`.
fn not_allowed(says: &str, code: &str) -> Error {
    let permission = says.split('\'').find(|part| part.matches('.').count() >= 2 && !part.contains([' ', '/']));
    let Some(permission) = permission else {
        let says = if says.is_empty() { code } else { says };
        return Error::auth(format!("Google Cloud does not allow this: {says}"))
            .hint("grant the account the role of docs/gcp.md, and check the project");
    };
    let hint = match permission {
        "iam.serviceAccounts.actAs" => {
            "grant the launcher the role roles/iam.serviceAccountUser on the service account of --cloud-permission-set"
                .to_owned()
        }
        _ => format!("add {permission} to the role of the account; docs/gcp.md has the whole role"),
    };
    Error::auth(format!("Google Cloud does not allow {permission}: {says}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use serde_json::json;

    fn refused(status: u16, body: Value) -> Failure {
        let (code, message) = read(&body);
        DIALECT.failure(Refused { status, code, message, body })
    }

    fn api(status: u16, reason: &str, message: &str) -> Failure {
        let errors = json!([{ "domain": "global", "reason": reason, "message": message }]);
        refused(status, json!({ "error": { "code": status, "message": message, "errors": errors } }))
    }

    fn operation(code: &str, message: &str) -> Failure {
        failed_operation(&json!({ "status": "DONE", "error": { "errors": [{ "code": code, "message": message }] } }))
            .unwrap()
    }

    #[test]
    fn what_a_failure_means_for_the_other_attempts() {
        let next = || Reaction::Next { first: Vec::new() };
        for (failure, expected) in [
            (operation("ZONE_RESOURCE_POOL_EXHAUSTED", "x"), next()),
            (operation("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "x"), next()),
            (api(503, "insufficientCapacity", "x"), next()),
            (
                operation("QUOTA_EXCEEDED", "Quota 'N2_CPUS' exceeded. Limit: 8.0 in region us-west1."),
                Reaction::OtherModel,
            ),
            (api(403, "quotaExceeded", "x"), Reaction::OtherModel),
            (api(404, "notFound", "The resource 'projects/p/zones/z/machineTypes/x' was not found"), next()),
            (api(400, "invalid", "Invalid value: projects/p/zones/z/acceleratorTypes/x"), next()),
            (operation("INTERNAL_ERROR", "x"), Reaction::Retry),
            (api(403, "rateLimitExceeded", "x"), Reaction::Retry),
            (api(403, "forbidden", "Required 'compute.instances.create' permission for 'x'"), Reaction::Fatal),
            (operation("IP_SPACE_EXHAUSTED", "x"), Reaction::Fatal),
            (Failure::from(Error::remote("no answer")), Reaction::Fatal),
        ] {
            assert_eq!(react(&failure), expected, "{failure:?}");
        }
        let info = json!({ "errorInfo": { "reason": "resource_availability", "metadatas": { "zonesAvailable": "us-west1-b, us-west1-c" } } });
        let errors = json!([{ "code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "x", "errorDetails": [info] }]);
        let failure = failed_operation(&json!({ "error": { "errors": errors } })).unwrap();
        assert_eq!(react(&failure), Reaction::Next { first: ["us-west1-b", "us-west1-c"].map(str::to_owned).into() });
        assert!(failed_operation(&json!({ "status": "DONE" })).is_none());
    }

    #[test]
    fn refusals_say_what_to_do() {
        let permission = "Required 'compute.instances.create' permission for 'projects/p/zones/z/instances/x'";
        let actor = "The user does not have access to service account 'x'. Ask for 'iam.serviceAccounts.actAs'";
        let disabled = json!({ "error": { "status": "PERMISSION_DENIED", "message": "x", "details": [{ "reason": "SERVICE_DISABLED" }] } });
        let address = "Constraint constraints/compute.vmExternalIpAccess violated for project 1";
        for (failure, kind, says, hint) in [
            (
                api(403, "forbidden", permission),
                Kind::Auth,
                "Google Cloud does not allow compute.instances.create: Required",
                "add compute.instances.create to the role",
            ),
            (
                api(403, "forbidden", actor),
                Kind::Auth,
                "does not allow iam.serviceAccounts.actAs",
                "roles/iam.serviceAccountUser",
            ),
            (api(403, "forbidden", "no"), Kind::Auth, "Google Cloud does not allow this: no", "docs/gcp.md"),
            (refused(403, disabled), Kind::Auth, "the Compute Engine API is off", "gcloud services enable"),
            (
                api(401, "authError", "Invalid Credentials"),
                Kind::Auth,
                "rejected the credentials (Invalid Credentials)",
                "the clock",
            ),
            (
                operation("CONDITION_NOT_MET", address),
                Kind::Auth,
                "forbids instances with public addresses",
                "Cloud NAT",
            ),
            (
                operation("QUOTA_EXCEEDED", "Quota 'GPUS' exceeded"),
                Kind::NoCapacity,
                "reached its quota: Quota 'GPUS'",
                "Quotas",
            ),
            (
                api(400, "invalid", "Invalid value"),
                Kind::Config,
                "Google Cloud rejected the request: Invalid value (invalid)",
                "",
            ),
            (api(412, "conditionNotMet", "x"), Kind::Conflict, "x (conditionNotMet)", ""),
            (refused(502, Value::Null), Kind::Remote, "Google Cloud answered 502", ""),
        ] {
            assert_eq!(failure.error.kind(), kind, "{failure:?}");
            assert!(failure.error.to_string().contains(says), "{}", failure.error);
            assert!(failure.error.hint_text().unwrap_or_default().contains(hint), "{failure:?}");
        }
        let full = json!({ "error": { "errors": [{ "reason": "insufficientCapacity" }] } }).to_string();
        let refusal = |body: &str| {
            let (headers, status) = (http::HeaderMap::new(), StatusCode::SERVICE_UNAVAILABLE);
            is_final(&Refusal {
                method: &http::Method::POST,
                path: "/",
                status,
                headers: &headers,
                body: body.as_bytes(),
            })
        };
        assert!(refusal(&full) && !refusal("{}"));
    }
}
