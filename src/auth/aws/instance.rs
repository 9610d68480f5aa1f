//! The role of an instance:
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>, version 2 only.

use super::metadata::{ROLES, Session};
use super::{Keys, Temporary};
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::error::Result;
use async_trait::async_trait;

/// The instance profile of this host, unless `AWS_EC2_METADATA_DISABLED` is set.
pub struct InstanceProfile;

#[async_trait(?Send)]
impl Source<Keys> for InstanceProfile {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Keys>>> {
        let env = app.env();
        if env.named("AWS_EC2_METADATA_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let Some(session) = Session::open(app).await else { return Ok(None) };
        let Some(role) = session.read(ROLES).await else { return Ok(None) };
        let role = role.lines().next().unwrap_or_default().to_owned();
        let text = session.read(&format!("{}{role}", ROLES)).await;
        let found = text.and_then(|text| serde_json::from_str::<Temporary>(&text).ok());
        Ok(found.map(|keys| keys.keys("the instance profile")))
    }
}
