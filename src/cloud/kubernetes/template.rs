//! The pod's template, and the Job and Secret around it.
//!
//! An init container of our image, which has nothing but the program, copies the program and the bootstrap configuration
//! (`cml runner unpack`), so that any image of the user's serves, and the Secret is not mounted where jobs run. All is written for the
//! Pod Security Standard *restricted*: <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>.

use super::labels::Marks;
use super::sizes::{ARCH, GPU, Nodes, Resources};
use crate::cloud::sizes::Arch;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The container of the runner.
pub const RUNNER: &str = "runner";
/// The init container.
pub const UNPACK: &str = "unpack";
/// The key of the bootstrap configuration in the Secret.
pub const CONFIG: &str = "launch.json";
/// The file of the bootstrap configuration, in memory.
const LAUNCH_FILE: &str = "/run/cml/launch.json";
/// The file of the lease, beside it.
const LEASE_FILE: &str = "/run/cml/lease";
/// The folder of the Secret, in the init container only.
const SECRET: &str = "/run/secrets/cml";
/// The folder of the program.
const PROGRAM: &str = "/opt/cml";
/// The folder of the runner and of its jobs.
const WORK: &str = "/work";
/// The user and the group; `restricted` asks for any but root.
const USER: u32 = 1001;
/// How long a pod has after SIGTERM, in seconds. What preempts it may give it less.
const GRACE: u32 = 120;
/// How long the init container waits for the Secret, in seconds: a launcher creates it at once, and the kubelet may see it a minute later.
const SECRET_TIMEOUT: u32 = 300;
/// How often a pod's lease is checked, in seconds. The agent renews it each minute, and it lasts five.
const LEASE_PERIOD: u32 = 60;
/// How often that may fail: a node under load may take long to start a process.
const LEASE_FAILURES: u32 = 5;
/// How long it may take until there is a lease, which the agent writes when the runner is started: the longest `--cloud-boot-timeout`, in
/// seconds. The launcher, and the agent itself, usually give up before.
const LEASE_START: u32 = 7200;
/// How long what is over can still be looked at, in seconds.
const KEPT: u32 = 600;

/// What a pod is made of.
pub struct Pod<'a> {
    /// Its labels and annotations.
    pub marks: &'a Marks,
    /// The image with the program.
    pub program: &'a str,
    /// The image in which jobs run.
    pub image: &'a str,
    /// What it asks for.
    pub resources: &'a Resources,
    /// Where it may run.
    pub nodes: &'a Nodes,
    /// The size of its disk in gigabytes; `None` for what the node has.
    pub disk: Option<u32>,
    /// The service account that its jobs act as.
    pub service_account: Option<&'a str>,
}

/// Renders the pod's template. `secret` is the name of the Secret.
pub fn pod(pod: &Pod<'_>, secret: &str) -> Value {
    let mut annotations = pod.marks.annotations.clone();
    // A job that is moved to another node is a job that is lost.
    annotations.insert("cluster-autoscaler.kubernetes.io/safe-to-evict".to_owned(), json!("false"));
    annotations.insert("karpenter.sh/do-not-disrupt".to_owned(), json!("true"));
    let arch = match pod.nodes.arch {
        Arch::X86_64 => "amd64",
        Arch::Arm64 => "arm64",
    };
    let is_node = json!([
        { "key": ARCH, "operator": "In", "values": [arch] },
        { "key": "kubernetes.io/os", "operator": "In", "values": ["linux"] },
    ]);
    let mut spec = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "automountServiceAccountToken": pod.service_account.is_some(),
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": is_node }],
        } } },
        "initContainers": [init_container(pod.program)],
        "containers": [container(pod)],
        "volumes": volumes(secret, pod.disk),
    });
    if let Some(account) = pod.service_account {
        spec["serviceAccountName"] = json!(account);
    }
    if !pod.nodes.selector.is_empty() {
        spec["nodeSelector"] = Value::Object(pod.nodes.selector.clone());
    }
    if pod.resources.gpus > 0 {
        spec["tolerations"] = json!([{ "key": GPU, "operator": "Exists", "effect": "NoSchedule" }]);
    }
    json!({ "metadata": { "labels": pod.marks.labels, "annotations": annotations }, "spec": spec })
}

