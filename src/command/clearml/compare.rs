//! `cml clearml compare`: a gate. The metrics of the task that ran this commit against a baseline: exit code 1 if one is worse.
//!
//! The task → its scalars by the rules → the baseline → verdicts ([`crate::metrics::gate`]) → Markdown or JSON.

use super::baseline::{Baseline, Reference, Search};
use super::find::{document, set_outputs};
use super::output::Output;
use super::report::{Direction, facts, is_meant, no_such_metric, remark};
use super::selection::{Found, Pick, Run, Selection};
use super::{Connection, connect, links};
use crate::app::App;
use crate::clearml::links::Links;
use crate::clearml::statistic::{Ranking, Statistic};
use crate::clearml::task::{Scalar, Task};
use crate::command::check::{self, WrittenCheck};
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::forge::checks::Conclusion;
use crate::metrics::gate::{Judgement, Rule, Tolerance, Verdict, table};
use crate::outputs;
use crate::report::escape::escape;
use clap::ArgAction::Set;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write;

/// Options of `cml clearml compare`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Fail if the accuracy fell by more than 1 % of that of the task with the tag best\n  \
    cml clearml compare --project Lab/CI --metric accuracy/val --tolerance 1% --baseline tag:best\n\n  \
    # Several metrics; say so in the pull request\n  \
    cml clearml compare --rule 'accuracy/val >= 0.9' --rule 'loss/val:min: lower, rise 2%' --publish")]
pub struct Compare {
    /// Which task.
    #[command(flatten)]
    pub selection: Selection,
    /// What its metrics should be.
    #[command(flatten)]
    pub gate: Gate,
    /// How to connect.
    #[command(flatten)]
    pub connection: Connection,
    /// Where the report goes.
    #[command(flatten)]
    pub output: Output,
}

/// What metrics should be.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gate")]
pub struct Gate {
    /// Scalar to compare with the baseline's, as TITLE/SERIES; its last value, or with :max or :min the greatest or least; may be
    /// given several times
    #[arg(long, value_name = "NAME")]
    pub metric: Vec<String>,
    /// Which values of --metric are better
    #[arg(long, value_name = "GOAL", value_enum, default_value_t = Direction::Max)]
    pub goal: Direction,
    /// How much worse than the baseline --metric may be: a number, or a part of the baseline such as 2% [default: 0]
    #[arg(long, value_name = "TOLERANCE")]
    pub tolerance: Option<Tolerance>,
    /// Rule for a scalar, such as 'acc/val >= 0.9' or 'loss/*: lower, rise 2%'; may be given several times
    #[arg(long, value_name = "RULE")]
    pub rule: Vec<Rule>,
    /// Task to compare with: tag:NAME for the last one with a tag, best for the best one by the first metric, base-branch for the
    /// last one of the branch that the pull request goes into, or task:ID
    #[arg(long, value_name = "TASK", default_value = "best")]
    pub baseline: Baseline,
    /// Fail with exit code 5 if there is no task to compare with yet
    #[arg(long, action = Set, default_value_t = false)]
    pub require_baseline: bool,
    /// Fail if any metric is worse, or only if all are
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = FailOn::Any)]
    pub fail_on: FailOn,
    /// Create a check with this title, which fails if the gate does, instead of printing the report
    #[arg(long, value_name = "TITLE", conflicts_with = "json", help_heading = "Output")]
    pub check: Option<String>,
}

/// When a gate fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// One metric is worse
    Any,
    /// All metrics are worse
    All,
}

/// A scalar that a rule is about.
struct Subject {
    rule: Rule,
    scalar: Scalar,
    statistic: Statistic,
}

/// A task, compared.
pub struct Comparison {
    /// The task.
    pub task: Task,
    /// By what tasks are ranked, if a rule compares.
    pub ranking: Option<Ranking>,
    reference: Reference,
    scalars: Vec<Scalar>,
    judgements: Vec<Judgement>,
    is_failure: bool,
    /// What else was done.
    pub note: String,
}

/// Runs the command.
pub async fn run(app: &App, global: &Global, args: &Compare) -> Result<()> {
    args.gate.rules()?;
    let run = Run::detect(app, global).await;
    let Some(client) = connect(app, &run, &args.connection).await? else { return Ok(()) };
    let search = args.search(app, global, &client, &run);
    let Some(comparisons) = args.compare(&search).await? else { return Ok(()) };
    args.hand_out(&search, &comparisons, "compare ").await
}

