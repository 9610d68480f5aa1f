//! Pods of `--cloud kubernetes`, run by Docker as a kubelet would: the images, commands, mounts, user and capabilities are those of the Job that
//! the launcher created.
//!
//! Real: the program on both sides, containers and their isolation. Scripted: the cluster's API, the forge, and its runner programs.

use crate::cloud::life::offer_runner;
use crate::kubernetes::fixture::ClusterFixture;
use crate::launch::fixture::begin_job;
use crate::support::docker::Docker;
use crate::support::fake::{Doing, Vendor};
use crate::support::{Ran, eventually};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Folders in place of a pod's volumes.
struct Pod<'a> {
    docker: &'a Docker,
    spec: Value,
    volumes: PathBuf,
    name: String,
}

fn make_open_folder(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

impl<'a> Pod<'a> {
    /// The pod of the only Job, with its volumes.
    fn new(docker: &'a Docker, fixture: &ClusterFixture) -> Pod<'a> {
        let (job, volumes) = (fixture.job(), fixture.cml.path().join("volumes"));
        let name = job["metadata"]["name"].as_str().unwrap().to_owned();
        let spec = job["spec"]["template"]["spec"].clone();
        for volume in spec["volumes"].as_array().unwrap() {
            let folder = volumes.join(volume["name"].as_str().unwrap());
            make_open_folder(&folder);
            if volume.get("secret").is_some() {
                let secret = fixture.cloud.objects("secrets")[&name].clone();
                for (key, text) in secret["stringData"].as_object().unwrap() {
                    std::fs::write(folder.join(key), text.as_str().unwrap()).unwrap();
                }
            }
        }
        Pod { docker, spec, volumes, name }
    }

    /// What runs one of its containers in an image, with a folder of the test's.
    fn command(&self, container: &Value, image: &str, folder: &Path) -> Command {
        let of_pod = &self.spec["securityContext"];
        let user = format!("{}:{}", of_pod["runAsUser"], of_pod["runAsGroup"]);
        let mut command =
            self.docker.command(&["run", "--rm", "--network", "host", "--name", &self.name, "--user", &user]);
        let of_container = &container["securityContext"];
        assert_eq!((&of_pod["runAsNonRoot"], &of_container["allowPrivilegeEscalation"]), (&true.into(), &false.into()));
        command.args(["--security-opt", "no-new-privileges"]);
        for capability in texts(&of_container["capabilities"]["drop"]) {
            command.args(["--cap-drop", &capability]);
        }
        for mount in container["volumeMounts"].as_array().unwrap() {
            let (name, path) = (mount["name"].as_str().unwrap(), mount["mountPath"].as_str().unwrap());
            let how = if mount["readOnly"] == true { ":ro" } else { "" };
            command.args(["--volume", &format!("{}:{path}{how}", self.volumes.join(name).display())]);
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            command.args([
                "--env",
                &format!("{}={}", variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap()),
            ]);
        }
        if let Some(folder) = container["workingDir"].as_str() {
            command.args(["--workdir", folder]);
        }
        command.args(["--volume", &format!("{0}:{0}", folder.display())]);
        let argv = texts(&container["command"]);
        command.args(["--entrypoint", &argv[0], &self.docker.image(image)]).args(&argv[1..]);
        command
    }

    fn container(&self) -> &Value {
        &self.spec["containers"][0]
    }

    /// Runs the command of a probe in its container.
    fn probe(&self, name: &str) -> Ran {
        let argv = texts(&self.container()[name]["exec"]["command"]);
        let mut command = self.docker.command(&["exec", &self.name]);
        Ran::of(command.args(argv))
    }
}

/// A container under way, which ends with the test.
struct Running<'a>(&'a Pod<'a>, Child);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.0.docker.command(&["rm", "--force", &self.0.name]).output();
        let _ = self.1.wait();
    }
}

/// Launches a pod until its runner has a job. Then it is told to go, or its job ends: returns its exit code, and what it printed.
fn live(docker: &Docker, vendor: Vendor, is_stopped: bool) -> (i32, String, Option<String>) {
    let fixture = ClusterFixture::new(vendor);
    std::fs::set_permissions(fixture.cml.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let job = fixture.cml.path().join("job");
    make_open_folder(&job);
    offer_runner(&fixture.forge, vendor, fixture.cml.path(), &job);
    let launch = fixture.start(&["--single"]);
    fixture.until("a Secret", || !fixture.cloud.objects("secrets").is_empty());
    let pod = Pod::new(docker, &fixture);
    Ran::of(&mut pod.command(&pod.spec["initContainers"][0], "cml", &job)).ok();
    let log = fixture.cml.path().join("console");
    let (out, err) =
        (std::fs::File::create(&log).unwrap(), std::fs::OpenOptions::new().append(true).open(&log).unwrap());
    let mut command = pod.command(pod.container(), "train", &job);
    let mut running = Running(&pod, command.stdout(Stdio::from(out)).stderr(err).spawn().unwrap());
    let console = || std::fs::read_to_string(&log).unwrap_or_default();
    let ran = launch.end();
    assert_eq!(ran.code, Some(0), "{ran:#?} {}", console());
    assert_eq!(pod.probe("livenessProbe").code, Some(0), "{}", console());
    assert!(!pod.volumes.join("run/launch.json").exists(), "a job could read it");
    let begun = begin_job(vendor, &fixture.forge, &job);
    let is_busy = || fixture.runners().iter().any(|runner| runner.doing == Doing::Busy);
    eventually("a job", || is_busy() && console().contains("job_started"), console);
    if is_stopped {
        // As a kubelet does: SIGTERM to the first process, and the grace period of the pod.
        let grace = pod.spec["terminationGracePeriodSeconds"].to_string();
        docker.says(&["stop", "--time", &grace, &pod.name]);
    } else {
        std::fs::write(job.join("end"), "").unwrap();
    }
    let code = running.1.wait().unwrap().code().unwrap();
    let reason = begun.and_then(|id| fixture.forge.job(id).reason);
    assert!(is_stopped || fixture.runners().is_empty(), "{}", console());
    (code, console(), reason)
}

#[test]
fn a_pod_lives_for_a_job() {
    let Some(docker) = Docker::find() else { return };
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let (code, console, _) = live(&docker, vendor, false);
        assert!(code == 0 && console.contains("\"success\":true"), "{code} {console}");
    }
}

/// By the runner's own word the forge knows that the job was lost, and `cml runner retry` starts it again.
#[test]
fn a_pod_that_is_to_go_hands_its_job_back_within_the_grace_period() {
    let Some(docker) = Docker::find() else { return };
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let (code, console, reason) = live(&docker, vendor, true);
        assert!(code == 75 && console.contains("\"reason\":\"SIGTERM\""), "{code} {console}");
        assert_eq!(console.matches("job_started").count(), 1, "{console}");
        assert_eq!(reason.as_deref(), (vendor == Vendor::GitLab).then_some("runner_interrupted"), "{console}");
    }
}
