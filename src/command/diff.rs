//! `cml metrics diff` and `cml params diff`: two versions of the same files, side by side.

use super::publish_args::write_output;
use crate::app::App;
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::git::Git;
use crate::metrics::Value;
use crate::metrics::compare::{FileChanges, Rules, compare};
use crate::metrics::history::Record;
use crate::metrics::source::Row;
use crate::metrics::table::{self, Layout, PRECISION, Subject};
use crate::report::escape::escape;
use base::Base;
pub use base::default_branch;
use clap::ArgAction::Set;
use clap::{Args, ValueEnum};
use gather::Selection;
use project::Project;
use records::LazyHistory;
use snapshot::{Snapshot, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub mod base;
pub mod cached;
pub mod gather;
pub mod plots;
pub mod project;
pub mod records;
mod remote;
pub mod snapshot;

/// What the working copy is called, as DVC does.
pub const WORKSPACE: &str = "workspace";

/// Endings of files, by which the name of one that is missing is told from a revision.
const ENDINGS: [&str; 8] = [".json", ".yaml", ".yml", ".toml", ".csv", ".tsv", ".txt", ".py"];

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Markdown with significant digits
    Md,
    /// Markdown as DVC prints it
    Dvc,
    /// JSON as DVC prints it
    Json,
}

/// Options of `cml metrics diff` and `cml params diff`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comparison")]
pub struct DiffArgs {
    /// Files or glob patterns to compare [default: what dvc.yaml declares]; a revision or two as DVC takes them
    #[arg(id = "files", value_name = "FILE")]
    pub names: Vec<String>,
    /// Revision or file to compare with; auto for the commit that the branch started from; last, max:METRIC, min:METRIC or tag:TAG for
    /// what `cml metrics record` has recorded; artifact:NAME for what the last successful run of the base branch has kept
    #[arg(long, value_name = "REVISION", default_value = "auto")]
    pub base: String,
    /// Revision to compare [default: the files of the working copy]
    #[arg(long, value_name = "REVISION")]
    pub head: Option<String>,
    /// Files to compare, as DVC takes them
    #[arg(long, value_name = "FILE", num_args = 1.., hide = true)]
    pub targets: Vec<String>,
    /// Row of CSV and TSV files that counts: last, max:COLUMN or min:COLUMN
    #[arg(long, value_name = "ROW", default_value_t = Row::Last)]
    pub row: Row,
    /// Show what did not change too
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub all: bool,
    /// Leave out the names of the files
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub no_path: bool,
    /// Form of the output
    #[arg(long, help_heading = "Output", value_name = "FORMAT", value_enum, default_value_t = Format::Md)]
    pub format: Format,
    /// Append the output to this file instead of printing it
    #[arg(long, short, help_heading = "Output", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Has no effect; the output is Markdown unless --format says otherwise
    #[arg(long, alias = "show-md", hide = true, action = Set, default_value_t = false)]
    pub md: bool,
    /// The same as --format json
    #[arg(long, alias = "show-json", hide = true, action = Set, default_value_t = false)]
    pub json: bool,
}

/// What differs between metrics and parameters.
pub struct Kind {
    /// What is compared.
    pub subject: Subject,
    /// Digits of numbers.
    pub precision: Option<usize>,
    /// Whether only parameters count that stages depend on.
    pub dependencies_only: bool,
}

/// What the arguments name.
struct Named {
    base: Option<String>,
    head: Option<String>,
    files: Vec<String>,
}

/// Returns which of the arguments are revisions: those at the beginning that are not the name of a file, or known otherwise, two at the
/// most. `given` are the options --base and --head.
fn named(
    app: &App,
    names: &[String],
    (base, head): (&str, Option<&String>),
    targets: &[String],
    known: &[String],
) -> Result<Named> {
    let ends = |name: &str| ENDINGS.iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
    let is_file = |name: &String| {
        ends(name)
            || name.contains(['*', '?', '[', '{'])
            || known.contains(name)
            || app.host.stat(Path::new(name)).is_ok()
    };
    let revisions: Vec<String> = names.iter().take(2).take_while(|name| !is_file(name)).cloned().collect();
    let files = names[revisions.len()..].iter().chain(targets).cloned().collect();
    let given = (base != "auto").then(|| base.to_owned());
    let mut revisions = revisions.into_iter();
    let (first, second) = (revisions.next(), revisions.next());
    if (first.is_some() && given.is_some()) || (second.is_some() && head.is_some()) {
        return Err(Error::usage("a revision is given twice: as an argument and with --base or --head")
            .hint("to compare a file that does not exist, name it with --targets"));
    }
    Ok(Named { base: given.or(first), head: head.cloned().or(second), files })
}

/// Returns the newer version: a revision, or the working copy.
async fn head_version(app: &App, global: &Global, git: &Git<'_>, head: Option<&String>) -> Result<Version> {
    Ok(match head {
        None => Version::Workspace,
        Some(revision) if revision == WORKSPACE => Version::Workspace,
        Some(revision) => Version::Commit(base::resolve(app, global, git, revision).await?),
    })
}

