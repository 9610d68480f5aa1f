//! On the machine: EC2 tells two minutes before it takes a spot machine back.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>

use crate::app::App;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{Method, Request};
use std::time::Duration;

/// Amazon advises to look so often.
const LOOK: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);
const NOTICE: &str = "/latest/meta-data/spot/instance-action";

/// Resolves when there is a notice; never on a machine that is not a spot one.
pub fn taken_back(app: &App) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        while !is_noticed(app).await {
            app.host.sleep(LOOK).await;
        }
    })
}

/// A session each time, as the service asks for: two small requests that do not leave the machine.
async fn is_noticed(app: &App) -> bool {
    let base = app.env().named("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
    let base = base.trim_end_matches('/');
    let send = async |method: Method, path: &str, header: (&str, &str)| {
        let request = Request::builder().method(method).uri(format!("{base}{path}")).header(header.0, header.1);
        let answer = app.host.send(request.body(Bytes::new()).ok()?, PATIENCE).await.ok()?;
        answer.status().is_success().then(|| String::from_utf8_lossy(answer.body()).into_owned())
    };
    let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
    let Some(token) = send(Method::PUT, "/latest/api/token", lifetime).await else { return false };
    send(Method::GET, NOTICE, ("x-aws-ec2-metadata-token", &token)).await.is_some()
}
