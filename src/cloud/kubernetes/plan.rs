//! The plan of a launch: what is looked up and tried before, and the Job and Secret that come of it.

use super::access::{self, REQUIRED, Right};
use super::api::{DRY_RUN, Kind as Object};
use super::labels::{self, Marks};
use super::sizes::{self, Nodes, Resources};
use super::template::{self, Pod};
use super::{Kubernetes, images, manifest, name_taken, patch, state};
use crate::cloud::labels::object_name;
use crate::cloud::{Bootstrap, Instance, InstanceRequest, Labels, LaunchPlan, PlanSummary};
use crate::error::{Error, Kind, Result};
use async_trait::async_trait;
use futures_util::future::{join_all, join3};
use serde_json::{Value, json};

/// The path of the question about a right.
const REVIEWS: &str = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// How much a Secret may hold, in bytes: 1 MiB (<https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-limit>), of
/// which the rest of the object needs some.
const MAX_CONFIG: usize = 1_000_000;
/// How often a Job is created again after a lost answer.
const MAX_RETRIES: u32 = 2;
/// The largest file with a patch, in bytes.
const MAX_PATCH: u64 = 1 << 20;
/// What stands for the bootstrap configuration where it is shown.
const PLACEHOLDER: &str = "the runner's registration, which a launch writes";

/// An instance that can be launched.
pub struct KubernetesPlan<'a> {
    cloud: &'a Kubernetes,
    request: InstanceRequest,
    objects: Objects,
    summary: PlanSummary,
}

/// What the objects of an instance are made of.
struct Objects {
    resources: Resources,
    nodes: Nodes,
    image: String,
    patch: Option<Value>,
}

/// Plans an instance.
pub async fn plan<'a>(cloud: &'a Kubernetes, request: &InstanceRequest) -> Result<KubernetesPlan<'a>> {
    let options = &request.options.kubernetes;
    let resources = sizes::parse(&request.types, request.gpu.as_deref())?;
    let nodes = sizes::nodes(&options.cloud_kubernetes_node_selector, request.arch, &resources)?;
    let image = images::jobs(request.image.as_deref(), resources.gpus > 0)?;
    let patch = match options.pod() {
        Some(path) => {
            let file = cloud.app.files()?.named(path);
            let bytes = file.and_then(|file| file.read(MAX_PATCH));
            let bytes = bytes.map_err(|refusal| {
                refusal.error(format!("cannot read --cloud-kubernetes-pod {}", path.display()), path)
            })?;
            Some(patch::parse(&path.display().to_string(), &bytes)?)
        }
        None => None,
    };
    if request.spot {
        cloud
            .app
            .log
            .warn("--cloud-spot has no effect on Kubernetes: choose spot nodes with --cloud-kubernetes-node-selector");
    }
    let objects = Objects { resources, nodes, image, patch };
    let (marks, template) = objects.template(request, &request.labels)?;
    let name = object_name(&request.labels);
    let job = template::job(&name, &marks, &template, request.lifetime.max);
    cloud.check(&job, &template).await?;
    let secret = template::secret(&name, &marks, PLACEHOLDER, None);
    let summary = PlanSummary {
        lines: objects.lines(cloud),
        arch: objects.nodes.arch,
        gpu: objects.resources.gpus > 0,
        manifest: Some(manifest::documents(&[job, secret])),
    };
    Ok(KubernetesPlan { cloud, request: request.clone(), objects, summary })
}

impl Objects {
    /// Renders the labels and the pod's template, with the user's changes.
    fn template(&self, request: &InstanceRequest, ours: &Labels) -> Result<(Marks, Value)> {
        let marks = labels::encode(ours, &request.user_labels)?;
        let program = images::program();
        let pod = Pod {
            marks: &marks,
            program: &program,
            image: &self.image,
            resources: &self.resources,
            nodes: &self.nodes,
            disk: request.is_disk_given.then_some(request.disk),
            service_account: request.identity.as_deref(),
        };
        let mut template = template::pod(&pod, &object_name(ours));
        if let Some(patch) = &self.patch {
            patch::merge(&mut template, patch);
        }
        Ok((marks, template))
    }

