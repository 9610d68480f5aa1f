//! The plan of a launch, and the launch itself.

use super::body::{self, Identity, Variant, Wanted};
use super::images::Image;
use super::labels::{self, Encoded};
use super::machines::{Offer, Offers};
use super::network::{Firewall, Network};
use super::permissions::{self, Needs};
use super::sizes::{self, HYPERDISK, PERSISTENT_DISK, family};
use super::{Gcp, explain, instance, with_query};
use crate::cloud::attempts::{Attempt, Attempts, Model};
use crate::cloud::rest::{Call, Failure};
use crate::cloud::stopped::delete_stopped;
use crate::cloud::{Bootstrap, Instance, InstanceRequest, InstanceState, Labels, LaunchPlan, PlanSummary, vm};
use crate::digest::uuid;
use crate::error::{Error, Result};
use async_trait::async_trait;
use futures_util::future::{join, join3};
use http::Method;

/// The longest start-up script, in bytes: <https://cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations>.
const MAX_SCRIPT: usize = 262_144;
/// With an identity, which may be allowed to, an instance deletes itself whenever it ends.
const DELETE: &str = include_str!("delete.sh");
/// Where prices are: the API does not tell them.
const PRICES: &str =
    "Google Cloud tells no price without its billing API; see https://cloud.google.com/compute/all-pricing";

/// An instance that can be launched.
pub struct GcpPlan<'a> {
    cloud: &'a Gcp,
    request: InstanceRequest,
    offers: Offers,
    image: Image,
    network: Network,
    identity: Option<Identity>,
    summary: PlanSummary,
}

