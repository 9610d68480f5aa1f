//! Translates the API server's refusals: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>.

use crate::error::{Error, Kind};
use crate::http::Refusal;
use http::StatusCode;

/// What a refusal is about, for messages.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The server's host.
    pub server: String,
    /// The name of the context.
    pub context: String,
    /// The namespace.
    pub namespace: String,
}

/// Translates a refusal.
pub fn refusal(refusal: &Refusal<'_>, about: &Context) -> Error {
    let status = refusal.json();
    let says = status["message"].as_str().unwrap_or_default().trim().trim_end_matches('.');
    let reason = status["reason"].as_str().unwrap_or_default();
    let says = if says.is_empty() { format!("status {}", refusal.status.as_u16()) } else { says.to_owned() };
    let Context { server, context, namespace } = about;
    match refusal.status {
        StatusCode::UNAUTHORIZED => {
            Error::auth(format!("the cluster {server} rejected the credentials of the context {context}"))
                .hint("check that the token or certificate has not expired and belongs to this cluster")
        }
        StatusCode::FORBIDDEN => forbidden(&says),
        StatusCode::NOT_FOUND if says.starts_with("namespaces ") || status["details"]["kind"] == "namespaces" => {
            Error::not_found(format!("the cluster {server} has no namespace {namespace}"))
                .hint("create it, or name another one in the context of the kubeconfig")
        }
        StatusCode::NOT_FOUND if reason != "NotFound" => {
            Error::not_found(format!("{server} does not answer as a Kubernetes API server ({says})"))
                .hint("check the server's address in the kubeconfig")
        }
        StatusCode::NOT_FOUND => Error::not_found(says),
        StatusCode::CONFLICT => Error::conflict(says),
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
            // A pod that sets no limit itself gets that of a LimitRange.
            let hint = if says.contains("must be less than or equal to ") {
                "a LimitRange of the namespace sets that limit: ask for less with --cloud-type, or set resources.limits with --cloud-kubernetes-pod"
            } else {
                "check --cloud-kubernetes-pod, --cloud-type and the other options of the pod"
            };
            Error::config(format!("the cluster refuses the pod: {says}")).hint(hint)
        }
        _ => Error::remote(format!("the cluster {server} answered: {says}")),
    }
}

/// Translates a 403: a right that is missing, a quota, or what the cluster does not want.
pub fn forbidden(says: &str) -> Error {
    if says.contains("exceeded quota") || says.contains("failed quota") {
        let hint = if says.contains("must specify") {
            "the quota asks for values that the pod does not have: add them with --cloud-kubernetes-pod"
        } else {
            "ask for less with --cloud-type, wait for other pods to end, or have the namespace's quota raised"
        };
        return Error::new(Kind::NoCapacity, says).hint(hint);
    }
    // "jobs.batch is forbidden: User "x" cannot create resource …"
    if says.contains(" cannot ") && says.contains(" resource ") {
        return Error::auth(says).hint("bind the Role of docs/kubernetes.md to this user or service account");
    }
    if says.contains("violates PodSecurity") {
        return Error::config(says)
            .hint("the namespace enforces a Pod Security Standard: change what it names with --cloud-kubernetes-pod");
    }
    // "error looking up service account ml/trainer: serviceaccount "trainer" not found"
    if says.contains("looking up service account") {
        return Error::config(says).hint("create the service account, or name another one with --cloud-permission-set");
    }
    if says.contains("per Container is") || says.contains("per Pod is") {
        return Error::config(says).hint("the namespace's LimitRange allows another size: see --cloud-type");
    }
    Error::config(format!("the cluster does not admit the pod: {says}"))
        .hint("a policy of the cluster refuses it: change what it names with --cloud-kubernetes-pod, or ask the cluster's administrators")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};
    use serde_json::json;

    fn error(code: u16, reason: &str, message: &str) -> Error {
        let body = json!({"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code});
        let about = Context { server: "k8s.example".into(), context: "prod".into(), namespace: "ml".into() };
        let (method, headers, body) = (Method::POST, HeaderMap::new(), body.to_string());
        let status = StatusCode::from_u16(code).unwrap();
        refusal(&Refusal { method: &method, path: "/", status, headers: &headers, body: body.as_bytes() }, &about)
    }

    #[test]
    fn refusals_have_their_exit_codes_and_the_clusters_words() {
        let (pods, webhook) =
            ("pods \"x\" is forbidden: ", "admission webhook \"policy\" denied the request: no latest tags");
        let right = "jobs.batch is forbidden: User \"ci\" cannot create resource \"jobs\" in API group \"batch\" in the namespace \"ml\"";
        let twice = "Job.batch \"x\" is invalid: spec.template.spec.volumes[1].name: Duplicate value";
        for (code, reason, message, exit, says) in [
            (
                401,
                "Unauthorized",
                "Unauthorized",
                4,
                "the cluster k8s.example rejected the credentials of the context prod",
            ),
            (403, "Forbidden", right, 4, "jobs.batch is forbidden"),
            (403, "Forbidden", webhook, 3, "does not admit the pod"),
            (404, "NotFound", "namespaces \"ml\" not found", 5, "has no namespace ml"),
            (404, "NotFound", "jobs.batch \"x\" not found", 5, "jobs.batch \"x\" not found"),
            (404, "", "", 5, "does not answer as a Kubernetes API server (status 404)"),
            (409, "AlreadyExists", "jobs.batch \"x\" already exists", 6, "already exists"),
            (422, "Invalid", twice, 3, "the cluster refuses the pod: Job.batch \"x\" is invalid"),
            (400, "BadRequest", "strict decoding error: unknown field \"spec.typo\"", 3, "unknown field"),
            (500, "InternalError", "etcdserver: request timed out", 9, "etcdserver: request timed out"),
        ] {
            let error = error(code, reason, message);
            assert_eq!(error.exit_code(), exit, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
        for (message, exit) in [
            ("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0", 11),
            ("failed quota: q: must specify limits.cpu for: runner", 11),
            ("violates PodSecurity \"restricted:latest\": host namespaces (hostNetwork=true)", 3),
            ("maximum cpu usage per Container is 2, but limit is 8", 3),
        ] {
            let error = error(403, "Forbidden", &format!("{pods}{message}"));
            assert!(error.exit_code() == exit && error.to_string().contains(message), "{error}");
        }
    }
}
