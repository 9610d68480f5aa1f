//! Which zones have a machine type, and what the type is.

use super::sizes::Machine;
use super::{Gcp, with_query};
use crate::cloud::sizes::Arch;
use crate::error::{Error, Result};
use futures_util::future::try_join;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A machine type with the zones that have it.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The type.
    pub machine: Machine,
    /// Whether it has GPUs, attached or built in: it cannot move to another host then.
    pub gpu: bool,
    /// Its zones, in the order in which they are tried.
    pub zones: Vec<String>,
    arch: Arch,
}

/// The offers, which all have one architecture.
#[derive(Debug, Clone)]
pub struct Offers {
    /// Their architecture.
    pub arch: Arch,
    /// Whether they have GPUs.
    pub gpu: bool,
    /// The offers, in the order of preference.
    pub offers: Vec<Offer>,
}

/// Returns a filter for names: <https://google.aip.dev/160>.
fn named(names: &BTreeSet<&str>) -> String {
    names.iter().map(|name| format!("(name = \"{name}\")")).collect::<Vec<_>>().join(" OR ")
}

impl Gcp {
    /// Looks up where machine types, and the GPUs that are attached to them, are offered.
    pub(super) async fn offers(&self, wanted: Vec<Machine>) -> Result<Offers> {
        let types: BTreeSet<&str> = wanted.iter().map(|machine| machine.name.as_str()).collect();
        let kinds = wanted.iter().filter_map(|machine| Some(machine.accelerator.as_ref()?.0.as_str()));
        let kinds: BTreeSet<&str> = kinds.collect();
        let accelerators = async {
            if kinds.is_empty() { Ok(Vec::new()) } else { self.aggregated("acceleratorTypes", &named(&kinds)).await }
        };
        let (types, accelerators) = try_join(self.aggregated("machineTypes", &named(&types)), accelerators).await?;
        let mut with_kind: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (zone, kind) in &accelerators {
            with_kind.entry(kind["name"].as_str().unwrap_or_default()).or_default().insert(zone);
        }
        let mut offers = Vec::new();
        for machine in wanted {
            let same: Vec<&(String, Value)> = types.iter().filter(|(_, one)| one["name"] == machine.name).collect();
            let has_gpu = |zone: &str| {
                let kind = machine.accelerator.as_ref().map(|(kind, _)| kind.as_str());
                kind.is_none_or(|kind| with_kind.get(kind).is_some_and(|zones| zones.contains(zone)))
            };
            let zones = same.iter().map(|(zone, _)| zone.clone());
            let mut zones: Vec<String> = zones.filter(|zone| self.region.allows(zone) && has_gpu(zone)).collect();
            self.region.sort(&mut zones);
            let is = |test: fn(&Value) -> bool| same.iter().any(|(_, one)| test(one));
            let built_in = is(|one| one["accelerators"].as_array().is_some_and(|all| !all.is_empty()));
            let arch = if is(|one| one["architecture"] == "ARM64") { Arch::Arm64 } else { Arch::X86_64 };
            if !zones.is_empty() {
                offers.push(Offer { gpu: machine.accelerator.is_some() || built_in, machine, zones, arch });
            } else {
                let place = self.region.zone.as_ref().unwrap_or(&self.region.name);
                self.app.log.debug(&format!("{place} has no {machine}"));
            }
        }
        self.all_alike(offers)
    }

    fn all_alike(&self, offers: Vec<Offer>) -> Result<Offers> {
        let place = self.region.zone.as_ref().unwrap_or(&self.region.name);
        let Some(first) = offers.first() else {
            return Err(Error::not_found(format!("{place} has none of these machine types")).hint(
                "choose another --cloud-region or --cloud-type: gcloud compute machine-types list shows what is where",
            ));
        };
        let (arch, gpu) = (first.arch, first.gpu);
        if offers.iter().any(|offer| offer.arch != arch || offer.gpu != gpu) {
            return Err(Error::usage(
                "--cloud-type mixes machine types with and without GPUs, or of two architectures",
            )
            .hint("give types of one kind: the image depends on it"));
        }
        Ok(Offers { arch, gpu, offers })
    }

    /// Lists the objects of a kind in all zones, each with its zone.
    pub(super) async fn aggregated(&self, kind: &str, filter: &str) -> Result<Vec<(String, Value)>> {
        let url = self.url(&["projects", self.project().await?, "aggregated", kind])?;
        let (mut found, mut next) = (Vec::new(), String::new());
        loop {
            let mut query = vec![("filter", filter), ("maxResults", "500")];
            if !next.is_empty() {
                query.push(("pageToken", next.as_str()));
            }
            let page = self.rest.send(&crate::cloud::rest::Call::get(with_query(url.clone(), &query))).await?.body;
            for (scope, part) in page["items"].as_object().into_iter().flatten() {
                let Some(zone) = scope.strip_prefix("zones/") else { continue };
                let objects = part[kind].as_array().into_iter().flatten();
                found.extend(objects.map(|object| (zone.to_owned(), object.clone())));
            }
            next = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                return Ok(found);
            }
        }
    }
}
