//! The files that a report shows, put where its readers can see them, and the report with their new addresses.
//!
//! Only what the report shows (images, video, audio) and really is that, judged by content, is published by
//! itself. A linked file is published when it is of a harmless type, or when `--publish-links` asks for it, and only if
//! it is in the repository of the working copy and git does not ignore it. Nothing outside of the working copy, and nothing of git's own folder, ever:
//! symbolic links are resolved first. The same content is published once.

use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::files::{self, Files, LARGEST_FILE, Refusal};
use crate::forge::{Asset, Content, Forge, Repository, hash, repository_not_visible};
use crate::git::{self, Standing};
use crate::messages;
use crate::report::source::{self, Source};
use crate::report::{self, Reference, Use, mistakes};
use base64::Engine;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

mod bucket;
mod media;
mod server;

/// So many files, and so many bytes of them, are published for a report at most.
const MAX_FILES: usize = 1000;
const MAX_BYTES: u64 = 1 << 30;
/// So many files that cannot be published are named.
const MAX_WARNINGS: usize = 20;

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

/// Why a file that a report names is not published.
enum Trouble {
    /// It is shown, and readers will miss it.
    Shown(String),
    /// It is only linked; and what the user can do.
    Linked(String, Option<&'static str>),
}

/// How many files cannot be published.
#[derive(Default)]
struct Troubles {
    /// Files that the report shows.
    shown: usize,
    /// Files that it links to.
    linked: usize,
}

/// A place in a source at which a file is used.
struct Used {
    range: Range<usize>,
    /// The number of the file.
    asset: usize,
    /// What its address ends with, such as `#page=2`.
    fragment: String,
}

/// The names in folders, by what they are in lower case.
type Listed = HashMap<PathBuf, HashMap<String, String>>;

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Trouble::Shown(text)
    }
}

/// What a report's files are so far: each is looked up and read once, however many addresses and links lead to it.
#[derive(Default)]
struct Collection {
    assets: Vec<Asset>,
    bytes: u64,
    by_name: HashMap<String, usize>,
    /// What an address turned out to be when it is shown, and when it is linked.
    addresses: HashMap<(String, Use), Option<usize>>,
    /// By their real paths.
    files: HashMap<PathBuf, FileFacts>,
    /// The names in folders that were looked at for the right case.
    listed: Listed,
    /// Hints that were given.
    advice: HashSet<&'static str>,
}

impl Collection {
    /// Adds a file unless the same is there already; returns its place. An error when the report has too many.
    fn add(&mut self, asset: Asset) -> Result<usize, String> {
        let name = asset.unique_name();
        if let Some(place) = self.by_name.get(&name) {
            return Ok(*place);
        }
        let size = match &asset.content {
            Content::Here(bytes) => bytes.len() as u64,
            Content::File(_, path) => self.files.get(path).map_or(0, |facts| facts.size),
        };
        let why = match () {
            () if self.assets.len() >= MAX_FILES => format!("more than {MAX_FILES} files"),
            () if self.bytes + size > MAX_BYTES => format!("more than {} GB of files", MAX_BYTES >> 30),
            () => {
                self.bytes += size;
                self.by_name.insert(name, self.assets.len());
                self.assets.push(asset);
                return Ok(self.assets.len() - 1);
            }
        };
        Err(format!("{} was not published: the report shows {why}", asset.name))
    }
}

/// What was found out of a file when it was read.
struct FileFacts {
    hash: String,
    size: u64,
    /// The type that its content says.
    kind: Option<media::Kind>,
    /// Why git keeps it private, if it does, once that was asked.
    stays_private: Option<Option<&'static str>>,
}

impl FileFacts {
    fn new(bytes: &[u8]) -> Self {
        FileFacts { hash: hash(bytes), size: bytes.len() as u64, kind: media::sniff(bytes), stays_private: None }
    }