    fn lines(&self, cloud: &Kubernetes) -> Vec<(String, String)> {
        let access = cloud.api.access();
        let selector =
            self.nodes.selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
        let selector: Vec<String> = selector.collect();
        let lines = [
            ("region", cloud.region.clone()),
            ("cluster", access.server().to_string()),
            ("namespace", access.namespace().to_owned()),
            ("size", self.resources.name()),
            ("image", self.image.clone()),
            ("nodes", selector.join(", ")),
        ];
        let lines = lines.into_iter().filter(|(_, value)| !value.is_empty());
        lines.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Kubernetes {
    /// Checks the rights, and tries the Job and its pod without any effect, all at the same time. A quota, a limit and Pod Security
    /// judge pods only.
    async fn check(&self, job: &Value, template: &Value) -> Result<()> {
        let mut pod = template.clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        let (jobs, pods) = (self.api.path(Object::Jobs, &[]), self.api.path(Object::Pods, &[]));
        let (job, pod) = (unnamed(job), unnamed(&pod));
        let (rights, job, pod) =
            join3(self.check_rights(), self.api.create(&jobs, DRY_RUN, &job), self.api.create(&pods, DRY_RUN, &pod))
                .await;
        rights?;
        tolerate(job, false)?;
        tolerate(pod, true)
    }

    /// Asks for all rights at the same time.
    async fn check_rights(&self) -> Result<()> {
        let namespace = self.api.access().namespace();
        let reviews = REQUIRED.map(|right| async move {
            match self.api.create(REVIEWS, "", &access::review(right, namespace)).await {
                // Not even the question is allowed: the dry runs at the same time will tell.
                Err(error) if error.kind() != Kind::Remote => Ok((true, String::new())),
                answer => answer.map(|answer| access::verdict(&answer)),
            }
        });
        let (mut missing, mut reason): (Vec<Right>, _) = (Vec::new(), String::new());
        for (right, answer) in REQUIRED.into_iter().zip(join_all(reviews).await) {
            let (is_allowed, why) = answer?;
            if !is_allowed {
                missing.push(right);
                reason = if reason.is_empty() { why } else { reason };
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(access::missing(&missing, &reason, namespace)) }
    }
}

/// Returns an object with a name that the server makes up.
fn unnamed(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), json!("cml-dry-run-"));
    }
    object
}

/// Passes over a dry run that the cluster cannot do. Who may create Jobs need not be allowed to create pods.
fn tolerate(tried: Result<Value>, is_pod: bool) -> Result<()> {
    match tried {
        Err(error) if error.to_string().contains("does not support dry run") => Ok(()),
        Err(error)
            if is_pod
                && error.kind() == Kind::Auth
                && error.to_string().contains("cannot create resource \"pods\"") =>
        {
            Ok(())
        }
        tried => tried.map(drop),
    }
}

#[async_trait(?Send)]
impl LaunchPlan for KubernetesPlan<'_> {
    fn summary(&self) -> &PlanSummary {
        &self.summary
    }

    async fn launch(self: Box<Self>, ours: &Labels, bootstrap: &Bootstrap) -> Result<Instance> {
        let KubernetesPlan { cloud, request, objects, .. } = *self;
        let config = bootstrap.config.expose();
        if config.len() > MAX_CONFIG {
            let size = config.len();
            return Err(Error::too_large(format!(
                "what the pod is given is {size} bytes long, more than the {MAX_CONFIG} that a Secret holds"
            )));
        }
        let (marks, template) = objects.template(&request, ours)?;
        let name = object_name(ours);
        let job =
            cloud.create_job(&name, &template::job(&name, &marks, &template, bootstrap.lifetime.max), ours).await?;
        let uid = job["metadata"]["uid"].as_str();
        let secret = template::secret(&name, &marks, config, uid);
        match cloud.api.create(&cloud.api.path(Object::Secrets, &[]), "", &secret).await {
            // That of an earlier attempt, whose answer was lost.
            Err(error) if error.kind() == Kind::Conflict => {}
            // The Job is there, and its pod waits for the Secret.
            Err(error) => return Err(error.ambiguous()),
            Ok(_) => {}
        }
        state::of_job(&job).ok_or_else(|| name_taken(&name))
    }
}

impl Kubernetes {
    /// Creates the Job, or finds the one that an earlier attempt created.
    async fn create_job(&self, name: &str, job: &Value, ours: &Labels) -> Result<Value> {
        let path = self.api.path(Object::Jobs, &[]);
        let mut attempt = 0;
        loop {
            match self.api.create_once(&path, job).await {
                Err(error) if error.kind() == Kind::Conflict => return self.adopt_job(name, ours).await,
                // The next one is refused where this one was carried out.
                Err(error) if error.is_ambiguous() && attempt < MAX_RETRIES => {
                    self.api.pause(attempt).await.map_err(|_| error)?;
                    attempt += 1;
                }
                // What is refused now says nothing about the one before.
                created => return if attempt > 0 { created.map_err(Error::ambiguous) } else { created },
            }
        }
    }

    /// Returns the Job of this name, if it is this runner's.
    async fn adopt_job(&self, name: &str, ours: &Labels) -> Result<Value> {
        let found =
            self.api.find(&self.api.path(Object::Jobs, &[name])).await.map_err(Error::ambiguous)?.unwrap_or_default();
        let is_same = labels::decode(&found["metadata"])
            .is_some_and(|labels| labels.name == ours.name && labels.runner == ours.runner);
        if is_same { Ok(found) } else { Err(name_taken(name)) }
    }
}
