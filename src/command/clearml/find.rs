//! `cml clearml find`: the ID and the address of the task that ran a commit.

use super::selection::{Found, Missing, Nothing, Run, Selection};
use super::{Connection, connect, links};
use crate::app::App;
use crate::clearml::links::Links;
use crate::clearml::task::Task;
use crate::connect::Global;
use crate::error::Result;
use crate::outputs;
use clap::ArgAction::Set;
use clap::Args;
use serde_json::{Value, json};

/// Options of `cml clearml find`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # The task that ran this commit\n  cml clearml find --project Lab/CI\n\n  \
    # Wait for the run on a colleague's machine\n  cml clearml find --project Lab/CI --wait 30m")]
pub struct Find {
    /// Which task.
    #[command(flatten)]
    pub selection: Selection,
    /// How to connect.
    #[command(flatten)]
    pub connection: Connection,
    /// Print JSON
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub json: bool,
}

/// Runs the command.
pub async fn run(app: &App, global: &Global, args: &Find) -> Result<()> {
    args.selection.check_pick()?;
    let run = Run::detect(app, global).await;
    let Some(client) = connect(app, &run, &args.connection).await? else { return Ok(()) };
    let found = args.selection.find(app, global, &run, &client).await?;
    let links = links(&client).await?;
    match found {
        Found::Tasks(tasks) => {
            let text = if args.json { found_json(&tasks, &links) } else { lines(app, &tasks, &links) };
            app.print_result(&text)?;
            set_outputs(app, &tasks, &links)
        }
        Found::Nothing(nothing) => {
            if args.json {
                app.print_result(&missing_json(&nothing))?;
            }
            match args.selection.missing {
                Missing::Fail | Missing::Launch => Err(nothing.error()),
                Missing::Neutral => {
                    app.log.warn_of(&nothing.message(), nothing.error().hint_text());
                    Ok(())
                }
            }
        }
    }
}

/// Sets the outputs of the step: those of the newest task.
pub fn set_outputs(app: &App, tasks: &[Task], links: &Links) -> Result<()> {
    let Some(task) = tasks.first() else { return Ok(()) };
    let url = links.task(&task.project, &task.id, "log").unwrap_or_default();
    outputs::set(app, &[("task-id", &task.id), ("task-url", &url), ("task-status", &task.status)])
}

fn lines(app: &App, tasks: &[Task], links: &Links) -> String {
    let line = |task: &Task| {
        let url = links.task(&task.project, &task.id, "log").unwrap_or_default();
        format!("{}\n", app.log.line(format!("{} {url}", task.id).trim_end()))
    };
    tasks.iter().map(line).collect()
}

fn found_json(tasks: &[Task], links: &Links) -> String {
    let task = |task: &Task| {
        let url = links.task(&task.project, &task.id, "log");
        json!({ "id": task.id, "name": task.name, "status": task.status, "commit": task.commit, "tags": task.tags, "url": url })
    };
    document(&json!({ "kind": "found", "tasks": tasks.iter().map(task).collect::<Vec<_>>() }))
}

/// Returns the document for a search without a result.
pub fn missing_json(nothing: &Nothing) -> String {
    let miss = |miss: &crate::clearml::select::NearMiss| json!({ "id": miss.task.id, "name": miss.task.name, "status": miss.task.status, "reason": miss.reason });
    let kind = if nothing.timed_out { "timeout" } else { "no_matching_task" };
    let near: Vec<Value> = nothing.near.iter().map(miss).collect();
    document(&json!({ "kind": kind, "message": nothing.message(), "near_misses": near }))
}

/// Returns a document with the control characters in its texts escaped.
pub fn document(value: &Value) -> String {
    format!("{}\n", crate::log::sanitize::json(&format!("{value:#}")))
}
