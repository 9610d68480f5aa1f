//! The state of an instance, from its Job, its pod and their events.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>,
//! <https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions>.

use super::explain::forbidden;
use super::labels;
use super::template::RUNNER;
use crate::cloud::{Instance, InstanceState};
use crate::error::Kind;
use serde_json::Value;

/// Why a container waits that will not start: the kubelet tries some of them again, but nothing changes by that.
const HOPELESS: [&str; 10] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "CrashLoopBackOff",
    "RunContainerError",
    "StartError",
];

/// Returns the instance that a Job is, as far as the Job alone tells; `None` when it is not ours.
pub fn of_job(job: &Value) -> Option<Instance> {
    let metadata = &job["metadata"];
    let ours = labels::decode(metadata)?;
    let launched =
        metadata["creationTimestamp"].as_str().and_then(|date| chrono::DateTime::parse_from_rfc3339(date).ok());
    let (state, reason) = job_state(job);
    Some(Instance {
        id: metadata["name"].as_str().unwrap_or_default().to_owned(),
        instance_type: size(&job["spec"]["template"]["spec"]),
        zone: None,
        state,
        reason,
        spot: false,
        address: None,
        launched: launched.map(|date| date.timestamp()),
        labels: ours,
    })
}

fn job_state(job: &Value) -> (InstanceState, Option<String>) {
    if !job["metadata"]["deletionTimestamp"].is_null() {
        return (InstanceState::Terminated, Some("it is being deleted".to_owned()));
    }
    let status = &job["status"];
    let ended = conditions(status)
        .find(|one| one["status"] == "True" && (one["type"] == "Complete" || one["type"] == "Failed"));
    if let Some(condition) = ended {
        return (InstanceState::Terminated, words(condition).or_else(|| Some("its job has ended".to_owned())));
    }
    let is_ready = status["ready"].as_u64().is_some_and(|ready| ready > 0);
    (if is_ready { InstanceState::Running } else { InstanceState::Pending }, None)
}

/// Adds what the pod tells, if there is one.
pub fn with_pod(mut instance: Instance, pod: &Value) -> Instance {
    let status = &pod["status"];
    instance.address = status["podIP"].as_str().map(str::to_owned);
    instance.zone = pod["spec"]["nodeName"].as_str().map(str::to_owned);
    let ended = terminated(status);
    if instance.state == InstanceState::Terminated {
        // The Job says `BackoffLimitExceeded` whatever happened.
        instance.reason = ended.or(instance.reason);
        return instance;
    }
    let (state, reason) = match status["phase"].as_str() {
        Some("Succeeded" | "Failed") => (InstanceState::Terminated, ended.or_else(|| words(status))),
        Some("Running") => (InstanceState::Running, None),
        _ => (waiting(status).unwrap_or(InstanceState::Pending), None),
    };
    (instance.state, instance.reason) = (state, reason);
    instance
}

/// Adds what the Job's events tell where it has no pod.
pub fn without_pod(mut instance: Instance, events: &Value) -> Instance {
    let failed = list(&events["items"]).filter(|event| event["reason"] == "FailedCreate").last();
    if let Some(says) =
        failed.and_then(|event| event["message"].as_str()).filter(|_| instance.state == InstanceState::Pending)
    {
        let kind = match forbidden(says).kind() {
            Kind::NoCapacity => Kind::NoCapacity,
            _ => Kind::Died,
        };
        instance.state = InstanceState::Failed { kind, message: says.to_owned() };
    }
    instance
}

/// Renders warnings about a pod for people, oldest first.
pub fn warnings(events: &Value) -> String {
    let warnings = list(&events["items"]).filter(|event| event["type"] == "Warning");
    warnings.filter_map(words).map(|words| format!("{words}\n")).collect()
}

