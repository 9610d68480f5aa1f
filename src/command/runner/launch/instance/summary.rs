//! The plan and the summary of an instance, for people and scripts.

use super::{Instance, InstanceRequest, Launching, PlanSummary, Registration};
use crate::log::sanitize;
use serde_json::{Value, json};

/// Renders a plan, one line per property.
pub fn render_plan(plan: &PlanSummary) -> String {
    let width = plan.lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    plan.lines.iter().map(|(name, value)| format!("{name:width$}  {}\n", sanitize::one_line(value))).collect()
}

/// Renders an instance as `i-0123 (m7i.2xlarge, eu-west-1b, spot)`.
pub fn render_instance(instance: &Instance) -> String {
    let what = [Some(instance.instance_type.as_str()), instance.zone.as_deref(), instance.spot.then_some("spot")];
    let what: Vec<&str> = what.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    format!("{} ({})", instance.id, what.join(", "))
}

impl Launching<'_> {
    /// Returns the JSON line that CML ends with; `id` is the runner's name there, too.
    pub(super) fn line(
        &self,
        region: &str,
        request: &InstanceRequest,
        registration: &Registration,
        instance: &Instance,
    ) -> Value {
        let args = self.args;
        let aws = &request.options.aws;
        let launched = instance.launched.and_then(|time| chrono::DateTime::from_timestamp(time, 0));
        let metadata: serde_json::Map<String, Value> =
            request.user_labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let mut line = json!({
            "awsSecurityGroup": aws.security_group().unwrap_or_default(),
            "awsSubnetId": aws.subnets().join(","),
            "cloud": args.cloud.location.name(),
            "cmlVersion": env!("CARGO_PKG_VERSION"),
            "deadline": request.labels.deadline,
            "driver": self.connected.driver.name,
            "id": registration.name,
            "idleTimeout": args.idle_timeout.0.map_or(0, |idle| idle.as_secs()),
            "image": request.image,
            "instanceGpu": request.gpu.clone().unwrap_or_default(),
            "instanceHddSize": request.disk,
            "instanceId": instance.id,
            "instanceIp": instance.address,
            "instanceLaunchTime": launched.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
            "instancePermissionSet": request.identity.clone().unwrap_or_default(),
            "instanceType": instance.instance_type,
            "labels": self.labels.join(","),
            "metadata": metadata,
            "name": args.name.clone().unwrap_or_else(|| registration.name.clone()),
            "region": args.cloud.location.cloud_region.clone().unwrap_or_else(|| region.to_owned()),
            "repo": self.connected.repository.url(),
            "runnerId": registration.id,
            "single": self.single,
            "spot": instance.spot,
            "spotPrice": request.spot_price.unwrap_or(-1.0),
        });
        if let Some(fields) = line.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        line
    }
}
