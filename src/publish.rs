//! The files that a report shows, put where its readers can see them, and the report with their new addresses.
//!
//! Only what the report shows (images, video, audio) and really is that, judged by content, is published by
//! itself. A linked file is published when it is of a harmless type, or when `--publish-links` asks for it, and only if
//! it is in the repository of the working copy and git does not ignore it. Nothing outside of the working copy, and nothing of git's own folder, ever:
//! symbolic links are resolved first. The same content is published once.

use crate::app::App;
use crate::digest::hash;
use crate::error::{Error, Kind, Result};
use crate::files::{self, LARGEST_FILE};
use crate::forge::assets::{Asset, Content};
use crate::forge::{Forge, Repository, repository_not_visible};
use crate::messages;
use crate::report;
use crate::report::source::{self, Source};
use bytes::Bytes;
use collect::Used;
use std::collections::HashMap;
use std::path::Path;

pub mod bucket;
mod collect;
mod media;
mod server;

/// Where the files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere: addresses stay as they are.
    Nowhere,
    /// The forge, with the repository's visibility.
    Forge,
    /// A server that takes a `POST` of the bytes and answers with their address, as CML's does.
    Server(url::Url),
    /// A bucket: `s3://bucket/prefix`, `gs://…` or `az://…`; with signed addresses for so many hours.
    Bucket(url::Url, Option<u32>),
}

impl Destination {
    /// Returns the place that `--publish-url`, `--publish-native` and `--publish-signed` ask for together.
    pub fn choose(url: Option<&url::Url>, native: bool, signed: Option<u32>) -> Result<Self> {
        let bucket = url.is_some_and(|url| matches!(url.scheme(), "s3" | "gs" | "az"));
        if signed.is_some() && !bucket {
            return Err(Error::usage("--publish-signed requires a bucket")
                .hint("pass --publish-url s3://bucket/prefix, gs://… or az://…"));
        }
        match url {
            None => Ok(Destination::Forge),
            Some(_) if native => Ok(Destination::Forge),
            Some(url) if matches!(url.scheme(), "http" | "https") => Ok(Destination::Server(url.clone())),
            Some(url) if bucket => Ok(Destination::Bucket(url.clone(), signed)),
            Some(url) => Err(Error::usage(format!("--publish-url does not support {}://", url.scheme()))
                .hint("use https://…, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")),
        }
    }
}

/// How to publish.
pub struct Publish<'a> {
    /// The surroundings.
    pub app: &'a App,
    /// The forge.
    pub forge: &'a dyn Forge,
    /// Its repository.
    pub repository: &'a Repository,
    /// Where to.
    pub destination: Destination,
    /// Also linked files of any type.
    pub links: bool,
    /// A file that is missing or cannot be published is an error.
    pub strict: bool,
}

/// A report as it is shown, and what was published for it.
#[derive(Debug)]
pub struct Published {
    /// The report's text.
    pub text: String,
    /// How many different files it shows by now.
    pub files: usize,
    /// Whether all of them are images.
    only_images: bool,
}

impl Published {
    /// Returns how many files it shows, for people.
    pub fn count(&self) -> String {
        messages::count(self.files, if self.only_images { "image" } else { "file" })
    }
}

