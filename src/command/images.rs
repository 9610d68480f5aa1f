//! What becomes of the images that a report shows: options of every command that takes a report.

use super::place::Place;
use crate::app::App;
use crate::connect::Connected;
use crate::error::Result;
use crate::publish::{Destination, Publish};
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
    /// Returns a publisher of the files that a report shows, as the options ask for it.
    pub fn publish<'a>(&self, app: &'a App, connected: &'a Connected, destination: &Destination) -> Publish<'a> {
        Publish { links: self.publish_links, strict: self.strict, ..connected.publish(app, destination) }
    }

    /// Where the files go; fails where options do not fit together.
    pub fn destination(&self) -> Result<Destination> {
        let place = self.place.destination(false)?;
        Ok(if self.publish { place } else { Destination::Nowhere })
    }
}
