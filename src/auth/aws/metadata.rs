//! The instance metadata service, version 2 only:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>.

use crate::app::App;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use std::time::Duration;

/// How long the service, which is on the same host, may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Lists the role of the instance profile.
pub const ROLES: &str = "meta-data/iam/security-credentials/";

/// A session with the metadata service of this host.
pub struct Session<'a> {
    app: &'a App,
    token: String,
}

impl<'a> Session<'a> {
    /// Opens a session; `None` when there is no such service.
    pub async fn open(app: &'a App) -> Option<Self> {
        let lifetime = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
        match send(app, Method::PUT, "api/token", lifetime).await? {
            (StatusCode::OK, token) => Some(Session { app, token }),
            _ => None,
        }
    }

    /// Returns the status and text of a path below `latest`; `None` when there is no answer.
    pub async fn get(&self, path: &str) -> Option<(StatusCode, String)> {
        send(self.app, Method::GET, path, ("x-aws-ec2-metadata-token", &self.token)).await
    }

    /// Returns the text of a path below `latest`, if it exists.
    pub async fn read(&self, path: &str) -> Option<String> {
        self.get(path).await.filter(|(status, _)| *status == StatusCode::OK).map(|(_, text)| text)
    }
}

async fn send(app: &App, method: Method, path: &str, header: (&str, &str)) -> Option<(StatusCode, String)> {
    let base = app.env().named("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
    let address = format!("{}/latest/{path}", base.trim_end_matches('/'));
    let request = Request::builder().method(method).uri(address).header(header.0, header.1);
    let answer = app.host.send(request.body(Bytes::new()).ok()?, TIMEOUT).await.ok()?;
    Some((answer.status(), String::from_utf8_lossy(answer.body()).trim().to_owned()))
}
