//! What becomes of the images that a report shows: options of every command that takes a report.

use super::place::Place;
use crate::error::Result;
use crate::publish::Destination;
use clap::ArgAction::Set;
use clap::Args;

/// Where images go.
#[derive(Debug, Args)]
pub struct Images {
    /// Publish the images that the report shows; =false leaves their addresses as they are
    #[arg(long, action = Set, default_value_t = true, help_heading = "Publishing")]
    pub publish: bool,
    /// Where to.
    #[command(flatten)]
    pub place: Place,
    /// Publish linked files of any type too, except what git ignores
    #[arg(long, action = Set, default_value_t = false, help_heading = "Publishing")]
    pub publish_links: bool,
    /// Fail when a file that the report shows is missing or cannot be published
    #[arg(long, action = Set, default_value_t = false, help_heading = "Publishing")]
    pub strict: bool,
}

impl Images {
    /// Where the files go; fails where options do not fit together.
    pub fn destination(&self) -> Result<Destination> {
        let place = self.place.destination(false)?;
        Ok(if self.publish { place } else { Destination::Nowhere })
    }
}