fn restricted() -> Value {
    json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } })
}

fn init_container(image: &str) -> Value {
    let command = [
        "/usr/local/bin/cml",
        "runner",
        "unpack",
        "--config",
        &format!("{SECRET}/{CONFIG}"),
        "--launch-file",
        LAUNCH_FILE,
    ]
    .map(str::to_owned);
    let rest = ["--program".to_owned(), format!("{PROGRAM}/cml"), "--wait".to_owned(), SECRET_TIMEOUT.to_string()];
    json!({
        "name": UNPACK,
        "image": image,
        "command": command.into_iter().chain(rest).collect::<Vec<_>>(),
        // A quota may ask for all of them.
        "resources": {
            "requests": { "cpu": "50m", "memory": "64Mi" },
            "limits": { "memory": "64Mi" },
        },
        "securityContext": restricted(),
        "volumeMounts": [
            { "name": "secret", "mountPath": SECRET, "readOnly": true },
            { "name": "run", "mountPath": "/run/cml" },
            { "name": "program", "mountPath": PROGRAM },
        ],
    })
}

fn container(pod: &Pod<'_>) -> Value {
    json!({
        "name": RUNNER,
        "image": pod.image,
        "command": [
            format!("{PROGRAM}/cml"), "runner", "bootstrap", "--launch-file", LAUNCH_FILE, "--lease-file", LEASE_FILE,
        ],
        // A hung agent costs minutes: what does not renew its lease is ended, and the Job with it.
        "startupProbe": lease_probe(10, LEASE_START / 10),
        "livenessProbe": lease_probe(LEASE_PERIOD, LEASE_FAILURES),
        "workingDir": WORK,
        "env": [{ "name": "HOME", "value": WORK }],
        "resources": pod.resources.render(pod.disk),
        "securityContext": restricted(),
        // What a job's log does not have is asked for when the pod is over.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            { "name": "run", "mountPath": "/run/cml" },
            { "name": "program", "mountPath": PROGRAM, "readOnly": true },
            { "name": "work", "mountPath": WORK },
        ],
    })
}

/// Renders a probe of the lease, at intervals in seconds.
fn lease_probe(period: u32, failures: u32) -> Value {
    json!({
        "exec": { "command": [format!("{PROGRAM}/cml"), "runner", "lease", "--lease-file", LEASE_FILE] },
        "periodSeconds": period,
        "timeoutSeconds": 30,
        "failureThreshold": failures,
    })
}

fn volumes(secret: &str, disk: Option<u32>) -> Value {
    let work = disk.map_or_else(|| json!({}), |disk| json!({ "sizeLimit": format!("{disk}G") }));
    json!([
        // Optional, so that a pod whose Secret never comes, as its launcher was killed, starts and ends instead of waiting for ever.
        { "name": "secret", "secret": { "secretName": secret, "defaultMode": 0o400, "optional": true } },
        { "name": "run", "emptyDir": { "medium": "Memory", "sizeLimit": "4Mi" } },
        { "name": "program", "emptyDir": { "sizeLimit": "200Mi" } },
        { "name": "work", "emptyDir": work },
    ])
}

/// Renders the Job around a pod's template. It ends with the lifetime, also while no node has been found.
pub fn job(name: &str, marks: &Marks, template: &Value, lifetime: Duration) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "labels": marks.labels, "annotations": marks.annotations },
        "spec": {
            // A runner's registration is good for one pod.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": lifetime.as_secs().max(1),
            "ttlSecondsAfterFinished": KEPT,
            "template": template,
        },
    })
}