impl Gcp {
    /// Looks everything up.
    pub(super) async fn look_up(&self, request: &InstanceRequest) -> Result<GcpPlan<'_>> {
        if request.spot_price.is_some() {
            return Err(Error::usage("Google Cloud has no maximum price for spot instances")
                .hint("leave out --cloud-spot-price: the price of a spot instance is fixed for a month"));
        }
        let machines = sizes::parse(&request.types, request.gpu.as_deref(), request.arch)?;
        let identity = request.identity.as_deref().map(Identity::parse).transpose()?;
        labels::encode(&request.labels, &request.user_labels)?;
        let needs =
            Needs { gpus: machines.iter().any(|machine| machine.accelerator.is_some()), identity: identity.is_some() };
        let project = self.project().await?;
        let looked_up =
            join3(self.missing_permissions(&needs), self.offers(machines), self.network(&request.options.gcp)).await;
        let (missing, offers, network) = looked_up;
        permissions::check(missing?, network.as_ref().ok(), project)?;
        let (offers, network) = (offers?, network?);
        let image = self.image(request.image.as_deref(), offers.arch, offers.gpu).await?;
        let (arch, gpu) = (offers.arch, offers.gpu);
        let lines = self.lines(request, &offers, &image, &network, identity.as_ref());
        let summary = PlanSummary { lines, arch, gpu, manifest: None };
        Ok(GcpPlan { cloud: self, request: request.clone(), offers, image, network, identity, summary })
    }

    fn lines(
        &self,
        request: &InstanceRequest,
        offers: &Offers,
        image: &Image,
        network: &Network,
        identity: Option<&Identity>,
    ) -> Vec<(String, String)> {
        let Offers { offers, .. } = offers;
        let mut zones: Vec<String> = offers.iter().flat_map(|offer| offer.zones.clone()).collect();
        self.region.sort(&mut zones);
        zones.dedup();
        let types: Vec<String> = offers.iter().map(|offer| offer.machine.to_string()).collect();
        let firewall = match &network.firewall {
            Firewall::Exists(name) => name.clone(),
            Firewall::Missing(name) => format!("{name}, a new one that lets nothing in"),
            Firewall::Foreign => "the rules of the shared network".to_owned(),
        };
        let lines = [
            ("region", self.region.name.clone()),
            ("zones", zones.join(", ")),
            ("types", types.join(", ")),
            ("market", Model::describe(request.spot, request.on_demand_fallback).to_owned()),
            ("image", image.name.clone()),
            ("disk", format!("{} GB", request.disk.max(image.size))),
            ("network", network.subnetwork.clone().unwrap_or_else(|| network.path.clone())),
            ("firewall", firewall),
            ("identity", identity.map_or("none", Identity::email).to_owned()),
            ("price", PRICES.to_owned()),
        ];
        lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Finds the stopped instances of a repository: each has powered off, and its disk still costs something.
    async fn find_stopped(&self, repository: &str) -> Result<Vec<Instance>> {
        let filter = format!("({}) (status = \"TERMINATED\")", super::OURS);
        let found = self.aggregated("instances", &filter).await?;
        let stopped = found.iter().map(|(zone, one)| instance(zone, one));
        Ok(stopped.filter(|one| one.labels.repository == repository).collect())
    }

    /// Inserts an instance, with less where Google Cloud refuses a part of it that is not needed.
    async fn insert(
        &self,
        wanted: &Wanted<'_>,
        ours: &Labels,
        offer: &Offer,
        attempt: &Attempt,
        repeat: u32,
    ) -> Result<Instance, Failure> {
        let usual = sizes::disk_type(&offer.machine.name);
        let mut variant = Variant { disk_type: usual, notice: true, is_public: true };
        loop {
            let Err(failure) = self.insert_variant(wanted, ours, offer, attempt, variant, repeat).await else {
                return Ok(self.launched(wanted, ours, offer, attempt));
            };
            let Some(next) = without_what_is_refused(&failure, variant, usual, wanted.network) else {
                return if is_taken(&failure) || failure.refused_later() {
                    self.adopt(wanted.name, ours, attempt, failure).await
                } else {
                    Err(failure)
                };
            };
            self.app.log.debug(&format!("trying {attempt} in another way: {}", failure.error));
            if !next.is_public && variant.is_public {
                self.app.log.warn("instances may have no public address here: the subnetwork must reach the internet through Cloud NAT");
            }
            variant = next;
        }
    }

    async fn insert_variant(
        &self,
        wanted: &Wanted<'_>,
        ours: &Labels,
        offer: &Offer,
        attempt: &Attempt,
        variant: Variant,
        repeat: u32,
    ) -> Result<(), Failure> {
        let zone = &attempt.place;
        let body = body::instance(wanted, offer, zone, attempt.model, variant);
        let runner = ours.runner.as_deref().unwrap_or_default();
        let (tried, repeat) = (format!("{attempt} {variant:?}"), repeat.to_string());
        let id = uuid(&[wanted.name, runner, &tried, &repeat]);
        let url = self.url(&["projects", self.project().await?, "zones", zone, "instances"])?;
        let call = Call::new(Method::POST, with_query(url, &[("requestId", &id)])).body(body).idempotent().disclosing();
        let operation = self.rest.send(&call).await.map_err(Failure::ambiguous_without_answer)?.body;
        // It may be created yet, where only the look at the operation failed.
        self.finish(&operation).await.map_err(
            |failure| {
                if failure.is_of_operation() { failure } else { failure.ambiguous() }
            },
        )
    }

    /// Returns an instance that was just inserted.
    fn launched(&self, wanted: &Wanted<'_>, ours: &Labels, offer: &Offer, attempt: &Attempt) -> Instance {
        Instance {
            id: format!("{}/{}", attempt.place, wanted.name),
            instance_type: offer.machine.name.clone(),
            zone: Some(attempt.place.clone()),
            state: InstanceState::Pending,
            reason: None,
            spot: attempt.model == Model::Spot,
            address: None,
            launched: i64::try_from(self.app.host.now().as_secs()).ok(),
            labels: ours.clone(),
        }
    }

    /// Returns the instance that has the name already, if it is this runner's: that of a request whose answer was lost, before this failure.
    async fn adopt(&self, name: &str, ours: &Labels, attempt: &Attempt, failure: Failure) -> Result<Instance, Failure> {
        let zone = &attempt.place;
        let url = self.url(&["projects", self.project().await?, "zones", zone, "instances", name])?;
        let found = self.rest.find(url).await.map_err(|failure| Failure::from(failure.error.ambiguous()))?;
        let found = found.map(|found| instance(zone, &found));
        let found = found.filter(|one| one.labels.name == ours.name && one.labels.runner == ours.runner);
        found.ok_or_else(|| match failure.refused {
            Some(refused) => explain::DIALECT.failure(*refused),
            None => failure,
        })
    }
}

