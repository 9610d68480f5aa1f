//! The files that a report shows, put where its readers can see them, and the report with their new addresses.
//!
//! Only what the report shows (images, video, audio) and really is that, judged by content, is published by
//! itself. A linked file is published when it is of a harmless type, or when `--publish-links` asks for it, and only if
//! it is in the repository of the working copy and git does not ignore it. Nothing outside of the working copy, and nothing of git's own folder, ever:
//! symbolic links are resolved first. The same content is published once.

use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::forge::{Asset, Content, Forge, Repository, hash, not_seen};
use crate::git::{self, Standing};
use crate::report::{self, Reference, Use};
use base64::Engine;
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

mod bucket;
mod media;
mod server;

/// Larger files are not published: GitHub takes blobs, and GitLab uploads, of up to 100 MB.
/// <https://docs.github.com/en/rest/git/blobs>, <https://docs.gitlab.com/user/gitlab_com/#account-and-limit-settings>
const LARGEST: u64 = 100 << 20;

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
    /// The place that `--publish-url`, `--publish-native` and `--publish-signed` ask for together.
    pub fn choose(url: Option<&url::Url>, native: bool, signed: Option<u32>) -> Result<Self> {
        let bucket = url.is_some_and(|url| matches!(url.scheme(), "s3" | "gs" | "az"));
        if signed.is_some() && !bucket {
            return Err(Error::usage("--publish-signed signs the addresses of a bucket, and none is given")
                .hint("give --publish-url s3://bucket/prefix, gs://… or az://…"));
        }
        match url {
            None => Ok(Destination::Forge),
            Some(_) if native => Ok(Destination::Forge),
            Some(url) if matches!(url.scheme(), "http" | "https") => Ok(Destination::Server(url.clone())),
            Some(url) if bucket => Ok(Destination::Bucket(url.clone(), signed)),
            Some(url) => Err(Error::usage(format!("--publish-url does not take {}://", url.scheme()))
                .hint("it takes https://…, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")),
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
}

impl Publish<'_> {
    /// Publishes the files of a report that lies at `path`. `before` are comments with an earlier version of
    /// it: what they show already is not sent again.
    pub async fn report(&self, path: &Path, text: &str, before: &[&str]) -> Result<Published> {
        if self.destination == Destination::Nowhere {
            return Ok(Published { text: text.to_owned(), files: 0 });
        }
        let (assets, uses) = self.collect(path, text).await?;
        if assets.is_empty() {
            return Ok(Published { text: text.to_owned(), files: 0 });
        }
        let uploaded = self.upload(&assets, before).await;
        self.app.log.clear_progress();
        let addresses = match uploaded {
            Ok(addresses) => addresses,
            // The forge is where files go unasked; a place that the user names must take them.
            Err(error) if error.kind() == Kind::Auth && self.destination == Destination::Forge && !self.strict => {
                let hint = error.hint_text().unwrap_or("see docs/comments.md for other places");
                self.app.log.warn_with_hint(&format!("the images are not published: {error}"), hint);
                return Ok(Published { text: text.to_owned(), files: 0 });
            }
            Err(error) => return Err(error.context("cannot publish the images")),
        };
        let replacements: Vec<_> =
            uses.into_iter().map(|(range, asset, rest)| (range, format!("{}{rest}", addresses[asset]))).collect();
        Ok(Published { text: report::rewrite(text, &replacements), files: assets.len() })
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
            Destination::Forge => addresses.iter().map(|address| self.forge.asset_address(address)).collect(),
            _ => addresses,
        })
    }

    /// The different files that a report uses, and where: range, file, and the fragment to keep.
    async fn collect(&self, path: &Path, text: &str) -> Result<(Vec<Asset>, Vec<(Range<usize>, usize, String)>)> {
        let root = self.app.working_copy()?;
        let mut assets: Vec<Asset> = Vec::new();
        let mut by_hash: HashMap<String, usize> = HashMap::new();
        let mut uses = Vec::new();
        let mut troubles = 0;
        for reference in report::references(text) {
            match self.take(path, &root, &reference).await {
                Ok(None) => {}
                Ok(Some(asset)) => {
                    let index = *by_hash.entry(asset.hash.clone()).or_insert_with(|| {
                        assets.push(asset);
                        assets.len() - 1
                    });
                    let rest =
                        if report::is_local(&reference.address) { report::fragment(&reference.address) } else { "" };
                    uses.push((reference.range.clone(), index, rest.to_owned()));
                }
                Err(trouble) => {
                    troubles += 1;
                    self.app.log.warn_at(path, reference.line(text), &trouble.to_string());
                }
            }
        }
        if self.strict && troubles > 0 {
            let message = format!("{} shows {troubles} file(s) that cannot be published", path.display());
            return Err(Error::new(Kind::NotFound, message).hint("see the warnings above, or leave --strict out"));
        }
        Ok((assets, uses))
    }

    /// The file that an address means, if it is to be published. An error is a trouble for the user's eyes.
    async fn take(&self, report: &Path, root: &Path, reference: &Reference) -> Result<Option<Asset>, String> {
        let address = &reference.address;
        if address.starts_with("data:image/") {
            return data_uri(address).map(Some);
        }
        if !report::is_local(address) {
            return Ok(None);
        }
        // What is shown and not published is a trouble; a link may lead anywhere.
        let refuse = |why: String| match reference.used {
            Use::Shown => Err(format!("{address} {why}")),
            Use::Linked => Ok(None),
        };
        let Some(path) = self.find(report, address) else {
            return refuse("is shown but does not exist".to_owned());
        };
        let unreadable = |e: std::io::Error| format!("{address} cannot be read ({e})");
        let real = self.app.host.canonicalize(&path).map_err(unreadable)?;
        let inside = real
            .strip_prefix(root)
            .ok()
            .filter(|path| !path.iter().any(|part| git::is_git_name(&part.to_string_lossy())));
        let Some(inside) = inside else {
            return refuse("lies outside of the working copy and is not published".to_owned());
        };
        let size = self.app.host.stat(&real).map_err(unreadable)?.len;
        if size > LARGEST {
            return refuse(format!("has {} MB: files of more than {} MB are not published", size >> 20, LARGEST >> 20));
        }
        let bytes = self.app.host.read(&real).map_err(unreadable)?;
        let name = inside.file_name().unwrap_or_default().to_string_lossy();
        let known = media::sniff(&bytes);
        let kind = match (reference.used, known) {
            (Use::Shown, Some(kind)) if kind.is_shown() => kind,
            (Use::Shown, Some(kind)) => {
                return refuse(format!("is {}, which cannot be shown: not published", kind.mime));
            }
            (Use::Shown, None) => return refuse("is not an image, video or audio file: not published".to_owned()),
            (Use::Linked, _) => {
                let harmless = known.filter(media::Kind::is_harmless).or_else(|| media::by_name(&name));
                let Some(kind) = harmless.or(self.links.then_some(known.unwrap_or(media::BYTES))) else {
                    self.app.log.debug(&format!("the linked file {name} is not published (--publish-links does)"));
                    return Ok(None);
                };
                if let Some(why) = self.stays_private(&real, address).await? {
                    self.app.log.debug(&format!("the linked file {name} is not published: {why}"));
                    return Ok(None);
                }
                kind
            }
        };
        let content = Content::File(self.app.host.clone(), real.clone());
        Ok(Some(Asset { content, ..asset(&name, kind, bytes.into()) }))
    }

    fn find(&self, report: &Path, address: &str) -> Option<PathBuf> {
        let folder = report.parent().unwrap_or(Path::new(""));
        let candidates = report::file_names(address).into_iter().map(|name| folder.join(name));
        candidates.into_iter().find(|path| self.app.host.stat(path).is_ok_and(|stat| stat.is_file))
    }

    /// Why a linked file is not for others, if so. An error where git does not say, as where there is no git.
    async fn stays_private(&self, path: &Path, address: &str) -> Result<Option<&'static str>, String> {
        match git::standing(self.app, path).await {
            Ok(Standing::Kept) => Ok(None),
            Ok(Standing::Ignored) => Ok(Some("git ignores it")),
            Ok(Standing::Elsewhere) => Ok(Some("it is not in the repository of the working copy")),
            Err(why) => Err(format!("git cannot tell whether it ignores {address}, which is not published ({why})")),
        }
    }

    async fn upload(&self, assets: &[Asset], before: &[&str]) -> Result<Vec<String>> {
        let total = assets.len();
        let log = &self.app.log;
        let progress = |done: usize| log.progress(&format!("publishing {done} of {total} files"));
        match &self.destination {
            Destination::Nowhere => Ok(Vec::new()),
            Destination::Forge => {
                let mut addresses: Vec<Option<String>> = assets
                    .iter()
                    .map(|asset| shown_before(before, &asset.unique_name(), |a, n| self.forge.is_asset(a, n)))
                    .collect();
                let new: Vec<Asset> = assets
                    .iter()
                    .zip(&addresses)
                    .filter(|(_, a)| a.is_none())
                    .map(|(asset, _)| asset.clone())
                    .collect();
                let sent = match new.is_empty() {
                    true => Vec::new(),
                    false => match self.forge.upload_assets(&new, &progress).await {
                        Err(error) if error.kind() == Kind::NotFound => {
                            let unseen = self.forge.can_see_repository().await.is_ok_and(|seen| !seen);
                            return Err(if unseen { not_seen(self.repository) } else { error });
                        }
                        sent => sent?,
                    },
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

/// The address under which an earlier version of the comment shows a file with this name, which is its hash.
fn shown_before(before: &[&str], name: &str, is_asset: impl Fn(&str, &str) -> bool) -> Option<String> {
    let with_name = before.iter().filter(|body| body.contains(name));
    with_name.flat_map(|body| report::references(body)).find_map(|found| {
        let address = &found.address[..found.address.find('#').unwrap_or(found.address.len())];
        is_asset(address, name).then(|| address.to_owned())
    })
}

fn asset(name: &str, kind: media::Kind, bytes: Bytes) -> Asset {
    let (mime, extension) = (kind.mime.into(), kind.extension.into());
    Asset { hash: hash(&bytes), name: name.to_owned(), mime, extension, content: Content::Here(bytes) }
}

/// A file that the user names. Its type is that of its content, else that of its name, unless `mime` says otherwise;
/// its address ends as its name does.
pub fn named(name: &str, mime: Option<&str>, bytes: Bytes) -> Result<Asset> {
    if bytes.len() as u64 > LARGEST {
        let (size, most) = (bytes.len() >> 20, LARGEST >> 20);
        return Err(Error::too_large(format!("{name} has {size} MB: files of more than {most} MB are not published"))
            .hint("publish a smaller file, or keep it in a bucket and link to it"));
    }
    let mut made = asset(name, media::of(name, &bytes), bytes);
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

/// The picture inside of a `data:image/…` address (<https://www.rfc-editor.org/rfc/rfc2397>).
fn data_uri(address: &str) -> Result<Asset, String> {
    let wrong = || "the data: address cannot be decoded".to_owned();
    let (head, data) = address.split_once(',').ok_or_else(wrong)?;
    let data: Vec<u8> = percent_encoding::percent_decode_str(data).collect();
    let bytes = match head.ends_with(";base64") {
        true => {
            let data: Vec<u8> = data.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
            base64::engine::general_purpose::GeneralPurpose::new(
                &base64::alphabet::STANDARD,
                base64::engine::GeneralPurposeConfig::new()
                    .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
            )
            .decode(data)
            .map_err(|_| wrong())?
        }
        false => data,
    };
    let kind = media::sniff(&bytes).filter(media::Kind::is_shown).ok_or("the data: address is not an image")?;
    Ok(asset(&format!("image.{}", kind.extension), kind, bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_addresses_are_decoded() {
        let png = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg";
        let found = data_uri(png).unwrap();
        assert_eq!((&*found.mime, &*found.extension, found.read().unwrap().len()), ("image/png", "png", 70));
        let svg = data_uri("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E").unwrap();
        assert_eq!(svg.mime, "image/svg+xml");
        for wrong in ["data:image/png", "data:image/png;base64,!!", "data:image/png,text"] {
            assert!(data_uri(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_comment_shows_already_is_found() {
        let body = "text\n\n![a](https://h/o/r/raw/abc/0123.png#gh-dark-mode-only) 4567.png";
        let shown = |before: &[&str], name| shown_before(before, name, |address, name| address.ends_with(name));
        assert_eq!(shown(&["no", body], "0123.png").unwrap(), "https://h/o/r/raw/abc/0123.png");
        assert_eq!(shown(&[body], "4567.png"), None);
        assert_eq!(shown(&["![a](https://bucket/0123.png?X-Amz-Expires=3600)"], "0123.png"), None);
    }
}
