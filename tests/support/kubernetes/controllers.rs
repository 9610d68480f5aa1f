//! What stands behind the API: the controllers of Jobs, of what is owned and of what is over, the scheduler and a kubelet.

use super::{NAMESPACE, PodFate, State, refusal};
use crate::support::fake::http::{Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long our init container waits for its Secret.
const UNPACK_TIMEOUT: u64 = 300;

impl State {
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.passed
    }

    fn date(&self) -> String {
        chrono::DateTime::from_timestamp(self.now().as_secs() as i64, 0)
            .unwrap()
            .format("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    }

    /// How many seconds ago that was.
    fn age(&self, date: &Value) -> u64 {
        let date = chrono::DateTime::parse_from_rfc3339(date.as_str().unwrap()).unwrap().timestamp() as u64;
        self.now().as_secs().saturating_sub(date)
    }

    pub fn of(&mut self, kind: &'static str) -> &mut BTreeMap<String, Value> {
        self.objects.entry(kind).or_default()
    }

    /// What the controllers and kubelets do meanwhile.
    pub fn tick(&mut self) {
        let jobs: Vec<(String, Value)> =
            self.of("jobs").clone().into_iter().filter(|(_, job)| job["metadata"]["uid"] != "foreign").collect();
        for (name, job) in jobs {
            let age = self.age(&job["metadata"]["creationTimestamp"]);
            if let Some(finished) = job["status"].get("finished") {
                if self.age(finished) >= job["spec"]["ttlSecondsAfterFinished"].as_u64().unwrap() {
                    self.delete_job(&name);
                }
                continue;
            }
            if age >= job["spec"]["activeDeadlineSeconds"].as_u64().unwrap() {
                // The controller deletes the pods.
                self.of("pods").remove(&format!("{name}-abcde"));
                self.finish(&name, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline");
                continue;
            }
            self.go(&name, age);
        }
    }

    /// A pod goes its way.
    fn go(&mut self, job: &str, age: u64) {
        let has_secret = self.of("secrets").contains_key(job);
        let pod = format!("{job}-abcde");
        let done = ended("unpack", 0, "Completed");
        let status = match self.fate.clone() {
            PodFate::None(message) => {
                self.event(job, "FailedCreate", message);
                return;
            }
            _ if !self.of("pods").contains_key(&pod) => return,
            PodFate::Unschedulable(message) => json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}),
            PodFate::Wait(reason, message) => {
                json!({"phase": "Pending", "initContainerStatuses": [done], "containerStatuses": [
                {"name": "runner", "image": "the-image", "state": {"waiting": {"reason": reason, "message": message}}}]})
            }
            _ if !has_secret && age > UNPACK_TIMEOUT => return self.end(job, &[ended("unpack", 12, "Error")], 12),
            _ if !has_secret => {
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "unpack", "state": {"running": {}}}]})
            }
            PodFate::End(code) => return self.end(job, &[done, ended("runner", code, "Error")], code),
            PodFate::Run => {
                json!({"phase": "Running", "podIP": "10.0.0.7", "initContainerStatuses": [done], "containerStatuses": [
                {"name": "runner", "image": "the-image", "ready": true, "state": {"running": {}}}]})
            }
        };
        let runs = u8::from(status["phase"] == "Running");
        if let Some(pod) = self
            .of("pods")
            .get_mut(&pod)
            .filter(|pod| pod["status"]["phase"] != "Failed" && pod["status"]["phase"] != "Succeeded")
        {
            pod["status"] = status;
            self.of("jobs").get_mut(job).unwrap()["status"] = json!({"active": 1, "ready": runs});
        }
    }

    pub fn end(&mut self, job: &str, containers: &[Value], code: u8) {
        let (phase, kind, reason) = if code == 0 {
            ("Succeeded", "Complete", "CompletionsReached")
        } else {
            ("Failed", "Failed", "BackoffLimitExceeded")
        };
        let (init, main): (Vec<_>, Vec<_>) = containers.iter().cloned().partition(|one| one["name"] == "unpack");
        if let Some(pod) = self.of("pods").get_mut(&format!("{job}-abcde")) {
            pod["status"] = json!({"phase": phase, "initContainerStatuses": init, "containerStatuses": main});
        }
        self.finish(job, kind, reason, "Job has reached the specified backoff limit");
    }

    fn finish(&mut self, job: &str, kind: &str, reason: &str, message: &str) {
        let date = self.date();
        let status = json!({"finished": date, "conditions": [{"type": kind, "status": "True", "reason": reason, "message": message}]});
        self.of("jobs").get_mut(job).unwrap()["status"] = status;
    }

    fn event(&mut self, object: &str, reason: &str, message: &str) {
        let name = format!("{object}.{reason}");
        let event = json!({"metadata": {"name": name}, "involvedObject": {"name": object}, "type": "Warning", "reason": reason, "message": message});
        self.of("events").insert(name, event);
    }

    /// A Job is deleted in the background, with all that it owns.
    pub fn delete_job(&mut self, name: &str) {
        let Some(job) = self.of("jobs").remove(name) else { return };
        let uid = job["metadata"]["uid"].clone();
        for kind in ["pods", "secrets"] {
            self.of(kind).retain(|_, one| one["metadata"]["ownerReferences"][0]["uid"] != uid);
        }
    }

    pub fn create(&mut self, kind: &'static str, mut object: Value, is_dry: bool) -> Response {
        self.next += 1;
        let metadata = &mut object["metadata"];
        let name = match metadata["name"].as_str() {
            Some(name) => name.to_owned(),
            None => format!("{}{:05}", metadata["generateName"].as_str().unwrap(), self.next),
        };
        if self.of(kind).contains_key(&name) {
            let full = if kind == "jobs" { "jobs.batch" } else { kind };
            return refusal(409, "AlreadyExists", &format!("{full} \"{name}\" already exists"));
        }
        let date = self.date();
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(name);
        metadata["namespace"] = json!(NAMESPACE);
        metadata["uid"] = json!(format!("uid-{}", self.next));
        metadata["creationTimestamp"] = json!(date);
        if is_dry {
            return Response::json(201, &object);
        }
        let uid = object["metadata"]["uid"].clone();
        if kind == "jobs" {
            object["status"] = json!({});
            if !matches!(self.fate, PodFate::None(_)) {
                let mut pod = object["spec"]["template"].clone();
                pod["metadata"]["name"] = json!(format!("{name}-abcde"));
                pod["metadata"]["creationTimestamp"] = json!(date);
                pod["metadata"]["labels"]["job-name"] = json!(name);
                pod["metadata"]["ownerReferences"] = json!([{"uid": uid}]);
                pod["spec"]["nodeName"] = json!("node-1");
                pod["status"] = json!({"phase": "Pending"});
                self.of("pods").insert(format!("{name}-abcde"), pod);
            }
        }
        self.of(kind).insert(name, object.clone());
        self.tick();
        Response::json(201, &object)
    }

    pub fn list(&mut self, kind: &'static str, request: &Request) -> Response {
        let field = |name: &str| {
            request
                .param(name)
                .and_then(|text| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        };
        let (label, involved) = (field("labelSelector"), field("fieldSelector"));
        let matching = |one: &&Value| {
            label.as_ref().is_none_or(|(key, value)| one["metadata"]["labels"][key] == **value)
                && involved.as_ref().is_none_or(|(_, value)| one["involvedObject"]["name"] == **value)
        };
        let limit = request.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX).min(self.page);
        let from = request.param("continue").map_or(0, |text| text.parse::<usize>().unwrap());
        let all: Vec<Value> = self.of(kind).values().filter(matching).cloned().collect();
        let items: Vec<&Value> = all.iter().skip(from).take(limit).collect();
        let next = from.saturating_add(limit);
        let more = if next < all.len() { json!(next.to_string()) } else { json!("") };
        Response::json(200, &json!({"kind": "List", "metadata": {"continue": more}, "items": items}))
    }
}

pub fn ended(container: &str, code: u8, reason: &str) -> Value {
    json!({"name": container, "image": "i", "state": {"terminated": {"exitCode": code, "reason": reason}}})
}
