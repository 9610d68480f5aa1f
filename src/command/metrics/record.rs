//! `cml metrics record`: keeps the metrics of the default branch's commits.

use crate::app::App;
use crate::ci;
use crate::command::diff::gather::{Selection, gather};
use crate::command::diff::project::Project;
use crate::command::diff::records::History;
use crate::command::diff::snapshot::{Snapshot, Version};
use crate::command::diff::{base, default_branch};
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::git::Git;
use crate::metrics::history;
use crate::metrics::source::Row;
use crate::metrics::table::Subject;
use clap::Args;

/// Options of `cml metrics record`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Record")]
#[command(after_help = "Examples:\n  \
    # Record what dvc.yaml declares, or metrics.json\n  cml metrics record\n\n  \
    # Record runs with several seeds, and keep the newest 500 commits\n  cml metrics record 'seed-*/metrics.json' --keep 500")]
pub struct Record {
    /// Files or glob patterns to record [default: what dvc.yaml declares, else metrics.json]
    #[arg(id = "files", value_name = "FILE")]
    pub files: Vec<String>,
    /// Row of CSV and TSV files that counts: last, max:COLUMN or min:COLUMN
    #[arg(long, value_name = "ROW", default_value_t = Row::Last)]
    pub row: Row,
    /// Keep the records of the newest N commits and remove others [default: keep all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, args: &Record) -> Result<()> {
    let git = Git::new(app).trusting(global.ca_cert.as_deref())?;
    let context = ci::context(ci::detect(app.env()).as_deref(), &*app.host)?;
    let Some(branch) = recorded_branch(app, global, &git, &context).await? else { return Ok(()) };
    let project = Project::find(app)?;
    let selection = Selection {
        subject: Subject::Metrics,
        targets: (!args.files.is_empty()).then(|| project.targets(app, &args.files)).transpose()?,
        dependencies_only: false,
        row: &args.row,
    };
    let snapshot = Snapshot::open(app, &git, &project, Version::Workspace).await?;
    let values = gather(&snapshot, &selection, true).await?;
    if values.is_empty() {
        return Err(Error::not_found("no metrics to record").hint("name the files, or declare them in dvc.yaml"));
    }
    let commit = base::commit_of_run(app, &git).await?.ok_or_else(|| {
        Error::config("not a git repository with a commit").hint("run this inside the clone of the repository")
    })?;
    // A clone of another commit does not have it.
    let time = git.commit_of(&commit).await?.map_or_else(|| app.host.now().as_secs(), |commit| commit.time);
    let platform = app.host.platform();
    let record = history::Record {
        commit,
        time,
        branch,
        run: context.run_url,
        machine: format!("{} {}", platform.os, platform.arch),
        metrics: values.into_iter().map(|(path, value)| (format!("{}{path}", project.prefix), value)).collect(),
    };
    let added = History::add(app, global, &record, args.keep.map(|keep| keep as usize)).await?;
    let short = record.short();
    app.log.info(&match added {
        Some(1) => format!("recorded the metrics of {short}; the history has 1 record"),
        Some(count) => format!("recorded the metrics of {short}; the history has {count} records"),
        None => format!("the history already has these metrics of {short}"),
    });
    Ok(())
}

/// Returns the branch, if it is the default branch; says why not, otherwise.
async fn recorded_branch(app: &App, global: &Global, git: &Git<'_>, context: &ci::Context) -> Result<Option<String>> {
    let skipped = |what: &str| {
        app.log.info(&format!("not recorded: {what}, and the history is of the default branch"));
        Ok(None)
    };
    if let Some(number) = context.pull_request {
        return skipped(&format!("this run is for pull request {number}"));
    }
    let branch = match &context.branch {
        Some(branch) => Some(branch.clone()),
        None => git.query(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await.ok(),
    };
    let Some(branch) = branch else { return skipped("this run is for no branch") };
    match default_branch(app, global, context).await {
        Some(default) if default == branch => Ok(Some(branch)),
        Some(default) => skipped(&format!("this run is for {branch}, not for {default}")),
        None => Err(Error::config("cannot determine the default branch")
            .hint("run `git remote set-head origin --auto`, or check that the token may read the repository")),
    }
}