/// Renders the Secret with the bootstrap configuration. With `uid`, that of the Job, it is removed with the Job.
///
/// Without `blockOwnerDeletion`, which OpenShift lets only those set who may update the finalizers of Jobs.
pub fn secret(name: &str, marks: &Marks, config: &str, uid: Option<&str>) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(name));
    metadata.insert("labels".to_owned(), Value::Object(marks.labels.clone()));
    if let Some(uid) = uid {
        let owner = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid }]);
        metadata.insert("ownerReferences".to_owned(), owner);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "immutable": true,
        "stringData": { CONFIG: config },
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::{images, labels, sizes};
    use super::*;
    use crate::cloud::Labels;

    pub fn template(types: &str, gpu: Option<&str>, account: Option<&str>) -> (Marks, Value) {
        let ours = Labels { name: "cml-x".into(), repository: "https://github.com/o/r".into(), ..Labels::default() };
        let marks = labels::encode(&ours, &[]).unwrap();
        let resources = sizes::parse(types, gpu).unwrap();
        let nodes = sizes::nodes(&[("pool".to_owned(), Some("ml".to_owned()))], None, &resources).unwrap();
        let image = images::jobs(None, resources.gpus > 0).unwrap();
        let (program, resources, nodes) = (images::program(), &resources, &nodes);
        let made = Pod {
            marks: &marks,
            program: &program,
            image: &image,
            resources,
            nodes,
            disk: Some(50),
            service_account: account,
        };
        let template = pod(&made, "cml-x-01234567");
        (marks, template)
    }

    #[test]
    fn the_profile_is_restricted_and_nothing_has_a_token() {
        let (_, template) = template("m", None, None);
        let spec = &template["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        for container in [&spec["initContainers"][0], &spec["containers"][0]] {
            assert_eq!(container["securityContext"], restricted());
        }
        let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().all(|mount| mount["name"] != "secret"), "jobs do not see the Secret");
        assert_eq!(spec["nodeSelector"], json!({"pool": "ml"}), "exactly as given");
        assert!(spec["tolerations"].is_null() && spec["serviceAccountName"].is_null());
        let (_, template) = self::template("m", Some("any"), Some("trainer"));
        assert_eq!(template["spec"]["tolerations"][0]["key"], GPU);
        assert_eq!(
            (&template["spec"]["serviceAccountName"], &template["spec"]["automountServiceAccountToken"]),
            (&json!("trainer"), &json!(true))
        );
    }

    /// The file that the agent writes is the one that is checked.
    #[test]
    fn a_hung_agent_is_ended() {
        let (_, template) = template("m", None, None);
        let runner = &template["spec"]["containers"][0];
        let has_file = |command: &Value| {
            let command: Vec<&str> = command.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            command.ends_with(&["--lease-file", LEASE_FILE])
        };
        assert!(has_file(&runner["command"]));
        for probe in ["startupProbe", "livenessProbe"] {
            assert!(has_file(&runner[probe]["exec"]["command"]), "{probe}");
        }
        assert!(LAUNCH_FILE.starts_with("/run/cml/") && LEASE_FILE.starts_with("/run/cml/"));
    }

    #[test]
    fn a_job_ends_by_itself_and_takes_its_secret_along() {
        let (marks, template) = template("m", None, None);
        let spec = &job("cml-x", &marks, &template, Duration::from_secs(3600))["spec"];
        assert_eq!((&spec["activeDeadlineSeconds"], &spec["ttlSecondsAfterFinished"]), (&json!(3600), &json!(600)));
        let owned = secret("cml-x", &marks, "{}", Some("u-1"));
        assert_eq!(
            owned["metadata"]["ownerReferences"],
            json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "cml-x", "uid": "u-1"}])
        );
        assert!(secret("cml-x", &marks, "{}", None)["metadata"].get("ownerReferences").is_none());
        assert!(owned["metadata"].get("annotations").is_none(), "the Job has them");
    }
}
