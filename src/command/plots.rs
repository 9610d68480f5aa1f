//! `cml plots`: what a change does to the plots.

use super::diff::plots::{self, Plot, Request, collect};
use super::publish_args::{PublishArgs, write_output};
use super::publisher::Publisher;
use crate::app::App;
use crate::connect::Global;
use crate::dvc::plots::{Axis, Props};
use crate::error::Result;
use crate::forge::assets::Asset;
use crate::publish::prepare_asset;
use crate::report::escape::escape;
use clap::ArgAction::Set;
use clap::{Args, Subcommand};
use std::fmt::Write;
use std::path::PathBuf;

/// Draw plots of two commits
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draw the plots that dvc.yaml declares, with those of another commit, and print them as Markdown
    Diff(Box<Diff>),
}

/// Options of `cml plots diff`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comparison")]
#[command(after_help = "Examples:\n  \
    # Draw all plots, with those of the commit that the branch started from, and comment\n  \
    cml plots diff | cml comment update -\n\n  \
    # Draw two fields of a file, with those of main\n  cml plots diff main logs.csv -x step -y loss -y val_loss\n\n  \
    # Draw one plot of dvc.yaml with another template\n  cml plots diff roc --template simple")]
pub struct Diff {
    /// Files, glob patterns or names of plots to draw [default: what dvc.yaml declares]; a revision or two as DVC takes them
    #[arg(id = "files", value_name = "PLOT")]
    pub names: Vec<String>,
    /// Revision to compare with; auto for the commit that the branch started from
    #[arg(long, value_name = "REVISION", default_value = "auto")]
    pub base: String,
    /// Revision to compare [default: the files of the working copy]
    #[arg(long, value_name = "REVISION")]
    pub head: Option<String>,
    /// Plots to draw, as DVC takes them
    #[arg(long, value_name = "PLOT", num_args = 1.., hide = true)]
    pub targets: Vec<String>,
    /// Template: linear, simple, smooth, scatter, scatter_jitter, confusion, confusion_normalized, bar_horizontal or bar_horizontal_sorted
    /// [default: what dvc.yaml says, or linear]
    #[arg(long, short, value_name = "NAME", help_heading = "Plots")]
    pub template: Option<String>,
    /// Field for x [default: what dvc.yaml says, or the number of the row]
    #[arg(long, short = 'x', alias = "x", value_name = "FIELD", help_heading = "Plots")]
    pub x_field: Option<String>,
    /// Field for y; may be given several times [default: what dvc.yaml says, or the last field]
    #[arg(long, short = 'y', alias = "y", value_name = "FIELD", help_heading = "Plots")]
    pub y_field: Vec<String>,
    /// Label of the axis of x
    #[arg(long, value_name = "TEXT", help_heading = "Plots")]
    pub x_label: Option<String>,
    /// Label of the axis of y
    #[arg(long, value_name = "TEXT", help_heading = "Plots")]
    pub y_label: Option<String>,
    /// Title [default: what dvc.yaml says, or the path]
    #[arg(long, value_name = "TITLE", help_heading = "Plots")]
    pub title: Option<String>,
    /// Read CSV and TSV files without a line of names; the fields are 0, 1, …
    #[arg(long, help_heading = "Plots", action = Set, default_value_t = false)]
    pub no_header: bool,
    /// Append the output to this file instead of printing it
    #[arg(long, short, help_heading = "Output", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Has no effect; the output is always Markdown
    #[arg(long, hide = true, action = Set, default_value_t = true)]
    pub md: bool,
    /// Where to publish.
    #[command(flatten)]
    pub publish_args: PublishArgs,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Diff(args) = command;
    // What cannot be drawn must not cost a request.
    let plots = collect(app, global, &args.request()).await?;
    let text = publish(app, global, &plots, &args.publish_args).await?;
    write_output(app, args.file.as_ref(), &text)
}

/// Draws plots, publishes them and returns their Markdown.
pub async fn publish(app: &App, global: &Global, plots: &[Plot], publish_args: &PublishArgs) -> Result<String> {
    let pictures = plots.iter().map(pictures).collect::<Result<Vec<_>>>()?;
    let store = publish_args.open(app, global, false).await;
    let store = store.map_err(|error| error.context("cannot publish the plots"))?;
    let addresses = Publisher::new(app, &store).publish(&pictures.concat(), "the plots").await?;
    Ok(markdown(plots, &addresses))
}

impl Diff {
    fn request(&self) -> Request {
        let fields = |fields: Vec<String>| if fields.is_empty() { Axis::Inferred } else { Axis::Fields(fields) };
        Request {
            names: self.names.clone(),
            targets: self.targets.clone(),
            base: self.base.clone(),
            head: self.head.clone(),
            overrides: Props {
                x: fields(self.x_field.iter().cloned().collect()),
                y: fields(self.y_field.clone()),
                x_label: self.x_label.clone(),
                y_label: self.y_label.clone(),
                title: self.title.clone(),
                template: self.template.clone(),
                no_header: self.no_header,
            },
        }
    }
}

/// Returns the files of a plot: a chart is one.
fn pictures(plot: &Plot) -> Result<Vec<Asset>> {
    match plot {
        Plot::Chart(chart) => {
            let svg = plots::draw(chart).into_bytes();
            Ok(vec![prepare_asset(&file_name(&chart.title), None, svg.into())?])
        }
        Plot::Pictures { title, versions } => {
            let name = title.rsplit('/').next().unwrap_or(title);
            let asset = |(_, bytes): &(String, Vec<u8>)| prepare_asset(name, None, bytes.clone().into());
            versions.iter().map(asset).collect()
        }
    }
}

/// Returns the Markdown of plots, with the addresses of their [`pictures`] in their order: an image for a chart, a table with the versions
/// side by side for pictures.
fn markdown(plots: &[Plot], addresses: &[String]) -> String {
    let (mut out, mut addresses) = (String::new(), addresses.iter());
    for plot in plots {
        let title = escape(plot.title());
        let mut image = |name: &str| format!("![{name}]({})", addresses.next().map_or("", String::as_str));
        if !out.is_empty() {
            out.push('\n');
        }
        match plot {
            Plot::Chart(_) => drop(writeln!(out, "{}", image(&title))),
            Plot::Pictures { versions, .. } => {
                let names: Vec<String> = versions.iter().map(|(name, _)| escape(name)).collect();
                let images: Vec<String> = names.iter().map(|name| image(&format!("{title}, {name}"))).collect();
                let _ = writeln!(
                    out,
                    "{title}\n\n| {} |\n|{}\n| {} |",
                    names.join(" | "),
                    " --- |".repeat(names.len()),
                    images.join(" | ")
                );
            }
        }
    }
    out
}

fn file_name(title: &str) -> String {
    let sound = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    format!("{}.svg", title.chars().take(60).map(sound).collect::<String>())
}
