//! On the instance: the notice that Azure takes a spot machine back, half a minute in advance:
//! <https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events>.

use crate::app::App;
use crate::auth::azure::metadata;
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// How often Microsoft recommends to poll.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the first answer may take: the first request turns the service on.
const FIRST_TIMEOUT: Duration = Duration::from_secs(150);
const TIMEOUT: Duration = Duration::from_secs(10);
const EVENTS: &str = "scheduledevents?api-version=2020-07-01";
const NAME: &str = "instance/compute/name?api-version=2021-02-01&format=text";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Events {
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    event_type: String,
    #[serde(default)]
    resources: Vec<String>,
}

/// Waits until Azure announces that it takes this instance back; never returns on one that is not a spot machine.
pub fn wait_for_interruption(app: &App) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        let name = read(app, NAME, TIMEOUT).await;
        let name = name.map(|name| String::from_utf8_lossy(&name).trim().to_owned());
        let mut timeout = FIRST_TIMEOUT;
        loop {
            if let Some(events) = read(app, EVENTS, timeout).await {
                timeout = TIMEOUT;
                if is_noticed(&events, name.as_deref()) {
                    return;
                }
            }
            app.host.sleep(POLL_INTERVAL).await;
        }
    })
}

async fn read(app: &App, path: &str, timeout: Duration) -> Option<bytes::Bytes> {
    metadata::get(app, path, timeout).await.filter(|(status, _)| *status == StatusCode::OK).map(|(_, body)| body)
}

/// Returns whether one of the events takes this machine back. Others restart or move it.
fn is_noticed(body: &[u8], name: Option<&str>) -> bool {
    let Ok(Events { events }) = serde_json::from_slice(body) else { return false };
    let is_ours = |event: &Event| name.is_none_or(|name| event.resources.iter().any(|one| one == name));
    events.iter().any(|event| event.event_type == "Preempt" && is_ours(event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_preemption_of_this_machine_counts() {
        let events = |kind: &str, resource: &str| {
            json!({"DocumentIncarnation": 2, "Events": [{"EventId": "1", "EventType": kind, "ResourceType": "VirtualMachine",
                "Resources": [resource], "EventStatus": "Scheduled", "NotBefore": ""}]})
            .to_string()
        };
        let noticed = |text: &str, name| is_noticed(text.as_bytes(), name);
        assert!(noticed(&events("Preempt", "vm"), Some("vm")));
        assert!(noticed(&events("Preempt", "vm"), None));
        assert!(!noticed(&events("Preempt", "other"), Some("vm")));
        assert!(!noticed(&events("Reboot", "vm"), Some("vm")));
        assert!(!noticed("{\"DocumentIncarnation\": 1, \"Events\": []}", Some("vm")) && !noticed("", None));
    }
}
