//! What becomes of the images that a report shows: options of every command that takes a report.

use crate::error::{Error, Result};
use crate::publish::Destination;
use clap::ArgAction::Set;
use clap::Args;
use url::Url;

/// Where images go.
#[derive(Debug, Args)]
pub struct Images {
    /// Publish the images that the report shows; =false leaves their addresses as they are
    #[arg(long, action = Set, default_value_t = true, help_heading = "Images")]
    pub publish: bool,
    /// Publish to a server (https://…) or a bucket (s3://, gs://, az://) instead of the forge
    #[arg(long, value_name = "URL", help_heading = "Images")]
    pub publish_url: Option<Url>,
    /// Publish to the forge, even when --publish-url is set elsewhere
    #[arg(long, alias = "native", action = Set, default_value_t = false, help_heading = "Images")]
    pub publish_native: bool,
    /// On GitHub keep the images in this branch instead of the hidden ref refs/cml/assets
    #[arg(long, value_name = "BRANCH", help_heading = "Images")]
    pub publish_branch: Option<String>,
    /// Sign the addresses of files in a bucket for so many hours (at most 168)
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=168), help_heading = "Images")]
    pub publish_signed: Option<u32>,
    /// Publish linked files of any type too, except what git ignores
    #[arg(long, action = Set, default_value_t = false, help_heading = "Images")]
    pub publish_links: bool,
    /// Fail when a file that the report shows is missing or cannot be published
    #[arg(long, action = Set, default_value_t = false, help_heading = "Images")]
    pub strict: bool,
}

impl Images {
    /// Where the files go; fails where options do not fit together.
    pub fn destination(&self) -> Result<Destination> {
        let bucket = self.publish_url.as_ref().is_some_and(|url| matches!(url.scheme(), "s3" | "gs" | "az"));
        if self.publish_signed.is_some() && !bucket {
            return Err(Error::usage("--publish-signed signs the addresses of a bucket, and none is given")
                .hint("give --publish-url s3://bucket/prefix, gs://… or az://…"));
        }
        Ok(match &self.publish_url {
            _ if !self.publish => Destination::Nowhere,
            Some(_) if self.publish_native => Destination::Forge,
            None => Destination::Forge,
            Some(url) if matches!(url.scheme(), "http" | "https") => Destination::Server(url.clone()),
            Some(url) if bucket => Destination::Bucket(url.clone(), self.publish_signed),
            Some(url) => {
                return Err(Error::usage(format!("--publish-url does not take {}://", url.scheme()))
                    .hint("it takes https://…, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"));
            }
        })
    }
}