/// Returns what a pending pod waits for: what may still come, or what will not.
fn waiting(status: &Value) -> Option<InstanceState> {
    let scheduled = conditions(status).find(|one| one["type"] == "PodScheduled" && one["status"] == "False");
    if let Some(message) = scheduled.and_then(words) {
        return Some(InstanceState::Waiting { message });
    }
    let containers = list(&status["initContainerStatuses"]).chain(list(&status["containerStatuses"]));
    let hopeless = containers.filter_map(|container| {
        let waiting = &container["state"]["waiting"];
        let is_hopeless = HOPELESS.iter().any(|reason| waiting["reason"] == **reason);
        let image = container["image"].as_str().unwrap_or_default();
        is_hopeless.then(|| format!("the image {image} does not start: {}", words(waiting).unwrap_or_default()))
    });
    hopeless.last().map(|message| InstanceState::Failed { kind: Kind::Died, message })
}

/// Returns how the pod ended: what disrupted it, or its last container that failed.
fn terminated(status: &Value) -> Option<String> {
    if let Some(disruption) =
        conditions(status).find(|one| one["type"] == "DisruptionTarget" && one["status"] == "True")
    {
        return words(disruption);
    }
    // An eviction: `The node was low on resource: memory`.
    if let Some(evicted) = Some(status).filter(|status| status["reason"].is_string()).and_then(words) {
        return Some(evicted);
    }
    let containers = || list(&status["initContainerStatuses"]).chain(list(&status["containerStatuses"]));
    let end = |container: &Value| {
        let end = &container["state"]["terminated"];
        let code = end["exitCode"].as_i64()?;
        let reason = end["reason"].as_str().filter(|reason| !["Completed", "Error"].contains(reason));
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        Some((
            code,
            format!("its container {} ended with {code}{reason}", container["name"].as_str().unwrap_or(RUNNER)),
        ))
    };
    let ends: Vec<_> = containers().filter_map(end).collect();
    ends.iter().find(|(code, _)| *code != 0).or(ends.last()).map(|(_, words)| words.clone())
}

/// Returns the size that a pod asks for, as `--cloud-type` takes it.
fn size(spec: &Value) -> String {
    let runner = list(&spec["containers"]).find(|container| container["name"] == RUNNER);
    let requests = runner.map(|container| &container["resources"]["requests"]).unwrap_or(&Value::Null);
    let get = |name: &str| requests[name].as_str().unwrap_or_default();
    let gpus = Some(get(super::sizes::GPU)).filter(|gpus| !gpus.is_empty());
    let gpus = gpus.map(|gpus| format!("+any*{gpus}")).unwrap_or_default();
    format!("{}-{}{gpus}", get("cpu"), get("memory"))
}

