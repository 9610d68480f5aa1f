//! A cloud that takes a machine back says so a moment before.

use crate::app::App;
use crate::host::Signal;
use bytes::Bytes;
use http::{Method, Request};
use std::time::Duration;

const LOOK: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

/// Resolves when the cloud takes the machine back; never, where it does not tell.
pub async fn wait(app: &App, cloud: &str) -> Signal {
    if cloud != "aws" {
        return std::future::pending().await;
    }
    loop {
        if aws(app, "spot/instance-action").await {
            app.log.warn("AWS takes this machine back");
            return Signal::Terminate;
        }
        app.host.sleep(LOOK).await;
    }
}

/// Whether the instance's metadata have something:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>. A session each time:
/// two small requests within the machine.
async fn aws(app: &App, path: &str) -> bool {
    let base = app.env().named("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
    let base = base.trim_end_matches('/');
    let send = async |method: Method, path: &str, header: (&str, &str)| {
        let request = Request::builder().method(method).uri(format!("{base}{path}")).header(header.0, header.1);
        let answer = app.host.send(request.body(Bytes::new()).ok()?, PATIENCE).await.ok()?;
        answer.status().is_success().then(|| String::from_utf8_lossy(answer.body()).into_owned())
    };
    let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
    let Some(token) = send(Method::PUT, "/latest/api/token", lifetime).await else { return false };
    let path = format!("/latest/meta-data/{path}");
    send(Method::GET, &path, ("x-aws-ec2-metadata-token", &token)).await.is_some()
}
