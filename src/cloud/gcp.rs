//! Google Compute Engine: <https://cloud.google.com/compute/docs/reference/rest/v1>.
//!
//! An instance is inserted into one zone; the zones of the region are tried one after another. Google Cloud deletes it when its time is
//! over, while it runs. One that has powered off before is stopped, and its disk costs something: it deletes itself first, where it has
//! an identity that may, and every launch and `cml runner reap` delete what is stopped.

use super::rest::{Bearer, Call, Failure, Progress, Rest};
use super::{
    Cloud, Driver, Instance, InstanceRequest, InstanceState, LaunchPlan, Location, LocationOptions, console_end,
};
use crate::app::App;
use crate::auth::gcp::{self as auth, GoogleAccess};
use crate::env::Secret;
use crate::error::{Error, Result};
use async_trait::async_trait;
use http::Method;
use region::Region;
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

pub mod args;
mod body;
mod explain;
mod images;
mod labels;
mod machines;
mod network;
mod on_instance;
mod permissions;
mod plan;
mod region;
mod sizes;

/// The driver of this cloud.
pub const DRIVER: Driver = Driver {
    name: "gcp",
    title: "Google Cloud",
    is_offered: true,
    is_machine: true,
    downloads_binary: true,
    has_regions: true,
    connect,
    wait_for_interruption: on_instance::wait_for_interruption,
    has_identity: on_instance::has_identity,
};

/// The API.
const COMPUTE: &str = "https://compute.googleapis.com/compute/v1";
/// What selects our instances.
const OURS: &str = "labels.cml-managed = \"true\"";
/// The first of the growing pauses before an instance that is still being created is deleted again, and how often.
const NOT_READY_PAUSE: Duration = Duration::from_secs(1);
const MAX_NOT_READY: u32 = 5;

/// Google Compute Engine in one region of a project.
struct Gcp {
    app: App,
    access: Rc<GoogleAccess>,
    rest: Rest,
    base: Url,
    region: Region,
    project: OnceCell<String>,
}

/// The tokens of [`GoogleAccess`], for [`Rest`].
struct Tokens(Rc<GoogleAccess>);

#[async_trait(?Send)]
impl Bearer for Tokens {
    async fn token(&self) -> Result<Secret> {
        self.0.token().await
    }

    async fn forget(&self) {
        self.0.forget().await;
    }
}

fn connect(app: &App, region: &str, _: &LocationOptions) -> Result<Rc<dyn Cloud>> {
    let region = Region::parse(region)?;
    let base = auth::endpoint(app, "COMPUTE", COMPUTE)?;
    let access = Rc::new(auth::connect(app)?);
    let rest = Rest::new(&app.http, Box::new(Tokens(Rc::clone(&access))), explain::DIALECT);
    Ok(Rc::new(Gcp { app: app.clone(), access, rest, base, region, project: OnceCell::new() }))
}

impl Gcp {
    async fn project(&self) -> Result<&str> {
        if self.project.get().is_none() {
            let _ = self.project.set(self.access.project().await?);
        }
        self.project.get().map(String::as_str).ok_or_else(|| Error::internal("a project that is known is unknown"))
    }

    /// Returns the address of an object; parts may have several segments.
    fn url(&self, parts: &[&str]) -> Result<Url> {
        let mut url = self.base.clone();
        let invalid = |()| Error::config(format!("invalid address {}", self.base));
        url.path_segments_mut().map_err(invalid)?.pop_if_empty().extend(parts.iter().flat_map(|part| part.split('/')));
        Ok(url)
    }

    /// Returns the address of an instance by our id of it, `zone/name`, or `None` for any other text.
    async fn instance_url(&self, id: &str, rest: &[&str]) -> Result<Option<Url>> {
        let Some((zone, name)) = id.split_once('/').filter(|(_, name)| !name.is_empty() && !name.contains('/')) else {
            return Ok(None);
        };
        let parts = ["projects", self.project().await?, "zones", zone, "instances", name];
        self.url(&[&parts, rest].concat()).map(Some)
    }

    /// Waits until an operation is done.
    async fn finish(&self, operation: &Value) -> Result<(), Failure> {
        let name = operation["name"].as_str().unwrap_or_default();
        let zone = operation["zone"].as_str().and_then(|zone| zone.rsplit('/').next());
        let scope = zone.map_or_else(|| "global".to_owned(), |zone| format!("zones/{zone}"));
        let url = self.url(&["projects", self.project().await?, &scope, "operations", name])?;
        self.rest
            .poll(async || {
                let answer = self.rest.send(&Call::get(url.clone())).await?;
                if answer.body["status"] != "DONE" {
                    return Ok(Progress::Running(self.rest.pause_of(&answer)));
                }
                explain::failed_operation(&answer.body).map_or(Ok(Progress::Done(())), Err)
            })
            .await
    }

