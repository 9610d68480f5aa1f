//! `cml metrics convert`: what a file of metrics or of an evaluation tool says.

use crate::app::App;
use crate::command::diff::gather::{self, Selection};
use crate::command::diff::project::Project;
use crate::command::diff::snapshot::{LARGEST, Snapshot, Version};
use crate::command::publish_args::write_output;
use crate::error::{Error, Result};
use crate::git::Git;
use crate::metrics::evaluation::{Evaluation, Format as Tool, Measure, read};
use crate::metrics::gate::Goal;
use crate::metrics::source::Row;
use crate::metrics::table::{PRECISION, Subject, lay_out};
use crate::metrics::{Value, json, mlflow, python};
use crate::report::escape::escape;
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table in Markdown
    Md,
    /// JSON with standard errors, directions and examples
    Json,
    /// JSON with names and values, which `cml metrics diff` and DVC read
    Metrics,
}

/// Options of `cml metrics convert`.
#[derive(Debug, Args)]
#[command(
    after_help = "Reads LM Evaluation Harness, promptfoo, DeepEval, JUnit, github-action-benchmark, Bencher, and plain metrics in JSON, \
    YAML, TOML, CSV or TSV, and MLflow's mlruns and mlflow.db. The tool is detected from the content.\n\nExamples:\n  \
    # Show the pass rate of a test run\n  cml metrics convert junit.xml\n\n  \
    # Turn an evaluation into metrics that DVC tracks\n  cml metrics convert results.json --format metrics > metrics.json"
)]
pub struct Convert {
    /// File to read, or MLflow's folder
    #[arg(id = "files", value_name = "FILE")]
    path: PathBuf,
    /// Row of CSV and TSV files that counts: last, max:COLUMN or min:COLUMN
    #[arg(long, help_heading = "Input", value_name = "ROW", default_value_t = Row::Last)]
    row: Row,
    /// Form of the output
    #[arg(long, help_heading = "Output", value_name = "FORMAT", value_enum, default_value_t = Format::Md)]
    format: Format,
    /// Append the output to this file instead of printing it
    #[arg(long, short, help_heading = "Output", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Runs the subcommand.
pub async fn run(app: &App, args: &Convert) -> Result<()> {
    let path = args.path.display().to_string();
    let mut found = Vec::new();
    for (name, bytes) in files(app, args, &path).await? {
        let evaluation =
            read(&name, &bytes, &args.row).map_err(|problem| gather::explain(&name, "the working copy", problem))?;
        found.push((name, evaluation));
    }
    let evaluation = join(&path, found)
        .ok_or_else(|| Error::not_found(format!("{path} has no metrics")).hint("run the step that writes them"))?;
    let text = match args.format {
        Format::Md => markdown(&evaluation),
        Format::Json => document(&whole(&path, &evaluation)),
        Format::Metrics => document(&values(&evaluation)),
    };
    write_output(app, args.file.as_ref(), &text)
}

/// Reads the file, or those of a folder; of MLflow's runs, their metrics.
async fn files(app: &App, args: &Convert, path: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    if app.host.list(&args.path).is_ok() {
        let (git, project) = (Git::new(app), Project::find(app)?);
        let targets = Some(project.targets(app, &[path.to_owned()])?);
        let selection = Selection { subject: Subject::Metrics, targets, dependencies_only: false, row: &args.row };
        let snapshot = Snapshot::open(app, &git, &project, Version::Workspace).await?;
        return gather::files(&snapshot, &selection, true).await;
    }
    let file = app.files()?.named(&args.path).and_then(|file| file.read(LARGEST));
    let bytes = file.map_err(|refusal| refusal.error(format!("cannot read {path}"), &args.path))?;
    mlflow::expand(BTreeMap::from([(path.to_owned(), bytes)]))
        .map_err(|(path, problem)| gather::explain(&path, "the working copy", problem))
}

/// Joins what several files say, where the name of each is part of its metrics' names.
fn join(path: &str, mut found: Vec<(String, Evaluation)>) -> Option<Evaluation> {
    if found.len() < 2 {
        return found.pop().map(|(_, evaluation)| evaluation);
    }
    let of_file = |(name, evaluation): (String, Evaluation)| {
        let name = name.strip_prefix(path).map_or(name.clone(), |rest| rest.trim_start_matches('/').to_owned());
        evaluation
            .measures
            .into_iter()
            .map(move |measure| Measure { name: format!("{name}/{}", measure.name), ..measure })
    };
    Some(Evaluation { format: Tool::Metrics, measures: found.into_iter().flat_map(of_file).collect() })
}

fn document(value: &Value) -> String {
    let mut text = String::new();
    json::write(value, &mut text);
    text + "\n"
}

/// A column of the table: its title, whether it is shown, and its cells.
type Column = (&'static str, bool, fn(&Measure) -> String);

fn markdown(evaluation: &Evaluation) -> String {
    let has = |holds: fn(&Measure) -> bool| evaluation.measures.iter().any(holds);
    let columns: [Column; 6] = [
        ("Metric", true, |measure| escape(&measure.name)),
        ("Value", true, |measure| python::significant(measure.value, PRECISION)),
        ("Standard error", has(|measure| measure.standard_error.is_some()), |measure| {
            measure.standard_error.map(|error| python::significant(error, PRECISION)).unwrap_or_default()
        }),
        ("Unit", has(|measure| measure.unit.is_some()), |measure| escape(measure.unit.as_deref().unwrap_or_default())),
        ("Examples", has(|measure| measure.count.is_some()), |measure| {
            measure.count.map(|count| count.to_string()).unwrap_or_default()
        }),
        ("Better", has(|measure| measure.goal.is_some()), |measure| better(measure).unwrap_or_default().to_owned()),
    ];
    let shown = columns.iter().filter(|(_, is_shown, _)| *is_shown);
    let header: Vec<String> = shown.clone().map(|(title, ..)| (*title).to_owned()).collect();
    let row = |measure: &Measure| shown.clone().map(|(.., cell)| cell(measure)).collect();
    lay_out(&header, &evaluation.measures.iter().map(row).collect::<Vec<_>>())
}

fn better(measure: &Measure) -> Option<&'static str> {
    measure.goal.map(|goal| match goal {
        Goal::Higher => "higher",
        Goal::Lower => "lower",
    })
}

fn values(evaluation: &Evaluation) -> Value {
    Value::Map(evaluation.measures.iter().map(|measure| (measure.name.clone(), measure.value.into())).collect())
}

fn whole(path: &str, evaluation: &Evaluation) -> Value {
    let object = |entries: Vec<(&str, Value)>| {
        Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let measure = |measure: &Measure| {
        let mut entries = vec![("metric", Value::from(measure.name.as_str())), ("value", measure.value.into())];
        entries.extend(measure.standard_error.map(|error| ("standard_error", error.into())));
        entries.extend(measure.count.map(|count| ("examples", Value::from(count as i64))));
        entries.extend(better(measure).map(|word| ("better", word.into())));
        entries.extend(measure.unit.as_deref().map(|unit| ("unit", unit.into())));
        let failed = measure.examples.iter().filter(|example| !example.passed);
        let failed = failed.map(|example| {
            object(vec![("id", example.id.as_str().into()), ("detail", example.detail.as_str().into())])
        });
        entries.extend((!measure.examples.is_empty()).then(|| ("failed", Value::List(failed.collect()))));
        object(entries)
    };
    object(vec![
        ("file", path.into()),
        ("format", evaluation.format.title().into()),
        ("metrics", Value::List(evaluation.measures.iter().map(measure).collect())),
    ])
}
