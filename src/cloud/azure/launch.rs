//! Creates the instance: one size after another, first as a spot machine if asked for.

use super::api::POLL_INTERVAL;
use super::body::{
    BillingProfile, BootDiagnostics, DiagnosticsProfile, HardwareProfile, Interface, IpConfiguration,
    LinuxConfiguration, MachineProperties, ManagedDisk, Named, NetworkProfile, OsDisk, OsProfile, Placement,
    PublicAddress, Reference, Sku, Ssh, SshKey, StorageProfile, Tagged, Tags, VirtualMachine,
};
use super::explain::{DIALECT, react};
use super::identity::MachineIdentity;
use super::plan::AzurePlan;
use super::sizes::UsableSize;
use super::state::Machine;
use crate::cloud::attempts::{Attempt, Attempts, Model};
use crate::cloud::labels::object_name;
use crate::cloud::rest::Failure;
use crate::cloud::stopped::delete_stopped;
use crate::cloud::{Bootstrap, Cloud, Instance, InstanceState, Labels, LaunchPlan, PlanSummary, vm};
use crate::error::{Error, Result};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join;

/// The maximum size of custom data before it is encoded, in bytes:
/// <https://learn.microsoft.com/azure/virtual-machines/custom-data>.
const MAX_CUSTOM_DATA: usize = 65_535;
/// The user that Azure demands. Nobody logs in.
const ADMIN: &str = "cml";
/// The public half of a key that Azure demands as well. The private half was thrown away.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF6dsrzVVFuPKjH2wYT6L1+ge8zNff27pT9yl8/dPvb/";
/// The version in which the network interface of a machine is created with it.
const INTERFACE_VERSION: &str = "2022-11-01";

/// What all attempts have in common.
struct Launch<'a> {
    plan: &'a AzurePlan<'a>,
    labels: &'a Labels,
    tags: Tags,
    custom_data: String,
}

/// Returns whether there is a machine of that name.
fn is_taken(failure: &Failure) -> bool {
    failure.refused.as_ref().is_some_and(|refused| refused.status == 412)
}

#[async_trait(?Send)]
impl LaunchPlan for AzurePlan<'_> {
    fn summary(&self) -> &PlanSummary {
        &self.summary
    }

    async fn launch(self: Box<Self>, labels: &Labels, bootstrap: &Bootstrap) -> Result<Instance> {
        let azure = self.azure;
        let script = vm::render_with_deletion(bootstrap, MAX_CUSTOM_DATA, &self.identity.delete_script(&azure.arm))?;
        if !self.has_group {
            azure.create_group().await?;
        }
        if !self.has_network {
            azure.create_network().await?;
        }
        let ours = labels.pairs().into_iter().map(|(name, value)| (name.to_owned(), value));
        let launch = Launch {
            plan: &self,
            labels,
            // Ours come last: a user's tag of the same name must not hide an instance from `cml runner reap`.
            tags: self.request.user_labels.iter().cloned().chain(ours).collect(),
            custom_data: STANDARD.encode(script.expose()),
        };
        let place = vec![azure.region.clone()];
        let sizes: Vec<_> = self.sizes.iter().map(|size| (size.name.clone(), place.clone())).collect();
        let models = Model::of(self.request.spot, self.request.on_demand_fallback);
        // Where spot is not for this subscription at all, no size is left of it.
        let attempts = Attempts::new(&sizes, models, |_| "");
        let mut number = 0;
        let made = attempts.make(
            &azure.app.http,
            async |attempt| {
                number += 1;
                launch.attempt(attempt, number).await
            },
            react,
        );
        let tidied = async {
            let found = azure.find_of_repository(&labels.repository).await;
            delete_stopped(&azure.app, azure, found, bootstrap.lifetime.boot).await;
        };
        join(made, tidied).await.0
    }
}

