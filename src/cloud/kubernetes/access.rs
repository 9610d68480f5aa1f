//! What a launch has to be allowed to do, asked before anything is created:
//! <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/>.

use crate::error::{Error, Kind};
use serde_json::{Value, json};

/// A right on a kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// The verb.
    pub verb: &'static str,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
}

const fn right(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    Right { verb, group, resource }
}

/// The rights without which no launch can be made and undone.
pub const REQUIRED: [Right; 7] = [
    right("create", "batch", "jobs"),
    right("get", "batch", "jobs"),
    right("list", "batch", "jobs"),
    right("delete", "batch", "jobs"),
    right("create", "", "secrets"),
    right("list", "", "pods"),
    right("get", "", "pods/log"),
];

/// Renders the question whether this user has a right.
pub fn review(right: Right, namespace: &str) -> Value {
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
    let mut attributes = json!({ "namespace": namespace, "verb": right.verb, "resource": resource });
    for (name, value) in [("group", right.group), ("subresource", subresource)] {
        if !value.is_empty() {
            attributes[name] = json!(value);
        }
    }
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": attributes },
    })
}

/// Returns whether an answer allows it, and the cluster's reason.
pub fn verdict(answer: &Value) -> (bool, String) {
    let reason = answer["status"]["reason"].as_str().unwrap_or_default();
    (answer["status"]["allowed"] == true, reason.to_owned())
}

/// Returns the error that names the rights that are missing, with the reason for the first.
pub fn missing(rights: &[Right], reason: &str, namespace: &str) -> Error {
    let names: Vec<String> = rights.iter().map(|right| format!("{} {}", right.verb, right.resource)).collect();
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    Error::new(Kind::Auth, format!("the cluster does not allow in namespace {namespace}: {}{reason}", names.join(", ")))
        .hint("bind the Role of docs/kubernetes.md to this user or service account")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let asked = review(right("get", "", "pods/log"), "ml");
        assert_eq!(
            asked["spec"]["resourceAttributes"],
            json!({"namespace": "ml", "verb": "get", "resource": "pods", "subresource": "log"})
        );
        assert_eq!(review(REQUIRED[0], "ml")["spec"]["resourceAttributes"]["group"], "batch");
        assert_eq!(verdict(&json!({"status": {"allowed": true}})), (true, String::new()));
        assert_eq!(verdict(&json!({"status": {"allowed": false, "reason": "no"}})), (false, "no".to_owned()));
        assert_eq!(verdict(&Value::Null), (false, String::new()));
        let error = missing(&[REQUIRED[0], REQUIRED[4]], "", "ml");
        assert_eq!(
            (error.to_string().as_str(), error.exit_code()),
            ("the cluster does not allow in namespace ml: create jobs, create secrets", 4)
        );
    }
}
