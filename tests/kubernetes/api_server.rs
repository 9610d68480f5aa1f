//! Launches in a real cluster, as far as there is one without nodes: the API server with its RBAC and admission, the controllers, kubectl
//! and the program are real (`support/api_server.rs`). Scripted: the forge, and how pods go. The launcher has the Role of
//! docs/kubernetes.md and no other right.

use super::rights::documented;
use crate::cloud::fixture::{Launch, last_line, launcher_without_cloud};
use crate::support::api_server::{ApiServer, Namespace, documented_role};
use crate::support::fake::{Doing, Forge, Runner, Vendor};
use crate::support::{Cml, Ran, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

struct RealFixture {
    vendor: Vendor,
    forge: Forge,
    namespace: Namespace,
    cml: Cml,
}

impl RealFixture {
    /// In a namespace of its own. `None` where there is no API server.
    fn new(vendor: Vendor, namespace: &str) -> Option<RealFixture> {
        let namespace = ApiServer::shared()?.namespace(namespace);
        let forge = Forge::start();
        let mut cml = launcher_without_cloud(&forge, vendor);
        cml.set("KUBERNETES_CONFIGURATION", &namespace.kubeconfig()).set("CML_RUNNER_CLOUD", "kubernetes");
        Some(RealFixture { vendor, forge, namespace, cml })
    }

    fn runners(&self) -> Vec<Runner> {
        self.forge.runners(self.vendor, self.vendor.slug())
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.cml.run(&[&["runner"], args].concat())
    }

    fn reap(&self) -> Ran {
        self.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"])
    }

    /// Starts a launch. Returns it with the name of its Job once that and its Secret are there.
    fn start(&self, args: &[&str]) -> (Launch, String) {
        let launch = Launch::start(&self.cml, &[&["runner", "launch"], args].concat());
        let has_secret = || self.secrets().len() == 1 && self.namespace.jobs().len() == 1;
        eventually("a Secret", || has_secret() || launch.is_over(), || self.cml.read("log"));
        assert!(has_secret(), "{}", self.cml.read("log"));
        (launch, self.namespace.jobs().remove(0))
    }

    /// Runs a launch to its end, in which the pod starts and its runner comes online. Returns the name of the Job.
    fn launch(&self, args: &[&str]) -> (Ran, String) {
        let (launch, job) = self.start(args);
        self.namespace.run_pods();
        let runner = self.runners().pop().expect("a registration");
        self.forge.set_runner(&runner.name, Doing::Idle);
        (launch.end(), job)
    }

    /// The names of the launchers' Secrets.
    fn secrets(&self) -> Vec<String> {
        let secrets = self.namespace.objects("secrets").into_iter().filter(|one| one["type"] == "Opaque");
        secrets.map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Nothing is left at the forge, nor in the cluster once its controllers are done.
    fn is_clean(&self) {
        let left = || {
            let objects = ["jobs", "pods"].into_iter().flat_map(|kind| self.namespace.objects(kind));
            let names = objects.map(|one| one["metadata"]["name"].as_str().unwrap().to_owned());
            names.chain(self.secrets()).collect::<Vec<_>>()
        };
        eventually("nothing left", || left().is_empty(), || format!("{:?} {}", left(), self.cml.read("log")));
        assert!(self.runners().is_empty(), "{:?} {}", self.runners(), self.cml.read("log"));
    }

    /// Nothing was made, at the forge or in the cluster.
    fn made_nothing(&self) {
        assert!(self.forge.requests().iter().all(|request| request.method == "GET"), "nothing was registered");
        assert_eq!(self.namespace.effects(), [""; 0]);
    }
}

fn lives(vendor: Vendor, namespace: &str) {
    let Some(fixture) = RealFixture::new(vendor, namespace) else { return };
    let cluster = &fixture.namespace;
    // What would be applied can be.
    let shown = fixture.run(&["launch", "--dry-run", "--cloud-gpu", "any"]).ok();
    let file = fixture.cml.file("shown.yaml", shown).display().to_string();
    cluster.kubectl(&["create", "--dry-run=server", "--filename", &file]);
    fixture.made_nothing();

    cluster.kubectl(&["create", "serviceaccount", "trainer"]);
    let account = || cluster.kubectl(&["get", "serviceaccount", "trainer", "--output", "jsonpath={.secrets}"]);
    eventually("a token", || !account().is_empty(), account);
    let options = ["--cloud-metadata", "team=ml", "--cloud-permission-set", "trainer", "--cloud-hdd-size", "50"];
    let (ran, name) = fixture.launch(&options);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let line = last_line(&ran);
    assert_eq!((&line["instanceId"], &line["instanceIp"]), (&json!(name), &json!("10.0.0.7")));
    assert_eq!(cluster.effects(), ["create jobs", "create secrets"]);

    // As people look at it.
    let runner = fixture.runners().remove(0);
    let listed = cluster.kubectl(&["get", "jobs", "--selector", "cml-managed=true,team=ml"]);
    assert!(listed.lines().count() == 2 && listed.contains(&name), "{listed}");
    let described = cluster.kubectl(&["describe", "job", &name]);
    for says in ["docker.io/org/cml:latest", "cml-runner-id", "SuccessfulCreate", "trainer", "Parallelism", "6800m"] {
        assert!(described.contains(says), "{says}: {described}");
    }
    let secret: Value = serde_json::from_str(&cluster.kubectl(&["get", "secret", &name, "--output", "json"])).unwrap();
    assert_eq!((&secret["immutable"], &secret["metadata"]["ownerReferences"][0]["name"]), (&json!(true), &json!(name)));
    assert!(!described.contains(secret["data"]["launch.json"].as_str().unwrap()));
    assert!(!format!("{described}{ran:?}").contains(&runner.credential), "the credential is in the Secret only");

    let all = fixture.run(&["list"]).ok();
    assert!(all.contains(&runner.name) && all.contains("6800m-24Gi"), "{all}");

    // It ends, and the cluster removes it: not after ten minutes, as there is somebody waiting.
    cluster.end_pod(&name, 0);
    eventually("an end", || cluster.jobs().is_empty(), || cluster.kubectl(&["describe", "job", &name]));
    assert!(!fixture.run(&["list"]).ok().contains("6800m-24Gi"));
    assert!(cluster.kubectl(&["get", "job", &name, "--output", "yaml"]).contains("ttlSecondsAfterFinished: 600"));
    let soon = r#"{"spec": {"ttlSecondsAfterFinished": 1}}"#;
    cluster.kubectl(&["patch", "job", &name, "--patch", soon]);
    fixture.run(&["stop", &runner.name]);
    fixture.is_clean();
}

#[test]
fn a_runner_of_github_lives() {
    lives(Vendor::GitHub, "github");
}

#[test]
fn a_runner_of_gitlab_lives() {
    lives(Vendor::GitLab, "gitlab");
}

/// With the rights of the documentation, all of which are used, and nothing is refused.
#[test]
fn launches_are_undone_stopped_and_reaped() {
    let Some(fixture) = RealFixture::new(Vendor::GitHub, "undone") else { return };
    let cluster = &fixture.namespace;
    cluster.make_foreign("somebodys");
    let (ran, _) = fixture.launch(&[]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    fixture.run(&["stop", &fixture.runners().remove(0).name]).ok();

    // A launcher that is killed after both objects were made: its runner never comes.
    let (launch, job) = fixture.start(&[]);
    launch.kill_now();
    let ran = fixture.reap();
    assert!(ran.stdout.contains("its runner is offline"), "{ran:#?}");
    assert!(!cluster.jobs().contains(&job) && fixture.runners().is_empty());

    let (launch, _) = fixture.start(&[]);
    launch.signal("TERM");
    assert_eq!(launch.end().code, Some(143));

    let (launch, job) = fixture.start(&[]);
    cluster.hold_pod(&job, "ImagePullBackOff", "Back-off pulling image \"org/nothing\"");
    let pulling = "instance cml-* failed: the image the-image does not start: ImagePullBackOff: Back-off pulling*";
    launch.end().fails(12, pulling, "check --cloud-image*");

    let (launch, job) = fixture.start(&[]);
    cluster.fill_log(&job, "the agent cannot reach the forge\n");
    cluster.end_pod(&job, 3);
    let ran = launch.end();
    ran.fails(12, "instance cml-* ended before its runner was online: its container runner ended with 3", "");
    assert!(ran.stderr.contains("the agent cannot reach the forge"), "{ran:#?}");

    // All rights are used, and none was missing.
    cluster.kubectl(&["delete", "job", "somebodys"]);
    assert_eq!(cluster.rights(), (documented(), BTreeSet::new()));
    fixture.is_clean();
}

#[test]
fn rights_that_are_missing_are_named_before_anything_is_made() {
    let Some(mut fixture) = RealFixture::new(Vendor::GitHub, "rights") else { return };
    let hint = "bind the Role of docs/kubernetes.md *";
    let set_role = |fixture: &RealFixture, change: &dyn Fn(String) -> String| {
        let role =
            fixture.cml.file("role.yaml", change(documented_role().replace("namespace: ml", "namespace: rights")));
        fixture.namespace.kubectl(&["apply", "--filename", role.to_str().unwrap()]);
    };
    set_role(&fixture, &|role| {
        role.replace("resources: [secrets]", "resources: [configmaps]").replace("pods/log", "pods/x")
    });
    let says = "the cluster does not allow in namespace rights: create secrets, get pods/log";
    fixture.run(&["launch"]).fails(4, says, hint);
    fixture.made_nothing();

    // Who may not try pods finds a quota that is used up a moment later.
    set_role(&fixture, &|role| role.replace("verbs: [create, list]", "verbs: [list]"));
    fixture.namespace.kubectl(&["create", "quota", "full", "--hard=pods=0"]);
    let quota = || fixture.namespace.kubectl(&["get", "quota", "full", "--output", "jsonpath={.status.hard.pods}"]);
    eventually("a quota", || quota() == "0", quota);
    let says = "*is forbidden: exceeded quota: full, requested: pods=1, used: pods=0, limited: pods=0";
    let less = "ask for less with --cloud-type*";
    fixture.run(&["launch"]).fails(11, says, less);
    assert_eq!(fixture.namespace.effects(), ["create jobs", "create secrets", "delete jobs"]);
    fixture.is_clean();

    fixture.namespace.kubectl(&["delete", "rolebinding", "cml-launcher"]);
    fixture.run(&["launch"]).fails(4, "the cluster does not allow in namespace rights: create jobs, *", hint);
    fixture.run(&["list"]).fails(4, "jobs.batch is forbidden: User *", hint);
    let config = fixture.namespace.kubeconfig_of("a-token-that-is-wrong");
    fixture.cml.set("KUBERNETES_CONFIGURATION", &config);
    let says = "the cluster 127.0.0.1 rejected the credentials of the context real";
    fixture.run(&["launch"]).fails(4, says, "check that the token *");
    let config = fixture.namespace.kubeconfig_elsewhere();
    fixture.cml.set("KUBERNETES_CONFIGURATION", &config);
    let says = "the cluster 127.0.0.1 has no namespace nowhere";
    fixture.run(&["launch"]).fails(5, says, "create it, or name another one *");
}

#[test]
fn what_the_cluster_would_refuse_is_found_before_anything_is_made() {
    let Some(fixture) = RealFixture::new(Vendor::GitHub, "refusals") else { return };
    let limits = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "32", "memory": "64Gi"}}]}});
    let file = fixture.cml.file("limits.json", limits.to_string()).display().to_string();
    fixture.namespace.kubectl(&["apply", "--filename", &file]);
    let pod = "--cloud-kubernetes-pod=pod.yaml";
    for (patch, args, code, says, hint) in [
        (
            "",
            &["--cloud-type=1-100Gi"][..],
            3,
            "*maximum memory usage per Container is 64Gi, but limit is 100Gi",
            "the namespace's LimitRange allows another size*",
        ),
        (
            "",
            &["--cloud-type=33-1Gi"],
            3,
            "the cluster refuses the pod: *\"33\": must be less than or equal to cpu limit",
            "a LimitRange of the namespace sets that limit: ask for less with --cloud-type*",
        ),
        (
            "spec: {containers: [{name: runner, imagePullPolicy: Sometimes}]}",
            &[pod],
            3,
            "the cluster refuses the pod: *Unsupported value: \"Sometimes\"*",
            "check --cloud-kubernetes-pod*",
        ),
        (
            "spec: {priorityClassName: urgent}",
            &[pod],
            3,
            "the cluster does not admit the pod: *no PriorityClass with name urgent was found",
            "a policy of the cluster refuses it*",
        ),
        (
            "",
            &["--cloud-permission-set=nobody"],
            3,
            "*looking up service account refusals/nobody*",
            "create the service account*",
        ),
    ] {
        fixture.cml.file("pod.yaml", patch);
        fixture.run(&[&["launch"], args].concat()).fails(code, says, hint);
        fixture.made_nothing();
    }
    fixture.namespace.kubectl(&["create", "quota", "full", "--hard=requests.nvidia.com/gpu=0"]);
    let quota = || fixture.namespace.kubectl(&["get", "quota", "full", "--output", "jsonpath={.status.hard}"]);
    eventually("a quota", || quota().contains('0'), quota);
    let says = "*exceeded quota: full, requested: requests.nvidia.com/gpu=1*";
    fixture.run(&["launch", "--cloud-gpu", "any"]).fails(11, says, "ask for less with --cloud-type*");
    fixture.made_nothing();
}