impl Compare {
    /// Returns where to look for the baseline.
    pub fn search<'a>(
        &'a self,
        app: &'a App,
        global: &'a Global,
        client: &'a crate::clearml::Client,
        run: &'a Run,
    ) -> Search<'a> {
        Search { app, global, client, run, name: self.selection.name.as_deref() }
    }

    /// Finds and compares the tasks; `None` if there are none and that was told.
    pub async fn compare(&self, search: &Search<'_>) -> Result<Option<Vec<Comparison>>> {
        let Search { app, global, client, run, .. } = *search;
        let found = match self.selection.find(app, global, run, client).await? {
            Found::Tasks(tasks) => tasks,
            Found::Nothing(nothing) => {
                let told = self.output.report_nothing(app, global, client, &self.selection, "compare ", &nothing);
                return told.await.map(|()| None);
            }
        };
        let count = if self.selection.pick == Pick::Newest { 1 } else { found.len() };
        let mut tasks = Vec::new();
        for found in found.into_iter().take(count) {
            // A search does not ask for all fields.
            tasks.push(if self.selection.task.is_some() { found } else { client.task(&found.id).await? });
        }
        if self.selection.pick == Pick::Best {
            self.keep_best(&mut tasks)?;
        }
        let mut comparisons = Vec::new();
        for task in tasks {
            comparisons.push(self.compare_one(search, task).await?);
        }
        Ok(Some(comparisons))
    }

    /// Keeps the best of several tasks.
    fn keep_best(&self, tasks: &mut Vec<Task>) -> Result<()> {
        let Some(first) = tasks.first() else { return Ok(()) };
        let ranking = ranking(&self.gate.subjects(first)?).ok_or_else(|| {
            Error::usage("--pick best needs a metric with a direction")
                .hint("write a rule such as 'accuracy/val: higher'")
        })?;
        let best = tasks.iter().fold(first, |best, task| if ranking.is_better(task, best) { task } else { best });
        *tasks = vec![best.clone()];
        Ok(())
    }

    async fn compare_one(&self, search: &Search<'_>, task: Task) -> Result<Comparison> {
        let told = |kind: &str, error: Error| self.told(search.app, kind, error);
        let subjects = self.gate.subjects(&task).map_err(|error| told("no_metric", error))?;
        let ranking = ranking(&subjects);
        let reference = match &ranking {
            Some(_) => search.find(&self.gate.baseline, &task, ranking.as_ref()).await?,
            None => Reference::Missing(String::new()),
        };
        if let (true, Reference::Missing(reason)) = (self.gate.require_baseline && ranking.is_some(), &reference) {
            let error = Error::not_found(format!("there is no baseline for the ClearML task {}: {reason}", task.name))
                .hint("tag a task, or omit --require-baseline to pass without one");
            return Err(told("no_baseline", error));
        }
        let mut judgements = Vec::new();
        for Subject { rule, scalar, statistic } in &subjects {
            let name = format!("{}{}", scalar.name(), statistic.ending());
            let value = statistic.of(scalar).ok_or_else(|| told("not_finite", not_finite(&name, &task)))?;
            let before = reference.task().and_then(|other| statistic.of(scalar.find_in(other)?));
            judgements.push(Judgement::new(name, value, before, rule.clone()));
        }
        let is_failure = self.gate.fails(&judgements);
        let mut scalars: Vec<Scalar> = subjects.into_iter().map(|subject| subject.scalar).collect();
        scalars.dedup();
        Ok(Comparison { task, ranking, reference, scalars, judgements, is_failure, note: String::new() })
    }

    /// Prints an error as JSON too, where that is asked for, and returns it.
    fn told(&self, app: &App, kind: &str, error: Error) -> Error {
        if self.output.json {
            // The caller prints the error on standard error, whether or not this succeeds.
            let _ = app.print_result(&document(&json!({ "kind": kind, "message": error.to_string() })));
        }
        error
    }

    /// Sets the outputs, publishes the report, and fails if a metric is worse.
    pub async fn hand_out(&self, search: &Search<'_>, comparisons: &[Comparison], kind: &str) -> Result<()> {
        let Search { app, global, client, .. } = *search;
        let links = links(client).await?;
        let all: Vec<Judgement> = comparisons.iter().flat_map(|comparison| comparison.judgements.clone()).collect();
        let failures: Vec<&Comparison> = comparisons.iter().filter(|comparison| comparison.is_failure).collect();
        let verdict = if failures.is_empty() { Verdict::of_passed(&all) } else { Verdict::Worse };
        set_outputs(app, &tasks(comparisons), &links)?;
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let (metric, baseline) = all.first().map_or_else(Default::default, |first| (Some(first.value), first.baseline));
        outputs::set(
            app,
            &[("verdict", verdict.name()), ("metric", &number(metric)), ("baseline", &number(baseline))],
        )?;
        let text = if self.output.json {
            let kind = if failures.is_empty() { "pass" } else { "regression" };
            let each: Vec<Value> = comparisons.iter().map(|comparison| comparison.json(&links)).collect();
            document(&json!({ "kind": kind, "verdict": verdict.name(), "comparisons": each }))
        } else {
            let each: Vec<String> = comparisons.iter().map(|comparison| comparison.markdown(&links)).collect();
            each.join("\n")
        };
        let check = self.gate.check.as_ref().map(|title| WrittenCheck {
            title: title.clone(),
            text: text.clone(),
            conclusion: conclusion(verdict, !failures.is_empty()),
            data: all.iter().map(|judgement| (judgement.name.clone(), judgement.value.to_string())).collect(),
            annotations: Vec::new(),
            publish_args: self.output.publish_args.clone(),
        });
        if check.is_none() || self.output.publish || self.output.file.is_some() {
            self.output.hand_out(app, global, &self.selection, kind, text).await?;
        }
        if let Some(check) = check {
            check::publish(app, global, check).await?;
        }
        match failures.as_slice() {
            [] => Ok(()),
            failures => Err(regression(failures, &links)),
        }
    }
}

