//! Kubernetes: <https://kubernetes.io/docs/reference/kubernetes-api/>.
//!
//! An instance is a Job with one pod, and a Secret that the Job owns; nothing is installed in the cluster. There is no machine, no
//! start-up script and no systemd: the agent is the pod's process, and the instance ends with it. The Job's deadline ends a pod whose
//! agent hangs, or that never starts, and the cluster removes what has ended (`docs/adr/0017-kubernetes.md`).

use super::labels::{MANAGED, dns, object_name};
use super::{
    Cloud, Driver, Instance, InstanceRequest, InstanceState, Labels, LaunchPlan, Location, LocationOptions, console_end,
};
use crate::app::App;
use crate::auth::kubernetes as auth;
use crate::error::{Error, Kind, Result};
use api::{Api, Kind as Object};
use async_trait::async_trait;
use futures_util::future::{join, try_join};
use serde_json::Value;
use std::rc::Rc;

mod access;
mod api;
pub mod args;
mod explain;
mod images;
mod labels;
mod manifest;
mod patch;
mod plan;
mod sizes;
mod state;
mod template;

/// The driver of this cloud.
pub const DRIVER: Driver = Driver {
    name: "kubernetes",
    title: "Kubernetes",
    is_offered: true,
    is_machine: false,
    downloads_binary: false,
    has_regions: false,
    connect,
    // A pod gets SIGTERM, as any process.
    wait_for_interruption: |_| Box::pin(std::future::pending()),
    has_identity: |_| Box::pin(std::future::ready(false)),
};

/// How many Jobs a page of a list has.
const PAGE: u32 = 500;
/// How many lines of a pod's log are fetched.
const LOG_LINES: u32 = 1000;
/// The longest name of a context that is shown as a region.
const MAX_REGION: usize = 63;

/// One namespace of a cluster.
struct Kubernetes {
    app: App,
    api: Api,
    /// The context's name.
    region: String,
}

fn connect(app: &App, _: &str, _: &LocationOptions) -> Result<Rc<dyn Cloud>> {
    let access = auth::connect(app)?;
    let region = dns(access.context(), MAX_REGION);
    let api = Api::new(app, access);
    Ok(Rc::new(Kubernetes { app: app.clone(), api, region }))
}

impl Kubernetes {
    /// Fetches the pod of a Job; `None` when it has none, or not any more.
    async fn pod(&self, job: &str) -> Result<Option<Value>> {
        let query = format!("labelSelector=job-name%3D{job}");
        let mut found = self.api.get(&self.api.path(Object::Pods, &[]), &query).await?;
        let pods = found["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        // There is one, but for a pod that was deleted and replaced.
        Ok(pods.into_iter().max_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().map(str::to_owned)))
    }

    /// Fetches the events of an object. Without the right to see them there are none.
    async fn events(&self, name: &str) -> Result<Value> {
        let query = format!("fieldSelector=involvedObject.name%3D{name}");
        match self.api.get(&self.api.path(Object::Events, &[]), &query).await {
            Err(error) if error.kind() == Kind::Auth => Ok(Value::Null),
            found => found,
        }
    }

    /// Fetches the log of a container; empty while it has not started.
    async fn log(&self, pod: &str, container: &str) -> Result<String> {
        let query = format!("container={container}&tailLines={LOG_LINES}");
        match self.api.text(&self.api.path(Object::Pods, &[pod, "log"]), &query).await {
            // `container "runner" in pod "x" is waiting to start`
            Err(error) if error.kind() == Kind::Config => Ok(String::new()),
            found => found,
        }
    }
}

#[async_trait(?Send)]
impl Cloud for Kubernetes {
    fn region(&self) -> &str {
        &self.region
    }

    async fn location(&self) -> Result<Location> {
        let access = self.api.access();
        Ok(Location { cloud: DRIVER.name, scope: vec![access.server().to_string(), access.namespace().to_owned()] })
    }

    async fn plan<'a>(&'a self, request: &InstanceRequest) -> Result<Box<dyn LaunchPlan + 'a>> {
        Ok(Box::new(plan::plan(self, request).await?))
    }

    async fn get(&self, id: &str) -> Result<Option<Instance>> {
        let path = self.api.path(Object::Jobs, &[id]);
        let (job, pod) = try_join(self.api.find(&path), self.pod(id)).await?;
        let Some(instance) = job.as_ref().and_then(state::of_job) else { return Ok(None) };
        Ok(Some(match pod {
            Some(pod) => state::with_pod(instance, &pod),
            None if instance.state == InstanceState::Pending => state::without_pod(instance, &self.events(id).await?),
            None => instance,
        }))
    }

    fn chosen_id(&self, labels: &Labels) -> Option<String> {
        Some(object_name(labels))
    }

    async fn list(&self) -> Result<Vec<Instance>> {
        let path = self.api.path(Object::Jobs, &[]);
        let (mut found, mut next) = (Vec::new(), String::new());
        loop {
            let after = if next.is_empty() { String::new() } else { format!("&continue={next}") };
            let page = self.api.get(&path, &format!("labelSelector={MANAGED}%3Dtrue&limit={PAGE}{after}")).await?;
            found.extend(page["items"].as_array().into_iter().flatten().filter_map(state::of_job));
            next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                break;
            }
        }
        found.retain(|instance| instance.state != InstanceState::Terminated);
        found.sort_by(|one, other| (one.launched, &one.id).cmp(&(other.launched, &other.id)));
        Ok(found)
    }

    async fn delete(&self, id: &str) -> Result<()> {
        self.api.delete(&self.api.path(Object::Jobs, &[id])).await
    }

    async fn console_log(&self, id: &str) -> Result<String> {
        let Some(pod) = self.pod(id).await? else { return Ok(state::warnings(&self.events(id).await?)) };
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let text = self.log(name, template::RUNNER).await?;
        if !text.is_empty() {
            return Ok(console_end(&text).to_owned());
        }
        // It has not started: what the kubelet and the init container say.
        let (events, log) = join(self.events(name), self.log(name, template::UNPACK)).await;
        Ok(console_end(&format!("{}{}", state::warnings(&events?), log?)).to_owned())
    }
}

/// Returns the error of a name that another object has.
fn name_taken(name: &str) -> Error {
    Error::conflict(format!("the cluster has another job named {name}"))
        .hint("remove it, or give the runner another --name")
}