/// Returns `Reason: message` of a status, condition or event, on one line.
fn words(status: &Value) -> Option<String> {
    let text = |name: &str| status[name].as_str().map(str::trim).filter(|text| !text.is_empty());
    match (text("reason"), text("message")) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

fn conditions(status: &Value) -> impl Iterator<Item = &Value> {
    list(&status["conditions"])
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(status: Value) -> Value {
        let mut job = json!({
            "metadata": {
                "name": "cml-x-01234567",
                "creationTimestamp": "2026-11-28T12:00:00Z",
                "labels": {"cml-managed": "true"},
                "annotations": {"cml-managed": "true", "cml-name": "cml-x", "cml-deadline": "4000000000"},
            },
            "spec": {"template": {"spec": {"containers": [{"name": "runner", "resources": {"requests": {"cpu": "6800m", "memory": "24Gi"}}}]}}},
        });
        job["status"] = status;
        job
    }

    fn of_pod(status: Value) -> Instance {
        with_pod(of_job(&job(json!({}))).unwrap(), &json!({"spec": {"nodeName": "node-1"}, "status": status}))
    }

    #[test]
    fn a_job_alone_tells_whether_it_has_ended() {
        let instance = of_job(&job(json!({"active": 1, "ready": 1}))).unwrap();
        assert_eq!(
            (instance.id.as_str(), instance.instance_type.as_str(), instance.launched),
            ("cml-x-01234567", "6800m-24Gi", Some(1_795_867_200))
        );
        assert_eq!(instance.state, InstanceState::Running);
        assert_eq!(of_job(&job(json!({"active": 1, "ready": 0}))).unwrap().state, InstanceState::Pending);
        let failed = json!({"conditions": [{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}]});
        let instance = of_job(&job(failed)).unwrap();
        assert_eq!(instance.reason.unwrap(), "DeadlineExceeded: Job was active longer than specified deadline");
        assert_eq!(instance.state, InstanceState::Terminated);
        assert!(of_job(&json!({"metadata": {"name": "somebody"}})).is_none());
    }

    #[test]
    fn what_may_come_is_told_from_what_will_not() {
        let unschedulable = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient cpu."}]});
        assert_eq!(
            of_pod(unschedulable).state,
            InstanceState::Waiting { message: "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.".into() }
        );
        let creating = json!({"phase": "Pending", "containerStatuses": [{"name": "runner", "state": {"waiting": {"reason": "PodInitializing"}}}]});
        assert_eq!(of_pod(creating).state, InstanceState::Pending);
        for reason in HOPELESS {
            let status = json!({"phase": "Pending", "initContainerStatuses": [{"name": "unpack", "state": {"terminated": {"exitCode": 0}}}],
                "containerStatuses": [{"name": "runner", "image": "org/nothing:1", "state": {"waiting": {"reason": reason, "message": "not found"}}}]});
            let message = format!("the image org/nothing:1 does not start: {reason}: not found");
            assert_eq!(of_pod(status).state, InstanceState::Failed { kind: Kind::Died, message });
        }
    }

    #[test]
    fn an_end_is_explained() {
        let running = json!({"phase": "Running", "podIP": "10.0.0.7"});
        let instance = of_pod(running);
        assert_eq!(
            (instance.state, instance.address.as_deref(), instance.zone.as_deref()),
            (InstanceState::Running, Some("10.0.0.7"), Some("node-1"))
        );
        let reason = |status: Value| {
            let instance = of_pod(status);
            assert_eq!(instance.state, InstanceState::Terminated);
            instance.reason.unwrap_or_default()
        };
        let killed = json!({"phase": "Failed", "containerStatuses": [{"name": "runner", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]});
        assert_eq!(reason(killed), "its container runner ended with 137 (OOMKilled)");
        let unpack = json!({"phase": "Failed", "initContainerStatuses": [{"name": "unpack", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]});
        assert_eq!(reason(unpack), "its container unpack ended with 3");
        let evicted =
            json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."});
        assert_eq!(reason(evicted), "Evicted: The node was low on resource: memory.");
        let preempted = json!({"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "preempted"}]});
        assert_eq!(reason(preempted), "PreemptionByScheduler: preempted");
        assert_eq!(
            reason(
                json!({"phase": "Succeeded", "containerStatuses": [{"name": "runner", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]})
            ),
            "its container runner ended with 0"
        );
    }

    #[test]
    fn a_job_that_gets_no_pod_says_why() {
        let of_events = |message: &str| {
            let events = json!({"items": [{"type": "Warning", "reason": "FailedCreate", "message": message}]});
            without_pod(of_job(&job(json!({}))).unwrap(), &events).state
        };
        let quota = "Error creating: pods \"x\" is forbidden: exceeded quota: q, requested: pods=1";
        assert_eq!(of_events(quota), InstanceState::Failed { kind: Kind::NoCapacity, message: quota.into() });
        let policy = "Error creating: pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"";
        assert_eq!(of_events(policy), InstanceState::Failed { kind: Kind::Died, message: policy.into() });
        assert_eq!(without_pod(of_job(&job(json!({}))).unwrap(), &json!({})).state, InstanceState::Pending);
        assert_eq!(
            warnings(
                &json!({"items": [{"type": "Normal", "reason": "Scheduled", "message": "x"}, {"type": "Warning", "reason": "FailedMount", "message": "no volume"}]})
            ),
            "FailedMount: no volume\n"
        );
    }
}