/// Returns how a check of the gate ends: neutral where nothing could be compared.
fn conclusion(verdict: Verdict, is_failure: bool) -> Conclusion {
    match verdict {
        _ if is_failure => Conclusion::Failure,
        Verdict::NotEnoughData => Conclusion::Neutral,
        _ => Conclusion::Success,
    }
}

fn tasks(comparisons: &[Comparison]) -> Vec<Task> {
    comparisons.iter().map(|comparison| comparison.task.clone()).collect()
}

impl Gate {
    /// Returns all rules, those of `--metric` first.
    ///
    /// # Errors
    /// There are none.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        let tolerance = self.tolerance.unwrap_or(Tolerance::Absolute(0.0));
        let of_metrics = self.metric.iter().map(|name| Rule::new(name, self.goal.into(), tolerance));
        let rules: Vec<Rule> = of_metrics.chain(self.rule.iter().cloned()).collect();
        if let Some(rule) = rules.iter().find(|rule| matches!(rule.tolerance, Tolerance::StandardErrors(_))) {
            let error = format!("the tolerance '{}' needs the standard error of a metric", rule.tolerance);
            return Err(Error::usage(error).hint(
                "a scalar of ClearML has none: write a number such as 0.01, or a part of the baseline such as 2%",
            ));
        }
        if rules.is_empty() {
            return Err(Error::usage("nothing to compare")
                .hint("name a scalar with --metric accuracy/val, or write a --rule 'loss/val: lower, rise 2%'"));
        }
        Ok(rules)
    }

    /// Returns the scalars of a task that the rules are about.
    fn subjects(&self, task: &Task) -> Result<Vec<Subject>> {
        let mut subjects = Vec::new();
        for rule in self.rules()? {
            let (scalars, statistic) = scalars(&rule.name, task)?;
            let each = scalars.into_iter().map(|scalar| Subject { rule: rule.clone(), scalar, statistic });
            subjects.extend(each);
        }
        Ok(subjects)
    }

    fn fails(&self, judgements: &[Judgement]) -> bool {
        let counts = |judgement: &&Judgement| !judgement.rule.is_warning && judgement.verdict != Verdict::NotEnoughData;
        let mut counted = judgements.iter().filter(counts).peekable();
        match self.fail_on {
            FailOn::Any => counted.any(Judgement::is_failure),
            FailOn::All => counted.peek().is_some() && counted.all(Judgement::is_failure),
        }
    }
}

/// Returns the scalars that a name means, and which value of them: the name may end with `:max`, `:min` or `:last`.
///
/// # Errors
/// There is none, or a name without `*` means several.
fn scalars(name: &str, task: &Task) -> Result<(Vec<Scalar>, Statistic)> {
    let whole = Some((name, Statistic::Last));
    for (name, statistic) in whole.into_iter().chain(Statistic::split(name)) {
        let named = |is_meant: &dyn Fn(&Scalar) -> bool| -> Vec<Scalar> {
            task.scalars.iter().filter(|scalar| is_meant(scalar)).cloned().collect()
        };
        for found in [named(&|scalar| scalar.name() == name), named(&|scalar| scalar.metric == name)] {
            match found.len() {
                0 => {}
                1 => return Ok((found, statistic)),
                _ => return Err(ambiguous(name, task, &found)),
            }
        }
        let found = named(&|scalar| is_meant(name, scalar));
        if !found.is_empty() {
            return Ok((found, statistic));
        }
    }
    Err(no_such_metric(Statistic::split(name).map_or(name, |(name, _)| name), task))
}

fn ambiguous(name: &str, task: &Task, found: &[Scalar]) -> Error {
    let names: Vec<String> =
        found.iter().map(|scalar| format!("'{}' of '{}'", scalar.variant, scalar.metric)).collect();
    Error::usage(format!("'{name}' means several scalars of the ClearML task {}: {}", task.name, names.join(", ")))
        .hint("name one of them as TITLE/SERIES, or all of them with a rule for 'TITLE/*'")
}