    async fn delete_instance(&self, id: &str) -> Result<(), Failure> {
        let Some(url) = self.instance_url(id, &[]).await? else { return Ok(()) };
        let mut attempt = 0;
        loop {
            match self.rest.send(&Call::new(Method::DELETE, url.clone())).await {
                Err(failure) if failure.is_missing() => return Ok(()),
                // It is still being created.
                Err(failure) if failure.code() == "resourceNotReady" && attempt < MAX_NOT_READY => {
                    self.rest.http().pause(NOT_READY_PAUSE, attempt).await?;
                    attempt += 1;
                }
                outcome => return outcome.map(drop),
            }
        }
    }
}

/// Adds a query to an address.
fn with_query(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query);
    url
}

/// Reads an instance, in a zone.
fn instance(zone: &str, found: &Value) -> Instance {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let last = |value: &Value| value.as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    let status = found["status"].as_str().unwrap_or_default();
    let date = found["lastStartTimestamp"].as_str().or(found["creationTimestamp"].as_str());
    let interface = &found["networkInterfaces"][0];
    Instance {
        id: format!("{zone}/{}", found["name"].as_str().unwrap_or_default()),
        instance_type: last(&found["machineType"]),
        zone: Some(zone.to_owned()),
        state: match status {
            "PENDING" | "PROVISIONING" | "STAGING" | "" => InstanceState::Pending,
            "RUNNING" | "REPAIRING" => InstanceState::Running,
            "DEPROVISIONING" => InstanceState::Terminated,
            _ => InstanceState::Stopped,
        },
        reason: text(&found["statusMessage"]).or_else(|| Some(format!("its status is {status}"))),
        spot: found["scheduling"]["provisioningModel"] == "SPOT",
        address: text(&interface["accessConfigs"][0]["natIP"]).or_else(|| text(&interface["networkIP"])),
        launched: date.and_then(|date| chrono::DateTime::parse_from_rfc3339(date).ok()).map(|date| date.timestamp()),
        labels: labels::decode(found).unwrap_or_default(),
    }
}

#[async_trait(?Send)]
impl Cloud for Gcp {
    fn region(&self) -> &str {
        &self.region.name
    }

    async fn location(&self) -> Result<Location> {
        Ok(Location { cloud: DRIVER.name, scope: vec![self.project().await?.to_owned(), self.region.name.clone()] })
    }

    async fn plan<'a>(&'a self, request: &InstanceRequest) -> Result<Box<dyn LaunchPlan + 'a>> {
        Ok(Box::new(self.look_up(request).await?))
    }

    async fn get(&self, id: &str) -> Result<Option<Instance>> {
        let Some(url) = self.instance_url(id, &[]).await? else { return Ok(None) };
        let zone = id.split('/').next().unwrap_or_default();
        Ok(self.rest.find(url).await?.map(|found| instance(zone, &found)))
    }

    async fn list(&self) -> Result<Vec<Instance>> {
        let found = self.aggregated("instances", OURS).await?;
        let ours = found.iter().filter(|(zone, one)| self.region.has(zone) && labels::decode(one).is_some());
        let mut all: Vec<Instance> = ours.map(|(zone, one)| instance(zone, one)).collect();
        all.retain(|one| one.state != InstanceState::Terminated);
        all.sort_by(|one, other| (one.launched, &one.id).cmp(&(other.launched, &other.id)));
        Ok(all)
    }

    /// Does not wait for the end of the deletion, which takes up to a minute and does not fail once it is accepted.
    async fn delete(&self, id: &str) -> Result<()> {
        Ok(self.delete_instance(id).await?)
    }

    async fn console_log(&self, id: &str) -> Result<String> {
        let Some(url) = self.instance_url(id, &["serialPort"]).await? else { return Ok(String::new()) };
        let found = self.rest.find(with_query(url, &[("port", "1")])).await?.unwrap_or_default();
        Ok(console_end(&found["contents"].as_str().unwrap_or_default().replace('\r', "")).to_owned())
    }

    async fn forget_bootstrap(&self, id: &str) -> Result<()> {
        let Some(url) = self.instance_url(id, &[]).await? else { return Ok(()) };
        // Somebody else may change the metadata at the same moment: then once more.
        let mut is_last = false;
        loop {
            let Some(found) = self.rest.find(url.clone()).await? else { return Ok(()) };
            let metadata = &found["metadata"];
            let items = metadata["items"].as_array().into_iter().flatten();
            let items: Vec<&Value> = items.filter(|item| item["key"] != body::STARTUP_SCRIPT).collect();
            let changed = json!({ "fingerprint": metadata["fingerprint"], "items": items });
            let Some(url) = self.instance_url(id, &["setMetadata"]).await? else { return Ok(()) };
            match self.rest.send(&Call::new(Method::POST, url).body(changed).idempotent()).await {
                Err(failure) if failure.code() == "conditionNotMet" && !is_last => is_last = true,
                outcome => return Ok(outcome.map(drop)?),
            }
        }
    }
}
