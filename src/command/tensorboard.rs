//! `cml tensorboard connect`: the curves and images of training logs, as Markdown.
//!
//! CML connected to tensorboard.dev, which is gone. This reads the event files itself.

use super::publish_args::{PublishArgs, write_output};
use super::publisher::Publisher;
use crate::app::App;
use crate::connect::Global;
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::publish;
use crate::tensorboard::folder::Folder;
use crate::tensorboard::report::{Heading, Picture, Report, make};
use clap::ArgAction::Set;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

mod watch;

/// Draw TensorBoard logs
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draw TensorBoard's logs as charts, and print them as Markdown with a table
    Connect(Box<Logs>),
}

/// Options of `cml tensorboard connect`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
#[command(after_help = "Examples:\n  \
    # Add the charts of a training to a report\n  cml tensorboard connect --logdir logs >> report.md\n\n  \
    # Keep them up to date during the training\n  \
    cml tensorboard connect --logdir logs --watch --file report.md &")]
pub struct Logs {
    /// Folder with TensorBoard's logs; each subfolder with event files is a run
    #[arg(long, value_name = "FOLDER", required = true)]
    pub logdir: PathBuf,
    /// Name of the experiment; the default of --title
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Title
    #[arg(long, short, value_name = "TITLE")]
    pub title: Option<String>,
    /// Paragraph below the title, in Markdown
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Use a logarithmic axis for charts whose values are all positive
    #[arg(long, action = Set, default_value_t = false)]
    pub log_scale: bool,
    /// Append the output to this file instead of printing it
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub file: Option<PathBuf>,
    /// Keep a section of --file up to date until the job ends
    #[arg(long, requires = "file", help_heading = "Output", action = Set, default_value_t = false)]
    pub watch: bool,
    /// Where to publish.
    #[command(flatten)]
    pub publish_args: PublishArgs,
    /// Has no effect; the output is always Markdown
    #[arg(long, hide = true, action = Set, default_value_t = true)]
    pub md: bool,
    /// Has no effect; there is no account to connect to
    #[arg(long, short, hide = true, value_name = "JSON")]
    pub credentials: Option<Secret>,
    /// Has no effect; addresses have no watermark
    #[arg(long, hide = true, action = Set, default_value_t = false)]
    pub rm_watermark: bool,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Connect(args) = command;
    args.warn_of_credentials(app);
    if args.watch {
        return watch::watch(app, global, args).await;
    }
    let folder = open_logs(app, &args.logdir)?;
    let text = publish_pictures(app, global, &args.publish_args, &args.report(&folder)).await?;
    write_output(app, args.file.as_ref(), &text)
}

/// Returns the Markdown of the logs in a folder, without a title. Their charts are published.
pub async fn draw(app: &App, global: &Global, logdir: &Path, publish_args: &PublishArgs) -> Result<String> {
    let folder = open_logs(app, logdir)?;
    publish_pictures(app, global, publish_args, &make(&Heading::default(), folder.runs(), false)).await
}

/// Reads the logs in a folder, which has some. Logs that cannot be read must not cost a request.
fn open_logs(app: &App, logdir: &Path) -> Result<Folder> {
    let mut folder = Folder::new(logdir);
    read(app, logdir, &mut folder)?;
    if folder.runs().next().is_none() {
        return Err(Error::not_found(format!("no event files in {}", logdir.display()))
            .hint("check --logdir: names of TensorBoard's event files contain tfevents"));
    }
    Ok(folder)
}

async fn publish_pictures(app: &App, global: &Global, publish_args: &PublishArgs, report: &Report) -> Result<String> {
    let store = publish_args.open(app, global, false).await;
    let store = store.map_err(|error| error.context("cannot publish the charts"))?;
    publish_report(&mut Publisher::new(app, &store), report).await
}

/// Reads what is new in the logs. Returns whether anything is.
fn read(app: &App, logdir: &Path, folder: &mut Folder) -> Result<bool> {
    let seen = folder.read(&*app.host, &app.files()?).map_err(|e| {
        Error::config(format!("cannot read the logs in {} ({e})", logdir.display()))
            .hint("check --logdir: it must be a folder, relative to the current directory")
    })?;
    seen.warnings.iter().for_each(|warning| app.log.warn(warning));
    Ok(seen.changed)
}

impl Logs {
    fn warn_of_credentials(&self, app: &App) {
        let from_env = app.env().get(crate::env::vars::TB_CREDENTIALS).map(Secret::new);
        let given = self.credentials.clone().or(from_env);
        if let Some(secret) = given {
            app.log.hide(crate::env::vars::TB_CREDENTIALS.name, &secret);
            app.log.warn(
                "--credentials and TB_CREDENTIALS have no effect: tensorboard.dev was shut down, and the logs are read locally",
            );
        }
    }

    fn report(&self, folder: &Folder) -> Report {
        let title = self.title.as_deref().or(self.name.as_deref());
        make(&Heading { title, description: self.description.as_deref() }, folder.runs(), self.log_scale)
    }
}

/// Publishes the pictures of a report and returns its Markdown.
async fn publish_report(publisher: &mut Publisher<'_>, report: &Report) -> Result<String> {
    let asset = |picture: &Picture| publish::prepare_asset(&picture.file, None, picture.bytes.clone().into());
    let assets = report.pictures.iter().map(asset).collect::<Result<Vec<_>>>()?;
    Ok(report.markdown(&publisher.publish(&assets, "the charts").await?))
}