fn is_taken(failure: &Failure) -> bool {
    ["alreadyExists", "RESOURCE_ALREADY_EXISTS"].contains(&failure.code())
}

/// Returns what to try instead, after a refusal that names a part which is not needed, or another kind of which will do.
fn without_what_is_refused(failure: &Failure, variant: Variant, usual: &str, network: &Network) -> Option<Variant> {
    let refused = failure.refused.as_ref()?;
    let says = refused.message.to_ascii_lowercase();
    if says.contains("vmexternalipaccess") && variant.is_public && network.subnetwork.is_some() {
        return Some(Variant { is_public: false, ..variant });
    }
    if refused.status != 400 && refused.status != 0 {
        return None;
    }
    if variant.notice && says.contains("preemptionnotice") {
        return Some(Variant { notice: false, ..variant });
    }
    let names_disk = [HYPERDISK, PERSISTENT_DISK, "disktype", "disk type"].iter().any(|name| says.contains(name));
    let other = if usual == HYPERDISK { PERSISTENT_DISK } else { HYPERDISK };
    let is_full = explain::react(failure) != crate::cloud::attempts::Reaction::Fatal;
    (names_disk && !is_full && variant.disk_type == usual).then_some(Variant { disk_type: other, ..variant })
}

#[async_trait(?Send)]
impl LaunchPlan for GcpPlan<'_> {
    fn summary(&self) -> &PlanSummary {
        &self.summary
    }

    async fn launch(self: Box<Self>, ours: &Labels, bootstrap: &Bootstrap) -> Result<Instance> {
        let GcpPlan { cloud, request, offers, image, network, identity, .. } = *self;
        let script = match &identity {
            Some(_) => {
                let delete = DELETE.replace("@COMPUTE@", cloud.base.as_str());
                vm::render_with_deletion(bootstrap, MAX_SCRIPT, &delete)?
            }
            None => vm::render(bootstrap, MAX_SCRIPT)?,
        };
        let labels: Encoded = labels::encode(ours, &request.user_labels)?;
        let name = labels::instance_name(ours);
        cloud.ensure_firewall(&network).await?;
        let wanted = Wanted {
            name: &name,
            labels: &labels,
            disk: request.disk,
            image: &image,
            network: &network,
            identity: identity.as_ref(),
            lifetime: bootstrap.lifetime.max,
            script: &script,
        };
        let sizes: Vec<_> =
            offers.offers.iter().map(|offer| (offer.machine.to_string(), offer.zones.clone())).collect();
        let attempts = Attempts::new(&sizes, Model::of(request.spot, request.on_demand_fallback), family);
        let (mut earlier, mut repeat) = (None, 0);
        let inserted = attempts.make(
            cloud.rest.http(),
            async |attempt| {
                repeat = if earlier.as_ref() == Some(attempt) { repeat + 1 } else { 0 };
                earlier = Some(attempt.clone());
                let offer = offers.offers.iter().find(|offer| offer.machine.to_string() == attempt.size);
                let offer = offer.ok_or_else(|| Error::internal("an attempt at a type that nobody offers"))?;
                cloud.insert(&wanted, ours, offer, attempt, repeat).await
            },
            explain::react,
        );
        let boot = bootstrap.lifetime.boot;
        let tidied =
            async { delete_stopped(&cloud.app, cloud, cloud.find_stopped(&ours.repository).await, boot).await };
        join(inserted, tidied).await.0
    }
}