impl Launch<'_> {
    /// Makes one attempt. Each has a name of its own, as a machine that failed keeps its name until it is deleted.
    async fn attempt(&self, attempt: &Attempt, number: u32) -> Result<Instance, Failure> {
        let azure = self.plan.azure;
        let size = self.plan.sizes.iter().find(|size| size.name == attempt.size);
        let size = size.ok_or_else(|| Error::internal("an attempt at a size that is not planned"))?;
        let base = object_name(self.labels);
        let name = if number == 1 { base } else { format!("{base}-{number}") };
        let body = self.body(&name, size, attempt.model);
        match azure.arm.create(&azure.machine(&format!("/{name}")), &body).await {
            Ok(()) => self.complete(name, attempt).await,
            // A quota may be used up by the very machine whose answer was lost.
            Err(failure) if is_taken(&failure) || failure.refused_later() => self.adopt(name, attempt, failure).await,
            Err(failure) => {
                // It stays, with its interface and address, when its creation has failed.
                if !failure.error.is_ambiguous() && failure.is_of_operation() {
                    self.delete(&name).await?;
                }
                Err(failure)
            }
        }
    }

    /// Returns the machine of this name, if it is this runner's: that of a request whose answer was lost, before this failure.
    async fn adopt(&self, name: String, attempt: &Attempt, failure: Failure) -> Result<Instance, Failure> {
        let azure = self.plan.azure;
        loop {
            let found = azure.find_machine(&name).await.map_err(Failure::ambiguous)?;
            let labels = found.as_ref().and_then(Machine::labels);
            let is_same = labels.is_some_and(|one| one.name == self.labels.name && one.runner == self.labels.runner);
            let Some(found) = found.filter(|_| is_same) else {
                if let Some(refused) = failure.refused.as_ref().filter(|_| !is_taken(&failure)) {
                    return Err(DIALECT.failure((**refused).clone()));
                }
                return Err(Error::conflict(format!("Azure has another machine named {name}"))
                    .hint("remove it, or give the runner another --name")
                    .into());
            };
            if found.has_failed() {
                self.delete(&name).await?;
                let says = match found.instance().map(|instance| instance.state) {
                    Some(InstanceState::Failed { message, .. }) => message,
                    _ => "its creation failed".to_owned(),
                };
                return Err(Error::remote(format!("Azure could not create {name}: {says}")).into());
            }
            if !found.is_being_created() {
                return self.complete(name, attempt).await;
            }
            azure.app.http.extend_budget();
            azure.app.http.pause_at_least(POLL_INTERVAL, POLL_INTERVAL).await?;
        }
    }

    /// Returns a machine that is there, when it may delete itself.
    async fn complete(&self, name: String, attempt: &Attempt) -> Result<Instance, Failure> {
        if self.plan.identity == MachineIdentity::Own
            && let Err(failure) = self.plan.azure.allow_deletion(&name).await
        {
            self.delete(&name).await?;
            return Err(failure);
        }
        Ok(self.instance(name, attempt))
    }

    /// Deletes a machine that failed. Where that fails it is unknown what is left.
    async fn delete(&self, name: &str) -> Result<(), Failure> {
        Ok(self.plan.azure.delete(name).await.map_err(Error::ambiguous)?)
    }

    fn instance(&self, id: String, attempt: &Attempt) -> Instance {
        Instance {
            id,
            instance_type: attempt.size.clone(),
            zone: None,
            state: InstanceState::Pending,
            reason: None,
            spot: attempt.model == Model::Spot,
            address: None,
            launched: None,
            labels: self.labels.clone(),
        }
    }

    fn body(&self, name: &str, size: &UsableSize, model: Model) -> VirtualMachine {
        let AzurePlan { azure, request, image, identity, .. } = self.plan;
        let is_spot = model == Model::Spot;
        let address = Tagged {
            name: name.to_owned(),
            tags: self.tags.clone(),
            sku: Some(Sku { name: "Standard" }),
            properties: PublicAddress { delete_option: "Delete", allocation_method: "Static" },
        };
        let ip = IpConfiguration { subnet: Reference { id: azure.subnet_id() }, public_address: address };
        let interface = Tagged {
            name: name.to_owned(),
            tags: self.tags.clone(),
            sku: None,
            properties: Interface {
                primary: true,
                delete_option: "Delete",
                ip_configurations: vec![Named { name: "cml".to_owned(), properties: ip }],
            },
        };
        let key = SshKey { path: format!("/home/{ADMIN}/.ssh/authorized_keys"), key_data: KEY };
        VirtualMachine {
            location: azure.region.clone(),
            tags: self.tags.clone(),
            // One request stands for all zones.
            placement: size.has_zones.then_some(Placement { zone_placement_policy: "Any" }),
            identity: identity.body(),
            properties: MachineProperties {
                hardware_profile: HardwareProfile { vm_size: size.name.clone() },
                storage_profile: StorageProfile {
                    image_reference: image.reference.clone(),
                    os_disk: OsDisk {
                        name: name.to_owned(),
                        create_option: "FromImage",
                        delete_option: "Delete",
                        disk_size_gb: self.plan.disk(),
                        managed_disk: ManagedDisk { storage_account_type: "StandardSSD_LRS" },
                    },
                },
                os_profile: OsProfile {
                    computer_name: name.to_owned(),
                    admin_username: ADMIN,
                    custom_data: self.custom_data.clone(),
                    linux_configuration: LinuxConfiguration {
                        disable_password_authentication: true,
                        ssh: Ssh { public_keys: vec![key] },
                    },
                },
                network_profile: NetworkProfile {
                    network_api_version: INTERFACE_VERSION,
                    network_interface_configurations: vec![interface],
                },
                security_profile: image.security(size),
                priority: if is_spot { "Spot" } else { "Regular" },
                eviction_policy: is_spot.then_some("Delete"),
                // -1 is the market price.
                billing_profile: is_spot.then(|| BillingProfile { max_price: request.spot_price.unwrap_or(-1.0) }),
                diagnostics_profile: DiagnosticsProfile { boot_diagnostics: BootDiagnostics { enabled: true } },
            },
        }
    }
}