/// Compares, and prints the result.
pub async fn run(app: &App, global: &Global, args: &DiffArgs, kind: &Kind) -> Result<()> {
    let project = Project::find(app)?;
    let git = Git::new(app).trusting(global.ca_cert.as_deref())?;
    let named = args.named(app)?;
    let selection = Selection {
        subject: kind.subject,
        targets: (!named.files.is_empty()).then(|| project.targets(app, &named.files)).transpose()?,
        dependencies_only: kind.dependencies_only,
        row: &args.row,
    };
    let head = head_version(app, global, &git, named.head.as_ref()).await?;
    let new = Snapshot::open(app, &git, &project, head.clone()).await?;
    let new_values = gather::gather(&new, &selection, true).await;
    git.expect(new.seen());
    let mut base = base::find(app, global, &git, named.base.as_deref(), &head, &LazyHistory::default()).await?;
    let new_values = new_values?;
    let old_values = match &mut base {
        Base::Commit(commit) => {
            let old = Snapshot::open(app, &git, &project, Version::Commit(commit.clone())).await?.expecting(&new);
            let values = gather::gather(&old, &selection, false).await?;
            commit.commit.time = old.time().await?;
            values
        }
        Base::File(path) => of_file(app, path, &new_values, args, kind.subject)?,
        Base::Record(name, _) if kind.subject == Subject::Params => {
            return Err(Error::usage(format!("--base {name}: the history has metrics only"))
                .hint("name a commit, a branch or a tag"));
        }
        Base::Record(_, record) => of_record(record, &project, &selection, &new_values),
        Base::Artifact(kept) => {
            let patterns = selection.targets.iter().flat_map(|targets| &targets.patterns);
            let counts = |path: &str| {
                new_values.contains_key(path) || patterns.clone().any(|pattern| fast_glob::glob_match(pattern, path))
            };
            let place = kept.described();
            let parse = |(path, bytes): (String, Vec<u8>)| {
                let value = gather::parse(&path, &bytes, &args.row, kind.subject, &place)?;
                Ok((path, value))
            };
            kept.files(&project, new.seen(), counts)?.into_iter().map(parse).collect::<Result<_>>()?
        }
    };
    let rules = if args.format() == Format::Md { Rules::Whole } else { Rules::Dvc };
    let changes = compare_files(&old_values, &new_values, &project, rules, args.all)?;
    let text = args.render(app, &changes, kind, &base, new.title());
    write_output(app, args.file.as_ref(), &text)
}

impl DiffArgs {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }

    fn named(&self, app: &App) -> Result<Named> {
        named(app, &self.names, (&self.base, self.head.as_ref()), &self.targets, &[])
    }

    fn render(&self, app: &App, changes: &[FileChanges], kind: &Kind, base: &Base, new: &str) -> String {
        let is_ours = self.format() == Format::Md;
        let old = if is_ours { escape(&base.title(app.host.now().as_secs())) } else { base.name().to_owned() };
        let new = if is_ours { escape(new) } else { new.to_owned() };
        let layout = Layout {
            subject: kind.subject,
            old: Some(&old),
            new: &new,
            has_paths: !self.no_path,
            precision: kind.precision.unwrap_or(PRECISION),
        };
        match self.format() {
            Format::Json => table::json(changes),
            Format::Dvc => table::dvc(changes, &layout),
            Format::Md if changes.iter().all(|file| file.changes.is_empty()) => {
                let what = if kind.subject == Subject::Metrics { "metric" } else { "parameter" };
                format!("No {what} changed between {old} and {new}.\n")
            }
            Format::Md => table::markdown(changes, &layout),
        }
    }
}

/// Returns the recorded values of the files that are compared.
fn of_record(
    record: &Record,
    project: &Project,
    selection: &Selection<'_>,
    new: &BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    let inside =
        |(path, value): (&String, &Value)| Some((path.strip_prefix(&project.prefix)?.to_owned(), value.clone()));
    let files = record.metrics.iter().filter_map(inside);
    files.filter(|(path, _)| selection.targets.is_none() || new.contains_key(path)).collect()
}

/// Returns the base's values from a file, for the only file that there is.
fn of_file(
    app: &App,
    path: &Path,
    new: &BTreeMap<String, Value>,
    args: &DiffArgs,
    subject: Subject,
) -> Result<BTreeMap<String, Value>> {
    let [(name, _)] = new.iter().collect::<Vec<_>>()[..] else {
        return Err(Error::usage(format!(
            "--base {} is a file, but {} files are compared with it",
            path.display(),
            new.len()
        ))
        .hint("name one file to compare, or a revision as the base"));
    };
    let bytes = app.files()?.named(path).and_then(|file| file.read(snapshot::LARGEST));
    let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read {}", path.display()), path))?;
    let value = gather::parse(&path.to_string_lossy(), &bytes, &args.row, subject, "--base")?;
    Ok([(name.clone(), value)].into())
}

/// Compares the files of two versions. Paths of the result are relative to the current directory.
pub fn compare_files(
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
    project: &Project,
    rules: Rules,
    all: bool,
) -> Result<Vec<FileChanges>> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let one = |path: &String| {
        let changes = compare(old.get(path), new.get(path), rules, all).map_err(|name| {
            Error::config(format!("two values of {path} are named {name}"))
                .hint("rename one: keys are joined by dots, so a key a.b and a key b in a are the same")
        })?;
        Ok(FileChanges { path: project.shown(path), changes })
    };
    paths.into_iter().map(one).collect()
}