    fn asset(&self, name: &str, kind: media::Kind, content: Content) -> Asset {
        let (mime, extension) = (kind.mime.into(), kind.extension.into());
        Asset { hash: self.hash.clone(), name: name.to_owned(), mime, extension, content }
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
            Destination::Forge => addresses.iter().map(|address| self.forge.asset_address(address)).collect(),
            _ => addresses,
        })
    }

    /// Returns the different files that a report uses, and where each source uses them.
    async fn collect(&self, sources: &[Source]) -> Result<(Vec<Asset>, Vec<Vec<Used>>)> {
        let files = Rc::new(self.app.files()?);
        let (mut collection, mut troubles) = (Collection::default(), Troubles::default());
        let shown = match sources {
            [one] => one.path.display().to_string(),
            _ => "the report".to_owned(),
        };
        let (mut uses, mut blanks) = (Vec::new(), 0);
        for source in sources {
            // The same address is another file in another folder.
            collection.addresses.clear();
            uses.push(self.collect_from(source, &files, &mut collection, &mut troubles).await?);
            blanks += self.warn_of_blanks(&source.path, &files, &source.text);
        }
        if troubles.shown > MAX_WARNINGS {
            let more = troubles.shown - MAX_WARNINGS;
            self.app.log.warn(&format!("cannot publish {more} more files that {shown} shows"));
        }
        if troubles.linked > MAX_WARNINGS {
            self.app.log.warn(&format!("{} more linked files were not published", troubles.linked - MAX_WARNINGS));
        }
        let missing = troubles.shown + blanks;
        if self.strict && missing > 0 {
            let message = format!("{shown} shows {} that cannot be published", messages::count(missing, "file"));
            return Err(Error::new(Kind::NotFound, message).hint("see the warnings above, or omit --strict"));
        }
        Ok((collection.assets, uses))
    }

    async fn collect_from(
        &self,
        source: &Source,
        files: &Rc<Files>,
        collection: &mut Collection,
        troubles: &mut Troubles,
    ) -> Result<Vec<Used>> {
        let Source { path, text } = source;
        let mut uses = Vec::new();
        let (mut line, mut counted) = (1, 0);
        for reference in report::references(text) {
            let key = (reference.address, reference.used);
            let found = match collection.addresses.get(&key) {
                Some(found) => *found,
                None => {
                    self.app.http.check_time()?;
                    let reference = Reference { range: reference.range.clone(), address: key.0.clone(), used: key.1 };
                    let taken = self.take(path, files, &reference, collection).await;
                    let found = taken.and_then(|asset| Ok(asset.map(|asset| collection.add(asset)).transpose()?));
                    if let Err(trouble) = &found {
                        line += text.as_bytes()[counted..reference.range.start].iter().filter(|b| **b == b'\n').count();
                        counted = reference.range.start;
                        self.warn_of(trouble, path, line, collection, troubles);
                    }
                    let found = found.unwrap_or_default();
                    collection.addresses.insert(key.clone(), found);
                    found
                }
            };
            if let Some(asset) = found {
                let fragment = if report::is_local(&key.0) { report::fragment(&key.0) } else { "" };
                uses.push(Used { range: reference.range, asset, fragment: fragment.to_owned() });
            }
        }
        Ok(uses)
    }

    fn warn_of(
        &self,
        trouble: &Trouble,
        path: &Path,
        line: usize,
        collection: &mut Collection,
        troubles: &mut Troubles,
    ) {
        match trouble {
            Trouble::Shown(why) => {
                troubles.shown += 1;
                if troubles.shown <= MAX_WARNINGS {
                    self.app.log.warn_at(path, line, why, None);
                }
            }
            Trouble::Linked(why, hint) => {
                troubles.linked += 1;
                if troubles.linked <= MAX_WARNINGS {
                    // The same advice once for all.
                    let hint = hint.filter(|hint| collection.advice.insert(hint));
                    self.app.log.warn_at(path, line, why, hint);
                }
            }
        }
    }

    /// Warns of files whose names have blanks in the report, which Markdown shows as text. Returns how many would be shown.
    fn warn_of_blanks(&self, report: &Path, files: &Files, text: &str) -> usize {
        let mut told = HashSet::new();
        let all = mistakes::addresses_with_blanks(text).into_iter();
        let there = all.filter(|mistake| {
            told.insert(mistake.address.clone()) && self.find(report, files, &mistake.address).is_some()
        });
        let warn = |mistake: mistakes::Mistake| {
            let line = text[..mistake.range.start].matches('\n').count() + 1;
            let why = format!("{} contains a space, which ends an address in Markdown", mistake.address);
            self.app.log.warn_at(report, line, &why, Some(&format!("write {}", mistake.corrected())));
            usize::from(mistake.is_image)
        };
        there.map(warn).sum()
    }

    /// Returns the file that an address means, if it is to be published. An error is a trouble for the user's eyes.
    async fn take(
        &self,
        report: &Path,
        files: &Rc<Files>,
        reference: &Reference,
        collection: &mut Collection,
    ) -> Result<Option<Asset>, Trouble> {
        let address = &reference.address;
        if address.starts_with("data:image/") {
            return Ok(data_uri(address).map(Some)?);
        }
        if address.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:")) {
            let why = format!("{address} is a local file and was not published");
            return Err(match reference.used {
                Use::Shown => Trouble::Shown(format!("{why}; write its path instead")),
                Use::Linked => Trouble::Linked(why, Some("write the path of a file in the working copy instead")),
            });
        }
        if !report::is_local(address) {
            return Ok(None);
        }
        let refuse = |why: String| match reference.used {
            Use::Shown => Err(Trouble::Shown(format!("{address} {why}"))),
            Use::Linked => Err(Trouble::Linked(format!("{address} {why}"), None)),
        };
        let Some(path) = self.find(report, files, address) else {
            return match (self.other_case(report, files, address, &mut collection.listed), reference.used) {
                (Some(name), _) if name != *address => refuse(format!("does not exist; did you mean {name}?")),
                (_, Use::Shown) => refuse("does not exist".to_owned()),
                // A link may lead anywhere.
                (_, Use::Linked) => Ok(None),
            };
        };
        let file = match files.found(&path) {
            Ok(file) => file,
            Err(Refusal::Unreadable(error)) => return Err(format!("{address} cannot be read ({error})").into()),
            Err(_) => return refuse("is outside the working copy and was not published".to_owned()),
        };
        let real = file.real().unwrap_or(&path).to_owned();
        if !collection.files.contains_key(&real) {
            let bytes = match file.read(LARGEST_FILE) {
                Ok(bytes) => bytes,
                Err(Refusal::TooLarge(most)) => {
                    let (size, most) = (file.len() >> 20, most >> 20);
                    return refuse(format!("has {size} MB and was not published: the limit is {most} MB"));
                }
                Err(refusal) => return Err(format!("{address} cannot be read ({refusal})").into()),
            };
            collection.files.insert(real.clone(), FileFacts::new(&bytes));
        }
        let Some(facts) = collection.files.get_mut(&real) else { return Ok(None) };
        let name = real.file_name().unwrap_or_default().to_string_lossy();
        let kind = match (reference.used, facts.kind) {
            (Use::Shown, Some(kind)) if kind.is_shown() => kind,
            (Use::Shown, Some(kind)) => {
                return refuse(format!("is {}, which cannot be shown, and was not published", kind.mime));
            }
            (Use::Shown, None) => {
                return refuse("is not an image, video or audio file and was not published".to_owned());
            }
            (Use::Linked, known) => {
                let harmless = known.filter(media::Kind::is_harmless).or_else(|| media::by_name(&name));
                let Some(kind) = harmless.or(self.links.then_some(known.unwrap_or(media::BYTES))) else {
                    let hint = "--publish-links publishes linked files of any type";
                    return Err(Trouble::Linked(format!("the linked file {address} was not published"), Some(hint)));
                };
                let privacy = match facts.stays_private {
                    Some(privacy) => privacy,
                    None => self.stays_private(&real, address).await?,
                };
                facts.stays_private = Some(privacy);
                if let Some(why) = privacy {
                    let why = format!("the linked file {address} was not published: {why}");
                    return Err(Trouble::Linked(why, None));
                }
                kind
            }
        };
        let content = Content::File(files.clone(), real.clone());
        Ok(Some(facts.asset(&name, kind, content)))
    }

    fn find(&self, report: &Path, files: &Files, address: &str) -> Option<PathBuf> {
        let folder = files::folder_of(report);
        let names = report::file_names(address).into_iter().filter(|name| files.foreign_name(name).is_none());
        names.map(|name| folder.join(name)).find(|path| self.app.host.stat(path).is_ok_and(|stat| stat.is_file))
    }

    /// Returns the name of a file that is the same but for the case of its letters. `listed` keeps what was looked
    /// up.
    fn other_case(&self, report: &Path, files: &Files, address: &str, listed: &mut Listed) -> Option<String> {
        let names = report::file_names(address).into_iter().filter(|name| files.foreign_name(name).is_none());
        names.into_iter().find_map(|name| {
            let (folder, file) = name.rfind('/').map_or(("", &*name), |at| name.split_at(at + 1));
            let path = files::folder_of(report).join(folder);
            let path = if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
            let names = listed.entry(path).or_insert_with_key(|path| {
                let entries =
                    if files.may_search(path) { self.app.host.list(path).unwrap_or_default() } else { Vec::new() };
                let name = |entry: &PathBuf| Some(entry.file_name()?.to_str()?.to_owned());
                entries.iter().filter_map(name).map(|name| (name.to_lowercase(), name)).collect()
            });
            names.get(&file.to_lowercase()).map(|found| format!("{folder}{found}"))
        })
    }

    /// Returns why a linked file is not for others, if so. An error where git does not say, as where there is no git.
    async fn stays_private(&self, path: &Path, address: &str) -> Result<Option<&'static str>, String> {
        match git::standing(self.app, path).await {
            Ok(Standing::Kept) => Ok(None),
            Ok(Standing::Ignored) => Ok(Some("git ignores it")),
            Ok(Standing::Elsewhere) => Ok(Some("it is not in the repository of the working copy")),
            Err(why) => Err(format!("{address} was not published: cannot determine whether git ignores it ({why})")),
        }
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
                    shown.get(&name)?.iter().find(|address| self.forge.is_asset(address, &name)).cloned()
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
                    match self.forge.upload_assets(&new, &progress).await {
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

/// Returns the picture inside of a `data:image/…` address (<https://www.rfc-editor.org/rfc/rfc2397>).
fn data_uri(address: &str) -> Result<Asset, String> {
    let wrong = || "the data: address cannot be decoded".to_owned();
    let (head, data) = address.split_once(',').ok_or_else(wrong)?;
    let data: Vec<u8> = percent_encoding::percent_decode_str(data).collect();
    let bytes = if head.ends_with(";base64") {
        let data: Vec<u8> = data.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
        base64::engine::general_purpose::GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
        )
        .decode(data)
        .map_err(|_| wrong())?
    } else {
        data
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
        let name = format!("{}.png", "0".repeat(32));
        let address = format!("https://h/o/r/raw/abc/{name}");
        let body = format!("text\n\n![a]({address}#gh-dark-mode-only) {}.png", "1".repeat(32));
        let signed = format!("![a](https://bucket/{name}?X-Amz-Expires=3600)");
        let shown = shown_before(&["no", &body, &signed]);
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!(shown[&name], [address, format!("https://bucket/{name}?X-Amz-Expires=3600")]);
    }

    #[test]
    fn a_report_has_so_many_files_at_most() {
        let mut collection = Collection::default();
        let png = media::Kind { mime: "image/png", extension: "png" };
        let of = |n: usize| asset("a.png", png, n.to_le_bytes().to_vec().into());
        for n in 0..MAX_FILES {
            assert_eq!(collection.add(of(n)), Ok(n));
        }
        assert_eq!(collection.add(of(7)), Ok(7), "the same again is the same");
        let refused = collection.add(of(MAX_FILES)).unwrap_err();
        assert_eq!(refused, "a.png was not published: the report shows more than 1000 files");
        let mut collection = Collection { bytes: MAX_BYTES - 1, ..Collection::default() };
        let refused = collection.add(of(1)).unwrap_err();
        assert_eq!(refused, "a.png was not published: the report shows more than 1 GB of files");
    }
}
