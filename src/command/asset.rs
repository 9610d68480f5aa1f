//! `cml asset publish`: one file, put where the repository's readers can see it, and its address.

use super::publish_args::{PublishArgs, write_output};
use crate::app::App;
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::files::{self, LARGEST_FILE, Refusal};
use crate::forge::assets::Asset;
use crate::outputs;
use crate::publish;
use clap::ArgAction::Set;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Publish files
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish a file and print its address
    Publish(Box<Files>),
}

/// Options of `cml asset publish`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
#[command(after_help = "Examples:\n  \
    # Add a plot to a report\n  cml asset publish plot.png --md >> report.md\n\n  \
    # Publish standard input, with a title\n  \
    python plot.py | cml asset publish - --md --title 'Confusion' --file report.md\n\n  \
    # Publish to a bucket, with a URL that is valid for a day\n  \
    cml asset publish model.onnx --publish-url s3://models/run --publish-signed 24")]
pub struct Files {
    /// File to publish; - for standard input
    #[arg(value_name = "FILE")]
    pub asset: PathBuf,

    /// Print Markdown instead of an address
    #[arg(long, action = Set, default_value_t = false)]
    pub md: bool,
    /// Title
    #[arg(long, short, value_name = "TITLE")]
    pub title: Option<String>,
    /// Append the output to this file instead of printing it
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// MIME type of the file [default: detected from its content]
    #[arg(long, value_name = "TYPE", value_parser = mime_type)]
    pub mime_type: Option<String>,
    /// Where to publish.
    #[command(flatten)]
    pub publish_args: PublishArgs,
    /// Old form of --publish-native
    #[arg(long, hide = true, action = Set, default_value_t = false)]
    pub gitlab_uploads: bool,
    /// Has no effect; addresses have no watermark
    #[arg(long, hide = true, action = Set, default_value_t = false)]
    pub rm_watermark: bool,
}

/// `type/subtype`, with parameters or without: <https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1>.
fn mime_type(text: &str) -> Result<String, String> {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some((class, name)) if word(class) && word(name) && text.bytes().all(|b| matches!(b, 32..=126)) => {
            Ok(text.to_owned())
        }
        _ => Err("expected a MIME type such as image/png".to_owned()),
    }
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Publish(args) = command;
    if args.gitlab_uploads {
        app.log.warn("--gitlab-uploads is deprecated, please use --publish-native");
    }
    // A file that cannot be read must not cost a request.
    let asset = args.read(app)?;
    let store = args.publish_args.open(app, global, args.gitlab_uploads).await?;
    let published = store.publish(app).files(std::slice::from_ref(&asset)).await;
    let addresses = published.map_err(|error| error.context(format!("cannot publish {}", asset.name)))?;
    let address = addresses.into_iter().next().ok_or_else(|| Error::internal("an upload without an address"))?;
    let address = app.log.line(&address);
    let given = write_output(app, args.file.as_ref(), &format!("{}\n", args.show(&asset, &address)));
    let set = outputs::set(app, &[("asset-url", &address)]);
    given.and(set)
}

impl Files {
    fn read(&self, app: &App) -> Result<Asset> {
        let (name, shown) = if files::is_stdin(&self.asset) {
            ("standard input".into(), "standard input".to_owned())
        } else {
            (self.asset.file_name().unwrap_or_default().to_string_lossy(), self.asset.display().to_string())
        };
        let bytes = app.files()?.named(&self.asset).and_then(|file| file.read(LARGEST_FILE));
        let bytes = bytes.map_err(|refusal| {
            let is_path = matches!(refusal, Refusal::Unreadable(_) | Refusal::Directory);
            let error = refusal.error(format!("cannot read {shown}"), &self.asset);
            let hint = "check the path: it is relative to the current directory, and - is standard input";
            if is_path { error.hint(hint) } else { error }
        })?;
        if bytes.is_empty() {
            return Err(Error::config(format!("{name} is empty")).hint("publish it once it has been written"));
        }
        publish::prepare_asset(&name, self.mime_type.as_deref(), bytes.into())
    }

    /// Returns the address, or Markdown that shows or links it as CML's does.
    fn show(&self, asset: &Asset, address: &str) -> String {
        if !self.md {
            return address.to_owned();
        }
        let title = self.title.as_deref().unwrap_or_default();
        let shown = ["image/", "video/"].iter().any(|class| asset.mime.starts_with(class));
        match (shown, title) {
            (true, "") => format!("![]({address})"),
            (true, title) => format!("![]({address} \"{}\")", escape(title, &['"', '\\'])),
            (false, title) => {
                let text = if title.is_empty() { &asset.name } else { title };
                format!("[{}]({address})", escape(text, &['[', ']', '\\', '`', '*', '_', '<']))
            }
        }
    }
}

/// Returns a text on one line in which some characters mean nothing to Markdown.
fn escape(text: &str, special: &[char]) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(if c.is_control() { ' ' } else { c });
        escaped
    })
}
