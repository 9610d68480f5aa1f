//! A cloud for tests, in builds with debug assertions only: an instance is a process of this host, and its files a folder.
//!
//! It is the reference of the contract (`tests/contract/clouds.rs`), and whole lives run on it in seconds, for real but for the
//! machine. Its region is a folder that exists, with a folder for each instance:
//!
//! | file | content |
//! | --- | --- |
//! | `instance.json` | the labels and when it was launched |
//! | `launch.json` | the bootstrap configuration |
//! | `console` | what the process printed |
//! | `pid`, `code` | the process, which leads a session; its exit code |
//!
//! The image `missing` stands for one that cannot be pulled: the instance stays [`InstanceState::Failed`].

use super::sizes::Arch;
use super::{
    Bootstrap, Cloud, Driver, Instance, InstanceRequest, InstanceState, Labels, LaunchPlan, Location, LocationOptions,
    MAX_CONSOLE, PlanSummary, console_end,
};
use crate::app::App;
use crate::digest::hash;
use crate::error::{Error, Kind, Result};
use crate::host::Command;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The driver of this cloud.
pub const DRIVER: Driver = Driver {
    name: "dummy",
    title: "the cloud of the tests",
    is_offered: false,
    is_machine: false,
    downloads_binary: true,
    has_regions: true,
    connect,
    wait_for_interruption: |_| Box::pin(std::future::pending()),
    has_identity: |_| Box::pin(std::future::ready(false)),
};

/// The process of an instance.
const START: &str = include_str!("dummy/start.sh");
/// Starts it in a session of its own, which outlives this program and has nothing of its environment.
const SPAWN: &str = r#"setsid env -i PATH="$PATH" HOME="$1" sh -c "$2" start "$1" "$3" "$4" "$5" </dev/null >"$1/console" 2>&1 & echo $! >"$1/pid""#;
/// The image that there is not.
const MISSING: &str = "missing";

struct Dummy {
    app: App,
    region: String,
}

/// What is written about an instance.
#[derive(Serialize, Deserialize)]
struct Record {
    labels: BTreeMap<String, String>,
    launched: i64,
    spot: bool,
    /// Why it cannot run.
    failure: Option<String>,
}

fn connect(app: &App, region: &str, _: &LocationOptions) -> Result<Rc<dyn Cloud>> {
    app.host
        .list(Path::new(region))
        .map_err(|error| Error::usage(format!("{region} is not a folder ({error})")).hint("create it first"))?;
    Ok(Rc::new(Dummy { app: app.clone(), region: region.to_owned() }))
}

impl Dummy {
    fn folder(&self, id: &str) -> PathBuf {
        Path::new(&self.region).join(id)
    }

    /// Reads an instance; `None` if it does not exist.
    fn read(&self, id: &str) -> Result<Option<Instance>> {
        let folder = self.folder(id);
        let bytes = match self.app.host.read(&folder.join("instance.json")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(id, &error)),
        };
        let record: Record = serde_json::from_slice(&bytes)
            .map_err(|error| Error::remote(format!("invalid record of {id} ({error})")))?;
        let text = |name: &str| {
            let text = self.app.host.read(&folder.join(name)).ok()?;
            Some(String::from_utf8_lossy(&text).trim().to_owned())
        };
        let code = text("code");
        let is_running = text("pid").and_then(|pid| pid.parse().ok()).is_some_and(|pid| self.app.host.is_running(pid));
        let state = match record.failure {
            Some(message) => InstanceState::Failed { kind: Kind::Config, message },
            None if is_running && code.is_none() => InstanceState::Running,
            None => InstanceState::Terminated,
        };
        let reason = code.map(|code| format!("its process ended with {code}"));
        Ok(Some(Instance {
            id: id.to_owned(),
            instance_type: "process".to_owned(),
            zone: None,
            state,
            reason,
            spot: record.spot,
            address: None,
            launched: Some(record.launched),
            labels: Labels::read(&record.labels).unwrap_or_default(),
        }))
    }
}

fn failed(id: &str, error: &io::Error) -> Error {
    Error::remote(format!("the files of instance {id} cannot be used ({error})"))
}

#[async_trait(?Send)]
impl Cloud for Dummy {
    fn region(&self) -> &str {
        &self.region
    }

    async fn location(&self) -> Result<Location> {
        Ok(Location { cloud: DRIVER.name, scope: vec![self.region.clone()] })
    }