impl Publish<'_> {
    /// Publishes the files of a report. `before` are comments with an earlier version of it: what they show already is not
    /// sent again.
    pub async fn report(&self, sources: &[Source], before: &[&str]) -> Result<Published> {
        let unchanged = || Published {
            text: source::joined(sources.iter().map(|source| source.text.as_str())),
            files: 0,
            only_images: false,
        };
        if self.destination == Destination::Nowhere {
            return Ok(unchanged());
        }
        let (assets, uses) = self.collect(sources).await?;
        if assets.is_empty() {
            return Ok(unchanged());
        }
        let uploaded = self.upload(&assets, before).await;
        self.app.log.clear_progress();
        let addresses = match uploaded {
            Ok(addresses) => addresses,
            // The forge is where files go unasked; a place that the user names must take them.
            Err(error) if error.kind() == Kind::Auth && self.destination == Destination::Forge && !self.strict => {
                let hint = error.hint_text().unwrap_or("see docs/comments.md for other ways to publish");
                self.app.log.warn_with_hint(&format!("cannot publish the images: {error}"), hint);
                return Ok(unchanged());
            }
            Err(error) => return Err(error.context("cannot publish the images")),
        };
        let rewrite = |(source, uses): (&Source, Vec<Used>)| {
            let address = |used: Used| (used.range, format!("{}{}", addresses[used.asset], used.fragment));
            report::rewrite(&source.text, &uses.into_iter().map(address).collect::<Vec<_>>())
        };
        let texts: Vec<String> = sources.iter().zip(uses).map(rewrite).collect();
        let only_images = assets.iter().all(|asset| asset.mime.starts_with("image/"));
        let text = source::joined(texts.iter().map(String::as_str));
        Ok(Published { text, files: assets.len(), only_images })
    }

    /// Publishes the report itself, for a comment that had to be cut. `before` as for [`Publish::report`].
    pub async fn whole_text(&self, text: &str, before: &[&str]) -> Result<String> {
        let kind = media::Kind { mime: "text/markdown; charset=utf-8", extension: "md" };
        let asset = asset("report.md", kind, text.as_bytes().to_vec().into());
        let addresses = self.upload(&[asset], before).await?;
        addresses.into_iter().next().ok_or_else(|| Error::internal("an upload without an address"))
    }

    /// Publishes files that the user names, each on its own. Returns their addresses, for use anywhere.
    pub async fn files(&self, assets: &[Asset]) -> Result<Vec<String>> {
        let addresses = self.upload(assets, &[]).await?;
        Ok(match self.destination {
            Destination::Forge => {
                addresses.iter().map(|address| self.forge.assets().address_outside(address)).collect()
            }
            _ => addresses,
        })
    }

    async fn upload(&self, assets: &[Asset], before: &[&str]) -> Result<Vec<String>> {
        let total = assets.len();
        let log = &self.app.log;
        for asset in assets.iter().filter(|asset| !media::is_media(&asset.mime)) {
            log.check(&asset.name, asset.read()?)?;
        }
        let progress = |done: usize| log.progress(&format!("publishing {done} of {total} files"));
        match &self.destination {
            Destination::Nowhere => Ok(Vec::new()),
            Destination::Forge => {
                let shown = shown_before(before);
                // Not one with a bucket's signature, which ends.
                let known = |asset: &Asset| {
                    let name = asset.unique_name();
                    shown.get(&name)?.iter().find(|address| self.forge.assets().is_asset(address, &name)).cloned()
                };
                let mut addresses: Vec<Option<String>> = assets.iter().map(known).collect();
                let new: Vec<Asset> = assets
                    .iter()
                    .zip(&addresses)
                    .filter(|(_, a)| a.is_none())
                    .map(|(asset, _)| asset.clone())
                    .collect();
                let sent = if new.is_empty() {
                    Vec::new()
                } else {
                    match self.forge.assets().upload(&new, &progress).await {
                        Err(error) if error.kind() == Kind::NotFound => {
                            let unseen = self.forge.can_see_repository().await.is_ok_and(|seen| !seen);
                            return Err(if unseen { repository_not_visible(self.repository) } else { error });
                        }
                        sent => sent?,
                    }
                };
                let mut sent = sent.into_iter();
                for address in addresses.iter_mut().filter(|address| address.is_none()) {
                    *address = sent.next();
                }
                Ok(addresses.into_iter().flatten().collect())
            }
            Destination::Server(url) => server::upload(self.app, url, assets, &progress).await,
            Destination::Bucket(url, hours) => bucket::upload(self.app, url, *hours, assets, &progress).await,
        }
    }
}

/// Returns the addresses that earlier versions of the comment have, by what may be the name of a file in them. That
/// of a published file is its hash.
fn shown_before(before: &[&str]) -> HashMap<String, Vec<String>> {
    let mut shown: HashMap<String, Vec<String>> = HashMap::new();
    for body in before {
        for reference in report::references(body) {
            let address = reference.address.split('#').next().unwrap_or_default();
            let parts = address.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
            for name in parts.filter(|part| part.len() > 32 && part.contains('.')) {
                shown.entry(name.to_owned()).or_default().push(address.to_owned());
            }
        }
    }
    shown
}

fn asset(name: &str, kind: media::Kind, bytes: Bytes) -> Asset {
    let (mime, extension) = (kind.mime.into(), kind.extension.into());
    Asset { hash: hash(&bytes), name: name.to_owned(), mime, extension, content: Content::Here(bytes) }
}

/// Returns a file that the user names. Its type is that of its content, else that of its name, unless `mime` says
/// otherwise; its address ends as its name does.
pub fn prepare_asset(name: &str, mime: Option<&str>, bytes: Bytes) -> Result<Asset> {
    if bytes.len() as u64 > LARGEST_FILE {
        let (size, most) = (bytes.len() >> 20, LARGEST_FILE >> 20);
        return Err(Error::too_large(format!("{name} has {size} MB and was not published: the limit is {most} MB"))
            .hint("publish a smaller file, or keep it in a bucket and link to it"));
    }
    let mut made = asset(name, media::detect(name, &bytes), bytes);
    if let Some(mime) = mime {
        made.mime = mime.to_owned().into();
    }
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let sound = |ending: &String| (1..=10).contains(&ending.len()) && ending.bytes().all(|b| b.is_ascii_alphanumeric());
    if let Some(ending) = ending.filter(sound) {
        made.extension = ending.into();
    }
    Ok(made)
}

/// Returns an error for a file that is given as the report and is something else.
pub fn not_a_report(path: &Path, bytes: &[u8]) -> Option<Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (noun, is_shown) = media::noun(&name, bytes)?;
    if files::is_stdin(path) {
        return Some(
            Error::config(format!("standard input is {noun}, not a Markdown report"))
                .hint("publish it with cml asset publish - --md"),
        );
    }
    let address = path.display().to_string();
    let address = if address.contains([' ', '(', ')']) { format!("<{address}>") } else { address };
    let hint = if is_shown {
        format!("add it to a report with ![]({address})")
    } else {
        format!("link to it from a report with [{name}]({address})")
    };
    Some(Error::config(format!("{} is {noun}, not a Markdown report", path.display())).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_comment_shows_already_is_found() {
        let name = format!("{}.png", "0".repeat(32));
        let address = format!("https://h/o/r/raw/abc/{name}");
        let body = format!("text\n\n![a]({address}#gh-dark-mode-only) {}.png", "1".repeat(32));
        let signed = format!("![a](https://bucket/{name}?X-Amz-Expires=3600)");
        let shown = shown_before(&["no", &body, &signed]);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!(shown[&name], [address, format!("https://bucket/{name}?X-Amz-Expires=3600")]);
    }
}