fn not_finite(name: &str, task: &Task) -> Error {
    Error::not_found(format!("{name} of the ClearML task {} is not a finite number", task.name))
        .hint("the training may have diverged: look at its curves, or judge another value, such as :min")
}

/// Returns by what tasks are ranked: the first scalar that is compared.
fn ranking(subjects: &[Subject]) -> Option<Ranking> {
    let first = subjects.iter().find(|subject| subject.rule.goal.is_some())?;
    Some(Ranking { scalar: first.scalar.clone(), statistic: first.statistic, goal: first.rule.goal? })
}

fn regression(failures: &[&Comparison], links: &Links) -> Error {
    let judgements = failures.iter().flat_map(|comparison| &comparison.judgements);
    let reasons: Vec<String> = judgements.filter(|judgement| judgement.is_failure()).map(Judgement::reason).collect();
    let error = Error::regression(match reasons.as_slice() {
        [only] => only.clone(),
        several => format!("{} metrics are worse: {}", several.len(), several.join("; ")),
    });
    let pages = failures.iter().find_map(|failure| links.compare(&[&failure.reference.task()?.id, &failure.task.id]));
    match pages {
        Some(pages) => error.hint(format!("compare the tasks in ClearML: {pages}")),
        None => error,
    }
}

impl Comparison {
    /// Returns whether a metric is worse than it may be.
    pub fn is_failure(&self) -> bool {
        self.is_failure
    }

    /// Returns the task that it was compared with.
    pub fn baseline(&self) -> Option<&Task> {
        self.reference.task()
    }

    fn verdict(&self) -> Verdict {
        if self.is_failure { Verdict::Worse } else { Verdict::of_passed(&self.judgements) }
    }

    fn markdown(&self, links: &Links) -> String {
        let symbol = match self.verdict() {
            Verdict::Worse if self.is_failure => '✘',
            Verdict::Worse => '⚠',
            Verdict::NotEnoughData => '?',
            _ => '✔',
        };
        let facts = facts(&self.task, self.reference.task(), links);
        let mut text = format!("### ClearML: {} {symbol}\n\n{facts}\n", escape(&self.task.name));
        self.alerts(&mut text);
        let _ = write!(text, "\n{}", table::markdown(&self.judgements));
        match &self.reference {
            Reference::Task(task, what) => {
                let name = match links.task(&task.project, &task.id, "log") {
                    Some(url) => format!("[{}]({url})", escape(&task.name)),
                    None => format!("{} ({})", escape(&task.name), task.id),
                };
                let what = if what.is_empty() { String::new() } else { format!(", {}", escape(what)) };
                let _ = write!(text, "\nBaseline: {name}{what}\n");
            }
            Reference::Missing(reason) if reason.is_empty() => {}
            Reference::Missing(reason) => {
                let _ = write!(text, "\n*There is no baseline yet: {}.*\n", escape(reason));
            }
        }
        self.scalars.iter().for_each(|scalar| text.push_str(&remark(scalar)));
        if !self.note.is_empty() {
            let (first, rest) = self.note.split_at(self.note.ceil_char_boundary(1));
            let _ = write!(text, "\n*{}{}.*\n", first.to_uppercase(), escape(rest));
        }
        text
    }

    /// Writes what is worse: <https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#alerts>.
    fn alerts(&self, text: &mut String) {
        for (kind, is_meant) in [("CAUTION", self.is_failure), ("WARNING", !self.is_failure)] {
            let worse = self.judgements.iter().filter(|judgement| judgement.verdict == Verdict::Worse);
            let reasons: Vec<String> = worse.map(|judgement| escape(&judgement.reason())).collect();
            if is_meant && !reasons.is_empty() {
                let _ = write!(text, "\n> [!{kind}]\n> {}\n", reasons.join("  \n> "));
            }
        }
    }

    fn json(&self, links: &Links) -> Value {
        let task = |task: &Task| {
            let url = links.task(&task.project, &task.id, "log");
            json!({ "id": task.id, "name": task.name, "status": task.status, "commit": task.commit, "url": url })
        };
        let metric = |judgement: &Judgement| {
            json!({
                "name": judgement.name,
                "value": judgement.value,
                "baseline": judgement.baseline,
                "rule": judgement.rule.to_string(),
                "verdict": judgement.verdict.name(),
                "fails": judgement.is_failure(),
            })
        };
        json!({
            "verdict": self.verdict().name(),
            "task": task(&self.task),
            "baseline": self.reference.task().map(task),
            "metrics": self.judgements.iter().map(metric).collect::<Vec<_>>(),
            "note": self.note,
        })
    }
}
