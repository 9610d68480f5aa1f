//! Where a verb puts its report: standard output, a file, or a comment.

use super::find::missing_json;
use super::links;
use super::selection::{Missing, Nothing, Selection};
use crate::app::App;
use crate::clearml::Client;
use crate::command::comment::{self, WrittenReport};
use crate::command::publish_args::{PublishArgs, write_output};
use crate::connect::Global;
use crate::error::Result;
use crate::forge::TargetSpec;
use clap::ArgAction::Set;
use clap::Args;
use std::path::PathBuf;

/// Options for the output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Publish the report as a comment, and update it with the next run
    #[arg(long = "publish", action = Set, default_value_t = false)]
    pub publish: bool,
    /// With --publish, own one section of a comment that several jobs share, such as those of a matrix
    #[arg(long, value_name = "NAME", requires = "publish")]
    pub section: Option<String>,
    /// With --publish, where to comment: auto, pr, pr/42, commit, commit/<sha>, issue, issue/1337
    #[arg(long, value_name = "TARGET", default_value = "auto")]
    pub target: TargetSpec,
    /// Append the output to this file instead of printing it
    #[arg(long, short, value_name = "FILE", conflicts_with = "publish")]
    pub file: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "publish", action = Set, default_value_t = false)]
    pub json: bool,
    /// Where to publish pictures.
    #[command(flatten)]
    pub publish_args: PublishArgs,
}

impl Output {
    /// Prints the report, appends it to the file, or makes it a comment. `kind` tells the comments of verbs apart.
    pub async fn hand_out(
        &self,
        app: &App,
        global: &Global,
        selection: &Selection,
        kind: &str,
        text: String,
    ) -> Result<()> {
        if !self.publish {
            return write_output(app, self.file.as_ref(), &text);
        }
        let place = [&selection.project, &selection.name].map(|text| text.as_deref().unwrap_or_default());
        let title = if self.section.is_some() { String::new() } else { format!("{kind}{}", place.join(" ")) };
        let report = WrittenReport {
            text,
            target: self.target.clone(),
            section: self.section.clone(),
            title: format!("ClearML {title}").trim().to_owned(),
            only_update: false,
            publish_args: self.publish_args.clone(),
        };
        comment::publish(app, global, report).await
    }

    /// Says that there is no task: in the comment too, as people read that first.
    pub async fn report_nothing(
        &self,
        app: &App,
        global: &Global,
        client: &Client,
        selection: &Selection,
        kind: &str,
        nothing: &Nothing,
    ) -> Result<()> {
        let is_neutral = selection.missing == Missing::Neutral;
        if self.json {
            app.print_result(&missing_json(nothing))?;
        } else if self.publish || is_neutral {
            let text = format!("### ClearML\n\n{}", nothing.markdown(&links(client).await?));
            self.hand_out(app, global, selection, kind, text).await?;
        }
        if is_neutral { Ok(()) } else { Err(nothing.error()) }
    }
}