    async fn plan<'a>(&'a self, request: &InstanceRequest) -> Result<Box<dyn LaunchPlan + 'a>> {
        let arch = if self.app.host.platform().arch == Arch::Arm64.name() { Arch::Arm64 } else { Arch::X86_64 };
        let lines = vec![("region".to_owned(), self.region.clone())];
        let gpu = request.gpu.as_deref().is_some_and(|gpu| gpu != "nogpu");
        let summary = PlanSummary { lines, arch, gpu, manifest: None };
        Ok(Box::new(DummyPlan { cloud: self, request: request.clone(), summary }))
    }

    async fn get(&self, id: &str) -> Result<Option<Instance>> {
        self.read(id)
    }

    async fn list(&self) -> Result<Vec<Instance>> {
        let folders = self.app.host.list(Path::new(&self.region)).map_err(|error| failed(&self.region, &error))?;
        let mut found = Vec::new();
        for folder in folders {
            let id = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.extend(self.read(&id)?.filter(|one| one.state != InstanceState::Terminated));
        }
        found.retain(|one| !one.labels.name.is_empty());
        found.sort_by(|one, other| (one.launched, &one.id).cmp(&(other.launched, &other.id)));
        Ok(found)
    }

    async fn delete(&self, id: &str) -> Result<()> {
        let folder = self.folder(id);
        if let Ok(pid) = self.app.host.read(&folder.join("pid")) {
            // Fails where it has ended.
            let argv =
                ["sh", "-c", "kill -s KILL -- -$1", "kill", String::from_utf8_lossy(&pid).trim()].map(str::to_owned);
            let _ = self.app.host.execute(&Command::new(argv)).await;
        }
        match self.app.host.remove_folder(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(id, &error)),
            _ => Ok(()),
        }
    }

    async fn console_log(&self, id: &str) -> Result<String> {
        let console = self.folder(id).join("console");
        let Ok(stat) = self.app.host.stat(&console) else { return Ok(String::new()) };
        let start = stat.len.saturating_sub(MAX_CONSOLE as u64);
        let bytes = self.app.host.read_at(&console, start, MAX_CONSOLE).map_err(|error| failed(id, &error))?;
        Ok(console_end(&String::from_utf8_lossy(&bytes)).to_owned())
    }
}

struct DummyPlan<'a> {
    cloud: &'a Dummy,
    request: InstanceRequest,
    summary: PlanSummary,
}

#[async_trait(?Send)]
impl LaunchPlan for DummyPlan<'_> {
    fn summary(&self) -> &PlanSummary {
        &self.summary
    }

    async fn launch(self: Box<Self>, labels: &Labels, bootstrap: &Bootstrap) -> Result<Instance> {
        let DummyPlan { cloud, request, .. } = *self;
        let host = &cloud.app.host;
        let id = format!("d-{}", &hash(format!("{}\n{:?}", labels.name, labels.runner).as_bytes())[..12]);
        if let Some(instance) = cloud.read(&id)? {
            return Ok(instance);
        }
        let folder = cloud.folder(&id);
        let is_missing = request.image.as_deref() == Some(MISSING);
        let ours = labels.pairs().into_iter().map(|(key, value)| (key.to_owned(), value));
        let record = Record {
            labels: request.user_labels.into_iter().chain(ours).collect(),
            launched: i64::try_from(host.now().as_secs()).unwrap_or(i64::MAX),
            spot: request.spot,
            failure: is_missing.then(|| format!("there is no image {MISSING}")),
        };
        let json = serde_json::to_vec(&record).map_err(|error| Error::internal(error.to_string()))?;
        let write = |name: &str, bytes: &[u8]| {
            host.write_private(&folder.join(name), bytes).map_err(|error| failed(&id, &error))
        };
        write("launch.json", bootstrap.config.expose().as_bytes())?;
        if !is_missing {
            let folder = folder.display().to_string();
            let lifetime = bootstrap.lifetime.max.as_secs().to_string();
            let binary = bootstrap.binary()?;
            let values = [&binary.url, binary.sha256.as_str(), &lifetime];
            let argv = ["sh", "-c", SPAWN, "spawn", &folder, START].into_iter().chain(values);
            let command = Command { lingers: true, ..Command::new(argv) };
            host.execute(&command).await.map_err(|error| failed(&id, &error))?;
        }
        write("instance.json", &json)?;
        cloud.read(&id)?.ok_or_else(|| Error::remote(format!("instance {id} has disappeared")))
    }
}
