//! Options of every command that reads a report: what to do with its images.

use super::publish_args::PublishArgs;
use crate::app::App;
use crate::connect::Connected;
use crate::error::Result;
use crate::publish::{Destination, Publish};
use clap::ArgAction::Set;
use clap::Args;

/// What to do with the images of a report.
#[derive(Debug, Args)]
pub struct Images {
    /// Publish the images that the report shows; =false leaves their addresses unchanged
    #[arg(long, action = Set, default_value_t = true, help_heading = "Publishing")]
    pub publish: bool,
    /// Where to publish them.
    #[command(flatten)]
    pub publish_args: PublishArgs,
    /// Also publish linked files of any type, except those that git ignores
    #[arg(long, action = Set, default_value_t = false, help_heading = "Publishing")]
    pub publish_links: bool,
    /// Fail when a file that the report shows is missing or cannot be published
    #[arg(long, action = Set, default_value_t = false, help_heading = "Publishing")]
    pub strict: bool,
}

impl Images {
    /// Returns a publisher of the files that a report shows, as the options ask for it.
    pub fn publish<'a>(&self, app: &'a App, connected: &'a Connected, destination: &Destination) -> Publish<'a> {
        Publish { links: self.publish_links, strict: self.strict, ..connected.publish(app, destination) }
    }

    /// Returns where the files are published. Fails if options conflict.
    pub fn destination(&self) -> Result<Destination> {
        let destination = self.publish_args.destination(false)?;
        Ok(if self.publish { destination } else { Destination::Nowhere })
    }
}
