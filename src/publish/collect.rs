//! The files that a report names: which of them are published, and why the others are not.

use super::{Publish, asset, media};
use crate::digest::hash;
use crate::error::{Error, Kind, Result};
use crate::files::{self, Files, LARGEST_FILE, Refusal};
use crate::forge::assets::{Asset, Content};
use crate::git::{self, Standing};
use crate::messages;
use crate::report::source::Source;
use crate::report::{self, Reference, Use, mistakes};
use base64::Engine;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// So many files, and so many bytes of them, are published for a report at most.
const MAX_FILES: usize = 1000;
const MAX_BYTES: u64 = 1 << 30;
/// So many files that cannot be published are named.
const MAX_WARNINGS: usize = 20;

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
pub(super) struct Used {
    pub(super) range: Range<usize>,
    /// The number of the file.
    pub(super) asset: usize,
    /// What its address ends with, such as `#page=2`.
    pub(super) fragment: String,
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
    /// Returns the different files that a report uses, and where each source uses them.
    pub(super) async fn collect(&self, sources: &[Source]) -> Result<(Vec<Asset>, Vec<Vec<Used>>)> {
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
